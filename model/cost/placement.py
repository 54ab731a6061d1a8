# SPDX-License-Identifier: Apache-2.0
"""Where layers lie on a chip, and how much of it they use: what `model.cost.mapping` finds.

A leaf.
"""

from __future__ import annotations

import dataclasses

from model.cost.layers import Layer

__all__ = ["ChipMapping", "LayerMapping"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerMapping:
    """Where a layer lies.

    Parameters
    ----------
    layer : Layer
    weight_bits, act_bits : int
        Those of an integer network, else the configuration's.
    rows, columns : int
        R and C, cells of the layer's matrix, all groups together.
    array_rows, array_columns : int
        Of a crossbar.
    tiles : int
        Tiles that it owns; 0 if the mapping has none.
    row_tiles, column_tiles : int
        Of which so many lie below and beside each other: tiles is their product.
    tile_row_copies, tile_column_copies, pe_row_copies, pe_column_copies : int
        Copies that fit at each level.
    row_arrays, column_arrays : int
        Arrays that one copy of the matrix spans: ⌈R/array_rows⌉ and ⌈C/array_columns⌉.
    arrays : int
        Arrays that one copy is stored in; fewer than their product where some hold no weight, 0
        where none does.
    used_cells : int
        Cells of one copy that store a weight.
    owned_cells : int
        Cells of all that the layer owns.
    positions : int
        Vectors an image.
    """

    layer: Layer
    weight_bits: int
    act_bits: int
    rows: int
    columns: int
    array_rows: int
    array_columns: int
    tiles: int
    row_tiles: int
    column_tiles: int
    tile_row_copies: int
    tile_column_copies: int
    pe_row_copies: int
    pe_column_copies: int
    row_arrays: int
    column_arrays: int
    arrays: int
    used_cells: int
    owned_cells: int
    positions: int

    @property
    def row_copies(self) -> int:
        """Copies below each other."""
        return self.tile_row_copies * self.pe_row_copies

    @property
    def column_copies(self) -> int:
        """Copies beside each other."""
        return self.tile_column_copies * self.pe_column_copies

    @property
    def copies(self) -> int:
        """Copies of the layer, which work on as many vectors at a time."""
        return self.row_copies * self.column_copies

    @property
    def array_cells(self) -> int:
        """Cells of the arrays that one copy is stored in."""
        return self.arrays * self.array_rows * self.array_columns

    @property
    def utilisation(self) -> float:
        """Share of the owned cells that are used, copies included: the papers' figure."""
        return _share(self.copies * self.used_cells, self.owned_cells)

    @property
    def unique_utilisation(self) -> float:
        """Share of the owned cells that hold a weight which no other cell holds."""
        return _share(self.used_cells, self.owned_cells)

    @property
    def array_utilisation(self) -> float:
        """Share of the cells of the arrays of one copy that are used."""
        return _share(self.used_cells, self.array_cells)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChipMapping:
    """Where a network lies.

    Parameters
    ----------
    network : str
    layers : tuple of LayerMapping
    tile_side, pe_side : int
        T and P, cells; 0 if the mapping has no tiles.
    notes : tuple of str
        What was done differently than asked for, and why.
    """

    network: str
    layers: tuple[LayerMapping, ...]
    tile_side: int
    pe_side: int
    notes: tuple[str, ...] = ()

    @property
    def tiles(self) -> int:
        """Tiles of the chip."""
        return sum(layer.tiles for layer in self.layers)

    @property
    def arrays(self) -> int:
        """Arrays that one copy of the network is stored in."""
        return sum(layer.arrays for layer in self.layers)

    @property
    def owned_cells(self) -> int:
        """Cells of all that the network owns."""
        return sum(layer.owned_cells for layer in self.layers)

    @property
    def utilisation(self) -> float:
        """Share of the owned cells that are used, copies included: the papers' figure.

        Which is the mean of the layers', weighted with their tiles.
        """
        used = sum(layer.copies * layer.used_cells for layer in self.layers)
        return _share(used, self.owned_cells)

    @property
    def unique_utilisation(self) -> float:
        """Share of the owned cells that hold a weight which no other cell holds."""
        return _share(sum(layer.used_cells for layer in self.layers), self.owned_cells)

    @property
    def array_utilisation(self) -> float:
        """Share of the cells of the arrays of one copy that are used."""
        cells = sum(layer.array_cells for layer in self.layers)
        return _share(sum(layer.used_cells for layer in self.layers), cells)


def _share(used: int, cells: int) -> float:
    """Return the share of cells that are used; 0 where none is placed."""
    return used / cells if cells else 0.0
