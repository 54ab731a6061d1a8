# SPDX-License-Identifier: Apache-2.0
"""Train a network: ``python -m model.train psp_64_4 --dataset cifar10 --out build/psp_64_4``.

Everything random follows from the seed, the epoch and the step, so a run that was killed goes on
with ``--resume`` to the same weights (bit for bit on a CPU). ``torchrun --nproc-per-node 2 -m
model.train …`` trains the same with two processes. The folder holds

``last.safetensors``
    everything, after the last whole epoch;
``model.safetensors``
    at the end: the averaged weights, the recipe, loss and accuracy by epoch;
``log.jsonl``, ``curve.svg``
    a line an epoch; the learning curve.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hw import cli
from hw.params import ParameterError
from model import checkpoint, qat, run_folder
from model.compression import Compression
from model.data import Augment, DataError, Dataset, batches, epoch_generator, load
from model.evaluate import FINAL, accuracy
from model.journal import LOG, Journal
from model.optimizer import set_rates
from model.parallel import PeerError, World, join, mean_over
from model.quantise import freeze_norms
from model.recipe import Recipe
from model.state import Prepare, State, follow, start
from model.step import step

__all__ = ["FINAL", "LAST", "DivergenceError", "interrupted", "main", "train"]

PROGRAM = "python -m model.train"

LAST = "last.safetensors"


class DivergenceError(Exception):
    """The loss or the weights are no numbers any more."""


def epoch_batches(
    recipe: Recipe, dataset: Dataset, augment: Augment, world: World, epoch: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Return this process's images and labels, step by step."""
    return batches(
        dataset, recipe.batch_size, augment=augment, rank=world.rank, world=world.size,
        generator=epoch_generator(recipe.seed, epoch, dataset.train_images.device),
    )  # fmt: skip


def run_epoch(
    state: State, recipe: Recipe, dataset: Dataset, augment: Augment, world: World, journal: Journal
) -> float:
    """Train one epoch; returns the mean loss.

    Raises
    ------
    DivergenceError
        If the loss is no number, or the weights are none.
    """
    steps = len(dataset.train_images) // recipe.batch_size
    frozen_from = recipe.freeze * recipe.epochs * steps
    state.model.train()
    total = torch.zeros((), device=dataset.train_images.device)
    stream = epoch_batches(recipe, dataset, augment, world, state.epoch)
    for number, (images, labels) in enumerate(stream):
        done = state.epoch * steps + number
        if recipe.quantize != "none" and done >= frozen_from:
            freeze_norms(state.model)
        set_rates(state.optimizers, recipe.rate_at((done + 1) / (recipe.epochs * steps + 1)))
        age = done
        if state.compression:
            progress = done / (recipe.epochs * steps)
            state.compression.advance(state.model, progress)
            age -= math.floor(state.compression.changed(progress) * recipe.epochs * steps)
        total += step(state, recipe, images, labels)
        # The average begins short, so that the first random weights are soon forgotten; so are
        # those with other masks.
        follow(state.mean, state.model, min(recipe.average, (1 + age) / (10 + age)))
        journal.step()
    mean_loss = mean_over(world, total).item() / steps
    if not math.isfinite(mean_loss):
        raise DivergenceError(
            f"the loss of epoch {state.epoch + 1} must be a number, not {mean_loss}"
        )
    # The last step's weights have not been in any loss yet.
    if not all(bool(value.isfinite().all()) for value in state.mean.parameters()):
        raise DivergenceError(f"the weights after epoch {state.epoch + 1} must be numbers")
    state.epoch += 1
    return mean_loss


def train(
    recipe: Recipe,
    dataset: Dataset,
    out: Path,
    *,
    resume: bool = False,
    world: World | None = None,
    compiled: bool = False,
    tensorboard: bool = False,
    prepare: Prepare | None = None,
    teacher: nn.Module | None = None,
    compression: Compression | None = None,
    record: dict[str, Any] | None = None,
) -> State:
    """Train to the end, writing a checkpoint and a line of log each epoch.

    Parameters
    ----------
    recipe : Recipe
    dataset : Dataset
        On this process's device.
    out : Path
        Folder of the run; made as soon as nothing is left to be refused.
    resume : bool
        Go on where the folder's run was.
    world : World
        The processes that train together; one by default. The first writes.
    compiled : bool
        Fuse by ``torch.compile``: pays on a GPU, not on a CPU.
    tensorboard : bool
        Write event files too.
    prepare : callable
        Takes the fresh network and returns the one to train: see `model.qat.begin`.
    teacher : nn.Module
        What a share ``recipe.distil`` of the loss compares with.
    compression : Compression
        What is done to the weights on the way: see `model.compress`.
    record : dict
        Its settings, which checkpoints keep; a run is resumed with the same ones only.

    Raises
    ------
    DivergenceError, ParameterError, checkpoint.CheckpointError
        A run is never overwritten, and a failed epoch leaves the last checkpoint as it was.
    """
    world = world or World()
    qat.check(recipe, world)
    if bool(recipe.distil) != bool(teacher):
        raise ParameterError(f"a teacher must be there if distil, {recipe.distil:g}, is above 0")
    last = out / LAST
    # Before the processes meet in `start`: the first will write the file that all look for here.
    if not resume and any((out / name).exists() for name in (LAST, FINAL, LOG)):
        raise checkpoint.CheckpointError(f"{out} must hold no other run: resume it, or move it")
    if resume and not last.exists():
        raise checkpoint.CheckpointError(f"{out} must hold a run to resume: it has no {LAST}")
    augment = Augment(
        mean=dataset.mean, std=dataset.std, flip=True, translate=recipe.translate,
        cutout=recipe.cutout, colour=recipe.colour, affine=recipe.affine,
        memory_format=torch.channels_last,
    )  # fmt: skip
    # What does not fit is told before anything is written.
    next(epoch_batches(recipe, dataset, augment, world, 0))
    state = start(
        recipe, dataset, world=world, compiled=compiled, prepare=prepare, teacher=teacher,
        compression=compression, record=record,
    )  # fmt: skip
    if resume:
        state.restore(last, recipe)
    steps = len(dataset.train_images) // recipe.batch_size
    with Journal(
        out, epochs=recipe.epochs, steps=steps, batch_size=recipe.batch_size,
        silent=world.rank > 0, tensorboard=tensorboard,
    ) as journal:  # fmt: skip
        if world.rank == 0 and not resume:
            state.save(last, recipe)  # so that a run killed in its first epoch can be resumed, too
        while state.epoch < recipe.epochs:
            journal.begin(state.epoch)
            loss = run_epoch(state, recipe, dataset, augment, world, journal)
            timing = journal.trained()
            found = accuracy(state.mean, dataset)
            state.log.append({"epoch": state.epoch, "loss": loss, "accuracy": found, **timing})
            if world.rank == 0:
                state.save(last, recipe)
                journal.record(state.log)
        if compression:
            for network in (state.model, state.mean):
                compression.settle(network)
        if world.rank == 0:
            _finish(state, recipe, dataset, out / FINAL)
            journal.finish(state.log, f"{recipe.model}, {recipe.dataset}, seed {recipe.seed}")
    return state


def _finish(state: State, recipe: Recipe, dataset: Dataset, file: Path) -> None:
    """Write the averaged network. Without times: the same run gives the same bytes."""
    tensors = {f"model.{k}": v for k, v in state.mean.state_dict().items()}
    facts = {
        "log": [{k: line[k] for k in ("epoch", "loss", "accuracy")} for line in state.log],
        "data": {k: getattr(dataset, k) for k in ("num_classes", "image_size", "mean", "std")},
    } | state.origin(recipe)
    checkpoint.write(file, tensors, facts)


def options_parser() -> cli.Parser:
    """Return the command line: every field of the recipe is an option, there if it is given."""
    parser = cli.Parser(PROGRAM, "Train a network.")
    fields = {field.name: field for field in dataclasses.fields(Recipe)}
    del fields["start"]  # it follows from --from
    parser.add_argument("model", metavar="MODEL", help=fields.pop("model").metadata["help"])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument("--resume", action="store_true", help="go on where the folder's run was")
    parser.add_argument(
        "--from", type=Path, dest="source", metavar="CKPT",
        help="model.safetensors that --quantize goes on from: its data set, form and sizes too",
    )  # fmt: skip
    parser.add_argument("--compile", action="store_true", help="torch.compile: pays on a GPU")
    parser.add_argument("--tensorboard", action="store_true", help="write event files too")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_fields(parser, fields.values())
    return parser


def add_fields(
    parser: cli.Parser,
    fields: Iterable[dataclasses.Field[Any]],
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Add an option for each of a recipe's fields, there if it is given.

    ``defaults`` are those of another command, to be told in place of a training's.
    """
    group = parser.add_argument_group("recipe")
    for field in fields:
        kind = type(field.default)
        group.add_argument(
            f"--{field.name.replace('_', '-')}", type=kind, default=argparse.SUPPRESS,
            choices=field.metadata.get("choices"), help=_help(field, defaults or {}),
            metavar=None if "choices" in field.metadata else kind.__name__.upper(),
        )  # fmt: skip


def _help(field: dataclasses.Field[Any], own: Mapping[str, Any]) -> str:
    """Return what an option is for, its range, and its default."""
    text = str(field.metadata["help"])
    if "range" in field.metadata:
        low, high = field.metadata["range"]
        text += f"; {low} to {high}" if isinstance(low, int) else f"; {low:g} to {high:g}"
    if field.name in own:
        return f"{text} (default: {own[field.name]})"
    others = [
        f"{defaults[field.name]} for {integers}"
        for integers, defaults in qat.DEFAULTS.items()
        if field.name in defaults
    ]
    return f"{text} (default: {', '.join([str(field.default), *others])})"


def interrupted(program: str, out: Path) -> int:
    """Tell whether a run that was interrupted has begun, so that it can go on; returns 130."""
    begun = (out / LAST).exists()
    print(f"{program}: interrupted{'; go on with --resume' * begun}", file=sys.stderr)
    return 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = vars(options_parser().parse_args(arguments))
    switches = {name: options.pop(name) for name in ("resume", "tensorboard")}
    out, data, compiled = options.pop("out"), options.pop("data"), options.pop("compile")
    as_json, source = options.pop("json"), options.pop("source")
    prepare = teacher = None
    try:
        recipe = qat.recipe_from(source, options) if source else Recipe(**options)
        with join() as world:
            dataset = load(recipe.dataset, data, world.device, image_size=recipe.image_size)
            if source:
                recipe, prepare, teacher = qat.begin(source, recipe, dataset)
            qat.check(recipe, world)
            with run_folder.held(out, new=not switches["resume"], rank=world.rank):
                state = train(
                    recipe, dataset, out, world=world, compiled=compiled, prepare=prepare,
                    teacher=teacher, **switches,
                )  # fmt: skip
    except (ParameterError, DataError, checkpoint.CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    except (DivergenceError, PeerError, OSError, torch.OutOfMemoryError) as error:
        return cli.failed(PROGRAM, error)
    except KeyboardInterrupt:
        return interrupted(PROGRAM, out)
    if world.rank == 0:
        found = {
            "model": recipe.model,
            "accuracy": state.log[-1]["accuracy"],
            "epochs": state.epoch,
        }
        if as_json:
            print(json.dumps(found))
        else:
            print(f"{out / FINAL}: {100 * found['accuracy']:.2f} % of the test images")
    return 0


if __name__ == "__main__":
    cli.run(main)
