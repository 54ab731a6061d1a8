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
from cosim.cells import CellError
from cosim.conversation import Transcript
from cosim.design import Block, Design, bundle, emit_block
from cosim.netlist import Cell, Netlist, NetlistError, from_yosys, literal
from cosim.routed import from_nextpnr
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


@pytest.fixture(scope="module", params=COMPONENTS)
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


def test_a_cell_without_model_is_refused():
    with pytest.raises(CellError) as error:
        Netlist("top", (), {"a": Cell("DSP49", {}, {}), "b": Cell("LUT1", {}, {})}).models()
    assert str(error.value) == "cells must have a model, not DSP49"


MUX = Netlist(
    "top",
    (("input", "a", [2, 3, 4]), ("output", "y", [5, "1"])),
    {"mux": Cell("LUT3", {"INIT": "8'b11001010"}, {"I0": [2], "I1": [3], "I2": [4], "O": [5]})},
)


def test_a_netlist_as_verilog():
    assert MUX.verilog() == (
        "module top(\n  input [2:0] a,\n  output [1:0] y\n);\n"
        "  wire n2;\n  wire n3;\n  wire n4;\n  wire n5;\n"
        "  assign {n4, n3, n2} = a;\n  assign y = {1'b1, n5};\n"
        "  LUT3 #(.INIT(8'b11001010)) c0 (.I0({n2}), .I1({n3}), .I2({n4}), .O({n5}));\n"
        "endmodule\n"
    )


def test_a_flip_changes_one_bit():
    flipped = MUX.flip("mux", "INIT", 1).flip("mux", "INIT", 7)
    assert flipped.cells["mux"].parameters == {"INIT": "8'b01001000"}
    assert MUX.cells["mux"].parameters == {"INIT": "8'b11001010"}
    for cell, parameter, bit in (("mux", "INIT", 8), ("mux", "INIT_00", 0), ("no", "INIT", 0)):
        with pytest.raises(NetlistError) as error:
            MUX.flip(cell, parameter, bit)
        assert str(error.value) == f"top must have bit {bit} of {parameter} in {cell}"


def test_where_a_lut_lets_a_bit_through():
    assert MUX.passing(2, 5) == ("mux", 0b001)
    assert MUX.passing(3, 5) == ("mux", 0b110)
    with pytest.raises(NetlistError, match=r"^top must have a LUT from net 9 to net 5$"):
        MUX.passing(9, 5)


def test_parameters_are_bits_or_text():
    assert [literal(value) for value in ("01x", "TDP", "1 ")] == ["3'b01x", '"TDP"', '"1"']


def test_json_of_another_kind_is_refused():
    for wrong in ({}, {"modules": {"other": {}}}, {"modules": {"top": {"ports": {}}}}, []):
        with pytest.raises(NetlistError) as error:
            from_yosys(wrong, "top")
        assert str(error.value) == "the netlist must be Yosys's, with a module top"


class Grid:
    """A part with one slice and one block RAM."""

    def tile_at(self, column, row):
        if (column, row) == (1, 2):
            return "CLBLM_L_X1Y9", {"SLICE_X12Y9": "SLICEM", "SLICE_X13Y9": "SLICEL"}
        return "BRAM_L_X3Y9", {}


def placed(bel, kind, pins, origins, name="SLICE_LUTX", outputs=("O5", "O6", "DOADO0")):
    origins = {f"X_ORIG_PORT_{pin}": origin for pin, origin in origins.items()}
    return {
        "type": name,
        "parameters": {"INIT_00": "1", "RAM_MODE": "TDP"} if kind == "RAMB36E1" else {},
        "attributes": {"NEXTPNR_BEL": bel, "X_ORIG_TYPE": kind, **origins},
        "port_directions": {pin: "output" if pin in outputs else "input" for pin in pins},
        "connections": pins,
    }


def routed(**cells):
    constants = {
        "vcc": {"type": "PSEUDO_VCC", "connections": {"Y": [90]}},
        "gnd": {"type": "PSEUDO_GND", "connections": {"Y": [91]}},
    }
    ports = {"a": {"direction": "input", "bits": [10, 11]}}
    return {"modules": {"top": {"ports": ports, "cells": constants | cells}}}


def test_luts_that_share_a_place_are_what_the_bits_say():
    pins = {"A1": [10], "A2": [11], "A3": [30], "A6": [90]}
    pair = routed(
        lower=placed("X1Y2/SLICE_X0Y0.B5LUT", "LUT2", {**pins, "O5": [30]}, {}),
        upper=placed("X1Y2/SLICE_X0Y0.B6LUT", "LUT1", {**pins, "A4": [], "O6": [31]}, {}),
    )
    table = 0x0F0F0F0F_88888888  # O6 is not A3, O5 is A1 and A2
    found = from_nextpnr(pair, {"CLBLM_L_X1Y9.SLICEM_X0.BLUT.INIT": table}, Grid())
    feature = "CLBLM_L_X1Y9.SLICEM_X0.BLUT.INIT"
    assert found.cells == {
        f"{feature}.O5": Cell("LUT2", {"INIT": "4'b1000"}, {"I0": [10], "I1": [11], "O": [30]}),
        f"{feature}.O6": Cell("LUT1", {"INIT": "2'b01"}, {"I0": [30], "O": [31]}),
    }
    found = from_nextpnr(pair, {}, Grid())
    assert found.cells[f"{feature}.O6"] == Cell("LUT1", {"INIT": "2'b00"}, {"I0": ["0"], "O": [31]})


def test_a_block_ram_of_36_kbit_has_its_bits_in_turns():
    pins = {"DIADI0": [10], "DIADI1": [91], "DOADO0": [40]}
    origins = {"DIADI0": "DIADI[0]", "DIADI1": "DIADI[1]", "DOADO0": "DOADO[0]"}
    cell = placed("X5Y5/RAMB36_X0Y0.RAMB36E1", "RAMB36E1", pins, origins, "RAMB36E1_RAMB36E1")
    tables = {
        "BRAM_L_X3Y9.RAMB18_Y0.INIT_00": 1 | 1 << 128,
        "BRAM_L_X3Y9.RAMB18_Y1.INIT_00": 1 << 1,
    }
    found = from_nextpnr(routed(ram=cell), tables, Grid()).cells["ram"]
    ones = {name: value for name, value in found.parameters.items() if re.search("'b0*1", value)}
    assert {name: int(value[5:], 2) for name, value in ones.items()} == {
        "INIT_00": 1 | 1 << 3,
        "INIT_01": 1,
    }
    assert found.parameters["RAM_MODE"] == '"TDP"'
    assert found.pins == {"DIADI": [10, "0"], "DOADO": [40], "WEBWE": ["x"] * 4 + ["0"] * 4}


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (placed("nowhere", "LUT1", {"O6": [30]}, {}), "a place nowhere"),
        (placed("X1Y2/SLICE_X0Y0.AFF", "LUT1", {"O6": [30]}, {}), "a LUT at AFF"),
        (
            placed("X5Y5/SLICE_X0Y0.AFF", "FDRE", {"D": []}, {"D": "D"}, "SLICE_FFX"),
            "nothing at cell.D",
        ),
        (
            placed("X5Y5/SLICE_X0Y0.AFF", "FDRE", {"E": [10]}, {}, "SLICE_FFX"),
            "a pin cell.E that no cell had",
        ),
        (
            placed(
                "X5Y5/RAMB18_X0Y0.RAMB18E1", "RAMB18E1", {"WEA0": [10], "WEA1": [11]},
                {"WEA0": "WEA[0]", "WEA1": "WEA[0]"}, "RAMB18E1_RAMB18E1",
            ),
            "two nets at cell.WEA[0]",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_routed_design_that_cannot_be_rebuilt_is_refused(cell, message):
    with pytest.raises(NetlistError) as error:
        from_nextpnr(routed(cell=cell), {}, Grid())
    assert str(error.value) == f"a routed design must be as nextpnr 0.11 writes it: {message}"


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
        assert re.fullmatch(rf"{name}, bit \d+ of the LUT .* flipped: turn .* not .*", mine[1])
        assert re.fullmatch(rf"{name}, bit 37 of .* info flipped: turn .* not .*", mine[2])


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
        (["--design", "accelerator", "--routed"], "--routed must come with the design shift"),
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
    assert capsys.readouterr().err == "python -m cosim.gates: there is no nextpnr\n"
