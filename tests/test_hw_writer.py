# SPDX-License-Identifier: Apache-2.0
"""The write against the golden steps: add, second affine, pool, logits; outputs with gaps."""

import dataclasses
import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from cosim.small_accelerator import small_accelerator
from hw.params import ShiftParams
from hw.sequencer import entry_layout, entry_of
from hw.timing import WRITE_LATENCY
from hw.writer import Writer
from model import golden
from tests.test_hw_fetch import maps_of, word

SMALL = small_accelerator(ShiftParams(height=3, width=5, bits=6))
WIDE = dataclasses.replace(
    small_accelerator(ShiftParams(height=2, width=4, bits=16)), pool_shift=10, pooled_bits=8
)
LEFT = dataclasses.replace(SMALL, pool_shift=-3)
AFFINE = ("sign", "exponent", "offset", "fraction_bits")


def drawn(params, layer):
    """Random outputs [pixel, output] with accumulators, those that are dropped included."""
    source = np.random.default_rng(3)
    half = 1 << (params.tile.stream_bits - 1)
    pixels = 1 if layer is params.layers[-1] else params.shift.pixels
    shape = (pixels, layer.groups * params.tile.outputs)
    values = source.choice([-half, half - 1, 0, *source.integers(-half, half, 9)], shape)
    return values, source.integers(-(1 << 31), 1 << 31, shape)


def affines(params):
    source = np.random.default_rng(4)
    count = params.slots
    return {
        "sign": source.integers(-1, 2, count),
        "exponent": source.integers(0, 8, count),
        "offset": source.integers(-(1 << 15), 1 << 15, count) >> 7,
        "fraction_bits": np.full(count, 3),
    }


def run(params, layer, maps, second, probability):
    """Return all writes: (channel, row, column) to value by port, and cycles after the last."""
    dut, source = Writer(params=params), random.Random(5)
    values, accs = drawn(params, layer)
    found = {"first": {}, "second": {}, "pooled": {}, "logits": {}}
    shift, rows = params.shift, params.tile.rows
    ends = []

    def element(write):
        column = write.addr & ((1 << shift.column_bits) - 1)
        row = write.addr >> shift.column_bits & ((1 << shift.row_bits) - 1)
        return write.bank * rows + (write.addr >> shift.addr_bits), row, column

    def look(ctx):
        for name in ("first", "second"):
            write = ctx.get(getattr(dut, name))
            if write.valid:
                assert element(write) not in found[name], "each element is written once"
                found[name][element(write)] = write.data
        pooled = ctx.get(dut.pooled)
        if pooled.valid:
            found["pooled"][pooled.bank * rows + pooled.addr] = pooled.data
        logits = ctx.get(dut.logits)
        if logits.valid:
            found["logits"][logits.index] = logits.value

    async def bench(ctx):
        for slot in range(params.slots):
            content = {name: int(second[name][slot]) for name in AFFINE}
            ctx.set(dut.load.payload.slot, slot)
            for name, value in content.items():
                ctx.set(getattr(dut.load.payload.content, name), value)
            ctx.set(dut.load.valid, 1)
            await ctx.tick()
        ctx.set(dut.load.valid, 0)
        ctx.set(dut.entry, entry_layout(params).const(entry_of(params, layer)))
        waiting = list(zip(values.ravel().tolist(), accs.ravel().tolist(), strict=True))
        cycle = last = 0
        while waiting or cycle < last + WRITE_LATENCY + 3:
            offered = bool(waiting) and source.random() >= probability
            ctx.set(dut.outputs.valid, offered)
            if offered:
                value, acc = waiting.pop(0)
                ctx.set(dut.outputs.payload.value, value)
                ctx.set(dut.outputs.payload.acc, acc)
                last = cycle
            look(ctx)
            if ctx.get(dut.finished):
                ends.append(cycle)
            addr = ctx.get(dut.add_addr)
            await ctx.tick()
            if layer.add is not None:
                bank = ctx.get(dut.add_bank)
                ctx.set(dut.add_rdata, word(params, maps[layer.add.buffer], bank, addr))
            cycle += 1
        assert ends == [last + WRITE_LATENCY]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def as_writes(map_):
    return {at: int(value) for at, value in np.ndenumerate(map_)}


@pytest.mark.parametrize("probability", [0.0, 0.5])
@pytest.mark.parametrize(
    ("params", "number"),
    [(SMALL, 0), (SMALL, 1), (SMALL, 2), (SMALL, 3), (SMALL, 4), (WIDE, 0), (WIDE, 3), (LEFT, 3)],
    ids=lambda value: value if isinstance(value, int) else value.shift.name,
)
def test_a_layers_writes(params, number, probability):
    layer, maps, second = params.layers[number], maps_of(params), affines(params)
    found = run(params, layer, maps, second, probability)
    values, accs = drawn(params, layer)
    bits = params.tile.stream_bits
    wanted = {"first": {}, "second": {}, "pooled": {}, "logits": {}}
    if layer is params.layers[-1]:
        wanted["logits"] = dict(enumerate(accs[0, : layer.outputs].tolist()))
        assert entry_of(params, layer)["out"] == 0  # no buffer takes what is written
        found["first"].clear()
        assert found == wanted
        return
    shape = (layer.outputs, params.shift.height, params.shift.width)
    written = values[:, : layer.outputs].T.reshape(shape)
    if layer.add is not None:
        add = maps[layer.add.buffer]
        written = written + (golden.shift(add) if layer.add.shifted else add)
        assert abs(written).max() > 1 << (bits - 1)  # it does saturate
    written = golden.saturate(written, bits)
    wanted["first"] = as_writes(written)
    if layer.second is not None:
        first = layer.group * params.tile.outputs
        own = {name: second[name][first : first + layer.outputs] for name in AFFINE}
        moved = golden.apply_affine(
            written[None], own["sign"], own["exponent"], own["offset"], 3
        )[0]  # fmt: skip
        wanted["second"] = as_writes(golden.saturate(moved, bits))
    if layer is params.layers[-2]:
        pooled = golden.saturate(golden.pool(written[None], params.pool_shift), params.pooled_bits)
        wanted["pooled"] = dict(enumerate(pooled.ravel().tolist()))
    assert found == wanted
