# SPDX-License-Identifier: Apache-2.0
"""The board's top, its regions, and what neither takes."""

import gc
import re

import pytest

from fpga.boards import BOARDS
from fpga.designs import divisor
from fpga.protocol import Region
from fpga.shift_design import ShiftDesign
from fpga.top import Top
from hw.params import ParameterError, ShiftParams
from hw.verilog import emit

ARTY = {"clock_hz": 100_000_000, "differential": False, "reset_active_low": True, "leds": 4}
AC701 = {"clock_hz": 200_000_000, "differential": True, "reset_active_low": False, "leds": 4}


def text_of(**board):
    return emit(Top(ShiftDesign(params=ShiftParams(height=4, width=4)), **board), "top")


def cells(text):
    return sorted(re.findall(r"^  (IBUF|IBUFDS|OBUF|BUFG) ", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("board", "ports", "pads"),
    [
        (ARTY, "clk, rst, uart_rx, uart_tx, led", ["BUFG", *["IBUF"] * 3, *["OBUF"] * 5]),
        (
            AC701,
            "clk_p, clk_n, rst, uart_rx, uart_tx, led",
            ["BUFG", *["IBUF"] * 2, "IBUFDS", *["OBUF"] * 5],
        ),
    ],
    ids=["single-ended", "differential"],
)
def test_ports_and_pads(board, ports, pads):
    text = text_of(**board)
    module = re.search(r"^module top\((.*)\);", text, re.MULTILINE)
    assert set(module[1].split(", ")) == set(ports.split(", "))
    assert cells(text) == pads
    assert text == text_of(**board)


def test_the_reset_s_level_is_the_board_s():
    assert text_of(**ARTY) != text_of(**ARTY | {"reset_active_low": False})


@pytest.mark.filterwarnings("ignore:.*created but never used")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leds": 2}, "leds must be an integer from 3 to 64, not 2"),
        ({"clock_hz": 7}, "clock_hz must be an integer from 1000000 to 1000000000, not 7"),
        ({"baud": 30_000_000}, "baud must be an integer from 1 to 25000000, not 30000000"),
        (
            {"clock_hz": 9_400_000},
            "clock_hz must be a multiple of the baud rate 1000000 to within 1 %, not 9400000",
        ),
        ({"divide": 0}, "divide must be an integer from 1 to 16, not 0"),
    ],
)
def test_boards_that_cannot_be(change, message):
    design = ShiftDesign(params=ShiftParams(height=4, width=4))
    with pytest.raises(ParameterError) as error:
        Top(design, **ARTY | change)
    assert str(error.value) == message
    del error, design
    gc.collect()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": 16}, "number must be an integer from 0 to 15, not 16"),
        ({"bytes": 0}, "bytes must be an integer from 1 to 4294967296, not 0"),
        ({"access": "x"}, "access must be r, w or rw, not 'x'"),
        ({"bytes": 10}, "bytes must be a multiple of word_bytes = 4, not 10"),
        (
            {"word_bytes": 3, "bytes": 9},
            "word_bytes must be a power of two in a region that can be read, not 3",
        ),
    ],
)
def test_regions_that_cannot_be(change, message):
    region = {"name": "map", "number": 2, "bytes": 16, "word_bytes": 4, "access": "rw"}
    with pytest.raises(ParameterError) as error:
        Region(**region | change)
    assert str(error.value) == message
    assert Region(**region | {"word_bytes": 3, "bytes": 9, "access": "w"}).writable


def test_a_divided_clock_comes_through_a_buffer_with_an_enable():
    half = AC701 | {"clock_hz": 100_000_000}
    text = text_of(**half, divide=2)
    assert "BUFGCE" in text
    assert cells(text).count("BUFG") == 1  # of the flip-flops that divide
    assert "BUFGCE" not in text_of(**half)


@pytest.mark.parametrize(
    ("design", "board", "by"),
    [("accelerator", "ac701", 2), ("accelerator", "arty_a7_35t", 1), ("shift", "ac701", 1)],
)
def test_only_what_is_made_for_a_slower_clock_gets_one(design, board, by):
    assert divisor(design, BOARDS[board]) == by
