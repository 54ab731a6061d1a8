# SPDX-License-Identifier: Apache-2.0
"""The banks: whose port is whose in each layer, what the host sees, what is counted."""

import random

import pytest
from amaranth.sim import Simulator

from cosim.small_accelerator import small_accelerator
from hw.buffers import Buffers
from hw.params import ShiftParams
from hw.sequencer import entry_layout, entry_of

PARAMS = small_accelerator(ShiftParams(height=2, width=3, bits=6))
BANKS, DEPTH = range(PARAMS.banks), PARAMS.bank_depth


def signed(word):
    return word - ((word & 32) << 1)


class Bench:
    """Buffers with a dictionary beside them."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut
        self.source = random.Random(1)
        self.memory = {}

    def set(self, **values):
        for name, value in values.items():
            self.ctx.set(getattr(self.dut, name), value)

    async def fill(self):
        """Write every word as the host."""
        self.set(rest=1, host_we=1)
        for buffer in range(len(PARAMS.buffers)):
            for bank in BANKS:
                for addr in range(DEPTH):
                    word = signed(self.source.getrandbits(6))
                    self.memory[buffer, bank, addr] = word
                    self.set(host_buffer=buffer, host_bank=bank, host_addr=addr, host_wdata=word)
                    await self.ctx.tick()
        self.set(host_we=0)

    async def check(self):
        """Read every word as the host; nobody else's write may land meanwhile."""
        self.set(rest=1, shift_we=0)
        for (buffer, bank, addr), word in self.memory.items():
            self.set(host_buffer=buffer, host_bank=bank, host_addr=addr)
            await self.ctx.tick()
            assert self.ctx.get(self.dut.host_rdata) == word, (buffer, bank, addr)
        self.set(rest=0)

    def write(self, port, buffer):
        """Let the write stage write a word, or not."""
        valid, bank = self.source.random() < 0.5, self.source.choice(BANKS)
        addr, word = self.source.randrange(DEPTH), signed(self.source.getrandbits(6))
        signal = getattr(self.dut, port)
        for name, value in (("valid", valid), ("bank", bank), ("addr", addr), ("data", word)):
            self.ctx.set(getattr(signal, name), value)
        return {(buffer, bank, addr): word} if valid else {}


def simulate(play):
    dut = Buffers(params=PARAMS)

    async def bench(ctx):
        await play(Bench(ctx, dut))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("number", range(4))
def test_a_layer_reads_and_writes(number):
    layer = PARAMS.layers[number]

    async def play(bench):
        ctx, dut, source = bench.ctx, bench.dut, bench.source
        await bench.fill()
        bench.set(rest=0, entry=entry_layout(PARAMS).const(entry_of(PARAMS, layer)))
        written = 0
        shown = None
        for _ in range(300):
            addrs = {
                name: [source.randrange(DEPTH) for _ in BANKS] for name in ("a_addr", "b_addr")
            }
            add_addr, reads = source.randrange(DEPTH), source.random() < 0.7
            for name, values in addrs.items():
                for bank in BANKS:
                    ctx.set(getattr(dut, name)[bank], values[bank])
            # Whatever the host asks for does not matter.
            bench.set(add_addr=add_addr, reads=reads, host_we=source.random() < 0.5)
            changed = bench.write("first", layer.out)
            other = bench.write("second", layer.second)
            if layer.second is not None:
                changed |= other
            held = dict(bench.memory)
            await ctx.tick()
            bench.memory |= changed
            written += len(changed)
            if reads:
                shown = [
                    [held[read.buffer, bank, addrs[name][bank]] for bank in BANKS]
                    for name, read in zip(("a_addr", "b_addr"), layer.operands, strict=False)
                ]
            for port, words in zip((dut.a_rdata, dut.b_rdata), shown or (), strict=False):
                assert [ctx.get(port[bank]) for bank in BANKS] == words
            if layer.add is not None:
                bank = source.choice(BANKS)
                bench.set(add_bank=bank)
                assert ctx.get(dut.add_rdata) == held[layer.add.buffer, bank, add_addr]
        ctx.set(dut.first.valid, 0)
        ctx.set(dut.second.valid, 0)
        bench.set(host_we=0)
        await ctx.tick()
        assert ctx.get(dut.map_writes) == written
        await bench.check()

    simulate(play)


def test_a_pass_has_its_buffer():
    layer = PARAMS.layers[1]

    async def play(bench):
        ctx, dut, source = bench.ctx, bench.dut, bench.source
        await bench.fill()
        bench.set(rest=0, entry=entry_layout(PARAMS).const(entry_of(PARAMS, layer)))
        written = 0
        for _ in range(200):
            enabled = source.getrandbits(PARAMS.banks)
            addrs = [source.randrange(DEPTH) for _ in BANKS]
            words = [signed(source.getrandbits(6)) for _ in BANKS]
            bench.set(shift_we=enabled)
            held = dict(bench.memory)
            for bank in BANKS:
                ctx.set(dut.shift_addr[bank], addrs[bank])
                ctx.set(dut.shift_wdata[bank], words[bank])
                if enabled >> bank & 1:
                    bench.memory[layer.shift_first, bank, addrs[bank]] = words[bank]
                    written += 1
            await ctx.tick()
            for bank in BANKS:
                if enabled >> bank & 1:
                    old = held[layer.shift_first, bank, addrs[bank]]
                    assert ctx.get(dut.shift_rdata[bank]) == old
        bench.set(shift_we=0)
        await ctx.tick()
        assert ctx.get(dut.map_writes) == written
        await bench.check()

    simulate(play)


def test_the_pooled_map_is_fetched_by_the_head_and_read_by_the_host():
    async def play(bench):
        ctx, dut, source = bench.ctx, bench.dut, bench.source
        bench.set(rest=0, entry=entry_layout(PARAMS).const(entry_of(PARAMS, PARAMS.layers[-2])))
        pooled = {}
        for channel in range(PARAMS.channels):
            bank, addr = divmod(channel, PARAMS.tile.rows)
            pooled[bank, addr] = value = source.randrange(-8, 8)
            for name, field in (("valid", 1), ("bank", bank), ("addr", addr), ("data", value)):
                ctx.set(getattr(dut.pooled, name), field)
            await ctx.tick()
        ctx.set(dut.pooled.valid, 0)
        bench.set(entry=entry_layout(PARAMS).const(entry_of(PARAMS, PARAMS.layers[-1])), reads=1)
        for addr in range(PARAMS.tile.rows):
            for bank in BANKS:
                ctx.set(dut.a_addr[bank], addr << PARAMS.shift.addr_bits)
            await ctx.tick()
            assert [ctx.get(dut.a_rdata[bank]) for bank in BANKS] == [
                pooled[b, addr] for b in BANKS
            ]
        bench.set(rest=1, host_buffer=PARAMS.pooled)
        for (bank, addr), value in pooled.items():
            bench.set(host_bank=bank, host_addr=addr)
            await ctx.tick()
            assert ctx.get(dut.host_rdata) == value
        assert ctx.get(dut.map_writes) == 0

    simulate(play)
