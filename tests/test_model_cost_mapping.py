# SPDX-License-Identifier: Apache-2.0
"""Layers on tiles and crossbars, against cases by hand and the reference simulator's figures."""

import dataclasses
import math
import re

import numpy as np
import pytest
from costs import config, conv, network
from hypothesis import given
from hypothesis import strategies as st

from hw.params import ParameterError
from model.cost import mapping
from model.cost.mapping import choose_tile_side, map_network
from model.cost.networks import named
from model.cost.statistics import Statistics

# Runs of DNN+NeuroSim V1.3, state of November 2022: network, side of a crossbar, bits of a cell,
# utilisation that it printed. Node, converter and columns a converter do not change it.
RUNS = (
    ("psp_128_8", 64, 2, 93.4028),
    ("psp_256_8", 64, 2, 94.2857),
    ("shiftresnet110", 64, 2, 57.1847),
    ("psp_64_4", 64, 2, 88.125),
    ("psp_128_4", 64, 2, 88.125),
    ("psp_128_4", 128, 2, 84.0625),
    ("psp_128_4", 64, 1, 89.4737),
    ("psp_256_12", 64, 2, 96.078),
    ("psp_256_16", 64, 2, 97.015),
    ("sp_256_24", 64, 2, 96.078),
    ("vgg8", 32, 2, 99.398),
    ("densenet40_12_dense", 32, 2, 60.531),
    ("resnet110", 64, 2, 65.07),
    ("vgg8", 64, 2, 96.81),
    ("densenet40_12", 64, 2, 59.72),
    ("psp_256_16", 256, 2, 94.715),
    ("psp_256_12", 256, 2, 93.089),
)

matrices = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(1, 1000)), min_size=1, max_size=6
)  # fmt: skip
sides = st.sampled_from([2**power for power in range(1, 10)])


def layers(sizes, **values):
    return network(*(conv(r, c, name=f"l{i}", **values) for i, (r, c) in enumerate(sizes)))


def misses():
    """Return how many of the reference figures are more than 0.01 % off."""
    return sum(
        abs(100 * map_network(named(name), config(side, cell_bits=bits)).utilisation - wanted)
        >= 0.01
        for name, side, bits, wanted in RUNS
    )


def test_gives_the_utilisation_of_every_reference_run():
    assert misses() == 0


def halved_once_too_often(sizes, rows, columns):
    return choose_tile_side(sizes, rows / 2, columns / 2)


@pytest.mark.parametrize(
    ("function", "fault", "missed"),
    [
        ("_copies", lambda size, outer, inner: 1, 17),
        ("_copies", lambda size, outer, inner: max(1, outer // size), 17),
        ("choose_tile_side", lambda sizes, rows, columns: 4 * rows, 10),
        ("choose_tile_side", halved_once_too_often, 10),
    ],
)
def test_the_reference_figures_catch_another_formula(monkeypatch, function, fault, missed):
    monkeypatch.setattr(mapping, function, fault)
    assert misses() == missed


def test_a_pointwise_layer_by_hand():
    # 256 rows by 256·4 = 1024 columns of cells. Sides from 1024: one tile of 1024² holds it, two of
    # 512² do, too, and are half the cells; 256 would not be above 4·64. So T = 512, P = 256.
    # In a tile, the 256 rows are one PE of the two below each other: 2 copies; its 512 columns
    # two PEs of two: 1. In a PE, the rows are 4 crossbars of 4: 1; so are the columns.
    # 2 copies of 256·1024 cells fill 2·512².
    chip = map_network(network(conv(256, 256)), config())
    (layer,) = chip.layers
    assert (chip.tile_side, chip.pe_side, chip.tiles) == (512, 256, 2)
    assert (layer.row_tiles, layer.column_tiles) == (1, 2)
    assert (layer.tile_row_copies, layer.tile_column_copies) == (2, 1)
    assert (layer.pe_row_copies, layer.pe_column_copies) == (1, 1)
    assert (layer.row_copies, layer.column_copies, layer.copies) == (2, 1, 2)
    assert (layer.used_cells, layer.owned_cells) == (256 * 1024, 2 * 512**2)
    assert (layer.row_arrays, layer.column_arrays, layer.arrays) == (4, 16, 64)
    assert layer.utilisation == 1
    assert layer.unique_utilisation == 0.5
    assert layer.array_utilisation == 1
    assert layer.positions == 256
    assert chip.notes == ()


def test_a_head_by_hand():
    # 256 rows by 10·4 = 40 columns. The smallest tile, 4·64 = 256, is also the first; P = 128.
    # Rows: both PEs of a tile below each other, both crossbars of a PE: 1 copy. Columns: 2 PEs
    # beside each other, 2 crossbars each: 4 copies of 256·40 cells in 256².
    chip = map_network(network(conv(256, 10)), config())
    (layer,) = chip.layers
    assert (chip.tile_side, layer.tiles) == (256, 1)
    assert (layer.row_copies, layer.tile_column_copies, layer.pe_column_copies) == (1, 2, 2)
    assert layer.utilisation == 4 * 256 * 40 / 256**2 == 0.625
    assert layer.array_utilisation == 40 / 64
    (note,) = chip.notes
    assert note == (
        "small network: the widest layer has 40 columns of cells, at most half of the smallest "
        "tile, 4·64 = 256; each layer owns such tiles all the same"
    )


@pytest.mark.parametrize(("outputs", "small"), [(31, True), (32, True), (33, False)])
def test_says_where_a_network_is_small(outputs, small):
    # 32 outputs are 128 columns, which would fill tiles of 2·64.
    notes = map_network(network(conv(64, outputs)), config()).notes
    assert [note.startswith("small network: ") for note in notes] == [True] * small
    assert map_network(network(conv(64, outputs)), config(mapping="array")).notes == ()


@pytest.mark.parametrize("depth", [1, 2, 8, 16, 256])
def test_psp_networks_follow_their_closed_forms(depth):
    # In tiles of 512²: a pointwise layer of width 256 fills 2, stem and head 0.375 of 2 and 0.625
    # of 1; of width 128 a layer fills 1, stem and head 3/16 and 10/16 of 1 each.
    count = 2 * depth
    wide = map_network(named(f"psp_256_{depth}"), config())
    assert wide.utilisation == pytest.approx((count + 1 / 2) / (count + 3 / 2), rel=1e-12)
    narrow = map_network(named(f"psp_128_{depth}"), config())
    assert narrow.utilisation == pytest.approx((count + 13 / 16) / (count + 2), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("psp_256_16", (97.01, 47.89, 99.30)),
        ("resnet110", (65.07, 48.22, 96.01)),
        ("vgg8", (96.81, 96.10, 99.92)),
        ("densenet40_12", (59.72, 18.00, 71.99)),
    ],
)
def test_three_definitions(name, wanted):
    chip = map_network(named(name), config())
    found = (chip.utilisation, chip.unique_utilisation, chip.array_utilisation)
    assert [100 * share for share in found] == pytest.approx(wanted, abs=0.01)
    arrays = map_network(named(name), config(mapping="array"))
    assert arrays.utilisation == arrays.unique_utilisation == chip.array_utilisation
    assert (arrays.tile_side, arrays.tiles, arrays.arrays) == (0, 0, chip.arrays)


@given(matrices, sides, st.integers(1, 8))
def test_shares_stay_within_what_is_owned(sizes, side, bits):
    net, point = layers(sizes), config(side, cell_bits=bits, columns_per_adc=1)
    for how in ("reference", "array"):
        chip = map_network(net, dataclasses.replace(point, mapping=how))
        for layer in chip.layers:
            assert layer.copies * layer.rows * layer.columns <= layer.owned_cells
            assert layer.used_cells <= layer.array_cells
            assert 0 < layer.unique_utilisation <= layer.utilisation <= 1
        assert 0 < chip.unique_utilisation <= chip.utilisation <= 1
        assert chip.unique_utilisation <= chip.array_utilisation <= 1
        assert chip.arrays == sum(layer.arrays for layer in chip.layers)


@given(matrices, sides)
def test_is_the_formula_as_it_was_found(sizes, side):
    # The facts' own words: copies only where a matrix fits in one direction at least, and the mean
    # of the layers' utilisation weighted with their tiles.
    cells = [(rows, 4 * outputs) for rows, outputs in sizes]
    tile = choose_tile_side(cells, side, side)
    pe = tile // 2
    total = tiles = 0
    for rows, columns in cells:
        copies = 1
        for outer, inner in ((tile, pe), (pe, side)):
            if rows <= outer or columns <= outer:
                copies *= max(1, math.floor((outer / inner) / math.ceil(rows / inner)))
                copies *= max(1, math.floor((outer / inner) / math.ceil(columns / inner)))
        owned = math.ceil(rows / tile) * math.ceil(columns / tile)
        total += copies * rows * columns / (owned * tile**2) * owned
        tiles += owned
    chip = map_network(layers(sizes), config(side, columns_per_adc=1))
    assert chip.tiles == tiles
    assert chip.utilisation == pytest.approx(total / tiles, rel=1e-12)


@given(matrices, sides)
def test_the_tile_is_the_best_of_those_in_reach(sizes, side):
    widest = max(columns for _, columns in sizes)
    tile = choose_tile_side(sizes, side, side)
    owned = {
        each: sum(-(-r // each) * -(-c // each) for r, c in sizes) * each**2
        for each in (2**power for power in range(25))
        if each > 4 * side or each == tile == 4 * side
    }
    within = {each: cells for each, cells in owned.items() if each <= max(tile, 2 * widest - 1)}
    assert owned[tile] == min(within.values())
    assert tile >= 4 * side


@given(st.integers(1, 3000), st.integers(1, 300), sides)
def test_a_larger_layer_never_needs_fewer_crossbars(rows, outputs, side):
    def arrays(rows, outputs):
        point = config(side, mapping="array", columns_per_adc=1)
        return map_network(layers([(rows, outputs)]), point).arrays

    assert arrays(rows + 1, outputs) >= arrays(rows, outputs) <= arrays(rows, outputs + 1)


def test_crossbars_need_not_be_square():
    # 100 rows by 40 columns: 2 crossbars of 64×128; tiles of 4·128, PEs of 256, which hold
    # ⌊4/2⌋ copies below and ⌊2/1⌋ beside each other, four PEs a tile.
    point = config(array_columns=128)
    chip = map_network(network(conv(100, 10)), point)
    (layer,) = chip.layers
    assert (chip.tile_side, layer.arrays) == (512, 2)
    assert (layer.pe_row_copies, layer.pe_column_copies, layer.copies) == (2, 2, 16)


def test_counts_vectors_with_and_without_padding():
    net = network(conv(3, 16, kernel=3, side=32))
    for counting, positions in (("exact", 1024), ("reference", 900)):
        chip = map_network(net, config(counting=counting))
        assert chip.layers[0].positions == positions


def test_groups_lie_on_the_diagonal():
    # 96 groups of 9 rows by 4 cells: 7 beside each other fill the 64 rows of a crossbar.
    depthwise = network(conv(96, 96, kernel=3, groups=96))
    exact = map_network(depthwise, config(mapping="array"))
    assert exact.arrays == math.ceil(96 / 7)
    assert exact.layers[0].used_cells == 96 * 9 * 4
    # 16 groups of 4 rows by 32 cells: 2 fill the 64 columns.
    wide = network(conv(64, 128, groups=16))
    assert map_network(wide, config(mapping="array")).arrays == 8
    # 2 groups of 450 rows by 200 cells: none fits, each has 8 by 4 crossbars.
    grouped = network(conv(100, 100, kernel=3, groups=2))
    assert map_network(grouped, config(mapping="array")).arrays == 2 * 8 * 4
    stored = map_network(depthwise, config())
    assert stored.layers[0].rows == 864
    assert stored.layers[0].used_cells == 96 * 9 * 4
    assert stored.notes == ("grouped layers are stored as block-diagonal matrices, zeros included",)


def with_weights(weights, **values):
    statistics = Statistics(
        **{"weights": weights, "weight_bits": 8, "act_bits": 8, "zero_point": 128,
           "activity": None} | values
    )  # fmt: skip
    rows, outputs = weights.shape
    return network(conv(rows, outputs, statistics=statistics))


def test_pruned_crossbars_are_not_placed():
    # 100 rows by 40·4 cells: 2 by 3 crossbars of 64, the last of 36 rows and 32 columns.
    weights = np.full((100, 40), 128, np.uint8)
    weights[64:, 32:] = 5
    weights[0, 0] = 5
    point = config(mapping="array")
    chip = map_network(with_weights(weights), point)
    (layer,) = chip.layers
    assert (layer.row_arrays, layer.column_arrays, layer.arrays) == (2, 3, 2)
    assert layer.used_cells == 64 * 64 + 36 * 32
    assert layer.owned_cells == 2 * 64 * 64
    assert chip.notes == ("4 arrays are not placed, since all their weights are 0",)
    assert map_network(with_weights(weights), config()).arrays == 6
    # Nothing is pruned if the same numbers count from another zero point.
    assert map_network(with_weights(weights, zero_point=0), point).arrays == 6


def test_a_layer_without_weights_has_no_crossbar():
    chip = map_network(with_weights(np.full((100, 40), 128, np.uint8)), config(mapping="array"))
    assert (chip.arrays, chip.owned_cells, chip.layers[0].unique_utilisation) == (0, 0, 0)
    assert (chip.utilisation, chip.unique_utilisation, chip.array_utilisation) == (0, 0, 0)


def test_an_integer_network_keeps_its_bits():
    weights = np.ones((64, 16), np.uint8)
    chip = map_network(with_weights(weights, weight_bits=4, act_bits=5), config())
    (layer,) = chip.layers
    assert (layer.weight_bits, layer.act_bits, layer.columns) == (4, 5, 32)
    assert chip.notes[:2] == (
        "weight_bits is 4, as in the network, not 8",
        "act_bits is 5, as in the network, not 8",
    )
    (layer,) = map_network(network(conv(64, 16)), config()).layers
    assert (layer.weight_bits, layer.act_bits, layer.columns) == (8, 8, 64)


def test_the_reference_has_no_other_sides_than_powers_of_two():
    message = "array_columns must be a power of two with the reference mapping, not 96"
    with pytest.raises(ParameterError, match=re.escape(message)):
        map_network(named("psp_64_4"), config(array_columns=96))
    assert map_network(named("psp_64_4"), config(array_columns=96, mapping="array")).arrays


def test_widths_of_a_million_are_mapped():
    chip = map_network(layers([(1 << 20, 1 << 20)], side=1), config())
    assert chip.arrays == (1 << 20) // 64 * ((1 << 22) // 64)
