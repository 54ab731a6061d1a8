# SPDX-License-Identifier: Apache-2.0
"""What nextpnr gets wrong is refused by name, or repaired."""

import re

import pytest

from fpga import fasm_guard, netlist_guard
from fpga.fasm_guard import FasmGuardError
from fpga.netlist_guard import NetlistError


def netlist(**cells):
    """A module with such cells, each a type or a whole cell."""
    whole = {
        name: {"type": cell} if isinstance(cell, str) else cell for name, cell in cells.items()
    }
    return {"top": {"cells": whole}}


def ram36(parity="0", **widths):
    return {
        "type": "RAMB36E1",
        "parameters": {name: f"{width:032b}" for name, width in widths.items()},
        "connections": {"DIPADIP": [parity], "DIPBDIP": ["0"]},
    }


def test_safe_cells_pass():
    kinds = [
        "LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "INV", "MUXF7", "MUXF8", "CARRY4", "SRL16E",
        "SRLC32E", "FDRE", "FDSE", "FDCE", "FDPE", "RAMB18E1", "BUFG", "BUFGCE", "IBUF", "IBUFDS",
        "OBUF", "VCC", "GND", "$scopeinfo",
    ]  # fmt: skip
    cells = {f"c{number}": kind for number, kind in enumerate(kinds)}
    netlist_guard.check(netlist(**cells, words=ram36(READ_WIDTH_A=18)), "top")


DSP = "its constant inputs are not written and products come out wrong (openXC7/nextpnr-xilinx#159)"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("RAM32M", "LUT RAM loses its initial contents (YosysHQ/nextpnr#1765)"),
        ("RAM64X1D", "LUT RAM loses its initial contents (YosysHQ/nextpnr#1765)"),
        ("DSP48E1", DSP),
        ("MMCME2_ADV", "it may never lock (openXC7/nextpnr-xilinx#79)"),
        ("PLLE2_BASE", "it may never lock (openXC7/nextpnr-xilinx#79)"),
        ("LDCE", "nextpnr has no latches"),
        ("SRLC64E", "nextpnr has no shift register beyond 32"),
        ("BSCANE2", "nobody has followed it down to the bits"),
        ("top.below", "nobody has followed it down to the bits"),
    ],
)
def test_an_unsafe_cell_is_refused_by_name(kind, reason):
    message = f"the netlist must hold cells of the safe list only, not {kind} (one): {reason}"
    with pytest.raises(NetlistError, match=f"^{re.escape(message)}$"):
        netlist_guard.check(netlist(one=kind, other=kind, lut="LUT2"), "top")


def test_all_unsafe_kinds_are_named_at_once():
    with pytest.raises(NetlistError, match=r"not DSP48E1 \(b\): .*; LDPE \(a\): "):
        netlist_guard.check(netlist(a="LDPE", b="DSP48E1"), "top")


@pytest.mark.parametrize("cell", [ram36(WRITE_WIDTH_B=1), ram36(parity=7, READ_WIDTH_A=9)])
def test_a_block_ram_that_comes_out_wrong_is_refused(cell):
    message = "a RAMB36 must have no port of 1 bit, nor one of 9 with a parity bit in use, as"
    with pytest.raises(NetlistError, match=f"^{message} words has$"):
        netlist_guard.check(netlist(words=cell), "top")


def test_settings_to_be_repaired_are_counted():
    modules = netlist(
        one=ram36(READ_WIDTH_A=9, WRITE_WIDTH_A=9, READ_WIDTH_B=18),
        two=ram36(WRITE_WIDTH_B=9),
        small={"type": "RAMB18E1", "parameters": {"READ_WIDTH_A": f"{9:b}"}},
    )
    netlist_guard.check(modules, "top")
    assert netlist_guard.half_widths(modules["top"]) == 3


def block(tile, halves, *settings):
    """FASM of a RAMB36, or of two RAMB18 (``halves``), as nextpnr writes it."""
    wires = ["BRAM_FIFO18_DIADI0", "BRAM_RAMB18_DIADI0"] if halves else ["BRAM_FIFO36_DIADIL0"]
    lines = [f"{tile}.{wire}.BRAM_IMUX9_1" for wire in wires]
    lines += [f"{tile}.RAMB18_Y{half}.{each}" for each in settings for half in (0, 1)]
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("port", ["READ_WIDTH_A", "READ_WIDTH_B", "WRITE_WIDTH_A", "WRITE_WIDTH_B"])
def test_a_forgotten_width_is_repaired(port):
    fasm = block("BRAM_L_X6Y120", False, f"{port}_4", "WRITE_MODE_A_READ_FIRST")
    repaired = fasm_guard.repair(fasm, half_widths=1)
    assert repaired == f"{fasm}BRAM_L_X6Y120.RAMB36.BRAM36_{port}_1\n"
    assert fasm_guard.repair(repaired, half_widths=1) == repaired


def test_nothing_else_is_repaired():
    fasm = (
        "# a comment\n"
        + block("BRAM_L_X6Y0", True, "READ_WIDTH_A_4", "WRITE_WIDTH_A_4")
        + block("BRAM_R_X37Y5", False, "READ_WIDTH_A_18", "READ_WIDTH_B_1", "WRITE_WIDTH_A_2")
        + "CLBLM_R_X3Y6.SLICEM_X0.ALUT.INIT[63:0] = 64'b01\n"
    )
    assert fasm_guard.repair(fasm, half_widths=0) == fasm


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("DSP_R_X9Y0.DSP48.DSP_0.MASK[45:0] = 46'b1", "a DSP48E1, whose constant inputs nextpnr "),
        ("CLBLM_R_X3Y6.SLICEM_X0.BLUT.RAM", "LUT RAM, which loses its initial contents"),
        ("CLBLL_L_X2Y6.SLICEL_X1.LATCH", "a latch, which nobody has followed down to the bits"),
        ("CMT_TOP_R_UPPER_T_X8Y96.PLLE2_ADV.IN_USE", "a PLL or MMCM, which may never lock"),
        ("CMT_TOP_L_LOWER_B_X8Y9.MMCME2_ADV.IN_USE", "a PLL or MMCM, which may never lock"),
        ("BRAM_L_X6Y0.RAMB36.EN_ECC_READ", "a block RAM with ECC, which nobody has followed"),
    ],
)
def test_unsafe_features_are_refused_by_name(line, what):
    message = f"^the FASM must not hold {what}.*, as {re.escape(line.split('[')[0])}"
    with pytest.raises(FasmGuardError, match=message):
        fasm_guard.repair(f"INT_L_X0Y0.A.B\n{line}\n", half_widths=0)


@pytest.mark.parametrize(
    ("fasm", "needed", "message"),
    [
        ("", 0, "the FASM must end in a newline: it is cut off"),
        ("INT_L_X0Y0.A.B\nINT_L_X0", 0, "the FASM must end in a newline: it is cut off"),
        ("# only this\n", 0, "the FASM must not be empty"),
        (
            block("BRAM_L_X6Y0", False, "READ_WIDTH_A_4"),
            2,
            "the FASM must have as many RAMB36 ports of 9 bits as the netlist, 2, not 1",
        ),
        (
            block("BRAM_L_X6Y0", False) + "BRAM_L_X6Y0.RAMB18_Y1.READ_WIDTH_A_4\n",
            1,
            "both halves of the RAMB36 in BRAM_L_X6Y0 must have the same READ_WIDTH_A",
        ),
    ],
)
def test_a_fasm_that_is_not_the_netlists_is_refused(fasm, needed, message):
    with pytest.raises(FasmGuardError, match=f"^{re.escape(message)}$"):
        fasm_guard.repair(fasm, half_widths=needed)
