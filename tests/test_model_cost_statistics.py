# SPDX-License-Identifier: Apache-2.0
"""Cells and wordlines of integer networks, against the executor that computes with them."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hw.lfsr_params import LfsrMask, page_seed
from hw.params import ParameterError
from model import executor, golden, intnet
from model.cost.statistics import Activity, Statistics, measure
from model.images import zoo_images
from model.intnet import Crossbar
from model.random_intnet import random_net

ZOO = intnet.read(Path(__file__).parent.parent / "model/zoo/psp_64_4_int8")


def statistics(weights, bits=8, zero_point=128):
    return Statistics(
        weights=np.array(weights, np.uint8),
        weight_bits=bits,
        act_bits=8,
        zero_point=zero_point,
        activity=None,
    )


def test_cuts_weights_into_cells():
    # 0b11_01_10_00 and 0b00_00_00_11, least significant cell first.
    found = statistics([[0b11011000, 3]])
    assert found.cells(2).tolist() == [[0, 2, 1, 3, 3, 0, 0, 0]]
    assert found.cells(8).tolist() == [[0b11011000, 3]]
    assert found.cells(3).tolist() == [[0, 3, 3, 3, 0, 0]]
    assert found.row_patterns(2).tolist() == [[4, 1, 1, 2]]
    assert found.patterns(1).tolist() == [10, 6]


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(1, 8))
def test_cells_hold_the_weights(weights, cell_bits):
    found = statistics(weights)
    cells = found.cells(cell_bits).reshape(*weights.shape, -1).astype(int)
    places = (1 << cell_bits) ** np.arange(cells.shape[2])
    assert np.array_equal(cells @ places, weights)
    assert found.patterns(cell_bits).sum() == cells.size
    assert np.array_equal(
        found.row_patterns(cell_bits).sum(1), np.full(len(weights), cells[0].size)
    )


def test_finds_the_crossbars_that_hold_weights():
    weights = np.full((5, 3), 7)
    weights[4, 2] = 8
    found = statistics(weights, bits=4, zero_point=7)
    # 5 rows by 6 cells of 2 bits, on crossbars of 2 by 4.
    assert found.stored(2, 4, 2).tolist() == [[False, False], [False, False], [False, True]]
    # One column a cell of 4 bits: the weight is in the third.
    assert found.stored(8, 1, 4).tolist() == [[False, False, True]]


def fetched(net, images):
    """Return what each layer fetches in the golden executor, by patches of all images."""
    found, seen = {}, executor.fetch

    def spy(net, layer, maps):
        q = seen(net, layer, maps)
        found[layer.name] = golden.patches(q, layer.kernel, layer.stride, layer.padding)
        return q

    executor.fetch = spy
    try:
        executor.run(net, images)
    finally:
        executor.fetch = seen
    return found


def activity_by_hand(q, bits):
    rows = q.reshape(-1, q.shape[-1]) & ((1 << bits) - 1)
    texts = [[f"{value:0{bits}b}"[::-1] for value in row] for row in rows]
    return np.array(
        [[sum([text[bit] == "1" for text in column]) for column in zip(*texts, strict=True)]
         for bit in range(bits)]
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["skip_over_shift", "sp", "resnet", "vgg"])
def test_activity_is_what_the_golden_executor_fetches(kind):
    width = 3 if kind in ("resnet", "vgg") else 12
    net = random_net(kind, 3, width=width, depth=1, side=32, act_bits=4, classes=3)
    found = measure(net, images=1)
    wanted = fetched(net, zoo_images()[0][:1])
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            by_hand = activity_by_hand(wanted[layer.name], layer.act_bits)
            activity = found[layer.name].activity
            assert np.array_equal(activity.driven, by_hand)
            assert not np.array_equal(activity.driven[::-1], by_hand)
            rows = wanted[layer.name].size * layer.act_bits
            assert (activity.reads, activity.images, activity.counted) == (rows, 1, False)
            assert activity.mean() == by_hand.sum() / rows


def test_activity_follows_the_images():
    one, all_of_them = measure(ZOO, images=1), measure(ZOO, images=48)
    assert one.keys() == all_of_them.keys()
    for name, found in all_of_them.items():
        driven = found.activity.driven
        assert driven.shape == (8, len(found.weights))
        assert 0 <= driven.min() <= driven.max() <= found.activity.reads // driven.size
        assert not np.array_equal(driven, one[name].activity.driven)
        # The two highest planes are alike where few values are large: both are the sign.
    assert all_of_them["head"].activity.driven[7].mean() < 0.1 * 48


def test_pruned_pages_are_found():
    layers = tuple(
        dataclasses.replace(layer, weights=np.full_like(layer.weights, layer.zero_point))
        if layer.name == "body.0.first"
        else layer
        for layer in ZOO.layers
    )
    found = measure(dataclasses.replace(ZOO, layers=layers), images=1)
    assert not found["body.0.first"].stored(64, 64, 2).any()
    assert found["body.0.second"].stored(64, 64, 2).all()


def test_refuses_more_images_than_there_are():
    for images, message in ((0, "not 0"), (49, "not 49")):
        rule = f"images must be an integer from 1 to 48, {message}"
        with pytest.raises(ParameterError, match=f"^{re.escape(rule)}$"):
            measure(ZOO, images=images)


CELL_ENERGY = (0.079, 0.36, 0.73, 1.49)


def gated(activity=None):
    """Return a layer of two row tiles and three column groups, whose registers keep some rows."""
    rng = np.random.default_rng(7)
    weights = np.full((128, 40), 128, np.uint8)
    kept = np.zeros(weights.shape, bool)
    for (tile, group), count in {(0, 0): 20, (0, 1): 64, (0, 2): 30, (1, 1): 5}.items():
        seed = page_seed(64, 4, tile, group)
        mask = LfsrMask(positions=64, count=count, seed=seed).kept()
        kept[64 * tile : 64 * tile + 64, 16 * group : 16 * group + 16] |= mask[:, None]
    weights[kept] = rng.integers(129, 256, kept.sum())
    found = dataclasses.replace(statistics(weights), activity=activity)
    return found, kept


@pytest.mark.parametrize("measured", [False, True])
def test_gated_rows_take_nothing_and_absent_pages_are_not_counted(measured):
    driven_rows = np.random.default_rng(1).integers(0, 100, (8, 128))
    activity = Activity(driven=driven_rows, reads=100 * 8 * 128, images=1) if measured else None
    found, kept = gated(activity)
    driven, everything = 0.0, 0.0
    for row, output in np.ndindex(*found.weights.shape):
        digits = [int(found.weights[row, output]) >> low & 3 for low in (0, 2, 4, 6)]
        energy = sum(CELL_ENERGY[digit] for digit in digits)
        energy *= int(driven_rows[:, row].sum()) if measured else 1
        driven += energy * kept[row, output]
        everything += energy * (row < 64 or 16 <= output < 32)
    options = {"array_rows": 64, "array_columns": 64}
    share = found.driven_share(CELL_ENERGY, layer=4, **options)
    assert share == pytest.approx(driven / everything)
    # The register of another layer gates hardly anything; dense weights have nothing to gate.
    assert found.driven_share(CELL_ENERGY, layer=5, **options) > share + 0.1
    dense = statistics(np.random.default_rng(2).integers(0, 128, (64, 32)))
    assert dense.driven_share(CELL_ENERGY, layer=0, **options) == 1
