# SPDX-License-Identifier: Apache-2.0
"""A chip's cost as text for a terminal, and numbers with the prefix that fits. A leaf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from model.cost.avoided import avoided
from model.cost.config import Config
from model.cost.results import (
    area_groups,
    assumptions,
    energy_groups,
    latency_groups,
    shift_modes,
)
from model.cost.simulate import ChipCost, LayerCost

__all__ = ["chip_line", "comparison", "si", "summary", "totals"]

_PREFIXES = (
    (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"), (1e-18, "a"),
)  # fmt: skip


def si(value: float, unit: str, digits: int = 3) -> str:
    """Return a value below 1000 with so many digits and the prefix that fits: ``1.23 µJ``."""
    if value == 0:
        return f"0 {unit}"
    # What is shown as 1.00 has the larger prefix.
    one = 1 - 0.5 * 10.0**-digits
    scale, prefix = next((each for each in _PREFIXES if value >= one * each[0]), _PREFIXES[-1])
    whole = 1 + (value >= 10 * scale * one) + (value >= 100 * scale * one)
    return f"{value / scale:.{max(0, digits - whole)}f} {prefix}{unit}"


def chip_line(config: Config) -> str:
    """Return what a configuration's chip is, in a line."""
    return (
        f"{config.name}: {config.node_nm:g} nm, crossbars of "
        f"{config.array_rows}×{config.array_columns} {config.cell_bits}-bit cells, "
        f"an ADC of {config.adc_levels} levels for {config.columns_per_adc} columns"
    )


def totals(cost: ChipCost) -> str:
    """Return what a network takes in all."""
    mapping, config = cost.mapping, cost.config
    crossbars = mapping.owned_cells // (config.array_rows * config.array_columns)
    tiles = f" in {mapping.tiles} tiles of {mapping.tile_side}²" if mapping.tiles else ""
    analog, digital = si(cost.analog_energy, "J"), si(cost.digital_energy, "J")
    shares = (mapping.utilisation, mapping.unique_utilisation, mapping.array_utilisation)
    copies, unique, arrays = _shares(*shares)
    return "\n".join([
        cost.network,
        f"  on {chip_line(config)}",
        "",
        f"  crossbars  {crossbars:,}{tiles}; one copy needs {mapping.arrays:,}",
        f"  cells      used: {copies} % with copies, {unique} % unique, {arrays} % of one copy's",
        f"  area       {1e6 * cost.area:.3f} mm²",
        f"  latency    {si(cost.latency, 's')} an image, clock {1e-6 / cost.period_s:.0f} MHz",
        f"  energy     {si(cost.energy, 'J')} an image: analog {analog}, digital {digital}",
        f"  TOPS/W     {cost.tops_per_watt():.2f}",
        "",
        *(f"  note: {note}" for note in assumptions(cost)),
    ])  # fmt: skip


def summary(cost: ChipCost) -> str:
    """Return a network's totals, layers and components."""
    parts = (_layers(cost), _breakdown(cost), _shift(cost))
    tables = ("\n".join(_table(rows, left=1)) for rows in parts)
    return "\n\n".join([totals(cost), *tables])


def comparison(costs: Sequence[ChipCost]) -> str:
    """Return a line a network, what other schemes would add to each, and what is assumed."""
    head = ("network", "config", "area mm²", "latency", "shift", "energy", "analog", "TOPS/W",
            "copies %", "unique %", "arrays %")  # fmt: skip
    rows = [
        (
            cost.network,
            cost.config.name,
            f"{1e6 * cost.area:.3f}",
            si(cost.latency, "s"),
            si(cost.shift.latency_s, "s"),
            si(cost.energy, "J"),
            si(cost.analog_energy, "J"),
            f"{cost.tops_per_watt():.2f}",
            *_shares(cost.mapping.utilisation, cost.mapping.unique_utilisation,
                     cost.mapping.array_utilisation),
        )
        for cost in costs
    ]  # fmt: skip
    notes = [f"  note: {cost.network}: {note}" for cost in costs for note in assumptions(cost)]
    return "\n".join([*_table([head, *rows], left=2), "", *_avoided(costs), "", *notes])


def _avoided(costs: Sequence[ChipCost]) -> list[str]:
    rows: list[tuple[str, ...]] = [("network", "what it avoids", "cells, k", "area mm²", "energy")]
    rows += [
        (cost.network, name, f"{cells / 1000:.0f}", f"{1e6 * area:.3f}", si(energy, "J"))
        for cost in costs
        for name, cells, area, energy in avoided(cost)
    ]
    return _table(rows, left=2)


def _layers(cost: ChipCost) -> list[tuple[str, ...]]:
    """Return a line for each layer, or for several with the same figures, and one for all."""
    rows: list[tuple[str, ...]] = [
        ("layer", "×", "R×C", "tiles", "copies", "copies %", "unique %", "arrays %",
         "latency", "shift", "energy", "analog")
    ]  # fmt: skip
    alike: dict[tuple[str, ...], list[str]] = {}
    for layer in cost.layers:
        alike.setdefault(_layer(layer), []).append(layer.name)
    for figures, names in alike.items():
        name = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
        rows.append((name, str(len(names)), *figures))
    mapping = cost.mapping
    rows.append((
        "total", str(len(cost.layers)), "", str(mapping.tiles), "",
        *_shares(mapping.utilisation, mapping.unique_utilisation, mapping.array_utilisation),
        si(cost.latency, "s"), si(cost.shift.latency_s, "s"),
        si(cost.energy, "J"), si(cost.analog_energy, "J"),
    ))  # fmt: skip
    return rows


def _layer(layer: LayerCost) -> tuple[str, ...]:
    mapped = layer.mapping
    return (
        f"{mapped.rows}×{mapped.columns}",
        str(mapped.tiles),
        str(mapped.copies),
        *_shares(mapped.utilisation, mapped.unique_utilisation, mapped.array_utilisation),
        si(layer.latency, "s"),
        si(layer.shift.latency_s, "s"),
        si(layer.energy, "J"),
        si(layer.analog_energy, "J"),
    )


def _shares(*values: float) -> tuple[str, ...]:
    return tuple(f"{100 * value:.2f}" for value in values)


def _breakdown(cost: ChipCost) -> list[tuple[str, ...]]:
    groups: dict[str, Mapping[str, float]] = {
        "energy": energy_groups(cost),
        "latency": latency_groups(cost),
        "area": area_groups(cost),
    }
    names = list(dict.fromkeys(name for each in groups.values() for name in each))
    rows: list[tuple[str, ...]] = [("share %", *names)]
    for quantity, values in groups.items():
        total = sum(values.values())
        shown = (f"{100 * values[name] / total:.1f}" if name in values else "–" for name in names)
        rows.append((quantity, *shown))
    return rows


def _shift(cost: ChipCost) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("shift", "cycles", "latency", "energy", "latency %", "energy %")
    ]
    latency, energy = cost.latency - cost.shift.latency_s, cost.energy - cost.shift.energy_j
    for mode, each in shift_modes(cost).items():
        rows.append((
            f"{mode} (chosen)" if mode == cost.config.shift else mode,
            f"{each.cycles:,}", si(each.latency_s, "s"), si(each.energy_j, "J"),
            f"{100 * each.latency_s / (latency + each.latency_s):.2f}",
            f"{100 * each.energy_j / (energy + each.energy_j):.2f}",
        ))  # fmt: skip
    return rows


def _table(rows: Sequence[tuple[str, ...]], *, left: int) -> list[str]:
    """Return lines with columns as wide as needed; all but ``left`` aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [f"  {'  '.join(_cells(row, widths, left))}".rstrip() for row in rows]


def _cells(row: Iterable[str], widths: Sequence[int], left: int) -> Iterable[str]:
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if number < left else cell.rjust(width)
