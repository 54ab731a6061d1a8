# SPDX-License-Identifier: Apache-2.0
"""The register in hardware: whole periods, state by state, equal to its twin in Python."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.lfsr import Lfsr
from hw.lfsr_params import LfsrMask, states


def periods(width, masks):
    """What the register says in each state of a period of each mask: position, keep, last."""
    dut, found = Lfsr(width=width), []

    async def bench(ctx):
        for mask in masks:
            for name in ("seed", "taps", "positions", "count"):
                ctx.set(getattr(dut, name), getattr(mask, name))
            ctx.set(dut.load, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            rows = []
            for _ in range((1 << mask.width) - 1):
                valid = ctx.get(dut.valid)
                position = ctx.get(dut.position) if valid else None
                rows.append((position, ctx.get(dut.keep), ctx.get(dut.last)))
                await ctx.tick()
            found.append(rows)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def twin(mask):
    """The same, as `LfsrMask` has it."""
    kept, cycle = mask.kept(), states(mask.width, mask.taps)
    turned = np.roll(cycle, -int(np.flatnonzero(cycle == mask.seed)[0])) - 1
    *others, last = turned.tolist()
    return [
        (place, int(kept[place]), int(end)) if place < mask.positions else (None, 0, int(end))
        for place, end in [*((place, False) for place in others), (last, True)]
    ]


def masks_of(positions, taps=0):
    largest = (1 << positions.bit_length()) - 1
    return [
        LfsrMask(positions=positions, count=count, seed=seed, taps=taps)
        for count, seed in [(0, 1), (positions // 2, largest), (positions, 2), (1, largest // 3)]
    ]


@pytest.mark.parametrize("positions", [4, 7, 8, 12, 64, 127, 600])
def test_every_state_of_whole_periods_is_its_twins(positions):
    masks = masks_of(positions)
    assert periods(positions.bit_length(), masks) == [twin(mask) for mask in masks]


def test_a_wide_register_plays_narrow_ones_of_any_taps():
    masks = [*masks_of(64, taps=0x41), *masks_of(12), *masks_of(5), *masks_of(64)]
    assert periods(9, masks) == [twin(mask) for mask in masks]


def test_the_first_position_after_reset_is_none():
    dut = Lfsr(width=7)

    async def bench(ctx):
        ctx.set(dut.positions, 127)
        ctx.set(dut.count, 5)
        assert not ctx.get(dut.valid)
        assert not ctx.get(dut.keep)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("change", [{"taps": 0x41}, {"count": 33}, {"count": 31}, {"seed": 10}])
def test_other_taps_count_or_seed_are_noticed(change):
    usual = {"positions": 64, "count": 32, "seed": 9}
    (found,) = periods(7, [LfsrMask(**usual | change)])
    assert found != twin(LfsrMask(**usual))
