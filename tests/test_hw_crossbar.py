# SPDX-License-Identifier: Apache-2.0
"""The crossbar's stand-in: counts, codes and latency."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hw.crossbar import Crossbar, popcount, program_layout
from hw.tile_params import TileParams
from hw.timing import CROSSBAR_LATENCY
from model import golden


class Count(wiring.Component):
    def __init__(self, bits):
        super().__init__({"word": In(bits), "count": Out(bits.bit_length())})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.count.eq(popcount(m, self.word))
        return m


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 7, 8, 9, 64, 100])
def test_counts_ones(bits):
    dut = Count(bits)
    source = np.random.default_rng(bits)
    words = range(1 << bits) if bits < 10 else [
        0, (1 << bits) - 1, *(int.from_bytes(source.bytes(13), "little") % (1 << bits)
                              for _ in range(50)),
    ]  # fmt: skip

    async def bench(ctx):
        for word in words:
            ctx.set(dut.word, word)
            assert ctx.get(dut.count) == word.bit_count(), hex(word)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("adc_bits", [2, 4])
def test_codes_of_every_column(adc_bits):
    params = TileParams(
        rows=6, columns=12, cell_bits=2, weight_bits=4, columns_per_adc=3, pages=2,
        adc_bits=adc_bits,
    )  # fmt: skip
    dut = Crossbar(params=params)
    source = np.random.default_rng(1)
    cells = source.integers(0, 4, (params.pages, params.rows, params.columns))
    cells[0] = 3
    layout = program_layout(params)

    async def bench(ctx):
        for page, column in np.ndindex(params.pages, params.columns):
            words = [
                sum(int(cell >> bit & 1) << row for row, cell in enumerate(cells[page, :, column]))
                for bit in range(2)
            ]
            select, adc = divmod(column, params.adcs)
            ctx.set(dut.program.payload.as_value(), layout.const(
                {"page": page, "column_select": select, "adc": adc, "cells": words}
            ).as_bits())  # fmt: skip
            ctx.set(dut.program.valid, 1)
            await ctx.tick()
        ctx.set(dut.program.valid, 0)
        expected = []
        for number in range(40 + CROSSBAR_LATENCY):
            page, select = int(source.integers(2)), int(source.integers(3))
            lines = 63 if number < 2 else int(source.integers(64))
            ctx.set(dut.page, page)
            ctx.set(dut.column_select, select)
            ctx.set(dut.wordlines, lines)
            ctx.set(dut.sample, 1)
            high = np.array([lines >> row & 1 for row in range(6)])
            columns = cells[page][:, select * params.adcs : (select + 1) * params.adcs]
            expected.append(golden.adc(high @ columns, adc_bits).tolist())
            if number >= CROSSBAR_LATENCY:
                codes = [ctx.get(dut.codes[adc]) for adc in range(params.adcs)]
                assert codes == expected[number - CROSSBAR_LATENCY], number
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
