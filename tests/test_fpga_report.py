# SPDX-License-Identifier: Apache-2.0
"""What a routed design uses, and whether that will do."""

import json
from dataclasses import replace

import pytest

from fpga import report
from fpga.boards import BOARDS, Limits
from fpga.report import Use

USE = Use(luts=90, ffs=200, ramb36=3, ramb18=5, pads=8)
LIMITS = Limits(luts=100, ffs=200, block_rams=6)


def timing(achieved=150.0, constraint=100.0, clocks=1):
    clock = {"achieved": achieved, "constraint": constraint}
    return {"fmax": {f"clock{number}": clock for number in range(clocks)}}


def placed_cell(kind, bel):
    return {"type": kind, "attributes": {"NEXTPNR_BEL": bel}}


ROUTED = {
    "a": placed_cell("SLICE_LUTX", "X1Y2/SLICE_X0Y0.A6LUT"),
    "b": placed_cell("SLICE_LUTX", "X1Y2/SLICE_X0Y0.A5LUT"),
    "c": placed_cell("SLICE_LUTX", "X1Y2/SLICE_X0Y0.B6LUT"),
    "d": placed_cell("SLICE_LUTX", "X1Y2/SLICE_X1Y0.A6LUT"),
    "e": placed_cell("SLICE_FFX", "X1Y2/SLICE_X0Y0.AFF"),
    "f": placed_cell("SLICE_FFX", "X1Y2/SLICE_X0Y0.A5FF"),
    "g": placed_cell("RAMB36E1_RAMB36E1", "X6Y5/RAMB36_X0Y0.RAMB36E1"),
    "h": placed_cell("RAMB18E1_RAMB18E1", "X6Y9/RAMB18_X0Y0.RAMB18E1"),
    "i": placed_cell("PAD", "X0Y40/IOB_X0Y0.IOB33S.PAD"),
    "j": placed_cell("PSEUDO_VCC", "X0Y0/PSEUDO_VCC"),
}
KINDS = ["LUT6", "LUT2", "INV", "FDRE", "FDPE", "RAMB36E1", "IBUF", "OBUF", "CARRY4", "$scopeinfo"]


def write(folder):
    """A build's files, as Yosys and nextpnr write them."""
    cells = {str(number): {"type": kind} for number, kind in enumerate(KINDS)}
    for name, content in {
        "netlist.json": {"modules": {"top": {"cells": cells}}},
        "routed.json": {"modules": {"top": {"cells": ROUTED}}},
        "timing.json": timing(213.456),
    }.items():
        (folder / name).write_text(json.dumps(content))
    warning = "Warning: Hold/min time violation for clock 'clk':\nInfo: none\n"
    (folder / "nextpnr.log").write_text(2 * warning)


def test_two_functions_of_one_lut_are_one_lut():
    use = report.placed({"top": {"cells": ROUTED}}, "top")
    assert use == Use(luts=3, ffs=2, ramb36=1, ramb18=1, pads=1)
    assert use.block_rams == 1.5


def test_what_fits_to_the_last_is_no_shortage():
    assert report.shortage(USE, replace(LIMITS, luts=90)) is None


def test_every_shortage_is_named():
    assert report.shortage(USE, Limits(luts=89, ffs=199, block_rams=5)) == (
        "it must fit the part, not take 90 LUTs of 89, 200 flip-flops of 199, 5.5 block RAMs of 5"
    )


def test_a_35t_is_not_the_50t_that_nextpnr_takes_it_for():
    limits = BOARDS["arty_a7_35t"].limits
    assert report.shortage(replace(USE, luts=20_801), limits) == (
        "it must fit the part, not take 20801 LUTs of 20800"
    )
    assert report.shortage(replace(USE, ramb36=50, ramb18=1), limits) == (
        "it must fit the part, not take 50.5 block RAMs of 50"
    )


def test_a_clock_that_is_just_met_is_met():
    assert report.slowness(timing(100.0), 100_000_000) is None


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            timing(99.94),
            "the estimated frequency must be at least 100 MHz, not 99.9: another SEED may do",
        ),
        (timing(constraint=12.0), "the clock's constraint must be 100 MHz, not 12"),
        (timing(clocks=0), "the number of clocks must be 1, not 0"),
        (timing(clocks=2), "the number of clocks must be 1, not 2"),
    ],
)
def test_timing_that_does_not_do(found, told):
    assert report.slowness(found, 100_000_000) == told


def divided(achieved, *, board=500.0, constraint=100.0):
    clocks = {
        "device.clk": {"achieved": achieved, "constraint": constraint},
        "board_clk": {"achieved": board, "constraint": 200.0},
    }
    return {"fmax": clocks}


def test_a_divided_clock_is_judged_by_its_own_constraint():
    assert report.slowness(divided(101.0), 200_000_000, 2) is None


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            divided(99.0),
            "the estimated frequency must be at least 100 MHz, not 99.0: another SEED may do",
        ),
        (
            divided(150.0, board=190.0),
            "the estimated frequency must be at least 200 MHz, not 190.0: another SEED may do",
        ),
        (divided(150.0, constraint=200.0), "the clock's constraint must be 100 MHz, not 200"),
        (timing(300.0, constraint=200.0), "the number of clocks must be 2, not 1"),
    ],
)
def test_timing_of_a_divided_clock_that_does_not_do(found, told):
    assert report.slowness(found, 200_000_000, 2) == told


def test_figures_and_their_table(tmp_path):
    write(tmp_path)
    found = report.figures(tmp_path, BOARDS["arty_a7_35t"], 1, {"synthesis": 2.5, "route": 2.0})
    assert found == {
        "board": "arty_a7_35t",
        "part": "xc7a35tcsg324-1",
        "synthesised": {"luts": 3, "ffs": 2, "ramb36": 1, "ramb18": 0, "pads": 2},
        "placed": {"luts": 3, "ffs": 2, "ramb36": 1, "ramb18": 1, "pads": 1},
        "limits": {"luts": 20800, "ffs": 41600, "block_rams": 50},
        "clock_mhz": 100.0,
        "fmax_estimate_mhz": 213.46,
        "hold_warnings": 2,
        "fault": None,
        "seconds": {"synthesis": 2.5, "route": 2.0},
    }
    lines = report.table(found | {"bits_sha256": "0f"}).splitlines()
    assert lines[1].split() == ["LUT", "3", "20800", "3"]
    assert lines[3].split() == ["block", "RAM", "1.5", "50"]
    assert lines[-3:] == [
        "fmax 213.5 MHz by estimate, 100 wanted; 2 hold warnings",
        "4.5 s: synthesis 2.5, route 2.0",
        "configuration bits, sha256: 0f",
    ]
    assert report.table(found, ["verilog", "check"]).splitlines()[-1] == (
        "4.5 s: synthesis 2.5, route 2.0; from before: verilog, check"
    )
