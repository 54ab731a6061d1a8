# SPDX-License-Identifier: Apache-2.0
"""Layers onto crossbars: how many tiles and arrays a network owns, and which cells it uses.

A layer is a matrix of R = cin·k² rows by C = cout·⌈weight_bits/cell_bits⌉ columns of cells. Two
ways to place it:

- ``reference``: as the simulator behind the tables of DATE 2024 does. A chip of equal tiles of T×T
  cells, of 2×2 processing elements (PE) of P×P = T/2×T/2, of arrays. A layer owns whole tiles, and
  what is left in them holds copies of it, which work in parallel.
- ``array``: a layer owns the arrays that it needs, and no more. Groups of a convolution lie on the
  diagonal; arrays whose weights are all pruned are not placed.

A leaf.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hw.params import ParameterError
from model.cost.config import Config
from model.cost.layers import Layer, Network
from model.cost.placement import ChipMapping, LayerMapping

__all__ = ["ChipMapping", "LayerMapping", "choose_tile_side", "map_network", "show_bits",
           "usual_bits"]  # fmt: skip


def map_network(network: Network, config: Config) -> ChipMapping:
    """Place a network on a chip.

    Parameters
    ----------
    network : Network
    config : Config
        Of which ``mapping``, ``counting``, array sides and the bits of cells and weights count.

    Raises
    ------
    ParameterError
        If the reference's chip has no tiles for such crossbars.
    """
    place = _reference if config.mapping == "reference" else _arrays
    chip = place(network, config)
    notes = []
    for name in ("weight_bits", "act_bits"):
        wanted = getattr(config, name)
        if any(getattr(layer, name) != wanted for layer in chip.layers):
            shown = show_bits(chip.layers, name)
            notes.append(f"{name} is {shown}, as in the network, not {wanted}")
    return dataclasses.replace(chip, notes=(*notes, *chip.notes))


def usual_bits(layers: Sequence[LayerMapping], name: str) -> int:
    """Return the ``weight_bits`` or ``act_bits`` of most layers."""
    bits: list[int] = [getattr(layer, name) for layer in layers]
    return statistics.mode(bits)


def show_bits(layers: Sequence[LayerMapping], name: str) -> str:
    """Return the ``weight_bits`` or ``act_bits`` of all layers, as a message shows them."""
    usual = usual_bits(layers, name)
    others: dict[int, list[str]] = {}
    for layer in layers:
        if (bits := getattr(layer, name)) != usual:
            others.setdefault(bits, []).append(layer.layer.name)
    shown = (f"{bits} in {', '.join(names)}" for bits, names in others.items())
    return f"{usual} ({'; '.join(shown)})" if others else str(usual)


def choose_tile_side(
    matrices: Sequence[tuple[int, int]], array_rows: int, array_columns: int
) -> int:
    """Return the side T of the tiles that the reference simulator gives a network.

    From the smallest power of two that holds the widest matrix, but at least four arrays, the side
    is halved as long as it stays above four arrays; the largest share of used cells wins, without
    copies, and of equals the larger side.

    Parameters
    ----------
    matrices : sequence of tuple of int
        R and C of each layer, in cells.
    array_rows, array_columns : int
        Of a crossbar.
    """
    least = 4 * max(array_rows, array_columns)
    side = max(least, 1 << (max(columns for _, columns in matrices) - 1).bit_length())
    sides = [side]
    while side // 2 > least:
        side //= 2
        sides.append(side)
    # The cells used are the same for every side: the fewest owned cells win.
    return min(sides, key=lambda side: side**2 * sum(_tiles(*each, side) for each in matrices))


def _tiles(rows: int, columns: int, side: int) -> int:
    return -(-rows // side) * -(-columns // side)


def _reference(network: Network, config: Config) -> ChipMapping:
    """Place a network in tiles of equal size, with copies."""
    sides = (config.array_rows, config.array_columns)
    for name, side in zip(("array_rows", "array_columns"), sides, strict=True):
        if side & (side - 1):
            raise ParameterError(
                f"{name} must be a power of two with the reference mapping, not {side}"
            )
    matrices = [_matrix(layer, config) for layer in network.layers]
    tile = choose_tile_side(matrices, *sides)
    pe = tile // 2
    notes = []
    if (widest := max(columns for _, columns in matrices)) <= tile // 2:
        notes.append(
            f"small network: the widest layer has {widest} columns of cells, at most half of the "
            f"smallest tile, 4·{max(sides)} = {tile}; each layer owns such tiles all the same"
        )
    if any(layer.shape.groups > 1 for layer in network.layers):
        notes.append("grouped layers are stored as block-diagonal matrices, zeros included")
    mapped = []
    for layer, (rows, columns) in zip(network.layers, matrices, strict=True):
        row_tiles, column_tiles = -(-rows // tile), -(-columns // tile)
        row_arrays, column_arrays = _spans(rows, columns, sides)
        mapped.append(
            LayerMapping(
                layer=layer,
                **_bits(layer, config),
                rows=rows,
                columns=columns,
                array_rows=sides[0],
                array_columns=sides[1],
                tiles=row_tiles * column_tiles,
                row_tiles=row_tiles,
                column_tiles=column_tiles,
                tile_row_copies=_copies(rows, tile, pe),
                tile_column_copies=_copies(columns, tile, pe),
                pe_row_copies=_copies(rows, pe, sides[0]),
                pe_column_copies=_copies(columns, pe, sides[1]),
                row_arrays=row_arrays,
                column_arrays=column_arrays,
                arrays=row_arrays * column_arrays,
                used_cells=rows * columns // layer.shape.groups,
                owned_cells=row_tiles * column_tiles * tile**2,
                positions=_positions(layer, config),
            )
        )
    return ChipMapping(
        network=network.name,
        layers=tuple(mapped),
        tile_side=tile,
        pe_side=pe,
        notes=tuple(notes),
    )


def _copies(size: int, outer: int, inner: int) -> int:
    """Return how often a matrix of that many cells fits beside itself, in whole inner blocks."""
    return max(1, outer // inner // -(-size // inner))


def _spans(rows: int, columns: int, sides: tuple[int, int]) -> tuple[int, int]:
    return -(-rows // sides[0]), -(-columns // sides[1])


def _bits(layer: Layer, config: Config) -> dict[str, int]:
    """Return the bits of a layer's weights and activations."""
    bits = config if layer.statistics is None else layer.statistics
    return {"weight_bits": bits.weight_bits, "act_bits": bits.act_bits}


def _matrix(layer: Layer, config: Config) -> tuple[int, int]:
    """Return R and C of a layer, in cells."""
    cells = -(-_bits(layer, config)["weight_bits"] // config.cell_bits)
    return layer.rows, layer.outputs * cells


def _positions(layer: Layer, config: Config) -> int:
    return layer.positions if config.counting == "exact" else layer.unpadded_positions


def _arrays(network: Network, config: Config) -> ChipMapping:
    """Place a network in the arrays that it needs."""
    mapped = [_owned_arrays(layer, config) for layer in network.layers]
    notes = []
    if pruned := sum(each.row_arrays * each.column_arrays - each.arrays for each in mapped
                     if each.layer.shape.groups == 1):  # fmt: skip
        notes.append(f"{pruned} arrays are not placed, since all their weights are 0")
    return ChipMapping(
        network=network.name, layers=tuple(mapped), tile_side=0, pe_side=0, notes=tuple(notes)
    )


def _owned_arrays(layer: Layer, config: Config) -> LayerMapping:
    rows, columns = _matrix(layer, config)
    sides = (config.array_rows, config.array_columns)
    row_arrays, column_arrays = _spans(rows, columns, sides)
    groups = layer.shape.groups
    used_cells = rows * columns // groups
    arrays = row_arrays * column_arrays
    if groups > 1:
        arrays = _diagonal(rows // groups, columns // groups, groups, sides)
    elif layer.statistics is not None:
        stored = layer.statistics.stored(*sides, config.cell_bits)
        arrays = int(stored.sum())
        used_cells = int(_parts(rows, sides[0]) @ stored @ _parts(columns, sides[1]))
    return LayerMapping(
        layer=layer,
        **_bits(layer, config),
        rows=rows,
        columns=columns,
        array_rows=sides[0],
        array_columns=sides[1],
        tiles=0,
        row_tiles=0,
        column_tiles=0,
        tile_row_copies=1,
        tile_column_copies=1,
        pe_row_copies=1,
        pe_column_copies=1,
        row_arrays=row_arrays,
        column_arrays=column_arrays,
        arrays=arrays,
        used_cells=used_cells,
        owned_cells=arrays * sides[0] * sides[1],
        positions=_positions(layer, config),
    )


def _diagonal(rows: int, columns: int, groups: int, sides: tuple[int, int]) -> int:
    """Return the arrays that hold equal groups, which share no row and no column."""
    together = min(sides[0] // rows, sides[1] // columns)
    if together:
        return -(-groups // together)
    row_arrays, column_arrays = _spans(rows, columns, sides)
    return groups * row_arrays * column_arrays


def _parts(size: int, side: int) -> npt.NDArray[np.int64]:
    """Return how many rows, or columns, of a matrix lie in each crossbar: int64 [⌈size/side⌉]."""
    return np.minimum(side, size - np.arange(0, size, side))
