# SPDX-License-Identifier: Apache-2.0
"""The two-port memory, as a dictionary would behave."""

import random

import pytest
from amaranth.back import verilog
from amaranth.sim import Simulator

from hw.memory import DualPortMemory


def play(dut, depth, width, steps=400):
    """Access both ports at random; compare each word read with a model's."""
    source = random.Random(1)
    near = [n for n in (0, 1, 4095, 4096, 4097, 8191, 8192, depth - 1) if n < depth]
    model = {}

    async def bench(ctx):
        held = None
        for _ in range(steps):
            a, b = source.choice(near), source.choice(near)
            we, a_en = source.random() < 0.5, source.random() < 0.7
            a_en &= not (we and a == b)  # port a does not read what port b writes
            word = source.getrandbits(width)
            ctx.set(dut.a_addr, a)
            ctx.set(dut.a_en, a_en)
            ctx.set(dut.b_addr, b)
            ctx.set(dut.b_we, we)
            ctx.set(dut.b_wdata, word)
            await ctx.tick()
            held = model.get(a, 0) if a_en else held
            if held is not None:
                assert ctx.get(dut.a_rdata) == held
            assert ctx.get(dut.b_rdata) == model.get(b, 0)  # before it is written
            if we:
                model[b] = word

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(("depth", "width"), [(2, 1), (300, 8), (4096, 11), (8300, 16)])
def test_reads_and_writes_on_both_ports(depth, width):
    play(DualPortMemory(width=width, depth=depth), depth, width)


def test_blocks_are_of_eight_bits_and_4096_words():
    text = verilog.convert(DualPortMemory(width=10, depth=5000), emit_src=False)
    memories = [line for line in text.splitlines() if "[4095:0];" in line or "[903:0];" in line]
    assert len(memories) == 4
