# SPDX-License-Identifier: Apache-2.0
"""Netlists: as Verilog, with a bit flipped, and put together again from what nextpnr routed."""

import re

import pytest

from cosim.cells import CellError
from cosim.netlist import Cell, Netlist, NetlistError, from_yosys, literal
from cosim.routed import from_nextpnr


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
