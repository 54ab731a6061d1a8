# SPDX-License-Identifier: Apache-2.0
"""Layers on crossbars that are not square, field by field; bits that differ from layer to layer."""

import dataclasses

import numpy as np
import pytest
from costs import config, conv, network

from hw.params import ParameterError
from model.cost.mapping import choose_tile_side, map_network
from model.cost.statistics import Statistics

WIDE = config(array_columns=128)  # 64 rows by 128 columns, 4 cells a weight


def fields(layer):
    found = dataclasses.asdict(layer)
    return {name: found[name] for name in found if name != "layer"}


def test_every_field_of_layers_on_wide_crossbars():
    chip = map_network(network(conv(60, 15), conv(100, 25)), WIDE)
    assert (chip.tile_side, chip.pe_side) == (512, 256)
    # 60 by 60 cells: one crossbar; 4 below and 2 beside each other in a PE, 2 by 2 of these.
    assert fields(chip.layers[0]) == {
        "weight_bits": 8, "act_bits": 8, "rows": 60, "columns": 60,
        "array_rows": 64, "array_columns": 128,
        "tiles": 1, "row_tiles": 1, "column_tiles": 1,
        "tile_row_copies": 2, "tile_column_copies": 2, "pe_row_copies": 4, "pe_column_copies": 2,
        "row_arrays": 1, "column_arrays": 1, "arrays": 1,
        "used_cells": 3600, "owned_cells": 512**2, "positions": 256,
    }  # fmt: skip
    assert (chip.layers[1].row_arrays, chip.layers[1].column_arrays) == (2, 1)


def test_every_field_of_layers_in_their_own_wide_crossbars():
    chip = map_network(
        network(conv(60, 15), conv(100, 25)), dataclasses.replace(WIDE, mapping="array")
    )
    assert (chip.tile_side, chip.pe_side, chip.notes) == (0, 0, ())
    # 100 by 100 cells: two crossbars below each other.
    assert fields(chip.layers[1]) == {
        "weight_bits": 8, "act_bits": 8, "rows": 100, "columns": 100,
        "array_rows": 64, "array_columns": 128,
        "tiles": 0, "row_tiles": 0, "column_tiles": 0,
        "tile_row_copies": 1, "tile_column_copies": 1, "pe_row_copies": 1, "pe_column_copies": 1,
        "row_arrays": 2, "column_arrays": 1, "arrays": 2,
        "used_cells": 10000, "owned_cells": 2 * 64 * 128, "positions": 256,
    }  # fmt: skip


def statistics(weights, **values):
    known = {"weight_bits": 8, "act_bits": 8, "zero_point": 0, "activity": None}
    return Statistics(**{"weights": weights, **known, **values})


def test_weights_on_wide_crossbars():
    # 100 rows by 40·4 cells: 2 by 2 crossbars, the last of 36 rows and 32 columns.
    weights = np.ones((100, 40), np.uint8)
    weights[:64, :32] = 0
    net = network(conv(100, 40, statistics=statistics(weights)))
    chip = map_network(net, dataclasses.replace(WIDE, mapping="array"))
    assert (chip.arrays, chip.layers[0].used_cells) == (3, 100 * 160 - 64 * 128)
    assert chip.notes == ("1 arrays are not placed, since all their weights are 0",)


def test_groups_on_wide_crossbars():
    arrays = dataclasses.replace(WIDE, mapping="array")
    # 9 rows by 4 cells: 64 // 9 = 7 beside each other. 4 rows by 32 cells: 128 // 32 = 4.
    for layer, wanted in (
        (conv(96, 96, kernel=3, groups=96), 14),
        (conv(64, 128, groups=16), 4),
    ):
        chip = map_network(network(layer), arrays)
        assert (chip.arrays, chip.notes) == (wanted, ())


def test_two_groups_are_grouped():
    note = "grouped layers are stored as block-diagonal matrices, zeros included"
    assert note in map_network(network(conv(64, 128, groups=2)), config()).notes
    assert note not in map_network(network(conv(64, 128)), config()).notes


def test_bits_that_differ_are_shown_by_layer():
    layers = [
        conv(16, 16, name=name, statistics=statistics(np.ones((16, 16), np.uint8), weight_bits=b))
        for name, b in (("a", 8), ("b", 4), ("c", 4), ("d", 6), ("e", 8), ("f", 8))
    ]
    notes = map_network(network(*layers), config(mapping="array")).notes
    assert notes == ("weight_bits is 8 (4 in b, c; 6 in d), as in the network, not 8",)


@pytest.mark.parametrize("name", ["array_rows", "array_columns"])
def test_a_side_that_is_no_power_of_two_is_named(name):
    with pytest.raises(ParameterError) as error:
        map_network(network(conv(16, 16)), config(**{name: 96}))
    rule = "must be a power of two with the reference mapping"
    assert str(error.value) == f"{name} {rule}, not 96"


def test_of_equal_tiles_the_larger_wins():
    # One tile of 1024² or four of 512² for 1024 by 513 cells; widths from 513 on begin at 1024.
    assert choose_tile_side([(1024, 513)], 64, 64) == 1024
    assert choose_tile_side([(513, 1024)], 64, 64) == 1024
    assert choose_tile_side([(1024, 512)], 64, 64) == 512


def test_tiles_are_halved_as_long_as_they_hold_more_than_four_crossbars():
    # 256 is above 4·48 and holds the matrix in two tiles, half the cells of one of 512.
    assert choose_tile_side([(256, 512)], 48, 48) == 256
    assert choose_tile_side([(256, 512)], 64, 64) == 512
