# SPDX-License-Identifier: Apache-2.0
"""A crossbar with its ADCs: the analog macro's ports, and a digital stand-in behind them.

On a chip an analog macro takes the stand-in's place. Both answer ``CROSSBAR_LATENCY`` cycles
(``hw.timing``) after ``sample``. What the stand-in computes is the integer network's definition
of a column's code (``docs/intnet.md``, steps 1 and 2); nothing analog is modelled.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.params import address_bits
from hw.tile_params import TileParams

__all__ = [
    "MACRO",
    "AnalogCrossbar",
    "Crossbar",
    "Lanes",
    "crossbar_members",
    "popcount",
    "program_layout",
]

MACRO = "crossbar_macro"
"""Verilog name of the analog macro."""

Lanes = Sequence[Sequence[Sequence[int]]]
"""Of each ADC, columns in the order of their addresses, as ``cells`` of `program_layout`."""


def popcount(m: Module, word: Value) -> Value:
    """Count the ones of a word, in ⌈log2(bits + 1)⌉ bits.

    Counts of four bits are added up in pairs. Such a count is a constant, shifted right by four
    times the bits: a table of four inputs to synthesis, one shift of a machine word to a simulator.
    """
    bits = len(word)
    counts: list[Value] = []
    for first in range(0, bits, 4):
        part = word[first : first + 4]
        values = range(1 << len(part))
        # A signal, since Verilog would shift no wider than what is taken of the result.
        table = Signal(4 << len(part), name=f"table_{first}")
        packed = Const(sum(value.bit_count() << (4 * value) for value in values), len(table))
        m.d.comb += table.eq(packed >> Cat(Const(0, 2), part))
        counts.append(table[: len(part).bit_length()])
    while len(counts) > 1:
        counts = [sum(counts[n + 1 : n + 2], start=counts[n]) for n in range(0, len(counts), 2)]
    return counts[0][: bits.bit_length()]


def crossbar_members(params: TileParams) -> dict[str, wiring.Member]:
    """Return the ports that the analog macro and its stand-in share, seen from inside."""
    return {
        "page": In(params.page_bits),
        "wordlines": In(params.rows),
        "column_select": In(params.select_bits),
        "sample": In(1),
        "codes": Out(data.ArrayLayout(params.code_bits, params.adcs)),
    }


def program_layout(params: TileParams) -> data.StructLayout:
    """Return a write into a stand-in: one column of cells of one page.

    ``cells`` holds bit j of the cells of all rows in its j-th word; the column's number is
    ``column_select``·ADCs + ``adc``.
    """
    return data.StructLayout(
        {
            "cells": data.ArrayLayout(params.rows, params.cell_bits),
            "adc": address_bits(params.adcs),
            "column_select": params.select_bits,
            "page": params.page_bits,
            "crossbar": address_bits(params.crossbars),
        }
    )


class Crossbar(wiring.Component):
    """Digital stand-in: pages of cells in block RAM, column sums, saturating ADCs.

    Per ADC one memory of columns, addressed by {page, column select}. A sample reads one column
    an ADC, keeps the cells at high wordlines, counts them by the weight of their bits, and gives
    min(sum, 2^adc_bits − 1): three stages, one sample a cycle.

    Parameters
    ----------
    params : TileParams
        Keyword only.
    lanes : Lanes
        First contents of the memories; what they leave holds zeros.

    Members
    -------
    page : In, ⌈log2 pages⌉ bits
    wordlines : In, rows bits
        High: the row's cells count.
    column_select : In, ⌈log2 columns_per_adc⌉ bits
        Column ``column_select``·ADCs + a is converted by ADC a.
    sample : In
        Strobe: convert. The stand-in does so in every cycle.
    codes : Out, code_bits an ADC
        Three cycles after ``sample``, for one cycle.
    program : In, stream of `program_layout` (always ready)
        Writes a column; not of the page that is being sampled. ``crossbar`` is not looked at.
    """

    def __init__(self, *, params: TileParams, lanes: Lanes = ()) -> None:
        self._params = params
        self._lanes = lanes
        program = stream.Signature(program_layout(params))
        super().__init__(crossbar_members(params) | {"program": In(program)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params = self._params
        wordlines = Signal(params.rows)
        m.d.sync += wordlines.eq(self.wordlines)
        column = self.program.payload
        m.d.comb += self.program.ready.eq(1)
        for adc in range(params.adcs):
            first = self._lanes[adc] if self._lanes else []
            memory = Memory(shape=column.cells.shape(), depth=params.lane_depth, init=first)
            m.submodules[f"lane_{adc}"] = memory
            write = memory.write_port()
            read = memory.read_port()
            m.d.comb += [
                write.addr.eq(Cat(column.column_select, column.page)),
                write.data.eq(column.cells),
                write.en.eq(self.program.valid & (column.adc == adc)),
                read.addr.eq(Cat(self.column_select, self.page)),
                read.en.eq(1),
            ]
            counts = []
            for bit in range(params.cell_bits):
                high = Signal(params.rows, name=f"high_{adc}_{bit}")
                m.d.sync += high.eq(read.data[bit] & wordlines)
                counts.append(popcount(m, high) << bit)
            column_sum = Signal(range(params.max_column_sum + 1), name=f"column_sum_{adc}")
            m.d.sync += column_sum.eq(sum(counts[1:], start=counts[0]))
            m.d.comb += self.codes[adc].eq(
                Mux(column_sum > params.max_code, params.max_code, column_sum)
            )
        return m


class AnalogCrossbar(wiring.Component):
    """The analog macro as a black box: an instance of a module ``crossbar_macro``.

    Its ports are `crossbar_members` and ``clk``; how its cells are programmed is its own affair.

    Parameters
    ----------
    params : TileParams
        Keyword only.
    """

    def __init__(self, *, params: TileParams) -> None:
        super().__init__(crossbar_members(params))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.macro = Instance(
            MACRO,
            ("i", "clk", ClockSignal()),
            ("i", "page", self.page),
            ("i", "wordlines", self.wordlines),
            ("i", "column_select", self.column_select),
            ("i", "sample", self.sample),
            ("o", "codes", self.codes),
        )
        return m
