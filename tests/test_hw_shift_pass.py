# SPDX-License-Identifier: Apache-2.0
"""A pass shifts all banks of a map in place, as the golden executor does, in its cycles."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from cosim.small_accelerator import small_accelerator
from hw.params import ShiftParams
from hw.shift_pass import ShiftPass
from hw.timing import shift_cycles
from model import golden

SHAPES = [ShiftParams(height=3, width=5, bits=6), ShiftParams(height=4, width=2, bits=11)]


@pytest.mark.parametrize("shift", SHAPES, ids=lambda shift: shift.name)
def test_passes_one_after_the_other(shift):
    params = small_accelerator(shift)
    assert params.moved == (7, 1)  # one channel a group: eight of fourteen
    dut = ShiftPass(params=params)
    half = 1 << (shift.bits - 1)
    shape = (params.channels, shift.height, shift.width)
    before = np.random.default_rng(1).integers(-half, half, shape)
    rows, mask = params.tile.rows, (1 << shift.bits) - 1
    memory = [{} for _ in range(params.banks)]
    for (channel, row, column), value in np.ndenumerate(before):
        address = (channel % rows << shift.addr_bits) + shift.address(row, column)
        memory[channel // rows][address] = int(value) & mask
    cycles = []

    async def bench(ctx):
        for _ in range(2):
            for _ in range(3):
                assert ctx.get(dut.we) == 0
                await ctx.tick()
            ctx.set(dut.start, 1)
            taken = 1
            while True:
                done = ctx.get(dut.done)
                addresses = [ctx.get(dut.addr[bank]) for bank in range(params.banks)]
                writes = ctx.get(dut.we)
                words = [ctx.get(dut.wdata[bank]) & mask for bank in range(params.banks)]
                await ctx.tick()
                ctx.set(dut.start, 0)
                for bank, address in enumerate(addresses):
                    old = memory[bank].get(address, 0)
                    if writes >> bank & 1:
                        assert address in memory[bank]
                        memory[bank][address] = words[bank]
                    ctx.set(dut.rdata[bank], old)
                if done:
                    break
                taken += 1
            cycles.append(taken)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    after = np.zeros_like(before)
    for channel, row, column in np.ndindex(shape):
        address = (channel % rows << shift.addr_bits) + shift.address(row, column)
        word = memory[channel // rows][address]
        after[channel, row, column] = word - (word >> (shift.bits - 1) << shift.bits)
    assert np.array_equal(after, golden.shift(golden.shift(before)))
    assert cycles == [shift_cycles(shift, channels=7)] * 2
