# SPDX-License-Identifier: Apache-2.0
"""A mapped network as numbers: what its layers share, and counts of each layer as arrays.

`model.cost.components` turns these into area, latency and energy. A leaf.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from model.cost.config import Config
from model.cost.placement import ChipMapping, LayerMapping
from model.cost.statistics import Statistics
from model.cost.technology import Constants, Node

__all__ = [
    "ASSUMED_ACTIVITY",
    "REFERENCE_READ_V",
    "REFERENCE_RESISTANCE_OHM",
    "Chip",
    "Layers",
    "Values",
    "chip_and_layers",
    "mean_activity",
]

Values = npt.NDArray[np.float64]

ASSUMED_ACTIVITY = {"gelu": 0.511, "relu": 0.333}
"""Mean share of rows that a bit plane drives, of activations that are not known.

Computed: normal values of standard deviation 0.25, through GELU, or their magnitudes, as 8-bit
two's complement numbers of 1/128: what the reference runs were fed with, as far as it is known.
"""

REFERENCE_RESISTANCE_OHM = (6e3, 900e3)
REFERENCE_READ_V = 0.5
"""Cells and read voltage of the reference runs, at which the energy of a read is given."""

_PES = 2
"""PEs of a tile, in each direction."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
    """What all layers share.

    Parameters
    ----------
    config : Config
    node : Node
    tiles, arrays : int
    tile_side, pe_side : int
        Cells.
    act_bits, weight_cells : int
        The most bits of an activation, and cells of a weight, that a layer has.
    map_bits : int
        Of the largest map.
    """

    config: Config
    node: Node
    tiles: int
    arrays: int
    tile_side: int
    pe_side: int
    act_bits: int
    weight_cells: int
    map_bits: int

    @property
    def pe_rows(self) -> int:
        """Arrays of a PE, one below the other."""
        return max(1, self.pe_side // self.config.array_rows)

    @property
    def pe_columns(self) -> int:
        """Arrays of a PE, beside each other."""
        return max(1, self.pe_side // self.config.array_columns)

    @property
    def array_adcs(self) -> int:
        """ADCs of an array."""
        return -(-self.config.array_columns // self.config.columns_per_adc)

    @property
    def comparators(self) -> int:
        """Comparators of an array."""
        return self.array_adcs * (self.config.adc_levels - 1)

    @property
    def code_bits(self) -> float:
        """Bits of a code."""
        return math.log2(self.config.adc_levels)

    @property
    def grid(self) -> int:
        """Side of the tree's grid of tiles: the least power of two that holds them in a square."""
        return 1 << math.isqrt(self.tiles - 1).bit_length()

    @property
    def spread(self) -> float:
        """Mean side in tiles of the floor plan: as many columns as rows, or one more."""
        columns = math.isqrt(self.tiles - 1) + 1
        return (columns + -(-self.tiles // columns)) / 2

    @property
    def leaves(self) -> int:
        """Leaves of the tree as it is switched: the least power of two that is ≥ tiles."""
        return 1 << (self.tiles - 1).bit_length()

    @property
    def tree_levels(self) -> int:
        """Levels of the tree as it is switched, root and leaves included."""
        return (self.tiles - 1).bit_length() + 1

    def period(self, constants: Constants) -> float:
        """Return the clock period in s: of the configuration, or the delay of a conversion."""
        if self.config.clock_hz is not None:
            return 1 / self.config.clock_hz
        delay = (
            constants.clock_base
            # A tree of buffers reaches the comparators: a stage doubles what is driven.
            + constants.clock_stage * math.log2(self.comparators)
            + constants.clock_row * self.config.array_rows
        )
        return delay * self.node.delay


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layers:
    """Counts of all layers, one float64 [layers] each.

    Parameters
    ----------
    positions : numpy.ndarray
        Vectors an image.
    steps : numpy.ndarray
        Vectors that a copy takes, one after the other: positions over copies.
    rows, columns, outputs : numpy.ndarray
        R and C in cells, and weights a row.
    row_arrays, column_arrays, arrays : numpy.ndarray
        Arrays of one copy: down, beside, and those that are placed.
    tiles, row_tiles, column_tiles : numpy.ndarray
    activity : numpy.ndarray
        Mean share of rows that a bit plane drives.
    cell : numpy.ndarray
        Mean over cells: energy of a read in J where the configuration states it; conductance times
        the read voltage squared over that of the reference runs otherwise.
    act_bits : numpy.ndarray
    weight_cells : numpy.ndarray
        Cells of a weight.
    """

    positions: Values
    steps: Values
    rows: Values
    columns: Values
    outputs: Values
    row_arrays: Values
    column_arrays: Values
    arrays: Values
    tiles: Values
    row_tiles: Values
    column_tiles: Values
    activity: Values
    cell: Values
    act_bits: Values
    weight_cells: Values

    def whole_arrays(self, config: Config) -> Layers:
        """Return the layers as if each filled the arrays that it lies in."""
        return dataclasses.replace(
            self,
            rows=self.row_arrays * config.array_rows,
            columns=self.column_arrays * config.array_columns,
        )


def chip_and_layers(mapping: ChipMapping, config: Config, node: Node) -> tuple[Chip, Layers]:
    """Return what `model.cost.components` needs of a mapped network.

    A mapping without tiles is given the smallest of the reference's, for 4×4 arrays, which layers
    share: as many as hold the arrays that are placed, and no array more than those.
    """
    side = mapping.tile_side or 4 * max(config.array_rows, config.array_columns)
    layers = _layers(mapping, config, side)
    tiles = max(1, math.ceil(layers.tiles.sum()))
    pe_side = side // _PES
    whole = max(1, pe_side // config.array_rows) * max(1, pe_side // config.array_columns)
    placed = mapping.owned_cells // (config.array_rows * config.array_columns)
    chip = Chip(
        config=config,
        node=node,
        tiles=tiles,
        arrays=tiles * _PES**2 * whole if mapping.tile_side else placed,
        tile_side=side,
        pe_side=pe_side,
        act_bits=int(layers.act_bits.max()),
        weight_cells=int(layers.weight_cells.max()),
        map_bits=_largest_map(mapping.layers),
    )
    return chip, layers


def _layers(mapping: ChipMapping, config: Config, side: int) -> Layers:
    def column(value: str) -> Values:
        return np.array([getattr(each, value) for each in mapping.layers], np.float64)

    positions, rows, columns = column("positions"), column("rows"), column("columns")
    # Nothing is read for a layer without crossbars; its outputs, biases alone, are written.
    rows *= column("arrays") > 0
    steps = positions / column("copies")
    tiles, row_tiles, column_tiles = map(column, ("tiles", "row_tiles", "column_tiles"))
    if not mapping.tile_side:
        row_tiles, column_tiles = np.ceil(rows / side), np.ceil(columns / side)
        tiles = column("owned_cells") / side**2
    return Layers(
        positions=positions,
        # The reference divides a vector's time among copies as well, which is counting only.
        steps=steps if config.counting == "reference" else np.ceil(steps),
        rows=rows,
        columns=columns,
        outputs=np.array([each.layer.outputs for each in mapping.layers], np.float64),
        row_arrays=column("row_arrays"),
        column_arrays=column("column_arrays"),
        arrays=column("arrays"),
        tiles=tiles,
        row_tiles=row_tiles,
        column_tiles=column_tiles,
        activity=np.array(
            [mean_activity(each.layer.statistics, config.activations) for each in mapping.layers]
        ),
        act_bits=column("act_bits"),
        weight_cells=np.ceil(column("weight_bits") / config.cell_bits),
        cell=np.array([_cell(each, config) for each in mapping.layers]),
    )


def mean_activity(statistics: Statistics | None, activations: str | None) -> float:
    """Return the mean share of rows that a bit plane drives, assumed where it is unknown.

    Where the non-linearity is unknown as well, it is taken to be GELU.
    """
    if statistics is None or statistics.activity is None:
        return ASSUMED_ACTIVITY[activations or "gelu"]
    return float(statistics.activity.mean())


def _cell(mapped: LayerMapping, config: Config) -> float:
    """Return the mean over what the cells store; unknown, each level is as frequent."""
    levels = np.arange(1 << config.cell_bits) / ((1 << config.cell_bits) - 1)
    if config.cell_energy_j is not None:
        values = np.array(config.cell_energy_j)
    else:
        low, high = 1 / config.roff_ohm, 1 / config.ron_ohm
        mean = sum(1 / ohm for ohm in REFERENCE_RESISTANCE_OHM) / 2
        values = (low + (high - low) * levels) / mean * (config.read_v / REFERENCE_READ_V) ** 2
    statistics = mapped.layer.statistics
    if statistics is None:
        return float(values.mean())
    return float(np.average(values, weights=statistics.patterns(config.cell_bits)))


def _largest_map(layers: tuple[LayerMapping, ...]) -> int:
    """Return the bits of the largest map that a layer reads or writes."""
    maps = []
    for each in layers:
        shape = each.layer.shape
        read = shape.in_channels * shape.in_height * shape.in_width
        written = shape.out_channels * shape.out_height * shape.out_width
        maps.append(each.act_bits * max(read, written))
    return max(maps)
