# SPDX-License-Identifier: Apache-2.0
"""The runner of co-simulation: it must fail whenever nothing was shown, and say why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim import runner, simulators, vectors
from cosim.design import TOP, Block, Design, DesignError, bundle
from hw.params import ParameterError, ShiftParams

COUNTER = """
module counter(clk, rst, count);
  input wire [0:0] clk, rst;
  output reg [3:0] count = 0;
  always @(posedge clk) count <= rst ? 4'd0 : count + 4'd1;
endmodule
"""
BLOCK = Block(
    "counter", COUNTER, (("input", "clk", 1), ("input", "rst", 1), ("output", "count", 4))
)

# A body for the simulator: one test that passes, one that fails, one that kills the simulator.
BODY = """
import os
import cocotb
from cosim.bench import Port, array, idle, parameters, reset

async def counted(dut):
    port = Port(dut, "counter")
    await reset(port)
    await idle(port, parameters()["cycles"])
    await port.settle()
    return port.read("count")

@cocotb.test()
async def counts(dut):
    expected = int(array("expected")[0])
    found = await counted(dut)
    assert found == expected, f"count must be {expected}, not {found}"

@cocotb.test()
async def fails(dut):
    assert await counted(dut) == 99, "the reason given in the simulator"

@cocotb.test()
async def crashes(dut):
    os._exit(0)
"""


@pytest.fixture
def icarus() -> str:
    reason = simulators.missing("icarus")
    if reason is not None:
        pytest.skip(reason)
    return "icarus"


@pytest.fixture
def body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "body_counter.py").write_text(BODY, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "body_counter"


def run(simulator: str, body: str, folder: Path, tests: str) -> list[str]:
    return runner.run(
        bundle("counter", [BLOCK]),
        simulator,
        body,
        folder=folder / "run",
        parameters={"cycles": 5},
        arrays={"expected": np.array([5])},
        tests=tests,
    )


def test_names_of_passed_tests_are_returned(icarus: str, body: str, tmp_path: Path) -> None:
    assert run(icarus, body, tmp_path, "counts") == ["counts"]


def test_failure_carries_the_message_of_the_simulation(
    icarus: str, body: str, tmp_path: Path
) -> None:
    with pytest.raises(runner.SimulationError, match="fails: .*the reason given in the simulator"):
        run(icarus, body, tmp_path, "fails")


def test_no_test_at_all_is_a_failure(icarus: str, body: str, tmp_path: Path) -> None:
    with pytest.raises(runner.SimulationError, match=r"ran no test|No tests|no tests"):
        run(icarus, body, tmp_path, "there_is_no_such_test")


def test_crash_is_a_failure_even_with_exit_code_0(icarus: str, body: str, tmp_path: Path) -> None:
    with pytest.raises(runner.SimulationError):
        run(icarus, body, tmp_path, "crashes")


def test_rejected_verilog_is_a_failure_with_the_log(icarus: str) -> None:
    design = Design("broken", TOP, f"module {TOP}(; endmodule\n")
    with pytest.raises(runner.BuildError, match=r"(?s)does not build broken.*syntax error"):
        runner.build(design, icarus)


def test_missing_simulator_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert simulators.missing("icarus") == "icarus needs iverilog and vvp on PATH"
    with pytest.raises(simulators.SimulatorError, match="icarus needs iverilog and vvp on PATH"):
        runner.build(bundle("counter", [BLOCK]), "icarus")


def test_broken_simulator_is_not_a_missing_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("iverilog", "vvp"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    simulators.version.cache_clear()
    try:
        assert simulators.missing("icarus") is None
        with pytest.raises(simulators.SimulatorError, match="vvp -V must run"):
            runner.build(bundle("counter", [BLOCK]), "icarus")
    finally:
        simulators.version.cache_clear()


def test_unknown_simulator_is_refused() -> None:
    message = "simulator must be verilator or icarus, not 'other'"
    with pytest.raises(simulators.SimulatorError, match=message):
        simulators.missing("other")


@pytest.mark.parametrize("option", ["waves", "coverage"])
def test_what_only_verilator_can_do_is_refused_of_icarus(
    monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setattr(simulators, "missing", lambda simulator: None)
    message = f"{option} must be asked of verilator, not icarus"
    with pytest.raises(simulators.SimulatorError, match=message):
        runner.build(bundle("counter", [BLOCK]), "icarus", **{option: True})


def test_build_folder_follows_verilog_simulator_and_flags(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(simulators, "version", lambda simulator: "1.0")
    design = Design("counter", TOP, COUNTER)
    other = Design("counter", TOP, COUNTER.replace("4'd1", "4'd2"))
    folders = {
        runner.build_folder(design, "icarus"),
        runner.build_folder(other, "icarus"),
        runner.build_folder(design, "verilator"),
        runner.build_folder(design, "verilator", waves=True),
        runner.build_folder(design, "verilator", coverage=True),
    }
    assert len(folders) == 5
    assert runner.build_folder(design, "icarus") in folders
    monkeypatch.setattr(simulators, "version", lambda simulator: "1.1")
    assert runner.build_folder(design, "icarus") not in folders


@pytest.mark.parametrize(
    ("report", "passed", "failures"),
    [
        (None, [], []),
        ("<testsuites><testsuite/></testsuites>", [], []),
        ('<a><testcase name="one"/></a>', ["one"], []),
        ('<a><testcase name="one"><skipped/></testcase></a>', [], []),
        (
            '<a><testcase name="one"><failure type="T" message="m"/></testcase></a>',
            [],
            ["one: T: m"],
        ),
        ('<a><testcase name="one"><error>text</error></testcase></a>', [], ["one: error: text"]),
    ],
)
def test_report_is_read(
    tmp_path: Path, report: str | None, passed: list[str], failures: list[str]
) -> None:
    file = tmp_path / "results.xml"
    if report is not None:
        file.write_text(report, encoding="utf-8")
    assert runner.read_results(file) == (passed, failures)


def test_damaged_report_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "results.xml"
    file.write_text("<testsuites><testcase", encoding="utf-8")
    passed, failures = runner.read_results(file)
    assert not passed
    assert failures[0].startswith("results.xml must be readable")


def test_fault_must_change_something() -> None:
    faulty = BLOCK.with_fault("faulty", "4'd1", "4'd2")
    assert faulty.name == "faulty"
    assert "module faulty(" in faulty.text
    with pytest.raises(DesignError, match="must replace text that occurs in counter, not 'absent'"):
        BLOCK.with_fault("faulty", "absent", "anything")
    with pytest.raises(DesignError, match="must change counter"):
        BLOCK.with_fault("faulty", "4'd1", "4'd1")


def test_blocks_of_a_design_have_different_names() -> None:
    with pytest.raises(DesignError, match="must have blocks with different names"):
        bundle("counter", [BLOCK, BLOCK])
    with pytest.raises(DesignError, match="must have blocks with different names"):
        bundle("counter", [])


def test_pixels_and_port_values_are_inverse_over_the_whole_range() -> None:
    for bits in (1, 5, 8, 16):
        pixels = np.arange(-(1 << (bits - 1)), 1 << (bits - 1))
        codes = vectors.to_ports(pixels, bits)
        assert codes.min() == 0
        assert codes.max() == (1 << bits) - 1
        assert np.array_equal(vectors.from_ports(codes, bits), pixels)
    with pytest.raises(ParameterError, match="pixels must be from -8 to 7, not 8 to 8"):
        vectors.to_ports(np.array([8]), 4)


def test_random_maps_begin_with_the_corners() -> None:
    maps = vectors.random_maps(ShiftParams(height=2, width=3, bits=5), 3, seed=1)
    assert (maps[0] == 31).all()
    assert (maps[1] == 0).all()
    assert maps[2].max() < 32
