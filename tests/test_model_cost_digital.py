# SPDX-License-Identifier: Apache-2.0
"""The shift's cycles, latency and energy: by hand, and against what the RTL is held to."""

import pytest
from costs import config, conv
from hypothesis import given
from hypothesis import strategies as st

from hw import timing
from hw.params import ArrayParams, ShiftParams
from model.cost.digital import ShiftCost, shift_cost, total
from model.cost.networks import named

NOTHING = ShiftCost(cycles=0, latency_s=0, moved_pixels=0, energy_j=0)
BLOCK = conv(256, 256, moved=168)


def test_a_block_of_256_channels_by_hand():
    # 256 // 12 = 21 channels in each of 8 directions, 16·16 pixels each: 168·256 = 43,008 moves,
    # 0.2012 pJ / 1.233 each; lanes take 21·256 + 2 cycles of 1 ns, one module 43,008 + 2.
    lanes, alone = (shift_cost(BLOCK, config(shift=how)) for how in ("lanes", "in_place"))
    assert (lanes.cycles, alone.cycles) == (5378, 43_010)
    assert (lanes.moved_pixels, alone.moved_pixels) == (43_008, 43_008)
    assert lanes.latency_s == pytest.approx(5.378e-6, rel=1e-12)
    assert lanes.energy_j == pytest.approx(43_008 * 0.2012e-12 / 1.233, rel=1e-12)
    assert alone.energy_j == lanes.energy_j


def test_is_the_time_of_the_rtl():
    params = ArrayParams(shift=ShiftParams(height=16, width=16), channels=256)
    assert shift_cost(BLOCK, config(shift="lanes")).cycles == timing.array_cycles(params)
    assert shift_cost(BLOCK, config(shift="in_place")).cycles == timing.shift_cycles(
        params.shift, channels=168
    )
    assert shift_cost(BLOCK, config(shift="lanes")).cycles != timing.paper_cycles(params)


@pytest.mark.parametrize("how", ["fused", "lanes", "in_place"])
def test_nothing_is_free_of_charge_only_where_nothing_moves(how):
    assert shift_cost(conv(256, 256), config(shift=how)) == NOTHING
    assert (shift_cost(BLOCK, config(shift=how)) == NOTHING) == (how == "fused")


@given(st.integers(1, 300), st.integers(1, 64), st.sampled_from(["lanes", "in_place"]))
def test_costs_grow_with_what_moves(group, side, how):
    one, more, larger = (
        shift_cost(conv(12 * channels, 8, side=size, moved=8 * channels), config(shift=how))
        for channels, size in ((group, side), (group + 1, side), (group, side + 1))
    )
    for other in (more, larger):
        assert other.cycles > one.cycles
        assert other.energy_j > one.energy_j
    lanes = shift_cost(conv(12 * group, 8, side=side, moved=8 * group), config(shift="lanes"))
    assert lanes.cycles <= one.cycles


def test_scales_with_clock_and_energy():
    one = shift_cost(BLOCK, config())
    slow = shift_cost(BLOCK, config(shift_clock_hz=1e8))
    assert slow.latency_s == pytest.approx(10 * one.latency_s)
    raw = shift_cost(BLOCK, config(shift_energy_divisor=1))
    assert raw.energy_j == pytest.approx(1.233 * one.energy_j)


def test_energy_follows_the_node_by_one_power():
    def energy(node, divisor=1.233):
        chosen = config(node_nm=node, shift_energy_divisor=divisor)
        return shift_cost(BLOCK, chosen).energy_j

    assert energy(28) == pytest.approx(1.233 * energy(22))
    assert energy(28) == energy(28, 2) == energy(22, 1) == energy(32, 1)
    assert energy(28) / energy(32) == pytest.approx((28 / 32) ** 0.87, rel=1e-3)
    assert energy(14) / energy(7) == pytest.approx(energy(28) / energy(14))


def test_shifts_of_a_network_follow_one_another():
    costs = [shift_cost(layer, config()) for layer in named("psp_256_8").layers]
    assert sum(cost.cycles > 0 for cost in costs) == 8
    both = total(costs)
    assert both.cycles == 8 * 5378
    assert both.moved_pixels == 8 * 43_008
    assert both.latency_s == pytest.approx(both.cycles * 1e-9)
    assert both.energy_j == pytest.approx(both.moved_pixels * 0.2012e-12 / 1.233)
    assert total([]) == NOTHING
