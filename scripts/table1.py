# SPDX-License-Identifier: Apache-2.0
"""Table I of DATE 2024: the paper's, the reference simulator's, ours; mixed, and like for like.

``python -m scripts.table1`` prints it; ``--update`` writes ``docs/results/table1.csv`` and the
tables of docs/cost.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hw import cli, disk
from model.cost.config import Config
from model.cost.config_file import load
from model.cost.networks import named
from model.cost.results import csv_text
from model.cost.simulate import simulate
from scripts.tables import insert

__all__ = ["LARGE", "PAPER", "REFERENCE", "Figures", "main", "rows", "tables"]

PROGRAM = "python -m scripts.table1"
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/table1.csv"
COST = ROOT / "docs/cost.md"


class Figures(NamedTuple):
    """What is printed of a network: %, mm², ms, TOPS/W; None where it is not known."""

    utilisation: float
    area: float | None = None
    latency: float | None = None
    efficiency: float | None = None


PAPER = {
    "resnet110": Figures(57.18, 23.18, 9.82, 1.89),
    "densenet40_12": Figures(60.53, 35.50, 11.00, 3.32),
    "vgg8": Figures(99.39, 284.18, 5.00, 4.83),
    "shiftresnet110": Figures(57.18, 23.18, 10.04, 1.88),
    "psp_128_8": Figures(93.40, 6.84, 2.40, 6.90),
    "psp_256_8": Figures(94.29, 12.52, 3.57, 7.42),
    "psp_256_12": Figures(96.07, 17.91, 5.33, 7.34),
    "sp_256_24": Figures(96.07, 26.80, 6.43, 4.68),
    "psp_256_16": Figures(97.01, 23.62, 8.13, 6.86),
}
"""Table I, in its order."""

LARGE = {"psp_256_12": Figures(93), "psp_256_16": Figures(95)}
"""On crossbars of 256×256: section V-C."""

_ALIKE = {
    "psp_128_8": Figures(93.403, 6.837, 2.408, 6.96),
    "psp_256_8": Figures(94.286, 12.516, 3.562, 7.61),
    "psp_256_12": Figures(96.078, 17.915, 5.284, 7.56),
    "sp_256_24": Figures(96.078, 17.915, 5.284, 7.56),
    "psp_256_16": Figures(97.015, 23.625, 8.075, 6.99),
}
REFERENCE = {
    "date2024": _ALIKE
    | {
        "resnet110": Figures(57.185, 23.181, 10.11),
        "densenet40_12": Figures(60.531, 35.498),
        "vgg8": Figures(99.398, 284.179),
        "shiftresnet110": Figures(57.185, 23.181, 10.11),
    },
    "date2024_22nm": _ALIKE
    | {
        "resnet110": Figures(65.07, 19.6),
        "densenet40_12": Figures(59.72),
        "vgg8": Figures(96.81),
        "shiftresnet110": Figures(57.185, 10.907, 8.545, 3.70),
    },
    "256×256": {"psp_256_12": Figures(93.089), "psp_256_16": Figures(94.715)},
}
"""What DNN+NeuroSim V1.3 gives with the settings of each design point, as far as it was run."""

_MARKS = {"date2024": "table1", "date2024_22nm": "table1-alike", "256×256": "table1-large"}


def rows() -> list[dict[str, Any]]:
    """Return a row a network and setting: utilisation in %, area in mm², latency in ms, TOPS/W."""
    mixed, alike = load("date2024"), load("date2024_22nm")
    large = dataclasses.replace(alike, array_rows=256, array_columns=256)
    return [
        *(_row("date2024", mixed, network, paper) for network, paper in PAPER.items()),
        *(_row("date2024_22nm", alike, network, paper) for network, paper in PAPER.items()),
        *(_row("256×256", large, network, paper) for network, paper in LARGE.items()),
    ]


def _row(setting: str, config: Config, network: str, paper: Figures) -> dict[str, Any]:
    simulated = named(config.simulated(network))
    chosen = config.for_network(network)
    # The reference simulator knows no shift: latency and TOPS/W are without.
    cost = simulate(simulated, dataclasses.replace(chosen, shift="fused"))
    ours = Figures(
        100 * cost.mapping.utilisation, 1e6 * cost.area, 1e3 * cost.latency, cost.tops_per_watt()
    )
    reference = REFERENCE[setting][network]
    row = {
        "setting": setting,
        "row": network,
        "is": simulated.name,
        "weights": simulated.weights,
        "array_rows": chosen.array_rows,
        "array_columns": chosen.array_columns,
        "node_nm": chosen.node_nm,
        "tile_side": cost.mapping.tile_side,
        "tiles": cost.mapping.tiles,
        "utilisation_unique": 100 * cost.mapping.unique_utilisation,
        "utilisation_arrays": 100 * cost.mapping.array_utilisation,
    }
    for name in Figures._fields:
        row |= {
            f"{name}_paper": getattr(paper, name),
            f"{name}_reference": getattr(reference, name),
            name: getattr(ours, name),
        }
    return row | {"shift_ms": 1e3 * simulate(simulated, chosen).shift.latency_s}


def tables(found: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the tables in Markdown, by the name of their marks in the document."""
    made = {}
    for setting, mark in _MARKS.items():
        chosen = [row for row in found if row["setting"] == setting]
        made[mark] = _utilisation(chosen)
        if setting != "256×256":
            made[f"{mark}-cost"] = _cost(chosen)
    return made


def _utilisation(found: Iterable[dict[str, Any]]) -> str:
    lines = _head("row", "is", "weights", "crossbar", "node", "tiles", "utilisation %: paper",
                  "ours", "difference", "unique weights", "by arrays")  # fmt: skip
    for row in found:
        printed = row["utilisation_paper"]
        difference = row["utilisation"] - printed
        printed = f"{printed:.2f}" if isinstance(printed, float) else printed
        lines.append(
            f"| {row['row']} | {row['is']} | {row['weights']:,} | "
            f"{row['array_rows']}×{row['array_columns']} | {row['node_nm']:g} nm | "
            f"{row['tiles']} of {row['tile_side']}² | {printed} | {row['utilisation']:.3f} | "
            f"{difference:+.3f} | {row['utilisation_unique']:.2f} | "
            f"{row['utilisation_arrays']:.2f} |"
        )
    return "\n".join(lines)


def _cost(found: Iterable[dict[str, Any]]) -> str:
    quantities = {"area": "area mm²", "latency": "latency ms", "efficiency": "TOPS/W"}
    heads = []
    for what in quantities.values():
        heads += [f"{what}: paper", "reference", "ours", "from paper, reference"]
    lines = _head("row", *heads, "shift ms")
    for row in found:
        cells = [row["row"]]
        for name in quantities:
            paper, reference, ours = row[f"{name}_paper"], row[f"{name}_reference"], row[name]
            cells += [
                f"{paper:.2f}",
                "–" if reference is None else f"{reference:g}",
                f"{ours:.3f}",
                f"{_percent(ours, paper)}, {_percent(ours, reference)}",
            ]
        lines.append(f"| {' | '.join(cells)} | {row['shift_ms']:.3f} |")
    return "\n".join(lines)


def _percent(ours: float, other: float | None) -> str:
    return "–" if other is None else f"{100 * (ours / other - 1):+.1f} %"


def _head(*heads: str) -> list[str]:
    return [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Table I of DATE 2024 on crossbars: ours and the paper's.")
    parser.add_argument("--update", action="store_true", help="write the CSV and the documents")
    options = parser.parse_args(arguments)
    found = rows()
    if options.update:
        disk.replace(RESULTS, csv_text(found).encode())
        for mark, text in tables(found).items():
            insert(COST, mark, text)
    print("\n\n".join(tables(found).values()))
    return 0


if __name__ == "__main__":
    cli.run(main)
