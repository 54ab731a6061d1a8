# SPDX-License-Identifier: Apache-2.0
"""The cost model far from the runs it was fitted to: finite, monotone, without cliffs."""

import dataclasses
import itertools
import math

import pytest
from costs import config
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.params import ParameterError
from model.cost.networks import named
from model.cost.simulate import simulate
from model.cost.technology import SUPPLY_V, load_constants
from scripts.cost_runs import load_runs

NODES = sorted(SUPPLY_V)
SIDES = (16, 32, 64, 128, 256, 512)
LEVELS = (2, 4, 8, 16, 32, 64, 128, 256)
SHARED = (1, 2, 4, 8, 16, 32)
CELL_BITS = (1, 2, 4, 8)
QUANTITIES = ("area", "latency", "energy")
SMALL, WIDE = named("psp_64_4"), named("vgg8")


def point(side=64, network=SMALL, **values):
    return simulate(network, config(side, shift="fused", **values))


def totals(cost):
    return {name: getattr(cost, name) for name in QUANTITIES}


def ratios(costs):
    """Each total over that of the setting before."""
    for one, other in itertools.pairwise(map(totals, costs)):
        yield {name: other[name] / one[name] for name in QUANTITIES}


def sound(cost):
    parts = [*cost.area_m2.values(), *cost.latency_s.values(), *cost.energy_j.values()]
    return (
        all(math.isfinite(value) and value >= 0 for value in (*parts, cost.leakage))
        and min(totals(cost).values()) > 0
    )


@pytest.mark.parametrize("node", NODES)
def test_every_component_of_every_setting_is_finite_and_not_negative(node):
    for side, levels, shared, bits in itertools.product(SIDES, LEVELS, (1, 2, 8, 16), CELL_BITS):
        assert sound(
            point(side, adc_levels=levels, columns_per_adc=shared, cell_bits=bits, node_nm=node)
        )


def test_a_model_that_holds_at_the_runs_alone_is_caught():
    # A clock that is right at 64 rows and 248 comparators, and falls below zero elsewhere.
    wrong = dataclasses.replace(load_constants(), clock_base=-3.66e-9, clock_row=69.6e-12)
    assert sound(simulate(SMALL, config(shift="fused"), constants=wrong))
    assert point().period_s == pytest.approx(
        simulate(SMALL, config(shift="fused"), constants=wrong).period_s, rel=0.01
    )
    assert not sound(simulate(SMALL, config(16, shift="fused"), constants=wrong))


@pytest.mark.parametrize("network", [SMALL, WIDE], ids=lambda network: network.name)
@pytest.mark.parametrize("side", SIDES)
def test_more_codes_take_more_of_all_and_no_leap(network, side):
    for found in ratios([point(side, network, adc_levels=levels) for levels in LEVELS]):
        # Comparators double, and encoders grow fourfold at most.
        assert 1 < found["area"] < 4
        # From 2 codes to 4, three times the comparators are driven.
        assert 1 < found["latency"] < 1.3
        assert 1 < found["energy"] < 2


@pytest.mark.parametrize("network", [SMALL, WIDE], ids=lambda network: network.name)
@pytest.mark.parametrize("side", SIDES[1:])
def test_fewer_adcs_take_less_area_and_more_time_for_conversions(network, side):
    costs = [point(side, network, columns_per_adc=shared) for shared in SHARED]
    for found in ratios(costs):
        assert 0.45 < found["area"] < 1
        # The clock is faster with fewer ADCs to drive.
        assert 0.9 < found["latency"] < 2
        # Wires are as much shorter as tiles are smaller.
        assert 0.45**0.5 < found["energy"] < 2
    times = [cost.latency_s["conversions"] for cost in costs]
    assert all(1.5 < other / one < 2 for one, other in itertools.pairwise(times))
    periods = [cost.period_s for cost in costs]
    assert periods == sorted(periods, reverse=True)


@pytest.mark.parametrize("network", [SMALL, WIDE], ids=lambda network: network.name)
def test_smaller_nodes_take_less_and_scale_as_the_two_that_were_measured(network):
    run22, run32 = (load_runs()[index].figures for index in (4, 6))
    measured = {
        name: math.log(run32[f"{name} total"] / run22[f"{name} total"]) / math.log(32 / 22)
        for name in QUANTITIES
    }
    costs = [point(network=network, node_nm=node) for node in NODES]
    for (small, large), found in zip(itertools.pairwise(NODES), ratios(costs), strict=True):
        for name in QUANTITIES:
            exponent = math.log(found[name]) / math.log(large / small)
            assert 0.65 * measured[name] < exponent < 1.35 * measured[name], (small, name)


@settings(max_examples=40)
@given(st.floats(5, 180), st.integers(2, 255), st.sampled_from(SIDES))
def test_neighbours_differ_little(node, levels, side):
    one = totals(point(side, node_nm=node, adc_levels=levels))
    larger = totals(point(side, node_nm=node * 1.01, adc_levels=levels))
    finer = totals(point(side, node_nm=node, adc_levels=levels + 1))
    for name in QUANTITIES:
        # Area goes with F², and no total faster.
        assert 1 < larger[name] / one[name] < 1.01**2.1
        assert 1 < finer[name] / one[name] < 1 + 2 / levels


def test_the_fitted_array_sizes_are_not_islands():
    # Between the runs' 64 and 128, and a factor of four on both sides.
    cells = {side: point(side, WIDE).area / point(side, WIDE).mapping.owned_cells for side in SIDES}
    assert list(cells.values()) == sorted(cells.values(), reverse=True)
    assert all(1 < one / other < 2.2 for one, other in itertools.pairwise(cells.values()))
    periods = [point(side, WIDE).period_s for side in SIDES]
    assert all(1 < other / one < 1.25 for one, other in itertools.pairwise(periods))


def test_sides_that_the_reference_cannot_tile_are_refused():
    with pytest.raises(ParameterError) as caught:
        point(96)
    assert str(caught.value) == (
        "array_rows must be a power of two with the reference mapping, not 96"
    )
