# SPDX-License-Identifier: Apache-2.0
"""Small tiles in Amaranth's simulator: equal to the golden executor, in the formula's cycles."""

import dataclasses
import itertools
import random

import numpy as np
import pytest

from cosim.tile_scenario import Command
from cosim.tile_vectors import draw
from hw.tile import Tile
from hw.tile_params import TileParams
from hw.timing import page_cycles, queue_depth, skipping_cycles, tile_cycles
from tests.stream_bench import exchange, feeds_of

COUNTERS = ("conversions", "active_wordlines", "sampled_pages")


def small(**sizes):
    usual = {"rows": 5, "columns": 8, "weight_bits": 4, "act_bits": 4, "columns_per_adc": 2}
    return TileParams(**usual | {"pages": 3, "tables": 1} | sizes)


def run(scenario, probability=0.0, *, skips=False):
    source = random.Random(2)
    expected = scenario.output_beats()
    result = exchange(
        Tile(params=scenario.params, skips=skips),
        feeds_of(scenario),
        out="outputs",
        count=len(expected),
        stall=lambda: source.random() < probability,
        read=COUNTERS,
    )
    assert result.beats == expected
    assert result.read == scenario.activity()
    return result


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"adc_bits": 2},
        {"crossbars": 2, "adc_bits": 3},
        {"passes": 3},
        {"columns_per_adc": 1, "cell_bits": 4, "act_bits": 2},
        {"weight_bits": 3, "act_bits": 3, "columns_per_adc": 4},
    ],
    ids=str,
)
def test_equals_the_golden_executor(sizes, skips):
    scenario = draw(small(**sizes), seed=3, vectors=5, pages=2)
    run(scenario.without((True, True, False)), skips=skips)


@pytest.mark.parametrize("skips", [False, True])
def test_whoever_waits(skips):
    scenario = draw(small(crossbars=2), seed=4, vectors=4, pages=2)
    run(scenario.without((True, False, True)), probability=0.5, skips=skips)


def cycles(params, **work):
    taken = run(draw(params, seed=5, steady=True, **work)).taken
    return taken["outputs"][-1] - taken["activations"][0] + 1


@pytest.mark.parametrize(
    "sizes",
    [
        {},  # the last plane waits for Z·ΣQ no longer than for the other planes
        {"act_bits": 2, "columns_per_adc": 1, "weight_bits": 8, "cell_bits": 8},  # Z·ΣQ is late
        {"rows": 40},  # loading takes longest
        {"act_bits": 2, "weight_bits": 2, "columns": 16},  # putting out takes longest
    ],
    ids=str,
)
def test_takes_the_cycles_of_the_formula(sizes):
    params = small(**sizes)
    for vectors, pages in itertools.product((1, 4), (1, 3)):
        wanted = tile_cycles(params, vectors=vectors, pages=pages)
        assert cycles(params, vectors=vectors, pages=pages) == wanted, (vectors, pages)


def test_the_widest_sum_needs_every_bit():
    # U = 15, Z = 0, Q = −8 in every row of both crossbars, three times: the largest sum there is.
    params = small(crossbars=2, passes=3)
    drawn = draw(params, seed=1, vectors=1)
    scenario = dataclasses.replace(
        drawn,
        vectors=[np.full((2, 5), -8)] * 3,
        commands=[Command((0, 0), 0, 4, begin=step == 0, complete=step == 2) for step in range(3)],
        channels=drawn.channels[: params.outputs],
    )
    assert set(scenario.sums().tolist()) == {-params.largest_sum}
    assert params.largest_sum == 2 * 3 * 5 * 8 * 15 == 3600
    assert params.sum_bits == 13
    run(scenario)


def test_a_page_that_no_crossbar_stores_takes_one_plane():
    params = small()
    scenario = draw(params, seed=5, vectors=2, steady=True)
    stored = run(scenario).taken["commands"]
    commands = [scenario.commands[0], Command((None,), 9, params.act_bits)]
    skipped = run(dataclasses.replace(scenario, commands=commands)).taken["commands"]
    assert stored[1] - stored[0] == page_cycles(params)
    assert skipped[1] - skipped[0] == params.columns_per_adc


def test_a_page_that_is_skipped_takes_a_cycle_unless_sums_go_on():
    params = small(passes=2)
    drawn = draw(params, seed=5, vectors=2, steady=True)
    commands = [
        Command((None,), 9, 4, release=False),
        Command((0,), 3, 4, release=False, complete=False),
        Command((None,), 9, 4, release=False, begin=False),
        Command((1,), 9, 4, release=False, complete=False),
        Command((None,), 9, 4, begin=False),
    ]
    channels = drawn.channels[: params.outputs] * 3
    scenario = dataclasses.replace(drawn, vectors=drawn.vectors[:1], commands=commands)
    scenario = dataclasses.replace(scenario, channels=channels)
    taken = run(scenario, skips=True).taken["commands"]
    page, turn = page_cycles(params), params.columns_per_adc
    assert [later - now for now, later in itertools.pairwise(taken)] == [page, turn, page, turn]
    assert taken[0] == run(scenario).taken["commands"][0] - (turn - 1)


@pytest.mark.parametrize(
    "sizes",
    [
        {},  # conversions take longest
        {"rows": 40},  # loading does
        {"act_bits": 2, "weight_bits": 2, "columns": 16},  # putting out does
        {"act_bits": 2, "columns_per_adc": 1, "weight_bits": 8, "cell_bits": 8},  # Z·ΣQ is late
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "pattern",
    [
        "10",
        "100",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("01", "1011", "0", "11")),
    ],
)
def test_skipping_takes_the_cycles_of_the_recurrence(sizes, pattern):
    params = small(**sizes)
    visited = tuple(digit == "1" for digit in pattern)
    for vectors in (1, 2, 7):
        drawn = draw(params, seed=5, steady=True, vectors=vectors, pages=len(visited))
        taken = run(drawn.without(visited), skips=True).taken
        found = taken["outputs"][-1] - taken["activations"][0] + 1
        work = {"vectors": vectors, "rows": params.rows, "planes": params.act_bits}
        assert found == skipping_cycles(params, visited, **work), vectors


def test_more_skipped_pages_than_the_queue_holds():
    params = small(pages=8)
    depth = queue_depth(params)
    visited = (False,) * (2 * depth) + (True,) * depth
    drawn = draw(params, seed=5, steady=True, vectors=3, pages=len(visited))
    run(drawn.without(visited), 0.3, skips=True)
    taken = run(drawn.without(visited), skips=True).taken
    found = taken["outputs"][-1] - taken["activations"][0] + 1
    work = {"vectors": 3, "rows": params.rows, "planes": params.act_bits}
    assert found == skipping_cycles(params, visited, **work)
    # The order matters: skipped pages between the others leave while those are converted.
    assert found == 331
    assert skipping_cycles(params, (False, False, True) * depth, **work) == 304
