# SPDX-License-Identifier: Apache-2.0
"""Record measured accuracies beside the paper's, and write the README's table.

    python -m scripts.accuracy build/psp_64_4 --hardware "2 cores of an AMD EPYC"

evaluates the finished runs named (the same recipe with other seeds counts as one row), replaces
that row in ``docs/results/accuracy.json``, and writes the tables of the README and of
``docs/training.md`` anew. Without runs it only writes the tables. What was never run stays empty.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hw import cli
from hw.params import ParameterError
from model import checkpoint
from model.data import DataError, load
from model.evaluate import accuracy, integer_accuracy, load_network
from model.export import export
from model.journal import LOG
from model.quant_network import QuantNetwork
from model.train import FINAL
from scripts.tables import insert

__all__ = ["main", "measure", "table"]

PROGRAM = "python -m scripts.accuracy"
ROOT = Path(__file__).parent.parent
PAPER = ROOT / "docs/results/paper.json"
RESULTS = ROOT / "docs/results/accuracy.json"
PRECISIONS = ("float", "int8", "int4")
LOSSLESS = 8
"""Bits of a converter that never saturates: 64 rows of 2-bit cells reach 192."""


def measure(runs: Sequence[Path], data: Path, hardware: str) -> dict[str, Any]:
    """Evaluate finished runs of one recipe, and return their row; integers by their executor.

    Parameters
    ----------
    runs : sequence of Path
        Folders of `model.train`; recipes equal but for the seed and the checkpoint that a run
        for integers went on from.
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
        seed, _ = str(recipe.pop("seed")), recipe.pop("start")
        if recipe != (common := common or recipe) or seed in seeds:
            raise checkpoint.CheckpointError(
                f"{run} must be of the first run's recipe with a seed of its own, not {seed}"
            )
        dataset = load(loaded.dataset, data, image_size=loaded.image_size)
        if isinstance(network, QuantNetwork):
            found = integer_accuracy(export(network, loaded.model), dataset)
        else:
            found = accuracy(network, dataset)
        seeds[seed] = round(100 * found, 2)
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
        "precision": "float" if loaded.quantize == "none" else loaded.quantize,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "mean": round(statistics.mean(values), 2),
        "deviation": round(statistics.stdev(values), 2) if len(values) > 1 else None,
        "seeds": seeds,
        "epochs": common["epochs"],
        "hardware": hardware,
        "minutes_a_run": round(statistics.mean(seconds) / 60, 1),
        "recipe": common,
    }


def _key(row: Mapping[str, Any]) -> tuple[str, str, str, int]:
    """Return what a row is of; there is one of each."""
    return row["dataset"], row["model"], row["precision"], row["recipe"]["adc_bits"]


def _figure(row: Mapping[str, Any]) -> str:
    deviation = "" if row["deviation"] is None else f" ± {row['deviation']:.2f}"
    return f"**{row['mean']:.2f}**{deviation}"


def _runs(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return how often and how long was trained; hardware is told once of rows that share it."""
    parts = []
    for hardware, alike in itertools.groupby(rows, lambda row: row["hardware"]):
        runs = (
            f"{len(row['seeds'])} × {row['epochs']} epochs, {row['minutes_a_run']:.0f} min"
            for row in alike
        )
        parts.append(f"{' and '.join(runs)} on {hardware}")
    return "; ".join(parts)


def table(paper: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table in Markdown: every network of the paper, and every one that was run.

    Integers are those with lossless converters; see `converters_table`.
    """
    ours = {_key(row)[:3]: row for row in rows if row["recipe"]["adc_bits"] == LOSSLESS}
    theirs = {(row["dataset"], row["model"]): row for row in paper}
    names = [key[:2] for key in ours if key[:2] not in theirs] + list(theirs)
    lines = [
        "| data | network | FP32 | paper | INT8 | paper | INT4 | paper | runs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for dataset, model in sorted(dict.fromkeys(names), key=lambda key: key[0]):
        cells, runs = [], []
        for precision in PRECISIONS:
            row = ours.get((dataset, model, precision))
            figure = theirs.get((dataset, model), {}).get(precision)
            cells.append("–" if row is None else _figure(row))
            cells.append("" if figure is None else f"{figure:.2f}")
            if row:
                runs.append(row)
        note = _runs(runs) or "not run"
        lines.append(f"| {dataset} | {model} | {' | '.join(cells)} | {note} |")
    return "\n".join(lines)


def converters_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table in Markdown of what saturating converters cost."""
    lines = ["| network | ADC, bits | accuracy | runs |", "|---|---|---|---|"]
    for row in sorted(rows, key=_key, reverse=True):
        if row["precision"] != "float":
            name = f"{row['model']}, {row['precision'].upper()}"
            bits = row["recipe"]["adc_bits"]
            lines.append(f"| {name} | {bits} | {_figure(row)} | {_runs([row])} |")
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
            rows = sorted([new, *(row for row in rows if _key(row) != _key(new))], key=_key)
            text = json.dumps({"rows": rows}, indent=1, ensure_ascii=False)
            checkpoint.replace(RESULTS, (text + "\n").encode())
        paper = json.loads(PAPER.read_text(encoding="utf-8"))["rows"]
        insert(ROOT / "README.md", "accuracy", table(paper, rows))
        insert(ROOT / "docs/training.md", "converters", converters_table(rows))
    except (ParameterError, DataError, checkpoint.CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    except OSError as error:
        return cli.failed(PROGRAM, error)
    return 0


if __name__ == "__main__":
    cli.run(main)
