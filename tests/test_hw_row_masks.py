# SPDX-License-Identifier: Apache-2.0
"""Masks of pages, found again in the weights: by their register alone."""

import numpy as np
import pytest

from hw.lfsr_params import LfsrMask, page_seed
from hw.row_masks import row_masks

Z = 128


def masked_weights(rng, *, layer, count):
    """Weights [128, 40], pages of 64×16, of whose rows a register keeps ``count``."""
    weights = np.full((128, 40), Z, np.uint8)
    for tile in range(2):
        for group in range(3):
            kept = LfsrMask(
                positions=64, count=count, seed=page_seed(64, layer, tile, group)
            ).kept()
            page = weights[64 * tile : 64 * tile + 64, 16 * group : 16 * group + 16]
            page[kept] = rng.integers(129, 256, page[kept].shape)
    return weights


@pytest.mark.parametrize("count", [0, 1, 24, 64])
def test_the_mask_of_training_is_found_again(count):
    weights = masked_weights(np.random.default_rng(count), layer=5, count=count)
    found = row_masks(weights, Z, layer=5, rows=64, outputs=16)
    assert [len(groups) for groups in found] == [3, 3]
    assert {mask.count for groups in found for mask in groups} == {count}
    for tile, groups in enumerate(found):
        for group, mask in enumerate(groups):
            page = weights[64 * tile : 64 * tile + 64, 16 * group : 16 * group + 16]
            assert np.array_equal(mask.kept(), (page != Z).any(1))


def test_masks_never_gate_a_weight_that_counts():
    rng = np.random.default_rng(1)
    weights = masked_weights(rng, layer=2, count=20)
    weights[rng.integers(0, 128, 30), rng.integers(0, 40, 30)] = 1
    for tile, groups in enumerate(row_masks(weights, Z, layer=2, rows=64, outputs=16)):
        for group, mask in enumerate(groups):
            page = weights[64 * tile : 64 * tile + 64, 16 * group : 16 * group + 16]
            assert np.all(page[~mask.kept()] == Z)


def test_the_mask_of_another_layer_or_moved_by_a_row_gates_hardly_anything():
    weights = masked_weights(np.random.default_rng(3), layer=7, count=24)
    counts = [
        mask.count
        for other in (row_masks(weights, Z, layer=8, rows=64, outputs=16),
                      row_masks(np.roll(weights, 1, 0), Z, layer=7, rows=64, outputs=16))
        for groups in other for mask in groups
    ]  # fmt: skip
    assert min(counts) > 36
    assert np.mean(counts) > 55


def test_dense_weights_keep_all_rows_and_tiny_pages_have_no_mask():
    dense = np.full((70, 16), 3, np.uint8)
    (first,), (last,) = row_masks(dense, Z, layer=0, rows=64, outputs=16)
    assert first.count == 64
    assert (last.positions, last.count, last.width) == (6, 6, 3)
    assert row_masks(dense[:3], Z, layer=0, rows=64, outputs=16) == ((None,),)
