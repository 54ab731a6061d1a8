# SPDX-License-Identifier: Apache-2.0
"""Train a network: ``python -m model.train psp_64_4 --dataset cifar10 --out build/psp_64_4``.

Everything random follows from the seed, the epoch and the step, so a run that was killed goes on
with ``--resume`` to the same weights (bit for bit on a CPU). The folder holds ``last.safetensors``
(everything), ``model.safetensors`` (the averaged weights, at the end) and ``log.jsonl`` (a line an
epoch). One process for now.

The recipe: AdamW with a triangular learning rate, decay on convolution weights only, label
smoothing, gradient clipping, an exponential moving average of weights and batch-norm statistics,
flips, translations and cutout. A starting point, not a tuned one.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import nn
from torch.nn import functional

from hw import cli
from hw.params import ParameterError
from model import checkpoint
from model.data import Augment, DataError, Dataset, batches, epoch_generator, load
from model.evaluate import accuracy
from model.psp import BLOCKS, create_model

__all__ = ["DivergenceError", "Recipe", "main", "train"]

PROGRAM = "python -m model.train"
LAST, FINAL, LOG = "last.safetensors", "model.safetensors", "log.jsonl"


class DivergenceError(Exception):
    """The loss is no number any more."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a run depends on; kept in its checkpoint and compared at ``--resume``."""

    model: str
    dataset: str = "cifar10"
    form: str = "residual"
    epochs: int = 24
    batch_size: int = 256
    rate: float = 0.01
    decay: float = 0.02
    smoothing: float = 0.1
    average: float = 0.998
    translate: int = 4
    cutout: int = 0
    seed: int = 0


@dataclasses.dataclass
class State:
    """All that changes while training."""

    model: nn.Module
    mean: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    log: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def save(self, file: Path, recipe: Recipe) -> None:
        """Write everything that ``restore`` needs."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.mean.state_dict().items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
        facts = {"recipe": dataclasses.asdict(recipe), "epoch": self.epoch, "log": self.log}
        checkpoint.write(file, tensors, facts)

    def restore(self, file: Path, recipe: Recipe) -> None:
        """Go back to a checkpoint of the same recipe.

        Raises
        ------
        checkpoint.CheckpointError
            If it is damaged or of another recipe.
        """
        tensors, facts = checkpoint.read(file)
        if facts.get("recipe") != dataclasses.asdict(recipe):
            raise checkpoint.CheckpointError(f"{file} must be of the same recipe, not another")
        checkpoint.load_into(self.model, tensors, "model.")
        checkpoint.load_into(self.mean, tensors, "ema.")
        saved = self.optimizer.state_dict()
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            if kind == "optimizer":
                index, _, slot = rest.partition(".")
                saved["state"].setdefault(int(index), {})[slot] = value
        self.optimizer.load_state_dict(saved)
        self.epoch, self.log = int(facts["epoch"]), list(facts["log"])


def rate_at(recipe: Recipe, progress: float) -> float:
    """Learning rate after a share ``progress`` of all steps: up for a fifth, then down to 0."""
    return recipe.rate * min(progress / 0.2, (1.0 - progress) / 0.8)


def start(recipe: Recipe, dataset: Dataset, device: torch.device) -> State:
    """Make the network and the optimiser, as the seed says."""
    torch.manual_seed(recipe.seed)
    model = create_model(
        recipe.model,
        num_classes=dataset.num_classes,
        image_size=dataset.image_size,
        form=recipe.form,  # type: ignore[arg-type]
    )
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = copy.deepcopy(model).requires_grad_(False)
    weights = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": recipe.decay},
        {"params": others},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, weight_decay=0.0)
    return State(model, mean, optimizer)


def follow(mean: nn.Module, model: nn.Module, average: float) -> None:
    """Move the averaged weights and statistics towards the current ones."""
    with torch.no_grad():
        for old, new in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
            if old.dtype.is_floating_point:
                old.lerp_(new, 1.0 - average)
            else:
                old.copy_(new)


def run_epoch(state: State, recipe: Recipe, dataset: Dataset, augment: Augment) -> float:
    """Train one epoch; returns the mean loss.

    Raises
    ------
    DivergenceError
        If the loss is no number.
    """
    steps = len(dataset.train_images) // recipe.batch_size
    device = dataset.train_images.device
    state.model.train()
    total = torch.zeros((), device=device)
    stream = batches(
        dataset, recipe.batch_size, augment=augment,
        generator=epoch_generator(recipe.seed, state.epoch, device),
    )  # fmt: skip
    quiet = not sys.stderr.isatty()
    for step, (images, labels) in enumerate(
        track(stream, f"epoch {state.epoch + 1}", total=steps, disable=quiet)
    ):
        done = state.epoch * steps + step
        for parameters in state.optimizer.param_groups:
            parameters["lr"] = rate_at(recipe, (done + 1) / (recipe.epochs * steps + 1))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = functional.cross_entropy(
                state.model(images), labels, label_smoothing=recipe.smoothing
            )
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
        state.optimizer.step()
        # The average begins short, so that the first random weights are soon forgotten.
        follow(state.mean, state.model, min(recipe.average, (1 + done) / (10 + done)))
        total += loss.detach()
    mean_loss = total.item() / steps
    if not math.isfinite(mean_loss):
        raise DivergenceError(
            f"the loss of epoch {state.epoch + 1} must be a number, not {mean_loss}"
        )
    state.epoch += 1
    return mean_loss


def train(recipe: Recipe, dataset: Dataset, out: Path, *, resume: bool = False) -> State:
    """Train to the end, writing a checkpoint and a line of log each epoch.

    Raises
    ------
    DivergenceError, checkpoint.CheckpointError
    """
    state = start(recipe, dataset, dataset.train_images.device)
    if resume:
        state.restore(out / LAST, recipe)
    augment = Augment(
        mean=dataset.mean, std=dataset.std, flip=True, translate=recipe.translate,
        cutout=recipe.cutout, memory_format=torch.channels_last,
    )  # fmt: skip
    while state.epoch < recipe.epochs:
        began = time.monotonic()
        loss = run_epoch(state, recipe, dataset, augment)
        seconds = time.monotonic() - began
        state.log.append(
            {
                "epoch": state.epoch,
                "loss": round(loss, 5),
                "accuracy": accuracy(state.mean, dataset),
                "images_per_s": round(len(dataset.train_images) / seconds),
            }
        )
        state.save(out / LAST, recipe)
        text = "".join(json.dumps(line) + "\n" for line in state.log)
        (out / LOG).write_text(text, encoding="utf-8")
        left = seconds * (recipe.epochs - state.epoch)
        print(f"{state.log[-1]}, {left:.0f} s left", file=sys.stderr)
    tensors = {f"model.{k}": v for k, v in state.mean.state_dict().items()}
    facts = {"recipe": dataclasses.asdict(recipe), "epoch": state.epoch, "log": state.log}
    checkpoint.write(out / FINAL, tensors, facts)
    return state


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Train a network.")
    parser.add_argument("model", metavar="MODEL", help="psp_{width}_{depth}, sp_…, or a baseline")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument("--resume", action="store_true", help="go on where the folder's run was")
    parser.add_argument("--form", choices=BLOCKS, default=Recipe.form, help="block of a PSP")
    for field in dataclasses.fields(Recipe):
        if field.name not in ("model", "form"):
            kind = {"int": int, "float": float, "str": str}[str(field.type)]
            parser.add_argument(
                f"--{field.name.replace('_', '-')}",
                type=kind,
                default=field.default,
                metavar=kind.__name__.upper(),
                help="see model.train.Recipe",
            )
    options = vars(parser.parse_args(arguments))
    out, data, resume = options.pop("out"), options.pop("data"), options.pop("resume")
    recipe = Recipe(**options)
    try:
        out.mkdir(parents=True, exist_ok=True)
        dataset = load(recipe.dataset, data, "cuda" if torch.cuda.is_available() else "cpu")
        state = train(recipe, dataset, out, resume=resume)
    except (ParameterError, DataError, checkpoint.CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    except (DivergenceError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    if state.log:
        print(json.dumps(state.log[-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
