# SPDX-License-Identifier: Apache-2.0
"""Boards: their pins, as nextpnr takes them, and as the parts have them."""

import csv

import pytest

from fpga.boards import BOARDS, xdc
from fpga.toolchain import ToolchainError, find
from hw import budget


def constraints(name):
    board = BOARDS[name]
    return xdc(board.ports(), clock=board.clock_ports[0], clock_hz=board.clock_hz).splitlines()


def test_constraints_of_a_single_ended_clock():
    assert constraints("arty_a7_35t") == [
        "set_property -dict {LOC E3 IOSTANDARD LVCMOS33} [get_ports {clk}]",
        "set_property -dict {LOC C2 IOSTANDARD LVCMOS33} [get_ports {rst}]",
        "set_property -dict {LOC A9 IOSTANDARD LVCMOS33} [get_ports {uart_rx}]",
        "set_property -dict {LOC D10 IOSTANDARD LVCMOS33} [get_ports {uart_tx}]",
        "set_property -dict {LOC H5 IOSTANDARD LVCMOS33} [get_ports {led[0]}]",
        "set_property -dict {LOC J5 IOSTANDARD LVCMOS33} [get_ports {led[1]}]",
        "set_property -dict {LOC T9 IOSTANDARD LVCMOS33} [get_ports {led[2]}]",
        "set_property -dict {LOC T10 IOSTANDARD LVCMOS33} [get_ports {led[3]}]",
        "create_clock -period 10 [get_ports {clk}]",
    ]


def test_constraints_of_a_differential_clock():
    lines = constraints("ac701")
    assert lines[:3] == [
        "set_property -dict {LOC R3 IOSTANDARD DIFF_SSTL15} [get_ports {clk_p}]",
        "set_property -dict {LOC P3 IOSTANDARD DIFF_SSTL15} [get_ports {clk_n}]",
        "set_property -dict {LOC U4 IOSTANDARD LVCMOS15} [get_ports {rst}]",
    ]
    assert lines[-1] == "create_clock -period 5 [get_ports {clk_p}]"


def test_the_two_arty_differ_in_their_part_only():
    small, large = BOARDS["arty_a7_35t"], BOARDS["arty_a7_100t"]
    assert list(small.ports()) == list(large.ports())
    assert (small.part, large.part) == ("xc7a35tcsg324-1", "xc7a100tcsg324-1")
    assert small.limits.luts < large.limits.luts


def test_the_budget_knows_the_same_block_rams():
    assert {name: board.limits.block_rams for name, board in BOARDS.items()} == budget.BOARDS


@pytest.mark.parametrize("name", BOARDS)
def test_every_pin_is_one_of_the_package_and_standards_of_a_bank_agree(name):
    try:
        database = find().database
    except ToolchainError as error:
        pytest.skip(f"no prjxray database: {error}")
    board = BOARDS[name]
    with (database / board.part / "package_pins.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["pin"]: row for row in csv.DictReader(file)}
    supplies = {}
    for port, pin in board.ports():
        assert pin.name in rows, port
        supplies.setdefault(rows[pin.name]["bank"], set()).add(pin.standard[-2:])
    assert all(len(volts) == 1 for volts in supplies.values())
    assert "MRCC" in rows[board.clock[0].name]["pin_function"]
