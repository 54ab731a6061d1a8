# SPDX-License-Identifier: Apache-2.0
"""Compressed networks beside each other: accuracy, crossbars, energy by the published table.

``python -m scripts.compression --add build/psp_64_4_twofold`` measures a run of `model.compress`,
or the folder of an integer network that is not compressed, on all test images of CIFAR-10, and puts
it into ``docs/results/compression.json``, in place of one of the same name. ``--floats FILE`` names
the compressed checkpoint that the run went on from, so that its epochs are told, too; ``--rows``
and ``--columns`` are those of crossbars that a network without a report is counted on. ``--update``
writes the tables of docs/compression.md and ``docs/results/compression.svg`` from it; there, runs
of one method are points of a curve. The file is

::

    {"runs": [{
      "name": "psp_64_4_twofold",       of the folder
      "network": "psp_64_4",
      "method": "twofold",              or aligned, joint; none of a network that is not compressed
      "settings": {…},                  `compression` of report.json; {} where there is none
      "epochs": [8, 3],                 compressed as floats, then for integers; [] where it is not
      "sparsity": {"asked": 0.5, "reached": 0.51},     shares, as report.json has them
      "accuracy": 0.87,                 of the integer network, on all test images
      "images": 10000,
      "digest": "…",                    sha256 of its intnet.json
      "weights": 34176, "zeros": 17000,
      "pages": 38, "absent": 0,         of the settings' crossbars; absent ones hold zeros only
      "used": 38,                       pages that are left, also without idle channels
      "energy_pj": {"none": …, "rows": …, "masked": …},   cells, by what is not read
      "adc_pj": {"none": …, "rows": …, "masked": …},      conversions, by the same
      "pairs": [a, b, c, d],            cells with 00, 01, 10, 11 that are read where rows are gated
      "cycles": 590736                  for an image, by `hw.timing`, as co-simulation
                                        counts them; null of a network without RTL
    }, …]}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from hw import cli, disk
from hw.accelerator_params import FitError
from hw.params import ParameterError
from hw.plan import plan
from hw.timing import accelerator_cycles
from model import checkpoint, compress_report, golden, intnet
from model.cell_energy import Skip, network_energy
from model.compress_settings import Compress
from model.data import DataError, Dataset, load
from model.evaluate import FINAL, integer_accuracy, load_network
from model.export import export
from model.recipe import Recipe
from model.shrink import shrink
from scripts.compression_tables import draw, energy_table, papers_table, runs_table
from scripts.tables import insert

__all__ = ["cycles", "main", "measure"]

PROGRAM = "python -m scripts.compression"
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/compression.json"
FIGURE = ROOT / "docs/results/compression.svg"
DOCUMENT = ROOT / "docs/compression.md"

DATASET = "cifar10"
CROSSBAR = (64, 64)
"""Rows and columns, where a run does not say."""


def measure(
    folder: Path, dataset: Dataset, floats: Path | None = None,
    crossbar: tuple[int, int] = CROSSBAR,
) -> dict[str, Any]:  # fmt: skip
    """Return the record of a run, or of an integer network.

    Parameters
    ----------
    folder : Path
        With ``report.json`` and ``model.safetensors``, or with ``intnet.json``.
    dataset : Dataset
        Whose test images are classified.
    floats : Path, optional
        Checkpoint of a run of floats, compressed, that the run went on from.
    crossbar : tuple of int
        Rows and columns on which a network without a report is counted.

    Raises
    ------
    ParameterError, model.checkpoint.CheckpointError, OSError
        If the folder holds neither, or what it holds cannot be, or ``floats`` is another.
    """
    report: Mapping[str, Any] = {}
    epochs: list[int] = []
    if (folder / intnet.JSON_FILE).exists():
        net = intnet.read(folder)
    elif not (folder / "report.json").exists():
        raise ParameterError(
            f"{folder} must hold {intnet.JSON_FILE}, "
            f"or report.json and {FINAL}: a run's, at its end"
        )
    else:
        text = (folder / "report.json").read_text(encoding="utf-8")
        network, recipe, _ = load_network(folder / FINAL)
        if recipe.quantize == "none":
            raise ParameterError(f"{folder} must hold a run for integers, not one of floats")
        if recipe.dataset != DATASET:
            raise ParameterError(f"{folder} must be trained on {DATASET}, not {recipe.dataset}")
        try:
            report = json.loads(text)
            Compress(**report["compression"])
            if report["sparsity"].keys() != {"asked", "reached"}:
                raise ValueError("it names no sparsity")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ParameterError(f"{folder} must hold a report.json: {error}") from None
        net = export(network, recipe.model)  # type: ignore[arg-type]
        epochs = [0 if floats is None else _epochs(floats, recipe.start), recipe.epochs]
    settings = report.get("compression", {})
    rows, columns = (settings["rows"], settings["columns"]) if settings else crossbar
    lossless = golden.is_lossless(net.array_rows, net.cell_bits, net.adc_bits)
    total, small = (
        compress_report.totals(compress_report.count(each, rows=rows, columns=columns))
        for each in (net, shrink(net) if lossless else net)
    )
    energies = {skip: network_energy(net, skip=skip, columns=columns) for skip in get_args(Skip)}
    return {
        "name": folder.resolve().name,
        "network": net.name,
        "method": settings.get("method", "none"),
        "settings": settings,
        "epochs": epochs,
        "sparsity": report["sparsity"] if report else {"asked": 0.0, "reached": 0.0},
        "accuracy": integer_accuracy(net, dataset),
        "images": len(dataset.test_images),
        "digest": intnet.digest(net),
        "weights": total.weights,
        "zeros": total.zeros,
        "pages": total.pages,
        "absent": total.absent,
        "used": small.pages - small.absent,
        "energy_pj": {k: round(sum(x.cell_pj for x in v), 1) for k, v in energies.items()},
        "adc_pj": {k: round(sum(x.adc_pj for x in v), 1) for k, v in energies.items()},
        "pairs": np.sum([each.pairs for each in energies["rows"]], 0).tolist(),
        "cycles": cycles(net, columns),
    }


def cycles(net: intnet.IntNet, columns: int) -> int | None:
    """Return what an image takes on the accelerator, if the network is one that it runs."""
    try:
        return accelerator_cycles(plan(net, columns=columns, columns_per_adc=8, mode="fused"))
    except FitError:
        return None


def _epochs(floats: Path, start: str) -> int:
    """Return how long a compressed checkpoint of floats was trained on.

    Raises
    ------
    ParameterError, model.checkpoint.CheckpointError, OSError
        If it is not compressed, or not the one of this sha256.
    """
    if hashlib.sha256(floats.read_bytes()).hexdigest() != start:
        raise ParameterError(f"{floats} must be what the run went on from, of sha256 {start}")
    _, facts = checkpoint.read(floats)
    if "compression" not in facts:
        raise ParameterError(f"{floats} must be a run of model.compress")
    return Recipe.read(facts.get("recipe")).epochs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Put compressed networks beside each other.")
    parser.add_argument("--add", type=Path, metavar="DIR", help="measure a run, and record it")
    parser.add_argument(
        "--floats", type=Path, metavar="FILE",
        help="compressed checkpoint of floats that the run that is added went on from",
    )  # fmt: skip
    for name, default in zip(("rows", "columns"), CROSSBAR, strict=True):
        parser.add_argument(
            f"--{name}", type=cli.integer(name, 1, 4096), default=default, metavar="COUNT",
            help=f"{name} of a crossbar, where the network has no report",
        )  # fmt: skip
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument("--update", action="store_true", help="write the tables and the figure")
    parser.add_argument("--json", action="store_true", help="print the runs as JSON")
    options = parser.parse_args(arguments)
    try:
        runs = json.loads(RESULTS.read_text(encoding="utf-8"))["runs"] if RESULTS.exists() else []
        if options.add is not None:
            dataset = load(DATASET, options.data, image_size=32)
            crossbar = options.rows, options.columns
            found = measure(options.add, dataset, options.floats, crossbar)
            runs = sorted(
                [*(run for run in runs if run["name"] != found["name"]), found],
                key=lambda run: (run["network"], run["method"] != "none", run["name"]),
            )
            disk.replace(RESULTS, (json.dumps({"runs": runs}, indent=1) + "\n").encode())
    except (ParameterError, DataError, OSError, ValueError) as error:
        cli.bad_input(PROGRAM, error)
    if options.update:
        tables = {
            "compression": runs_table(runs), "compression-energy": energy_table(runs),
            "compression-papers": papers_table(),
        }  # fmt: skip
        for name, table in tables.items():
            insert(DOCUMENT, name, table)
        disk.replace(FIGURE, draw(runs))
    print(json.dumps({"runs": runs}) if options.json else runs_table(runs))
    return 0


if __name__ == "__main__":
    cli.run(main)
