# SPDX-License-Identifier: Apache-2.0
"""Masks of pages, found again in the weights: by their register alone."""

import numpy as np
import pytest
from intnets import change, masked, random_net

from hw.lfsr_params import LfsrMask, page_seed
from hw.plan import plan
from hw.row_masks import gates, row_masks

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


def layers_of(net):
    return [layer for layer in net.layers if layer.name != "pool"]


def made(count, **options):
    """A network of two row tiles, six column groups of four outputs, of which some are masked."""
    net = random_net(
        "residual", 4, **{"width": 24, "depth": 1, "side": 8, "array_rows": 12} | options
    )
    return masked(net, 4, count)


def test_where_a_row_is_gated_every_layer_has_masks():
    net = made(lambda layer, tile, group, rows: 5 if (layer, tile, group) == (1, 1, 2) else rows)
    stem, first, second, head = gates(net, layers_of(net), 4)
    assert [len(masks) for masks in (stem, first, second, head)] == [6, 6, 6, 3]
    assert [len(masks[0]) for masks in (stem, first, second, head)] == [1, 2, 2, 2]
    assert first[2][1] == LfsrMask(positions=12, count=5, seed=page_seed(12, 1, 1, 2))
    counts = [mask.count for masks in (stem, first, second, head) for row in masks for mask in row]
    assert sorted(counts)[:2] == [5, 12]
    params = plan(net, columns=16, columns_per_adc=4, mode="fused")
    assert (params.tile.masks, params.layers[1].masks) == (6, first)


def half(layer, tile, group, rows):
    return rows // 2


@pytest.mark.parametrize(
    ("count", "options"),
    [
        (lambda layer, tile, group, rows: rows, {}),  # dense
        (lambda layer, tile, group, rows: 0 if group == 1 else rows, {}),  # pages absent, no more
        (half, {"adc_bits": 5}),  # 12 cells of 2 bits: 36 is more than 31
    ],
    ids=["dense", "absent", "saturating"],
)
def test_nothing_is_gated(count, options):
    net = made(count, **options)
    assert gates(net, layers_of(net), 4) == [()] * 4


def test_nothing_is_gated_if_a_layer_has_more_column_groups_than_there_are_masks():
    for width, gated in ((256, True), (257, False)):
        net = random_net("residual", 4, width=width, depth=1, side=4, array_rows=257, adc_bits=10)
        weights = np.full((width, width), net.layers[1].zero_point, np.uint8)
        weights[:5] = 1
        net = change(net, "body.0.first", weights=weights)
        assert any(gates(net, layers_of(net), 1)) == gated


@pytest.mark.parametrize(("rows", "gated"), [(4, True), (3, False)])
def test_nothing_is_gated_if_a_layer_has_too_few_rows_for_a_register(rows, gated):
    net = random_net("residual", 4, width=12, depth=1, side=8, array_rows=rows)
    weights = np.full((12, 12), net.layers[1].zero_point, np.uint8)
    weights[0] = 1
    net = change(net, "body.0.first", weights=weights)
    assert any(gates(net, layers_of(net), 4)) == gated


def test_adcs_may_be_as_narrow_as_is_lossless():
    net = made(half, adc_bits=6)
    assert all(gates(net, layers_of(net), 4))
