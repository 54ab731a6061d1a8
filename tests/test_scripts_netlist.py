# SPDX-License-Identifier: Apache-2.0
"""Netlists are counted cell by cell, unsafe ones refused, and block RAMs hold what they shall."""

import random
import re

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga import yosys
from hw.crossbar import Crossbar
from hw.requant import Requant
from hw.tile_params import TileParams
from scripts import netlist
from scripts.netlist import Size, SynthesisError

PARAMS = TileParams(columns=8, weight_bits=2, pages=5, tables=3)


def module(*kinds):
    return {"cells": {f"c{n}": {"type": kind} for n, kind in enumerate(kinds)}}


def ram(width, parity, init="0"):
    return {
        "type": "RAMB36E1",
        "parameters": {"READ_WIDTH_A": f"{width:032b}", "INITP_00": init},
        "connections": {"DIPADIP": [parity], "DIPBDIP": ["0"]},
    }


def test_cells_are_counted_with_those_of_modules_below():
    modules = {
        "design": module("LUT6", "INV", "FDRE", "MUXF7", "$scopeinfo", "design.a", "design.a"),
        "design.a": module("LUT1", "CARRY4", "RAMB18E1", "DSP48E1", "SRL16E"),
    }
    assert netlist.count(modules, below=False) == Size(lut=2, ff=1)
    assert netlist.count(modules) == Size(lut=6, ff=1, carry4=2, ramb18=2, dsp=2)


def test_unknown_cells_are_not_passed_over():
    modules = {"design": module("RAM32M", "LUT2", "BSCANE2")}
    with pytest.raises(SynthesisError, match="^cells that .* does not know: BSCANE2, RAM32M$"):
        netlist.count(modules)


@pytest.mark.parametrize("cell", [ram(1, "0"), ram(9, 17), ram(9, "0", "01")])
def test_a_block_ram_that_comes_out_wrong_is_refused(cell):
    message = "no port of 1 bit, nor one of 9 with a parity bit in use, as design.words has$"
    with pytest.raises(SynthesisError, match=message):
        netlist.count({"design": {"cells": {"design.words": cell}}})


@pytest.mark.parametrize("cell", [ram(9, "0"), ram(18, 17), ram(72, 17, "1")])
def test_other_block_rams_are_not(cell):
    assert netlist.count({"design": {"cells": {"words": cell}}}) == Size(ramb36=1)


class Product(wiring.Component):
    """One number times another, or times a constant."""

    a: In(4)
    b: In(4)
    c: Out(8)

    def __init__(self, factor=None):
        self.factor = factor
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.c.eq(self.a * (self.b if self.factor is None else self.factor))
        return m


def test_a_multiplier_is_refused_and_a_power_of_two_is_none():
    assert netlist.synthesise(Product(4))
    for component in (Product(), Product(5)):
        with pytest.raises(yosys.YosysError, match="Assertion failed"):
            netlist.synthesise(component)


def words(cell):
    """Contents of a block RAM, as words of its widest port: eight bits, a parity bit, and so on."""
    settings = cell["parameters"]
    width = max(int(bits, 2) for name, bits in settings.items() if "_WIDTH_" in name)
    data, parity = (
        "".join(
            bits[::-1].replace("x", "0")
            for name, bits in sorted(settings.items())
            if re.fullmatch(f"{kind}_[0-9A-F]{{2}}", name)
        )
        for kind in ("INIT", "INITP")
    )
    nines = [data[8 * n : 8 * n + 8] + parity[n] for n in range(len(parity))]
    bytes_ = width // 9
    joined = ("".join(nines[n : n + bytes_]) for n in range(0, len(nines), bytes_))
    return width, [int(bits[::-1], 2) for bits in joined]


def block_rams(component):
    """Width and words of each block RAM, by name."""
    cells = netlist.synthesise(component)["design"]["cells"]
    kinds = {name: cell for name, cell in cells.items() if cell["type"].startswith("RAMB")}
    return [words(cell) for _, cell in sorted(kinds.items())]


def test_tables_lie_in_the_netlist_as_they_are():
    source = random.Random(2)
    tables = [source.randrange(-128, 128) for _ in range(3 * 256)]
    ((width, found),) = block_rams(Requant(params=PARAMS, tables=tables))
    assert width == 9
    assert found[: len(tables)] == [value & 0xFF for value in tables]
    assert not any(found[len(tables) :])


@pytest.mark.slow
def test_cells_lie_in_the_netlist_as_they_are():
    source = random.Random(3)
    columns = [[source.getrandbits(64), source.getrandbits(64)] for _ in range(5 * 8)]
    (width, low), (_, high) = block_rams(Crossbar(params=PARAMS, lanes=[columns]))
    assert width == 72
    found = [one | two << 72 for one, two in zip(low, high, strict=True)]
    assert found[: len(columns)] == [one | two << 64 for one, two in columns]
    assert not any(found[len(columns) :])
