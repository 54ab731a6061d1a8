# SPDX-License-Identifier: Apache-2.0
"""The sequencer and the channels' parameters: the schedule's order, stops, commands, slots."""

import random

import pytest
from amaranth.sim import Simulator

from cosim.properties_mask import masked_accelerator
from cosim.small_accelerator import small_accelerator
from hw.channel_feed import ChannelFeed
from hw.params import ShiftParams
from hw.requant import channel_layout
from hw.sequencer import Sequencer, entry_layout, entry_of

SHAPE = ShiftParams(height=2, width=3, bits=6)
PARAMS, PRUNED = small_accelerator(SHAPE), small_accelerator(SHAPE, pruned=True)
MASKED = masked_accelerator(SHAPE)
VECTORS = 6


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def commands_of(layer):
    """What the tile must be told for each vector."""
    return [(pages, group == layer.groups - 1) for group, pages in enumerate(layer.pages)]


@pytest.mark.parametrize("params", [PARAMS, PRUNED, MASKED], ids=["whole", "pruned", "masked"])
@pytest.mark.parametrize("step", [False, True])
def test_layers_follow_each_other(step, params):
    assert params.pruned == params.skips == (params is not PARAMS)
    dut, source = Sequencer(params=params), random.Random(1)
    events = []

    async def bench(ctx):
        ctx.set(dut.step, step)
        for _ in range(2):  # images
            for number, layer in enumerate(params.layers):
                if step or number == 0:
                    for _ in range(3):
                        assert ctx.get(dut.ready)
                        assert ctx.get(dut.layer) == number
                        await ctx.tick()
                    ctx.set(dut.start, 1)
                    await ctx.tick()
                    ctx.set(dut.start, 0)
                await one_layer(ctx, number, layer)
        assert ctx.get(dut.ready)
        assert ctx.get(dut.layer) == 0

    async def one_layer(ctx, number, layer):
        entry = entry_layout(params).const(entry_of(params, layer))
        assert ctx.get(dut.entry) == entry
        if params is MASKED:
            for wait in reversed(range(1 + source.randrange(4))):
                assert ctx.get(dut.masks_run)
                assert not ctx.get(dut.ready) | ctx.get(dut.shift_start) | ctx.get(dut.begin)
                ctx.set(dut.masks_done, wait == 0)
                await ctx.tick()
            ctx.set(dut.masks_done, 0)
            assert not ctx.get(dut.masks_run)
        if layer.shift_first is not None:
            assert ctx.get(dut.shift_start)
            assert not ctx.get(dut.begin)
            await ctx.tick()
            for _ in range(source.randrange(4)):
                assert not ctx.get(dut.shift_start) | ctx.get(dut.begin)
                await ctx.tick()
            ctx.set(dut.shift_done, 1)
            await ctx.tick()
            ctx.set(dut.shift_done, 0)
        assert not ctx.get(dut.shift_start)
        assert ctx.get(dut.begin)
        await ctx.tick()
        taken = []
        while len(taken) < VECTORS * layer.groups:
            ready = source.random() < 0.5
            ctx.set(dut.commands.ready, ready)
            ctx.set(dut.start, source.random() < 0.5)  # ignored
            assert ctx.get(dut.commands.valid)
            assert not ctx.get(dut.ready) | ctx.get(dut.begin)
            command = ctx.get(dut.commands.payload)
            assert (command.zero_point, command.top_plane) == (8, 3)
            assert (command.begin, command.complete) == (1, 1)
            assert command.stored < 1 << layer.crossbars
            if ready:
                pages = tuple(
                    command.pages[crossbar] if command.stored >> crossbar & 1 else None
                    for crossbar in range(layer.crossbars)
                )
                taken.append((pages, command.release))
            await ctx.tick()
        assert taken == commands_of(layer) * VECTORS
        ctx.set(dut.commands.ready, 0)
        ctx.set(dut.start, 0)
        assert ctx.get(dut.layer) == number
        ctx.set(dut.finished, 1)
        await ctx.tick()
        ctx.set(dut.finished, 0)
        events.append(number)

    simulate(dut, bench)
    assert events == [*range(5), *range(5)]


def test_each_layer_gets_its_channels_again_and_again():
    dut, source = ChannelFeed(params=PARAMS), random.Random(2)
    words = [
        {"bias": source.randrange(-(1 << 31), 1 << 31), "k": source.randrange(-7, 24),
         "table": slot % 4, "sign": source.randrange(-1, 2), "exponent": slot % 8,
         "offset": source.randrange(-(1 << 15), 1 << 15), "fraction_bits": slot % 16}
        for slot in range(PARAMS.slots)
    ]  # fmt: skip
    wanted = [channel_layout(PARAMS.tile).const(word) for word in words]

    async def bench(ctx):
        for slot, word in enumerate(wanted):
            assert ctx.get(dut.load.ready)
            ctx.set(dut.load.valid, 1)
            ctx.set(dut.load.payload.slot, slot)
            ctx.set(dut.load.payload.content, word)
            await ctx.tick()
        ctx.set(dut.load.valid, 0)
        for layer in PARAMS.layers:
            ctx.set(dut.entry, entry_layout(PARAMS).const(entry_of(PARAMS, layer)))
            ctx.set(dut.begin, 1)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            await ctx.tick()
            computed = layer.groups * PARAMS.tile.outputs
            first = layer.group * PARAMS.tile.outputs
            number = 0
            while number < 2 * computed + 1:
                ready = source.random() < 0.7
                ctx.set(dut.channels.ready, ready)
                assert ctx.get(dut.channels.valid)
                assert ctx.get(dut.channels.payload) == wanted[first + number % computed]
                number += ready
                await ctx.tick()
            ctx.set(dut.channels.ready, 0)

    simulate(dut, bench)
