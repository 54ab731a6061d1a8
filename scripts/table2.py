# SPDX-License-Identifier: Apache-2.0
"""Table II of DATE 2024, accuracy in float, INT8 and INT4 on CIFAR-10 and -100: the paper's, ours.

``python -m scripts.table2`` prints it; ``--update`` writes ``docs/results/table2.csv`` and the
table of docs/training.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hw import cli, disk
from model.cost.results import csv_text
from model.layers import layer_shapes
from scripts.accuracy import LOSSLESS, PAPER, PRECISIONS, RESULTS
from scripts.tables import insert

__all__ = ["PARAMETERS", "cell", "main", "measured", "rows", "table"]

PROGRAM = "python -m scripts.table2"
ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs/results/table2.csv"
TRAINING = ROOT / "docs/training.md"

PARAMETERS = {
    "resnet32": 0.47,
    "resnet110": 1.73,
    "psp_128_12": 0.40,
    "psp_256_12": 1.59,
    "psp_256_16": 2.12,
}
"""Millions, in the table's order; its accuracies are in `scripts.accuracy.PAPER`."""

_CLASSES = {"cifar10": 10, "cifar100": 100}


def measured() -> dict[tuple[str, str, str], float]:
    """Return our accuracies in %, by data set, network and precision; lossless converters."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"]
    return {
        (row["dataset"], row["model"], row["precision"]): row["mean"]
        for row in found
        if row["recipe"]["adc_bits"] == LOSSLESS
    }


def rows() -> list[dict[str, Any]]:
    """Return the table: a row a data set and network, the paper's, then those that only we have."""
    printed = json.loads(PAPER.read_text(encoding="utf-8"))["rows"]
    paper = {(row["dataset"], row["model"]): row for row in printed}
    ours = measured()
    theirs = [(dataset, model) for dataset in _CLASSES for model in PARAMETERS]
    more = [key[:2] for key in ours if key[0] in _CLASSES and key[:2] not in paper]
    found = []
    for dataset, model in dict.fromkeys([*theirs, *more]):
        shapes = layer_shapes(model, num_classes=_CLASSES[dataset])
        row = {
            "dataset": dataset,
            "row": model,
            "parameters_paper_m": PARAMETERS.get(model),
            "weights": sum(shape.weights for shape in shapes),
        }
        for precision in PRECISIONS:
            figure = paper.get((dataset, model), {}).get(precision)
            row |= compared(precision, figure, ours.get((dataset, model, precision)))
        found.append(row)
    return found


def compared(name: str, paper: float | None, ours: float | None) -> dict[str, float | None]:
    """Return an accuracy of the paper and ours with their difference, in %; None is not known."""
    known = paper is not None and ours is not None
    return {
        f"{name}_paper": paper,
        name: ours,
        f"{name}_difference": round(ours - paper, 2) if known else None,  # type: ignore[operator]
    }


def cell(value: float | None, form: str = ".2f") -> str:
    """Return a figure as a table shows it."""
    return "–" if value is None else format(value, form)


def table(found: Iterable[dict[str, Any]]) -> str:
    """Return the table in Markdown."""
    heads = ["data", "network", "parameters M: paper", "weights M: ours"]
    for name in ("FP32", "INT8", "INT4"):
        heads += [f"{name} %: paper", "ours", "difference"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in found:
        cells = [row["dataset"], row["row"], cell(row["parameters_paper_m"])]
        cells.append(f"{row['weights'] / 1e6:.2f}")
        for name in PRECISIONS:
            cells += [
                cell(row[f"{name}_paper"]),
                cell(row[name]),
                cell(row[f"{name}_difference"], "+.2f"),
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Table II of DATE 2024: accuracies, ours and the paper's.")
    parser.add_argument("--update", action="store_true", help="write the CSV and the documents")
    options = parser.parse_args(arguments)
    found = rows()
    if options.update:
        disk.replace(TABLE, csv_text(found).encode())
        insert(TRAINING, "table2", table(found))
    print(table(found))
    return 0


if __name__ == "__main__":
    cli.run(main)
