# SPDX-License-Identifier: Apache-2.0
"""Train the paper's networks on a large GPU, several seeds each, and compare with its accuracies.

    python -m scripts.paper_runs psp_256_8 psp_256_12 --seeds 0 1 2 --out build/paper

Each run has a folder of its own and goes on where it was cut short, so the command can be repeated;
what is complete is only read. The recipes are starting points and not tuned: nobody has yet run
them to the end.

Source: Guan, Li et al., "An Isotropic Shift-Pointwise Network for Crossbar-Efficient Neural
Network Design", DATE 2024: Tables I and II.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hw import cli
from hw.params import ParameterError
from model.checkpoint import CheckpointError
from model.cifar import CIFAR
from model.data import DataError, load
from model.parallel import World
from model.recipe import Recipe
from model.train import DivergenceError
from scripts.accuracy import PAPER
from scripts.runs import run_or_resume

__all__ = ["NETWORKS", "main", "make_recipe", "paper_accuracy"]

PROGRAM = "python -m scripts.paper_runs"

# Starting points. Batch and AdamW's rate are ConvMixer-256/8's on CIFAR-10
# (github.com/locuslab/convmixer-cifar10), translation and the largest cutout are airbench96's
# (github.com/KellerJordan/cifar10-airbench), Muon's rate is its authors' default; a longer average
# than the default recipe's, for many more steps.
COMMON: Mapping[str, Any] = {
    "epochs": 200, "batch_size": 512, "rate": 0.01, "matrix_rate": 0.02, "smoothing": 0.1,
    "average": 0.999, "translate": 4, "precision": "bf16",
}  # fmt: skip

# The more weights, the more decay and augmentation; colour and affine for the largest alone.
_SMALL = {"decay": 0.02, "cutout": 8}
_MEDIUM = {"decay": 0.03, "cutout": 10}
_LARGE = {"decay": 0.05, "cutout": 12}
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "psp_64_4": _SMALL,  # not in the paper; small enough for a CPU, too
    "psp_128_8": _SMALL,
    "psp_128_12": _SMALL,
    "psp_256_8": _MEDIUM,
    "psp_256_12": _LARGE,
    "sp_256_24": _LARGE,
    "psp_256_16": {**_LARGE, "colour": 0.2, "affine": 0.1},
}
"""What each network's recipe changes beside `COMMON`."""


def make_recipe(network: str, dataset: str, seed: int, epochs: int | None = None) -> Recipe:
    """Return a network's recipe, with its own number of epochs if no other is asked for.

    Raises
    ------
    ParameterError
        If the network is not in the table, or a number is out of range.
    """
    if network not in NETWORKS:
        raise ParameterError(f"network must be one of {', '.join(NETWORKS)}, not {network!r}")
    fields = {**COMMON, **NETWORKS[network]} | ({} if epochs is None else {"epochs": epochs})
    return Recipe(model=network, dataset=dataset, seed=seed, **fields)


def paper_accuracy(dataset: str) -> dict[str, float]:
    """Return the paper's float accuracies, %, by network."""
    rows = json.loads(PAPER.read_text(encoding="utf-8"))["rows"]
    return {row["model"]: row["float"] for row in rows if row["dataset"] == dataset}


def summary(dataset: str, found: Mapping[str, Mapping[int, float]]) -> dict[str, dict[str, Any]]:
    """Return accuracies by seed, their mean, deviation and the paper's, all in %, by network."""
    paper = paper_accuracy(dataset)
    result = {}
    for network, accuracies in found.items():
        percent = {str(seed): round(100 * value, 4) for seed, value in accuracies.items()}
        values = list(percent.values())
        result[network] = {
            "accuracy": percent,
            "mean": statistics.mean(values),
            "deviation": statistics.stdev(values) if len(values) > 1 else None,
            "paper": paper.get(network),
        }
    return result


def print_table(result: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a line a network."""
    print(f"{'network':12}{'seeds':>6}{'accuracy, %':>16}{'paper':>8}{'difference':>12}")
    for network, entry in result.items():
        mean, deviation, paper = entry["mean"], entry["deviation"], entry["paper"]
        accuracy = f"{mean:.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")
        beside = f"{'–':>8}" if paper is None else f"{paper:8.2f}{mean - paper:+12.2f}"
        print(f"{network:12}{len(entry['accuracy']):6}{accuracy:>16}{beside}")


def options_parser() -> cli.Parser:
    """Return the command line."""
    parser = cli.Parser(PROGRAM, (__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "networks", nargs="*", default=list(NETWORKS), metavar="NETWORK", help="to train"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], metavar="SEED", help="a run of each network"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("build/paper"), metavar="DIR", help="of the runs"
    )
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument(
        "--dataset", choices=(*CIFAR, "synthetic"), default="cifar10", help="to train on"
    )
    parser.add_argument(
        "--epochs", type=cli.integer("epochs", 1, 10_000), metavar="COUNT",
        help="a run, instead of the recipe's",
    )  # fmt: skip
    parser.add_argument("--compile", action="store_true", help="torch.compile: pays on a GPU")
    parser.add_argument("--list", action="store_true", help="print the recipes and train nothing")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = options_parser().parse_args(arguments)
    found: dict[str, dict[int, float]] = {}
    code = 0
    try:
        recipes = [
            make_recipe(network, options.dataset, seed, options.epochs)
            for network in options.networks
            for seed in options.seeds
        ]
        if options.list:
            print(json.dumps([dataclasses.asdict(recipe) for recipe in recipes], indent=1))
            return 0
        world = World(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        dataset = load(options.dataset, options.data, world.device)
        for recipe in recipes:
            out = options.out / f"{recipe.dataset}-{recipe.model}-{recipe.seed}"
            try:
                accuracy = run_or_resume(
                    recipe, dataset, out, world=world, compiled=options.compile
                )
                found.setdefault(recipe.model, {})[recipe.seed] = accuracy
            except DivergenceError as error:
                # It would diverge again, so the others are not kept waiting.
                print(f"{PROGRAM}: error: {out.name}: {error}", file=sys.stderr)
                code = 1
    except (ParameterError, DataError, CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    except OSError as error:
        return cli.failed(PROGRAM, error)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; the same command goes on", file=sys.stderr)
        return 130
    result = summary(options.dataset, found)
    if options.json:
        print(json.dumps({"dataset": options.dataset, "networks": result}, indent=1))
    else:
        print_table(result)
    return code


if __name__ == "__main__":
    cli.run(main)
