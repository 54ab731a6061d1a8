# SPDX-License-Identifier: Apache-2.0
"""Table III of DATE 2024, top-1 accuracy on ImageNet in float: the paper's, and ours.

``python -m scripts.table3`` prints it; ``--update`` writes ``docs/results/table3.csv`` and the
table of docs/training.md. Ours are of data sets ``imagefolder:PATH`` whose folder is ``imagenet``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hw import cli, disk
from model.cost.results import csv_text
from model.layers import layer_shapes
from scripts.table2 import cell, compared, measured
from scripts.tables import insert

__all__ = ["PAPER", "main", "rows", "table"]

PROGRAM = "python -m scripts.table3"
ROOT = Path(__file__).parent.parent
TABLE = ROOT / "docs/results/table3.csv"
TRAINING = ROOT / "docs/training.md"

PAPER = {
    "resnet18": (11.17, 69.15),
    "mobilenetv1": (4.2, 70.60),
    "psp_256_12": (1.8, 72.20),
    "psp_512_12": (6.32, 73.18),
    "psp_512_16": (8.43, 74.87),
}
"""Millions of parameters, top-1 accuracy in %."""


def rows() -> list[dict[str, Any]]:
    """Return the table: a row a network."""
    ours = {
        model: value
        for (dataset, model, precision), value in measured().items()
        if dataset.startswith("imagefolder:")
        and Path(dataset.removeprefix("imagefolder:")).name == "imagenet"
        and precision == "float"
    }
    found = []
    for model, (parameters, figure) in PAPER.items():
        shapes = layer_shapes(model, num_classes=1000, image_size=224)
        found.append(
            {
                "row": model,
                "parameters_paper_m": parameters,
                "weights": sum(shape.weights for shape in shapes),
                **compared("accuracy", figure, ours.get(model)),
            }
        )
    return found


def table(found: Iterable[dict[str, Any]]) -> str:
    """Return the table in Markdown."""
    lines = [
        "| network | parameters M: paper | weights M: ours | top-1 %: paper | ours | difference |",
        "|---|---|---|---|---|---|",
    ]
    for row in found:
        lines.append(
            f"| {row['row']} | {row['parameters_paper_m']:.2f} | {row['weights'] / 1e6:.2f} | "
            f"{cell(row['accuracy_paper'])} | {cell(row['accuracy'])} | "
            f"{cell(row['accuracy_difference'], '+.2f')} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Table III of DATE 2024: ImageNet, ours and the paper's.")
    parser.add_argument("--update", action="store_true", help="write the CSV and the documents")
    options = parser.parse_args(arguments)
    found = rows()
    if options.update:
        disk.replace(TABLE, csv_text(found).encode())
        insert(TRAINING, "table3", table(found))
    print(table(found))
    return 0


if __name__ == "__main__":
    cli.run(main)
