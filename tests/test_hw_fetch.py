# SPDX-License-Identifier: Apache-2.0
"""The fetch against the golden steps: each layer's vectors, shifted, added, rounded; stalls."""

import dataclasses
import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from cosim.small_accelerator import small_accelerator
from hw.fetch import Fetch
from hw.params import ShiftParams
from hw.sequencer import entry_layout, entry_of
from hw.timing import FETCH_LATENCY
from model import golden

NARROW = dataclasses.replace(
    small_accelerator(ShiftParams(height=3, width=5, bits=6)), fetch_shift=2
)
WIDE = dataclasses.replace(
    small_accelerator(ShiftParams(height=2, width=4, bits=16)), fetch_shift=12
)


def maps_of(params):
    """Random maps by buffer, with both ends of the range in them; the last is the pooled one."""
    source = np.random.default_rng(1)
    half = 1 << (params.shift.bits - 1)
    shape = (params.channels, params.shift.height, params.shift.width)
    maps = [source.integers(-half, half, shape) for _ in params.buffers]
    for values in maps:
        values[source.random(shape) < 0.2] = -half
        values[source.random(shape) < 0.2] = half - 1
    return [*maps, source.integers(-half, half, (params.channels, 1, 1))]


def fetched(params, layer, maps):
    """Vectors [pixel, channel] as the golden executor fetches them."""
    parts = [golden.shift(maps[r.buffer]) if r.shifted else maps[r.buffer] for r in layer.operands]
    q = golden.saturate(sum(parts), layer.bits)
    q = golden.saturate(golden.round_shift(q, params.fetch_shift), layer.act_bits)
    return q.reshape(len(q), -1).T


def word(params, values, bank, addr):
    """What a bank holds at an address; words that no element has are poison."""
    shift = params.shift
    column = addr & ((1 << shift.column_bits) - 1)
    row = addr >> shift.column_bits & ((1 << shift.row_bits) - 1)
    channel = bank * params.tile.rows + (addr >> shift.addr_bits)
    inside = all(at < size for at, size in zip((channel, row, column), values.shape, strict=True))
    return int(values[channel, row, column]) if inside else 21


def run(params, layer, maps, probability=0.0):
    """Return the vectors that are offered, and the cycle of the first beat."""
    dut, source = Fetch(params=params), random.Random(2)
    beats, cycles = [], []
    expected = layer.rows * (1 if layer is params.layers[-1] else params.shift.pixels)

    async def bench(ctx):
        ctx.set(dut.entry, entry_layout(params).const(entry_of(params, layer)))
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        after = cycle = 0
        while after < 12:  # what comes after the last beat would be seen
            cycle += 1
            after = after + 1 if len(beats) == expected else 0
            assert cycle < 20 * expected + 20
            ready = source.random() >= probability
            ctx.set(dut.activations.ready, ready)
            beat = dut.activations.payload
            if ctx.get(dut.activations.valid) and ready:
                values = [ctx.get(beat.values[bank]) for bank in range(layer.crossbars)]
                beats.append((values, ctx.get(beat.last)))
                cycles.append(cycle)
            reads = ctx.get(dut.reads)
            banks = range(params.banks)
            a, b = ([ctx.get(addr[bank]) for bank in banks] for addr in (dut.a_addr, dut.b_addr))
            await ctx.tick()
            if reads:  # otherwise the memories' outputs stay
                for bank in banks:
                    for data, addr, read in (
                        (dut.a_rdata, a, layer.operands[0]), (dut.b_rdata, b, layer.operands[-1]),
                    ):  # fmt: skip
                        ctx.set(data[bank], word(params, maps[read.buffer], bank, addr[bank]))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert [last for _, last in beats] == ([0] * (layer.rows - 1) + [1]) * (
        len(beats) // layer.rows
    )
    vectors = np.array([values for values, _ in beats]).reshape(-1, layer.rows, layer.crossbars)
    return vectors.transpose(0, 2, 1).reshape(len(vectors), -1), cycles


@pytest.mark.parametrize("params", [NARROW, WIDE], ids=["3x5x6", "2x4x16"])
@pytest.mark.parametrize("number", range(5))
def test_a_layers_vectors(params, number):
    layer, maps = params.layers[number], maps_of(params)
    wanted = fetched(params, layer, maps)[:, : layer.rows * layer.crossbars]
    vectors, cycles = run(params, layer, maps)
    assert np.array_equal(vectors, wanted)
    # A channel a cycle, from the first on.
    assert cycles == list(range(FETCH_LATENCY, FETCH_LATENCY + len(cycles)))
    vectors, _ = run(params, layer, maps, probability=0.6)
    assert np.array_equal(vectors, wanted)


def test_the_sum_of_two_operands_saturates():
    layer, maps = NARROW.layers[1], maps_of(NARROW)
    whole = maps[0] + golden.shift(maps[1])
    assert whole.min() < -32
    assert whole.max() > 31
    assert {-8, 7} <= set(fetched(NARROW, layer, maps).ravel().tolist())
