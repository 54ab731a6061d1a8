# SPDX-License-Identifier: Apache-2.0
"""What `model.cost.simulate` found, as plain data: for JSON, for CSV, for pages.

SI units throughout; a field's name ends in its unit. A leaf.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from model.cost import digital
from model.cost.accuracy import largest_sum
from model.cost.chip import mean_activity
from model.cost.components import ANALOG, GROUPS
from model.cost.config import Config, keys
from model.cost.placement import ChipMapping, LayerMapping
from model.cost.simulate import ChipCost, LayerCost
from model.cost.statistics import Statistics

__all__ = ["NOT_MODELLED", "SHIFT_MODES", "area_groups", "assumptions", "csv_text", "energy_groups",
           "latency_groups", "layer_row", "layers_csv", "record", "shift_modes"]  # fmt: skip

NOT_MODELLED = (
    "off-chip memory, batch norm, residual adds, activation functions and pooling",
    "the wires' resistance in an array",
    "noise",
    "write energy",
    "columns that are sampled and held: each conversion drives the rows anew",
    "cells whose access transistor follows ron_ohm, and ADCs other than flash",
)
"""What is in none of the figures."""

SHIFT_MODES: tuple[Literal["fused", "lanes", "in_place"], ...] = ("fused", "lanes", "in_place")


def area_groups(cost: ChipCost) -> dict[str, float]:
    """Return square metres by group of components; they add up to ``area``."""
    return _groups("area", cost.area_m2)


def latency_groups(cost: ChipCost | LayerCost) -> dict[str, float]:
    """Return seconds by group of components, the shift last; they add up to ``latency``."""
    return _groups("latency", cost.latency_s) | {"shift": cost.shift.latency_s}


def energy_groups(cost: ChipCost | LayerCost) -> dict[str, float]:
    """Return joules by group of components, leakage and the shift last; they add up to it all."""
    leaked = cost.leakage if isinstance(cost, ChipCost) else cost.leakage_j
    groups = _groups("energy", cost.energy_j)
    return groups | {"leakage": leaked, "shift": cost.shift.energy_j}


def _groups(quantity: str, values: Mapping[str, float]) -> dict[str, float]:
    return {group: sum(values[name] for name in names) for group, names in GROUPS[quantity].items()}


def shift_modes(cost: ChipCost) -> dict[str, digital.ShiftCost]:
    """Return what the shift would take in each mode; nothing else changes with it."""
    return {
        mode: digital.total(
            digital.shift_cost(each.mapping.layer, dataclasses.replace(cost.config, shift=mode))
            for each in cost.layers
        )
        for mode in SHIFT_MODES
    }


def assumptions(cost: ChipCost) -> tuple[str, ...]:
    """Return what a reader must know of the figures: statistics that are assumed, and notes."""
    statistics = [layer.mapping.layer.statistics for layer in cost.layers]
    config = cost.config
    found = []
    if any(each is None for each in statistics):
        found.append("weights are unknown: each level of a cell is taken as equally frequent")
    activities = [each.activity for each in statistics if each and each.activity]
    if len(activities) < len(statistics):
        share = mean_activity(None, config.activations)
        found.append(
            f"activations are unknown: a bit plane is taken to drive {share:.1%} of the rows, as "
            f"after {'ReLU' if config.activations == 'relu' else 'GELU'}"
        )
    else:
        # All are of the same images.
        images, counted = activities[0].images, activities[0].counted
        found.append(
            f"energies follow the stored weights, and activations of {images} real "
            f"image{'s' * (images > 1)}{', as counted in RTL' * counted}"
        )
    if config.row_gating is not None and None in statistics:
        found.append("no row is gated: which ones masks would gate follows from weights")
    rows = min(max(layer.mapping.rows for layer in cost.layers), config.array_rows)
    if config.adc_levels <= (most := largest_sum(rows, config.cell_bits)):
        found.append(
            f"ADCs of {config.adc_levels} levels saturate: {rows} rows sum up to {most}, so that "
            f"accuracy is not that of exact sums"
        )
    return (*found, *cost.mapping.notes)


def record(cost: ChipCost, weights: int) -> dict[str, Any]:
    """Return everything as plain data.

    Parameters
    ----------
    cost : ChipCost
    weights : int
        Of the network.
    """
    mapping = cost.mapping
    return {
        "network": cost.network,
        "weights": weights,
        "operations": cost.operations,
        "area_m2": cost.area,
        "latency_s": cost.latency,
        "energy_j": cost.energy,
        "analog_energy_j": cost.analog_energy,
        "digital_energy_j": cost.digital_energy,
        "leakage_j": cost.leakage,
        "tops_per_watt": cost.tops_per_watt(),
        "tops_per_watt_undivided": cost.tops_per_watt(1),
        "clock_hz": 1 / cost.period_s,
        "tiles": mapping.tiles,
        "tile_side": mapping.tile_side,
        "pe_side": mapping.pe_side,
        "arrays_of_one_copy": mapping.arrays,
        "owned_cells": mapping.owned_cells,
        **_utilisations(mapping),
        "shift": dataclasses.asdict(cost.shift),
        "shift_modes": {mode: dataclasses.asdict(each) for mode, each in shift_modes(cost).items()},
        "components": {
            "area_m2": dict(cost.area_m2),
            "latency_s": cost.latency_s | {"shift": cost.shift.latency_s},
            "energy_j": cost.energy_j | {"leakage": cost.leakage, "shift": cost.shift.energy_j},
        },
        "analog_components": sorted(ANALOG),
        "layers": [
            layer_row(cost, layer)
            | {
                "components": {
                    "latency_s": dict(layer.latency_s) | {"shift": layer.shift.latency_s},
                    "energy_j": dict(layer.energy_j)
                    | {"leakage": layer.leakage_j, "shift": layer.shift.energy_j},
                }
            }
            for layer in cost.layers
        ],
        "assumptions": list(assumptions(cost)),
        "not_modelled": list(NOT_MODELLED),
        "config": _config(cost.config),
    }


def _config(config: Config) -> dict[str, Any]:
    return {
        "name": config.name,
        "about": config.about,
        "keys": {
            key.name: {
                "value": getattr(config, key.name),
                "unit": key.unit,
                "about": key.about,
                "source": config.sources.get(key.name, ""),
                "must_be_equal": key.equal,
            }
            for key in keys()
        },
    }


def _utilisations(mapping: ChipMapping | LayerMapping) -> dict[str, float]:
    return {
        "utilisation_with_copies": mapping.utilisation,
        "utilisation_unique_weights": mapping.unique_utilisation,
        "utilisation_by_arrays": mapping.array_utilisation,
    }


def layer_row(cost: ChipCost, layer: LayerCost) -> dict[str, Any]:
    """Return the figures of a layer, flat."""
    mapped = layer.mapping
    statistics = mapped.layer.statistics
    return {
        "layer": layer.name,
        "rows": mapped.rows,
        "columns": mapped.columns,
        "weight_bits": mapped.weight_bits,
        "act_bits": mapped.act_bits,
        "vectors": mapped.positions,
        "tiles": mapped.tiles,
        "arrays_of_one_copy": mapped.arrays,
        "copies": mapped.copies,
        "used_cells": mapped.used_cells,
        "owned_cells": mapped.owned_cells,
        **_utilisations(mapped),
        "activity": mean_activity(statistics, cost.config.activations),
        "activity_is": _known(statistics),
        "latency_s": layer.latency,
        "energy_j": layer.energy,
        "analog_energy_j": layer.analog_energy,
        **{f"latency_{name}_s": value for name, value in latency_groups(layer).items()},
        **{f"energy_{name}_j": value for name, value in energy_groups(layer).items()},
        "shift_cycles": layer.shift.cycles,
        "shift_moved_pixels": layer.shift.moved_pixels,
    }


def _known(statistics: Statistics | None) -> str:
    if statistics is None or statistics.activity is None:
        return "assumed"
    return "counted" if statistics.activity.counted else "measured"


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of the same keys as CSV with a head line; floats have six digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    return text.getvalue()


def layers_csv(costs: Iterable[ChipCost]) -> str:
    """Return a line a layer of all networks, as CSV."""
    return csv_text(
        [
            {"network": cost.network} | layer_row(cost, layer)
            for cost in costs
            for layer in cost.layers
        ]
    )
