# SPDX-License-Identifier: Apache-2.0
"""What the block form and the shift are worth: psp_64_4 trained alike, one thing changed a run.

    python -m scripts.ablation --epochs 6 --out build/ablation

Seven variants: the four block forms; and, in the form ``residual``, no shift at all, straight
directions only, and line 10 of Algorithm 1 as printed. Each run has a folder of its own and goes on
where it was cut short, so the command can be repeated. What is complete goes to
``ablation.json`` beside the runs, and with ``--record`` to ``docs/results/ablation.json`` and as a
table into ``docs/training.md``, in the place of what was there.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hw import cli
from hw.params import Direction, ParameterError, group_size
from model import checkpoint
from model.data import DataError, Dataset, load
from model.psp import BLOCKS, BlockForm
from model.recipe import Recipe
from model.shift import Shift
from model.train import FINAL, DivergenceError
from scripts.runs import final_accuracy, run_or_resume
from scripts.tables import insert

__all__ = ["SHIFTS", "Moves", "main", "replace_shifts", "table"]

PROGRAM = "python -m scripts.ablation"
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/ablation.json"
FORM: BlockForm = "residual"
"""Block form of the variants of the shift."""

_LEFT, _RIGHT, _UP, _DOWN, *_DIAGONALS = Direction.moving()
SHIFTS: Mapping[str, tuple[Direction, ...]] = {
    "none": (Direction.STAY,) * 8,
    "straight": (_LEFT, _RIGHT, _UP, _DOWN) * 2,
    "printed": (_LEFT, _RIGHT, _UP, _DOWN, Direction.LEFT_UP, _RIGHT, *_DIAGONALS[2:]),
}
"""Direction of each of the eight groups: as many channels move as in the real one, or none."""


class Moves(nn.Module):
    """A shift block with any eight directions; `model.shift.Shift` is the one with its own.

    Parameters
    ----------
    directions : sequence of Direction
        Of the eight groups.
    """

    def __init__(self, directions: Sequence[Direction]) -> None:
        super().__init__()
        self.directions = tuple(directions)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Move the channel groups of ``x`` [B, C, H, W]."""
        group = group_size(x.shape[1])
        pieces = [
            # A negative pad crops.
            functional.pad(x.narrow(1, number * group, group), (to.dx, -to.dx, to.dy, -to.dy))
            for number, to in enumerate(self.directions)
        ]
        return torch.cat([*pieces, x[:, 8 * group :]], 1)


def replace_shifts(model: nn.Module, make: Callable[[], nn.Module]) -> nn.Module:
    """Put another module, made for each, in the place of every shift block of a network."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Shift):
                setattr(parent, name, make())
    return model


def variants() -> dict[str, tuple[BlockForm, str]]:
    """Return block form and shift of each variant, by name."""
    forms: dict[str, tuple[BlockForm, str]] = {form: (form, "eight") for form in BLOCKS}
    return forms | {f"{FORM}, {name} shift": (FORM, name) for name in SHIFTS}


def folder_name(name: str) -> str:
    """Return the folder of a variant's runs, without the seed."""
    return name.replace(", ", "-").replace(" ", "_")


def run(name: str, recipe: Recipe, out: Path, dataset: Dataset) -> None:
    """Train one variant, or finish it, or find it finished."""
    form, moves = variants()[name]

    def prepare(model: nn.Module) -> nn.Module:
        return replace_shifts(model, lambda: Moves(SHIFTS[moves])) if moves in SHIFTS else model

    run_or_resume(dataclasses.replace(recipe, form=form), dataset, out, prepare=prepare)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, (__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, default=Path("build/ablation"), metavar="DIR", help="of the runs"
    )
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument("--dataset", default="cifar10", metavar="NAME", help="to train on")
    parser.add_argument("--model", default="psp_64_4", metavar="NAME", help="a PSP network")
    parser.add_argument(
        "--epochs", type=cli.integer("epochs", 1, 10_000), default=6, metavar="COUNT", help="a run"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], metavar="SEED", help="a run of each variant"
    )
    parser.add_argument(
        "--only", nargs="+", choices=list(variants()), metavar="NAME", help="train only these"
    )
    parser.add_argument(
        "--record", action="store_true", help="replace the results in docs/ by those of these runs"
    )
    options = parser.parse_args(arguments)
    try:
        if not options.model.startswith("psp_"):
            raise ParameterError(f"model must be a PSP network, not {options.model}")
        recipe = Recipe(model=options.model, dataset=options.dataset, epochs=options.epochs)
        dataset = load(recipe.dataset, options.data)
        for seed in options.seeds:
            for name in options.only or variants():
                out = options.out / f"{folder_name(name)}-{seed}"
                run(name, dataclasses.replace(recipe, seed=seed), out, dataset)
        collect(options.out, recipe, options.out / RESULTS.name)
        if options.record:
            collect(options.out, recipe, RESULTS)
            insert(ROOT / "docs/training.md", "ablation", table(json.loads(RESULTS.read_text())))
    except (ParameterError, DataError, checkpoint.CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    except (DivergenceError, OSError) as error:
        return cli.failed(PROGRAM, error)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


def collect(out: Path, recipe: Recipe, results: Path) -> None:
    """Write the accuracies of all complete runs, by variant and seed.

    Raises
    ------
    checkpoint.CheckpointError
        If a run's recipe is not the one asked for.
    """
    found: dict[str, dict[str, float]] = {}
    for name, (form, _) in variants().items():
        for folder in sorted(out.glob(f"{folder_name(name)}-*")):
            seed = folder.name.removeprefix(f"{folder_name(name)}-")
            # No number: another variant, whose name begins with this one's.
            if seed.isdecimal() and (folder / FINAL).exists():
                own = dataclasses.replace(recipe, form=form, seed=int(seed))
                found.setdefault(name, {})[seed] = final_accuracy(folder, own)
    common: dict[str, Any] = dataclasses.asdict(recipe)
    for key in ("form", "seed"):
        del common[key]
    text = json.dumps({"recipe": common, "accuracy": found}, indent=1, ensure_ascii=False)
    results.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.replace(results, (text + "\n").encode())


def table(results: Mapping[str, Any]) -> str:
    """Return what `collect` wrote as a table in Markdown, percent by seed."""
    rows = []
    for name, accuracies in results["accuracy"].items():
        form, _, moves = name.partition(", ")
        rows.append((form, moves.removesuffix(" shift") or "eight directions", accuracies))
    seeds = sorted({seed for *_, accuracies in rows for seed in accuracies}, key=int)
    lines = [
        f"| block form | shift | {' | '.join(f'seed {seed}' for seed in seeds)} | mean |",
        "|---|---" + "|---" * len(seeds) + "|---|",
    ]
    for form, moves, found in rows:
        cells = [f"{100 * found[seed]:.2f}" if seed in found else "not run" for seed in seeds]
        mean = 100 * statistics.mean(found.values())
        lines.append(f"| {form} | {moves} | {' | '.join(cells)} | {mean:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
