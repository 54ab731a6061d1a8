# SPDX-License-Identifier: Apache-2.0
"""What each component of a chip takes: area, cycles and energy, as terms with one constant each.

The chip: a global buffer, a tree of wires to tiles; in a tile 2×2 processing elements (PE) behind
buffers; in a PE arrays with drivers, column multiplexers, flash ADCs and shift-adders, and adder
trees over the rows of arrays. Weights stay; activations come bit plane by bit plane; the columns of
an ADC are converted one after the other, one clock each. Layers run one after the other.

Each function returns values by component, which `GROUPS` joins into the groups that are reported.
A leaf. Constants, their units and origin: `model.cost.technology`.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from model.cost.chip import ASSUMED_ACTIVITY, Chip, Layers, Values
from model.cost.technology import GATE_INPUT_AREA, Constants

__all__ = ["ANALOG", "GROUPS", "areas", "energies", "latencies", "leakage", "tile_length"]

GROUPS = {
    "area": {
        "array": ("cells",),
        "interconnect": ("root wires", "tile wires", "local wires"),
        "adc": ("comparators", "encoders"),
        "accumulation": ("shift-adders", "adder trees"),
        "other": ("line drivers", "tile buffers", "global buffer"),
    },
    "latency": {
        "buffer": ("global buffer", "tile buffers", "PE buffers"),
        "interconnect": ("tile buses", "PE buses"),
        "adc": ("conversions",),
        "accumulation": ("bit shift-adds", "weight shift-adds", "adder trees"),
        "other": ("output units",),
    },
    "energy": {
        "buffer": ("global buffer", "tile buffers"),
        "interconnect": ("tile wires", "local wires"),
        "adc": ("sensed current", "comparators", "column multiplexers"),
        "accumulation": ("shift-adders",),
        "other": ("line drivers",),
    },
}
"""Components of each group, by quantity. Leakage is apart."""

ANALOG = frozenset({"cells", "comparators", "encoders", "line drivers", "conversions",
                    "sensed current", "column multiplexers"})  # fmt: skip
"""Components of the analog domain: what stands between a wordline and an ADC's code."""

Count = TypeVar("Count", float, Values)

_RENT = 2 / 3
"""Rent's exponent: a block of n tiles has n^_RENT times the links of one (Landman and Russo, IEEE
Trans. Computers C-20(12), 1971). Assumed, not fitted: of ½, ⅔ and 1 it meets most latencies. It
affects the latency of the global buffer alone, of layers over several columns of tiles."""


def areas(chip: Chip, constants: Constants) -> dict[str, float]:
    """Return the area in m² of each component."""
    config, k = chip.config, constants
    levels, bits = config.adc_levels, chip.code_bits
    adcs = chip.arrays * chip.array_adcs
    # Thermometer code to binary: a plane of levels + bits gates, each of levels/2 inputs.
    plane = levels / 2 * (levels + bits)
    stacked = 1 - 1 / chip.pe_rows
    shift_add_bits = _shift_add_bits(chip, chip.act_bits, chip.weight_cells)
    lines = config.array_rows + config.array_columns
    found = {
        "cells": k.cell_area * chip.arrays * config.array_rows * config.array_columns,
        "comparators": k.comparator_area * adcs * (levels - 1),
        "encoders": GATE_INPUT_AREA * adcs * plane,
        "shift-adders": k.shift_add_area * adcs * shift_add_bits,
        "adder trees": k.tree_area * adcs * stacked,
        "line drivers": k.line_area * chip.arrays * lines,
        "tile buffers": k.tile_buffer_area * chip.tiles * chip.tile_side,
        "global buffer": k.global_buffer_area * chip.map_bits,
    }
    found = {name: value * chip.node.area for name, value in found.items()}
    side = tile_length(chip, found)
    pitch = chip.node.shrink
    wires = {
        # Along a side, a bus for each level of the tree over that side.
        "root wires": k.root_area * side * chip.grid * (1 + math.log2(chip.grid)),
        # An H-tree over n×n leaves a unit apart is 1.5·n·(n − 1) long; here n leaves lie on fewer
        # tiles a side.
        "tile wires": k.tree_wire_area * side * 1.5 * chip.spread * (chip.grid - 1),
        # Sums leave an ADC as one line a cell of a weight, past the arrays of the PE's side.
        "local wires": k.local_wire_area * side * chip.tiles * chip.pe_columns
        * chip.array_adcs * chip.weight_cells,
    }  # fmt: skip
    return found | {name: value * pitch for name, value in wires.items()}


def tile_length(chip: Chip, found: dict[str, float]) -> float:
    """Return the side of a tile in m, as if all but wires were spread over square tiles."""
    inside = GROUPS["area"]["interconnect"]
    return math.sqrt(sum(area for name, area in found.items() if name not in inside) / chip.tiles)


def latencies(chip: Chip, layers: Layers, constants: Constants) -> dict[str, Values]:
    """Return the latency in s of each component, one value a layer."""
    config, k = chip.config, constants
    vectors = layers.positions
    placed = layers.arrays > 0
    conversions = layers.steps * layers.act_bits * config.columns_per_adc * placed
    # An ADC's columns hold fewer weights, but at least one is put together.
    weights = layers.steps * np.maximum(1, config.columns_per_adc / layers.weight_cells) * placed
    depth = np.ceil(np.log2(layers.row_arrays))
    outputs = vectors * layers.outputs * layers.act_bits
    pe = _bits(layers, chip.pe_side)
    # A buffer's word is as wide as an array, also where a layer is narrower.
    whole = layers.whole_arrays(config)
    written, read = _bits(whole, chip.tile_side)[1], _bits(whole, chip.pe_side)[0]
    down, along = chip.pe_rows / config.array_rows, chip.pe_columns / config.array_columns
    cycles = {
        # Outputs return leaf by leaf, through all levels, over the links of a layer's tiles.
        "global buffer": k.global_cycles * outputs * chip.leaves * chip.tree_levels
        / layers.column_tiles**_RENT,
        # Tiles work at the same time.
        "tile buffers": k.tile_cycles * vectors * written,
        "PE buffers": k.pe_cycles * vectors * read / config.array_rows,
        "tile buses": k.tile_bus_cycles * vectors * written / chip.tile_side,
        "PE buses": k.pe_bus_cycles * vectors * (pe[0] * down + pe[1] * along),
        "conversions": conversions,
        "bit shift-adds": conversions,
        "weight shift-adds": weights * layers.act_bits,
        # Two cycles a level for each of an ADC's weights, after the last bit plane.
        "adder trees": 2 * depth * weights,
        "output units": layers.steps * config.columns_per_adc,
    }  # fmt: skip
    period = chip.period(constants)
    return {name: value * period for name, value in cycles.items()}


def _shift_add_bits(chip: Chip, act_bits: Count, weight_cells: Count) -> Count:
    """Return the bits of an ADC's shift-adders: a number, or one for each layer.

    An adder of a code's bits into a register that the planes widen, and a bit a cell of a weight.
    """
    return 2 * chip.code_bits + act_bits + weight_cells


def _bits(layers: Layers, side: int) -> tuple[Values, Values]:
    """Return the bits of a vector into and out of a square of so many cells a side."""
    act_bits = layers.act_bits * (layers.arrays > 0)
    read = np.minimum(layers.rows, side) * act_bits
    written = np.minimum(layers.columns, side) * act_bits / layers.weight_cells
    return read, written


def energies(chip: Chip, layers: Layers, side: float, constants: Constants) -> dict[str, Values]:
    """Return the dynamic energy in J of each component, one value a layer.

    Parameters
    ----------
    chip : Chip
    layers : Layers
    side : float
        Of a tile, in m.
    constants : Constants
    """
    config, k, node = chip.config, constants, chip.node
    planes = layers.positions * layers.act_bits
    placed = layers.arrays / (layers.row_arrays * layers.column_arrays)
    conversions = planes * layers.row_arrays * layers.columns * placed
    shift_add_bits = _shift_add_bits(chip, layers.act_bits, layers.weight_cells)
    array_steps = planes * layers.arrays * config.columns_per_adc
    bits_in, bits_out = layers.rows * layers.act_bits, layers.outputs * layers.act_bits
    bits = layers.positions * (bits_in + bits_out)
    past_arrays = layers.positions * bits_in * layers.column_tiles * chip.pe_columns
    tile_bits = layers.positions * (bits_in * layers.column_tiles + bits_out * layers.row_tiles)
    values = {
        "shift-adders": k.shift_add_energy * conversions * shift_add_bits,
        "line drivers": k.row_energy * array_steps * config.array_rows,
        "global buffer": k.global_buffer_energy * bits,
        "tile buffers": k.tile_buffer_energy * tile_bits,
    }
    wires = {
        "tile wires": k.tree_wire_energy * bits * chip.grid * side,
        # Inputs pass all columns of arrays; outputs leave a PE at its edge.
        "local wires": k.local_wire_energy * past_arrays * side,
    }
    return {
        **_sensing(chip, layers, conversions, constants),
        **{name: value * node.logic_energy for name, value in values.items()},
        **{name: value * node.wire_energy for name, value in wires.items()},
    }


def _sensing(
    chip: Chip, layers: Layers, conversions: Values, constants: Constants
) -> dict[str, Values]:
    """Return the energy of reads and conversions, which follows the bits of the activations.

    What the configuration states is taken as it is, without scaling; a conversion that it states
    includes the multiplexer, and does not follow the bits.
    """
    config, k = chip.config, constants
    # Comparators switch up to a column's sum; its current dissipates as the square.
    switched = layers.activity / ASSUMED_ACTIVITY["gelu"] * chip.node.sense_energy
    squared = switched * layers.activity / ASSUMED_ACTIVITY["gelu"]
    reads = conversions * layers.rows / layers.row_arrays
    shared = config.columns_per_adc * config.array_rows
    found = {
        "sensed current": k.read_energy * reads * layers.cell * squared,
        "comparators": k.comparator_energy * conversions * config.adc_levels * switched,
        "column multiplexers": k.column_energy * conversions * shared * squared,
    }
    if config.cell_energy_j is not None:
        found["sensed current"] = reads * layers.cell * layers.activity
    if config.adc_energy_j is not None:
        found["comparators"] = conversions * config.adc_energy_j
        found["column multiplexers"] = np.zeros_like(conversions)
    return found


def leakage(
    chip: Chip,
    layers: Layers,
    area: dict[str, float],
    latency: Values,
    constants: Constants,
) -> Values:
    """Return the energy in J that all tiles but a layer's own leak while it runs.

    A layer's own tiles are active: what they leak is in the energy of their actions.

    Parameters
    ----------
    chip : Chip
    layers : Layers
    area : dict of str to float
        By component, m².
    latency : numpy.ndarray
        Of each layer, s.
    constants : Constants
    """
    k = constants
    density = {
        "interconnect": k.wire_leakage,
        "adc": k.other_leakage,
        "accumulation": k.logic_leakage,
        "other": k.other_leakage,
    }
    power = sum(
        density[group] * sum(area[name] for name in GROUPS["area"][group]) for group in density
    )
    idle = (chip.tiles - layers.tiles) / chip.tiles
    return power * chip.node.leakage * idle * latency
