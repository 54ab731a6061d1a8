# SPDX-License-Identifier: Apache-2.0
"""Table IV of DATE 2024, latency and energy of the shift: the paper's, its formula's, and ours.

``python -m scripts.table4`` prints it; ``--update`` writes ``docs/results/table4.csv`` and the
table of docs/cost.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hw import cli, disk, timing
from hw.params import ArrayParams, ShiftParams
from model.cost.config import Config
from model.cost.config_file import load
from model.cost.digital import ShiftCost, shift_cost, total
from model.cost.networks import named
from model.cost.results import csv_text
from scripts.tables import insert

__all__ = ["PAPER", "main", "rows", "table"]

PROGRAM = "python -m scripts.table4"
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/table4.csv"
COST = ROOT / "docs/cost.md"

PAPER = (
    ("PSP_128_16", "psp_256_8", 66.8, 54.177, 0.04301),
    ("PSP_256_16", "sp_256_24", 215.0, 174.371, 0.12902),
    ("SP_256_32", "sp_256_32", 284.0, 230.333, 0.17203),
)
"""Label, network whose latency the row shows, nJ, nJ normalised to 22 nm, ms."""

BLOCK = ArrayParams(shift=ShiftParams(height=16, width=16), channels=256)
"""The shift block of all rows."""


def rows() -> list[dict[str, Any]]:
    """Return the table: a row a network, energy in nJ and latency in ms."""
    config = load("date2024_22nm")
    raw = dataclasses.replace(config, shift_energy_divisor=1)
    fused = dataclasses.replace(config, shift="fused")
    found = []
    for label, network, energy, normalised, latency in PAPER:
        blocks = sum(layer.moved > 0 for layer in named(network).layers)
        found.append(
            {
                "row": label,
                "is": network,
                "latency_paper_ms": latency,
                "latency_formula_ms": blocks * timing.paper_cycles(BLOCK) / 1e6,
                "latency_ours_ms": 1e3 * _shifts(network, config).latency_s,
                "latency_fused_ms": 1e3 * _shifts(network, fused).latency_s,
                "latency_of_label_ms": 1e3 * _shifts(label.lower(), config).latency_s,
                "energy_paper_nj": energy,
                "energy_ours_nj": 1e9 * _shifts(network, raw).energy_j,
                "normalised_paper_nj": normalised,
                "normalised_ours_nj": 1e9 * _shifts(network, config).energy_j,
            }
        )
    return found


def _shifts(network: str, config: Config) -> ShiftCost:
    return total(shift_cost(layer, config) for layer in named(network).layers)


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return the table in Markdown."""
    heads = ("row", "is", "latency ms: paper", "formula", "ours", "fused", "ours of the label",
             "energy nJ: paper", "ours", "", "normalised nJ: paper", "ours", "")  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in found:
        ours = row["latency_ours_ms"] / row["latency_formula_ms"] - 1
        energy = row["energy_ours_nj"] / row["energy_paper_nj"] - 1
        normalised = row["normalised_ours_nj"] / row["normalised_paper_nj"] - 1
        lines.append(
            f"| {row['row']} | {row['is']} | {row['latency_paper_ms']:.5f} | "
            f"{row['latency_formula_ms']:.6f} | {row['latency_ours_ms']:.6f} ({ours:+.2%}) | "
            f"{row['latency_fused_ms']:.0f} | {row['latency_of_label_ms']:.5f} | "
            f"{row['energy_paper_nj']:.1f} | {row['energy_ours_nj']:.1f} | {energy:+.1%} | "
            f"{row['normalised_paper_nj']:.1f} | {row['normalised_ours_nj']:.1f} | "
            f"{normalised:+.1%} |"
        )
    return "\n".join(lines).replace("%", " %")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Table IV of DATE 2024: the shift, ours and the paper's.")
    parser.add_argument("--update", action="store_true", help="write the CSV and the documents")
    options = parser.parse_args(arguments)
    found = rows()
    if options.update:
        disk.replace(RESULTS, csv_text(found).encode())
        insert(COST, "table4", table(found))
    print(table(found))
    return 0


if __name__ == "__main__":
    cli.run(main)
