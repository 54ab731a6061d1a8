# SPDX-License-Identifier: Apache-2.0
"""Where in its tiles or arrays a layer's cells lie: which are used, copied, idle.

Drawn by `model.cost.report`; areas are those that `model.cost.placement` counts. A leaf.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from model.cost.placement import ChipMapping, LayerMapping

__all__ = ["Occupancy", "Rectangle", "occupancy"]


class Rectangle(NamedTuple):
    """Cells, from the top left corner of what a layer owns."""

    top: int
    left: int
    height: int
    width: int

    @property
    def cells(self) -> int:
        """How many they are."""
        return self.height * self.width

    def moved(self, down: int, along: int) -> Rectangle:
        """Return the same elsewhere."""
        return self._replace(top=self.top + down, left=self.left + along)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Occupancy:
    """The cells of a layer; what is in no list is idle.

    Parameters
    ----------
    height, width : int
        Of the whole.
    block : int
        Side of a tile, or 0.
    array_rows, array_columns : int
        Of a crossbar.
    used : tuple of Rectangle
        The weights, once.
    copied : tuple of Rectangle
        Copies of them.
    absent : tuple of Rectangle
        Crossbars that are not there.
    """

    height: int
    width: int
    block: int
    array_rows: int
    array_columns: int
    used: tuple[Rectangle, ...]
    copied: tuple[Rectangle, ...]
    absent: tuple[Rectangle, ...]


def occupancy(layer: LayerMapping, chip: ChipMapping) -> Occupancy:
    """Return where the cells of a layer lie.

    Parameters
    ----------
    layer : LayerMapping
    chip : ChipMapping
        That it is part of.
    """
    if chip.tile_side:
        return _in_tiles(layer, chip)
    return _in_arrays(layer) if layer.layer.shape.groups == 1 else _groups(layer)


def _in_tiles(layer: LayerMapping, chip: ChipMapping) -> Occupancy:
    """Place copies: they begin at whole arrays in a PE, and at whole PEs in a tile."""
    groups, pe = layer.layer.shape.groups, chip.pe_side
    rows, columns = layer.rows // groups, layer.columns // groups
    weights = [Rectangle(n * rows, n * columns, rows, columns) for n in range(groups)]
    downs = [
        tile * -(-layer.rows // pe) * pe + inner * layer.row_arrays * layer.array_rows
        for tile in range(layer.tile_row_copies)
        for inner in range(layer.pe_row_copies)
    ]
    alongs = [
        tile * -(-layer.columns // pe) * pe + inner * layer.column_arrays * layer.array_columns
        for tile in range(layer.tile_column_copies)
        for inner in range(layer.pe_column_copies)
    ]
    copies = [(down, along) for down in downs for along in alongs]
    return Occupancy(
        height=layer.row_tiles * chip.tile_side,
        width=layer.column_tiles * chip.tile_side,
        block=chip.tile_side,
        array_rows=layer.array_rows,
        array_columns=layer.array_columns,
        used=tuple(weights),
        copied=tuple(each.moved(*copy) for copy in copies[1:] for each in weights),
        absent=(),
    )


def _in_arrays(layer: LayerMapping) -> Occupancy:
    """Place one copy; arrays whose weights are all 0 are absent."""
    down, along = layer.array_rows, layer.array_columns
    statistics = layer.layer.statistics
    used, absent = [Rectangle(0, 0, layer.rows, layer.columns)], []
    if layer.arrays < layer.row_arrays * layer.column_arrays and statistics is not None:
        cell_bits = -(-layer.weight_bits // (layer.columns // layer.layer.outputs))
        stored = statistics.stored(down, along, cell_bits)
        arrays = {
            (row, column): Rectangle(row * down, column * along, down, along)
            for row, column in np.ndindex(stored.shape)
        }
        used = [
            each._replace(
                height=min(down, layer.rows - each.top),
                width=min(along, layer.columns - each.left),
            )
            for place, each in arrays.items()
            if stored[place]
        ]
        absent = [each for place, each in arrays.items() if not stored[place]]
    return _without_tiles(
        layer,
        height=layer.row_arrays * down,
        width=layer.column_arrays * along,
        used=used,
        absent=absent,
    )


def _groups(layer: LayerMapping) -> Occupancy:
    """Place groups on the diagonal of an array, or of several; these beside each other."""
    groups = layer.layer.shape.groups
    rows, columns = layer.rows // groups, layer.columns // groups
    together = max(1, min(layer.array_rows // rows, layer.array_columns // columns))
    height = -(-rows // layer.array_rows) * layer.array_rows
    width = -(-columns // layer.array_columns) * layer.array_columns
    units = -(-groups // together)
    side = math.isqrt(units - 1) + 1
    down = -(-units // side)
    places = [
        Rectangle(unit // side * height, unit % side * width, height, width)
        for unit in range(down * side)
    ]
    used = [
        Rectangle(n % together * rows, n % together * columns, rows, columns).moved(
            *places[n // together][:2]
        )
        for n in range(groups)
    ]
    return _without_tiles(
        layer, height=down * height, width=side * width, used=used, absent=places[units:]
    )


def _without_tiles(
    layer: LayerMapping, *, height: int, width: int, used: list[Rectangle], absent: list[Rectangle]
) -> Occupancy:
    return Occupancy(
        height=height,
        width=width,
        block=0,
        array_rows=layer.array_rows,
        array_columns=layer.array_columns,
        used=tuple(used),
        copied=(),
        absent=tuple(absent),
    )
