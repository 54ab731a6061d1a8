# SPDX-License-Identifier: Apache-2.0
"""Runs of training, each in a folder of its own, by commands that can be repeated.

What was cut short goes on, and what is complete is only read, so the same command comes to an end
however often it is killed.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import torch

from model import checkpoint, run_folder
from model.data import Dataset
from model.parallel import World
from model.recipe import Recipe
from model.state import Prepare
from model.train import FINAL, LAST, train

__all__ = ["final_accuracy", "run_or_resume"]


def run_or_resume(
    recipe: Recipe,
    dataset: Dataset,
    out: Path,
    *,
    world: World | None = None,
    compiled: bool = False,
    prepare: Prepare | None = None,
) -> float:
    """Train, go on, or find it done; parameters as for `model.train.train`.

    Returns
    -------
    float
        Share of the test images that are right after the last epoch, 0…1.

    Raises
    ------
    DivergenceError, ParameterError, checkpoint.CheckpointError
        As `model.train.train`; also if the folder's run is complete, but of another recipe.
    """
    if not (out / FINAL).exists():
        resume = (out / LAST).exists()
        print(f"{out.name}: {'goes on' if resume else 'begins'}", file=sys.stderr, flush=True)
        if compiled:
            # PyTorch compiles a function a few times in a process, then it falls back to eager.
            torch.compiler.reset()
        with run_folder.held(out, new=True, rank=world.rank if world else 0):
            train(
                recipe, dataset, out, resume=resume, world=world, compiled=compiled, prepare=prepare
            )  # fmt: skip
    return final_accuracy(out, recipe)


def final_accuracy(out: Path, recipe: Recipe) -> float:
    """Return the accuracy of a complete run, 0…1.

    Raises
    ------
    checkpoint.CheckpointError
        If it is not complete, damaged, or of another recipe.
    """
    file = out / FINAL
    _, facts = checkpoint.read(file)
    stored = dataclasses.asdict(Recipe.read(facts.get("recipe")))
    rule = f"{file} must be of the same recipe"
    checkpoint.check_same(rule, stored, dataclasses.asdict(recipe))
    try:
        return float(facts["log"][-1]["accuracy"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise checkpoint.CheckpointError(
            f"{file} must have the accuracy of its last epoch"
        ) from None
