# SPDX-License-Identifier: Apache-2.0
"""The mask unit and what the wordline drivers make of its masks: layer after layer, vectors."""

import random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from hw.dac import WordlineDriver
from hw.lfsr_params import LfsrMask, page_seed
from hw.mask import MaskStore
from hw.mask_unit import MaskUnit
from hw.tile_params import TileParams

PARAMS = TileParams(rows=9, columns=4, act_bits=3, columns_per_adc=1, crossbars=2, masks=3)
# Rows, column groups and crossbars of each layer.
SHAPES = [(9, 3, 2), (4, 1, 1), (7, 2, 2), (9, 1, 2)]


def layers_of(seed):
    """Masks of each layer, [column groups][crossbars in use]."""
    source = random.Random(seed)
    return tuple(
        tuple(
            tuple(
                LfsrMask(
                    positions=rows,
                    count=source.randrange(rows + 1),
                    seed=page_seed(rows, number, crossbar, group),
                )
                for crossbar in range(crossbars)
            )
            for group in range(groups)
        )
        for number, (rows, groups, crossbars) in enumerate(SHAPES)
    )


LAYERS = layers_of(1)


def kept_of(masks):
    """Which rows the masks of a layer keep, bool [crossbars, groups, rows]."""
    kept = np.zeros((PARAMS.crossbars, len(masks), masks[0][0].positions), bool)
    for group, pages in enumerate(masks):
        for crossbar, mask in enumerate(pages):
            kept[crossbar, group] = mask.kept()
    return kept


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def joined(unit, other):
    m = Module()
    m.submodules.unit, m.submodules.other = unit, other
    m.d.comb += other.masks.eq(unit.masks)
    return m


async def make(ctx, unit, masks):
    """Run the unit for a layer, for exactly the cycles that it is to take."""
    ctx.set(unit.run, 1)
    for _ in range((len(masks) << masks[0][0].width) - 1):
        assert not ctx.get(unit.done)
        await ctx.tick()
    assert ctx.get(unit.done)
    await ctx.tick()
    ctx.set(unit.run, 0)


def test_both_memories_hold_the_masks_of_each_layer():
    unit, store = MaskUnit(params=PARAMS, layers=LAYERS), MaskStore(params=PARAMS)

    async def bench(ctx):
        for masks in LAYERS * 2:
            kept = kept_of(masks)
            await make(ctx, unit, masks)
            for _ in range(2):
                await ctx.tick()
            _, groups, rows = kept.shape
            for group in range(groups):
                ctx.set(store.group, group)
                await ctx.tick()
                words = [ctx.get(store.words[n]) for n in range(PARAMS.crossbars)]
                found = [[word >> row & 1 for row in range(rows)] for word in words]
                assert np.array_equal(found, kept[:, group])
            for row in range(rows):
                ctx.set(store.row, row)
                await ctx.tick()
                words = [ctx.get(store.kept[n]) for n in range(PARAMS.crossbars)]
                found = [[word >> group & 1 for group in range(groups)] for word in words]
                assert np.array_equal(found, kept[:, :, row])

    simulate(joined(unit, store), bench)


def drive(masks, vectors, *, seed):
    """What the driver puts out: of each vector, of each mask: wordlines of each plane, ΣQ."""
    unit, driver = MaskUnit(params=PARAMS, layers=(masks,)), WordlineDriver(params=PARAMS)
    source, found = random.Random(seed), []

    async def feed(ctx):
        await make(ctx, unit, masks)
        for _ in range(2):
            await ctx.tick()
        rows = vectors.shape[2]
        beats = [
            (vector[:, row].tolist(), row == rows - 1) for vector in vectors for row in range(rows)
        ][::-1]
        while beats:
            valid = source.random() < 0.8
            column, last = beats[-1]
            ctx.set(driver.activations.valid, valid)
            ctx.set(driver.activations.payload.last, last)
            for crossbar, value in enumerate(column):
                ctx.set(driver.activations.payload.values[crossbar], value)
            if valid and ctx.get(driver.activations.ready):
                beats.pop()
            await ctx.tick()
        ctx.set(driver.activations.valid, 0)

    async def look(ctx):
        for _ in vectors:
            while not ctx.get(driver.ready):
                await ctx.tick()
            pages = []
            for group in range(len(masks)):
                lines = []
                total = ctx.get(driver.total)
                for plane in range(PARAMS.act_bits):
                    ctx.set(driver.plane, plane)
                    lines.append([ctx.get(driver.wordlines[n]) for n in range(PARAMS.crossbars)])
                    if plane == PARAMS.act_bits - 1:
                        ctx.set(driver.advance, 1)
                        ctx.set(driver.release, group == len(masks) - 1)
                    await ctx.tick()
                ctx.set(driver.advance, 0)
                ctx.set(driver.release, 0)
                pages.append((lines, total))
                for _ in range(source.randrange(3)):
                    await ctx.tick()
            found.append(pages)

    simulator = Simulator(joined(unit, driver))
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(look)
    simulator.run()
    return found


def wanted(kept, vectors):
    _, groups, rows = kept.shape
    places = 1 << np.arange(rows)
    return [
        [
            (
                [
                    ((vector >> plane & 1) * kept[:, group] * places).sum(1).tolist()
                    for plane in range(PARAMS.act_bits)
                ],
                int((vector * kept[:, group]).sum()),
            )
            for group in range(groups)
        ]
        for vector in vectors
    ]


@pytest.mark.parametrize("layer", range(len(SHAPES)))
def test_wordlines_and_sums_leave_out_what_the_mask_of_the_page_does(layer):
    masks = LAYERS[layer]
    kept = kept_of(masks)
    vectors = np.random.default_rng(layer).integers(-4, 4, (12, PARAMS.crossbars, kept.shape[2]))
    # A layer of one crossbar: what the other bank happens to hold counts nothing.
    assert drive(masks, vectors, seed=layer) == wanted(kept, vectors)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_mask_moved_by_a_group_or_a_row_is_noticed(axis):
    kept = kept_of(LAYERS[0])
    vectors = np.random.default_rng(5).integers(-4, 4, (4, PARAMS.crossbars, kept.shape[2]))
    assert drive(LAYERS[0], vectors, seed=5) != wanted(np.roll(kept, 1, axis), vectors)
