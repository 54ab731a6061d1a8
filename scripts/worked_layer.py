# SPDX-License-Identifier: Apache-2.0
"""One layer from its shape to joules, line by line: the page docs/cost-example.md.

Each line is computed here from the lines above it and the stored constants, not asked of
`model.cost.simulate`, which must find the same. ``python -m scripts.worked_layer`` prints the
lines; ``--update`` writes them into the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hw import cli
from model.cost.config_file import load
from model.cost.networks import named
from model.cost.simulate import ChipCost, simulate
from model.cost.technology import Constants, load_constants
from model.cost.text import si
from scripts.tables import insert

__all__ = ["CONFIG", "LAYER", "NETWORK", "Line", "lines", "main", "tables"]

PROGRAM = "python -m scripts.worked_layer"
PAGE = Path(__file__).parent.parent / "docs/cost-example.md"

NETWORK, LAYER, CONFIG = "psp_128_8", "body.0.second", "date2024_22nm"

_BITS, _CELL_BITS, _ARRAY, _LEVELS, _SHARED = 8, 2, 64, 32, 8
"""Bits of activations and weights, of a cell; side of a crossbar, codes and columns of an ADC."""

_INPUTS, _OUTPUTS, _SIDE, _TILE, _TILES, _MOVED = 128, 128, 16, 512, 18, 80
"""Of the layer, and of the chip that the whole network needs."""


class Line(NamedTuple):
    """A line: what it is, how it is computed, what comes out."""

    name: str
    sum: str
    value: float
    unit: str = ""
    digits: int = 4

    @property
    def shown(self) -> str:
        """The value with its unit: with fewer digits than what it is computed from."""
        return si(self.value, self.unit, self.digits) if self.unit else f"{self.value:,}"


def lines(chip: ChipCost) -> dict[str, list[Line]]:
    """Return the lines by part of the page.

    Parameters
    ----------
    chip : ChipCost
        Of the whole network: its area gives the length of wires and what leaks, which one layer
        cannot tell.
    """
    k = load_constants()
    weight_cells = _BITS // _CELL_BITS
    columns = _OUTPUTS * weight_cells
    vectors = _SIDE**2
    copies = 2 * 2 * 1 * 1
    counts = [
        Line("R", "rows: 128 channels · 1 · 1", _INPUTS),
        Line("C", "columns: 128 outputs · 8/2 cells", columns),
        Line("vectors V", "16 · 16 pixels", vectors),
        Line("tiles", "⌈128/512⌉ · ⌈512/512⌉", 1),
        Line("copies", "2 in the tile, ⌊(512/256)/⌈128/256⌉⌋, times 2 in a PE, ⌊(256/64)/⌈128/64⌉⌋",
             copies),
        Line("arrays of a copy", "⌈128/64⌉ · ⌈512/64⌉", 16),
        Line("utilisation", "4 · 128 · 512 / 512²", copies * _INPUTS * columns / _TILE**2),
        Line("conversions", "V · 8 planes · ⌈128/64⌉ · 512", vectors * _BITS * 2 * columns),
    ]  # fmt: skip
    return {
        "counts": counts,
        "time": _time(k, vectors, copies),
        "energy": _energy(k, vectors, columns, chip),
    }


def _exact(value: float, unit: str) -> str:
    """Return a constant with more digits than what is computed from it."""
    return si(value, unit, 6)


def _time(k: Constants, vectors: int, copies: int) -> list[Line]:
    adcs = _ARRAY // _SHARED
    comparators = adcs * (_LEVELS - 1)
    clock = k.clock_base + k.clock_stage * math.log2(comparators) + k.clock_row * _ARRAY
    delays = (
        f"{_exact(k.clock_base, 's')} + log₂ (8 ADCs · 31 comparators) · "
        f"{_exact(k.clock_stage, 's')} + "
        f"64 rows · {_exact(k.clock_row, 's')}"
    )
    steps = vectors // copies
    conversions = steps * _BITS * _SHARED
    # Bits of a vector into and out of a tile of 512 rows, and a PE of 256 columns.
    tile_in, tile_out, pe_out = _INPUTS * _BITS, _OUTPUTS * _BITS, 256 // 4 * _BITS
    leaves = 1 << (_TILES - 1).bit_length()
    cycles = {
        "conversions": ("64 vectors a copy · 8 planes · 8 columns an ADC", conversions),
        "bit shift-adds": ("as many", conversions),
        "weight shift-adds": ("64 · 8 planes · 8/4 weights", steps * _BITS * 2),
        "adder trees": ("64 · 2 · ⌈log₂ 2⌉ · 8/4 weights", steps * 2 * 2),
        "output units": ("64 · 8 columns", steps * _SHARED),
        "global buffer": (
            f"{k.global_cycles:.6g} · 256 · 1024 bits · 32 leaves · 6 levels",
            k.global_cycles * vectors * tile_out * leaves * leaves.bit_length(),
        ),
        "tile buffers": (
            f"{k.tile_cycles:.6g} · 256 · 1024 bits",
            k.tile_cycles * vectors * tile_out,
        ),
        "PE buffers": (
            f"{k.pe_cycles:.6g} · 256 · 1024 bits / 64 rows",
            k.pe_cycles * vectors * tile_in / _ARRAY,
        ),
        "tile buses": (
            f"{k.tile_bus_cycles:.6g} · 256 · 1024 bits / 512",
            k.tile_bus_cycles * vectors * tile_out / _TILE,
        ),
        "PE buses": (
            f"{k.pe_bus_cycles:.6g} · 256 · (1024 + 512) bits · 4 / 64",
            k.pe_bus_cycles * vectors * (tile_in + pe_out) * 4 / _ARRAY,
        ),
    }
    found = [Line("clock period t", delays, clock, "s", 6)]
    found += [
        Line(name, f"t · {text}", clock * value, "s") for name, (text, value) in cycles.items()
    ]
    shift = 10 * vectors + 2
    found.append(Line("shift", f"(80/8 channels a lane · 256 + 2) = {shift:,} cycles of 1 ns",
                      shift * 1e-9, "s"))  # fmt: skip
    return [*found, Line("latency", "sum", sum(line.value for line in found[1:]), "s", 3)]


def _energy(k: Constants, vectors: int, columns: int, chip: ChipCost) -> list[Line]:
    conversions = vectors * _BITS * 2 * columns
    bits = vectors * (_INPUTS + _OUTPUTS) * _BITS
    wires = ("root wires", "tile wires", "local wires")
    side = math.sqrt(sum(a for name, a in chip.area_m2.items() if name not in wires) / _TILES)
    # A grid of 8×8 holds 18 tiles; a PE has 4 columns of arrays.
    leaking = _leakage(k, chip.area_m2)
    shown = _exact(side, "m")
    step_rows = vectors * _BITS * 16 * _SHARED * _ARRAY
    products = {
        "sensed current": (k.read_energy, "J", "conversions · 64 rows", conversions * _ARRAY),
        "comparators": (
            k.comparator_energy, "J", "conversions · 32 codes", conversions * _LEVELS,
        ),
        "column multiplexers": (
            k.column_energy, "J", "conversions · 8 columns · 64 rows",
            conversions * _SHARED * _ARRAY,
        ),
        "shift-adders": (
            k.shift_add_energy, "J", "conversions · (2 · 5 + 8 + 4) bits",
            conversions * (2 * math.log2(_LEVELS) + _BITS + 4),
        ),
        "line drivers": (
            k.row_energy, "J", "V · 8 planes · 16 arrays · 8 columns · 64 rows", step_rows,
        ),
        "global buffer": (k.global_buffer_energy, "J", "V · (128 + 128) · 8 bits", bits),
        "tile buffers": (k.tile_buffer_energy, "J", "the same bits: one tile", bits),
        "tile wires": (k.tree_wire_energy, "J/m", f"bits · 8 tiles of {shown}", bits * 8 * side),
        "local wires": (
            k.local_wire_energy, "J/m", f"V · 128 · 8 bits · 4 · {shown}",
            vectors * _INPUTS * _BITS * 4 * side,
        ),
        "leakage": (
            leaking, "W", "17/18 of the tiles · the time without shift",
            17 / 18 * _crossbar_time(k, vectors),
        ),
        "shift": (0.2012e-12 / 1.233, "J", "80 · 256 pixels; 0.2012 pJ / 1.233", _MOVED * vectors),
    }  # fmt: skip
    found = [
        Line(name, f"{_exact(one, unit)} · {text}", one * count, "J",
             # Of times that are rounded.
             3 if name == "leakage" else 4)
        for name, (one, unit, text, count) in products.items()
    ]  # fmt: skip
    return [*found, Line("energy", "sum", sum(line.value for line in found), "J", 3)]


def _crossbar_time(k: Constants, vectors: int) -> float:
    found = _time(k, vectors, 4)
    return found[-1].value - found[-2].value


def _leakage(k: Constants, area: Mapping[str, float]) -> float:
    """Return the watts that all tiles leak."""
    return (
        k.wire_leakage * (area["root wires"] + area["tile wires"] + area["local wires"])
        + k.logic_leakage * (area["shift-adders"] + area["adder trees"])
        + k.other_leakage * (area["comparators"] + area["encoders"])
        + k.other_leakage * (area["line drivers"] + area["tile buffers"] + area["global buffer"])
    )


def tables(chip: ChipCost) -> dict[str, str]:
    """Return the parts of the page as Markdown tables."""
    return {
        part: "\n".join([
            "| | is | |", "|---|---|---|",
            *(f"| {line.name} | {line.sum} | {line.shown} |" for line in found),
        ])
        for part, found in lines(chip).items()
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "One layer's cost, line by line.")
    parser.add_argument("--update", action="store_true", help="write it into the page")
    options = parser.parse_args(arguments)
    found = tables(simulate(named(NETWORK), load(CONFIG)))
    if options.update:
        for part, text in found.items():
            insert(PAGE, part, text)
    print("\n\n".join(found.values()))
    return 0


if __name__ == "__main__":
    cli.run(main)
