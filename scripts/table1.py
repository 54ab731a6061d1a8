# SPDX-License-Identifier: Apache-2.0
"""Table I of DATE 2024 on crossbars: the paper's, ours with its mixed settings, and like for like.

``python -m scripts.table1`` prints it; ``--update`` writes ``docs/results/table1.csv`` and the
tables of docs/cost.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hw import cli
from model.cost.config import Config
from model.cost.config_file import load
from model.cost.mapping import map_network
from model.cost.networks import named
from scripts.tables import csv_text, insert

__all__ = ["LARGE", "PAPER", "main", "rows", "table", "tables"]

PROGRAM = "python -m scripts.table1"
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/table1.csv"
COST = ROOT / "docs/cost.md"

PAPER = {
    "resnet110": 57.18,
    "densenet40_12": 60.53,
    "vgg8": 99.39,
    "shiftresnet110": 57.18,
    "psp_128_8": 93.40,
    "psp_256_8": 94.29,
    "psp_256_12": 96.07,
    "sp_256_24": 96.07,
    "psp_256_16": 97.01,
}
"""Utilisation in percent, in the paper's order."""

LARGE = {"psp_256_12": 93, "psp_256_16": 95}
"""The same on crossbars of 256×256: section V-C."""


def rows() -> list[dict[str, Any]]:
    """Return a row a network and setting, utilisation in percent."""
    mixed, alike = load("date2024"), load("date2024_22nm")
    large = dataclasses.replace(alike, array_rows=256, array_columns=256)
    return [
        *(_row("date2024", mixed, network, printed) for network, printed in PAPER.items()),
        *(_row("date2024_22nm", alike, network, printed) for network, printed in PAPER.items()),
        *(_row("256×256", large, network, printed) for network, printed in LARGE.items()),
    ]


def _row(setting: str, config: Config, network: str, printed: float) -> dict[str, Any]:
    simulated = named(config.simulated(network))
    chosen = config.for_network(network)
    mapped = map_network(simulated, chosen)
    return {
        "setting": setting,
        "row": network,
        "is": simulated.name,
        "weights": simulated.weights,
        "array_rows": chosen.array_rows,
        "array_columns": chosen.array_columns,
        "node_nm": chosen.node_nm,
        "tile_side": mapped.tile_side,
        "tiles": mapped.tiles,
        "utilisation_paper": printed,
        "utilisation": 100 * mapped.utilisation,
        "utilisation_unique": 100 * mapped.unique_utilisation,
        "utilisation_arrays": 100 * mapped.array_utilisation,
    }


def table(found: Sequence[dict[str, Any]]) -> str:
    """Return rows of one setting in Markdown."""
    heads = ("row", "is", "weights", "crossbar", "node", "tiles", "utilisation %: paper", "ours",
             "difference", "unique weights", "by arrays")  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in found:
        printed = row["utilisation_paper"]
        difference = row["utilisation"] - printed
        printed = f"{printed:.2f}" if isinstance(printed, float) else printed
        lines.append(
            f"| {row['row']} | {row['is']} | {row['weights']:,} | "
            f"{row['array_rows']}×{row['array_columns']} | {row['node_nm']:g} nm | "
            f"{row['tiles']} of {row['tile_side']}² | {printed} | "
            f"{row['utilisation']:.3f} | {difference:+.3f} | {row['utilisation_unique']:.2f} | "
            f"{row['utilisation_arrays']:.2f} |"
        )
    return "\n".join(lines)


def tables(found: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the table of each setting, by the name of its marks in the document."""
    marks = {"date2024": "table1", "date2024_22nm": "table1-alike", "256×256": "table1-large"}
    return {
        mark: table([row for row in found if row["setting"] == setting])
        for setting, mark in marks.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Table I of DATE 2024 on crossbars: ours and the paper's.")
    parser.add_argument("--update", action="store_true", help="write the CSV and the documents")
    options = parser.parse_args(arguments)
    found = rows()
    if options.update:
        cli.replace(RESULTS, csv_text(found).encode())
        for mark, text in tables(found).items():
            insert(COST, mark, text)
    print("\n\n".join(tables(found).values()))
    return 0


if __name__ == "__main__":
    cli.run(main)
