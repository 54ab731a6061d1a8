# SPDX-License-Identifier: Apache-2.0
"""Record measured accuracies beside the paper's, and write the README's table.

    python -m scripts.accuracy build/psp_64_4 --hardware "2 cores of an AMD EPYC"

evaluates the finished runs named (the same recipe with other seeds counts as one row), replaces
that row in ``docs/results/accuracy.json``, and writes the table anew. Without runs it only writes
the table. What was never run stays empty.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hw import cli
from hw.params import ParameterError
from model import checkpoint
from model.data import DataError, load
from model.evaluate import accuracy, load_network
from model.journal import LOG
from model.train import FINAL
from scripts.tables import insert

__all__ = ["main", "measure", "table"]

PROGRAM = "python -m scripts.accuracy"
ROOT = Path(__file__).parent.parent
PAPER = ROOT / "docs/results/paper.json"
RESULTS = ROOT / "docs/results/accuracy.json"
PRECISIONS = ("float", "int8", "int4")


def measure(runs: Sequence[Path], data: Path, hardware: str) -> dict[str, Any]:
    """Evaluate finished runs of one recipe, and return their row.

    Parameters
    ----------
    runs : sequence of Path
        Folders of `model.train`; recipes equal but for the seed.
    data : Path
        Folder of the data sets.
    hardware : str
        What they were trained on.

    Raises
    ------
    checkpoint.CheckpointError
        If a run is not finished, or of another recipe than the first.
    """
    seeds: dict[str, float] = {}
    seconds = []
    common: dict[str, Any] = {}
    for run in runs:
        network, loaded, _ = load_network(run / FINAL)
        recipe = dataclasses.asdict(loaded)
        seed = str(recipe.pop("seed"))
        if recipe != (common := common or recipe) or seed in seeds:
            raise checkpoint.CheckpointError(
                f"{run} must be of the first run's recipe with a seed of its own, not {seed}"
            )
        dataset = load(loaded.dataset, data, image_size=loaded.image_size)
        seeds[seed] = round(100 * accuracy(network, dataset), 2)
        try:
            lines = (run / LOG).read_text(encoding="utf-8").splitlines()
            seconds.append(sum(json.loads(line)["seconds"] for line in lines))
        except (ValueError, KeyError, TypeError):
            raise checkpoint.CheckpointError(
                f"{run / LOG} must have the seconds of each epoch"
            ) from None
    values = list(seeds.values())
    return {
        "model": common["model"],
        "dataset": common["dataset"],
        "precision": "float",
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "mean": round(statistics.mean(values), 2),
        "deviation": round(statistics.stdev(values), 2) if len(values) > 1 else None,
        "seeds": seeds,
        "epochs": common["epochs"],
        "hardware": hardware,
        "minutes_a_run": round(statistics.mean(seconds) / 60, 1),
        "recipe": common,
    }


def _cell(paper: float | None, row: Mapping[str, Any] | None) -> str:
    """Return one figure as ours beside the paper's."""
    ours = "–" if row is None else f"**{row['mean']:.2f}**"
    if row is not None and row["deviation"] is not None:
        ours += f" ± {row['deviation']:.2f}"
    return f"{ours} | {'' if paper is None else f'{paper:.2f}'}"


def table(paper: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table in Markdown: every network of the paper, and every one that was run."""
    ours = {(row["dataset"], row["model"], row["precision"]): row for row in rows}
    theirs = {(row["dataset"], row["model"]): row for row in paper}
    names = list(theirs)
    names = [key[:2] for key in ours if key[:2] not in theirs] + names
    lines = [
        "| data | network | FP32 | paper | INT8 | paper | INT4 | paper | runs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for dataset, model in sorted(dict.fromkeys(names), key=lambda key: key[0]):
        figures = [
            _cell(
                theirs.get((dataset, model), {}).get(precision),
                ours.get((dataset, model, precision)),
            )
            for precision in PRECISIONS
        ]
        runs = [
            f"{len(row['seeds'])} × {row['epochs']} epochs, "
            f"{row['minutes_a_run']:.0f} min of training on {row['hardware']}"
            for precision in PRECISIONS
            if (row := ours.get((dataset, model, precision)))
        ]
        note = "; ".join(runs) or "not run"
        lines.append(f"| {dataset} | {model} | {' | '.join(figures)} | {note} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, (__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "runs", type=Path, nargs="*", metavar="RUN", help="folder of a finished run"
    )
    parser.add_argument("--hardware", metavar="TEXT", help="what the runs were trained on")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    options = parser.parse_args(arguments)
    if "|" in (options.hardware or ""):
        parser.error("--hardware must fit into a table, without |")
    if options.runs and not options.hardware:
        parser.error("--hardware must say what the runs were trained on")
    rows = json.loads(RESULTS.read_text(encoding="utf-8"))["rows"] if RESULTS.exists() else []
    try:
        if options.runs:
            new = measure(options.runs, options.data, options.hardware)
            identity = ("model", "dataset", "precision")
            rows = [row for row in rows if any(row[key] != new[key] for key in identity)]
            rows = sorted([*rows, new], key=lambda row: [row[key] for key in identity])
            text = json.dumps({"rows": rows}, indent=1, ensure_ascii=False)
            checkpoint.replace(RESULTS, (text + "\n").encode())
        paper = json.loads(PAPER.read_text(encoding="utf-8"))["rows"]
        insert(ROOT / "README.md", "accuracy", table(paper, rows))
    except (ParameterError, DataError, checkpoint.CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    except OSError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    cli.run(main)
