# SPDX-License-Identifier: Apache-2.0
"""Netlists in simulation: the RTL's own vectors on them, and faults that must be noticed."""

import dataclasses
import json
import re
import tempfile
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from intnets import images, random_net

from cosim import accelerator_gates, gates, simulators, vectors
from cosim.conversation import Transcript
from cosim.design import Block, Design, bundle, emit_block
from cosim.netlist import Cell, Netlist, from_yosys
from cosim.runner import BuildError, SimulationError, build, run
from fpga import yosys
from fpga.toolchain import ToolchainError, find
from hw.image import build as image_of
from hw.memory import ReadFirstMemory
from hw.params import ShiftParams
from hw.shift import ShiftModule
from hw.stream import AxisShift
from model.agreement import MismatchError

# The component, its shape, and how many tests there are of its RTL.
COMPONENTS = {
    "shift_module": (ShiftModule, ShiftParams(height=16, width=16, bits=8), 6),
    "axis_shift": (AxisShift, ShiftParams(height=6, width=10, bits=8), 4),
}


@pytest.fixture(
    scope="module", params=["shift_module", pytest.param("axis_shift", marks=pytest.mark.slow)]
)
def synthesised(request):
    component, params, _ = COMPONENTS[request.param]
    block = emit_block(component(params=params), request.param)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rtl.v").write_text(block.text)
        mapping = yosys.synthesis(block.name)
        yosys.run(["read_verilog rtl.v", *mapping, "write_json netlist.json"], folder)
        return block, from_yosys(json.loads((folder / "netlist.json").read_text()), block.name)


def simulate(block, mapped, simulator, folder, **options):
    """Run the RTL's own tests on a netlist."""
    reason = simulators.missing(simulator)
    if reason is not None:
        pytest.skip(reason)
    gate = type(block)(block.name, mapped.verilog(), block.ports)
    design = bundle(f"{block.name}_gates", [gate])
    _, params, _ = COMPONENTS[block.name]
    maps = vectors.random_maps(params, 16, seed=1)
    shape = {"height": params.height, "width": params.width, "bits": params.bits}
    return run(
        Design(design.name, design.top, design.text + mapped.models()),
        simulator,
        f"cosim.body_{block.name}",
        folder=folder,
        parameters={"block": block.name, "seed": 1, **shape},
        arrays={"maps": maps, "moved": vectors.moved(maps)},
        **options,
    )


@pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_the_netlist_passes_the_rtls_tests(synthesised, simulator, tmp_path):
    block, mapped = synthesised
    assert len(simulate(block, mapped, simulator, tmp_path)) == COMPONENTS[block.name][2]


def test_a_flipped_lut_bit_is_noticed(synthesised, tmp_path):
    block, mapped = synthesised
    lut = next(name for name, cell in mapped.cells.items() if cell.kind == "LUT2")
    with pytest.raises(SimulationError, match="must|differ"):
        simulate(block, mapped.flip(lut, "INIT", 0), "icarus", tmp_path)


class Memories(wiring.Component):
    """A memory of each width of a port; the widest can only be read at a port of its own."""

    WIDTHS = (1, 2, 4, 9, 18, 36, 72)

    def __init__(self):
        super().__init__(
            {"addr": In(9), "read_addr": In(9), "we": In(1), "wdata": In(72)}
            | {f"rdata_{width}": Out(width) for width in self.WIDTHS}
        )

    def elaborate(self, platform):
        m = Module()
        for width in self.WIDTHS[:-1]:
            m.submodules += (memory := ReadFirstMemory(width=width, depth=512))
            m.d.comb += [
                memory.addr.eq(self.addr),
                memory.we.eq(self.we),
                memory.wdata.eq(self.wdata),
                getattr(self, f"rdata_{width}").eq(memory.rdata),
            ]
        m.submodules.wide = wide = Memory(shape=72, depth=512, init=range(512))
        write, read = wide.write_port(), wide.read_port()
        m.d.comb += [
            write.addr.eq(self.addr),
            write.en.eq(self.we),
            write.data.eq(self.wdata),
            read.addr.eq(self.read_addr),
            read.en.eq(1),
            self.rdata_72.eq(read.data),
        ]
        return m


@pytest.mark.slow  # all widths, one after the other
def test_block_rams_of_all_widths_are_as_the_rtl(tmp_path):
    if simulators.missing("icarus") is not None:
        pytest.skip(simulators.missing("icarus"))
    rtl = emit_block(Memories(), "rtl")
    (tmp_path / "rtl.v").write_text(rtl.text)
    mapping = yosys.synthesis("rtl")
    yosys.run(["read_verilog rtl.v", *mapping, "write_json netlist.json"], tmp_path)
    mapped = from_yosys(json.loads((tmp_path / "netlist.json").read_text()), "rtl")
    gates_block = Block("gates", dataclasses.replace(mapped, name="gates").verilog(), rtl.ports)
    rams = [cell.parameters for cell in mapped.cells.values() if cell.kind.startswith("RAMB")]
    widths = [int(each["READ_WIDTH_A"].partition("'b")[2], 2) for each in rams]
    assert sorted(widths) == list(Memories.WIDTHS)
    design = bundle("memories", [rtl, gates_block])
    run(
        dataclasses.replace(design, text=design.text + mapped.models()),
        "icarus",
        "cosim.body_twins",
        folder=tmp_path,
        parameters={
            "blocks": ["rtl", "gates"],
            "inputs": {"addr": 9, "read_addr": 9, "we": 1, "wdata": 72},
            "outputs": [f"rdata_{width}" for width in Memories.WIDTHS],
            "cycles": 4000,
            "seed": 1,
        },
    )


def ram(**changes):
    """Return a netlist of one block RAM, 2K of 9 bits, which is written as it is read."""
    parameters = {
        "RAM_MODE": '"TDP"', "READ_WIDTH_A": "9", "WRITE_WIDTH_A": "9",
        "WRITE_MODE_A": '"READ_FIRST"',
    } | changes  # fmt: skip
    return Netlist("top", (("input", "clk", [2]),), {"ram": Cell("RAMB18E1", parameters, {})})


@pytest.mark.parametrize(
    "changes",
    [
        {"WRITE_MODE_A": '"WRITE_FIRST"'},
        {"WRITE_MODE_A": '"NO_CHANGE"'},
        {"DOA_REG": "1"},
        {"WRITE_WIDTH_B": "9"},
        {"RAM_MODE": '"SDP"'},
        {"READ_WIDTH_A": "36"},
    ],
    ids=str,
)
def test_a_block_ram_in_another_mode_does_not_build(changes):
    if simulators.missing("icarus") is not None:
        pytest.skip(simulators.missing("icarus"))

    def design(found):
        return Design("block_ram", "top", found.verilog() + found.models())

    build(design(ram()), "icarus")
    with pytest.raises(BuildError, match="block_ram_in_a_mode_without_model"):
        build(design(ram(**changes)), "icarus")


def test_what_differs_between_conversations():
    rtl = Transcript((("host", b"\x01"), ("device", b"\x02" * 20)), 100, ())
    assert rtl.answered == 20
    assert rtl.difference(rtl) is None
    for said, cycles, message in (
        ([("host", b"\x01"), ("device", b"")], 100,
         f"turn 1: device must say {'02' * 12}… as in RTL, not nothing"),
        (rtl.said[:1], 100, "it must have 2 turns as in RTL, not 1"),
        (rtl.said, 101, "it must take 100 cycles as in RTL, not 101"),
    ):  # fmt: skip
        assert rtl.difference(Transcript(tuple(said), cycles, ())) == message


@pytest.mark.slow
@pytest.mark.parametrize("routed", [False, True])
def test_a_boards_netlists_are_as_its_rtl(routed, capsys):
    if routed:
        try:
            find()
        except ToolchainError as error:
            pytest.skip(f"no tools: {error}")
    assert gates.main(["--routed"] if routed else []) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["synthesised", "routed"][: 1 + routed]
    assert re.fullmatch(r"RTL: \d{4} bytes answered in \d{7} cycles", lines[0])
    for name in names:
        mine = [line for line in lines if line.startswith(name)]
        assert re.fullmatch(rf"{name}: \d{{4}} cells, all as in RTL", mine[0])
        assert re.fullmatch(
            rf"{name}, bit \d+ of the LUT .* flipped, noticed by: turn .* not .*", mine[1]
        )
        assert re.fullmatch(
            rf"{name}, bit 37 of .* info flipped, noticed by: turn .* not .*", mine[2]
        )


@pytest.mark.slow
def test_an_accelerators_netlist_is_as_the_golden_executor():
    net = random_net("residual", 7, width=12, depth=1, side=8, array_rows=16)
    image = image_of(net, columns=16, columns_per_adc=4)
    mapped = accelerator_gates.mapped(image)
    pixels = images(net, 3)[2]
    assert accelerator_gates.check(net, image, mapped, pixels) == 598
    for _, wrong in accelerator_gates.faulty(mapped):
        with pytest.raises(MismatchError, match="must be"):
            accelerator_gates.check(net, image, wrong, pixels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--design", "accelerator", "--routed"], "--routed must come with --design shift, not"),
        (
            ["--design", "accelerator", "--board", "arty_a7_35t"],
            "--board must come with --design shift, not accelerator",
        ),
        (["--net", "psp_64_4"], "--net must come with --design accelerator, not shift"),
        (["--design", "accelerator", "--net", "nowhere"], "nowhere"),
        (["--board", "ac701"], "invalid choice"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        gates.main(arguments)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("python -m cosim.gates: error: ")
    assert said.count("\n") == 1
    assert message in said


def test_a_missing_tool_is_one_line(monkeypatch, capsys):
    def missing():
        raise ToolchainError("there is no nextpnr")

    monkeypatch.setattr(gates, "find", missing)
    assert gates.main(["--routed"]) == 1
    assert capsys.readouterr().err == "python -m cosim.gates: error: there is no nextpnr\n"
