# SPDX-License-Identifier: Apache-2.0
"""All that changes while training, and how it is saved and restored to the bit."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model import checkpoint
from model.compression import Compression
from model.data import Dataset
from model.optimizer import make_optimizers, set_rates
from model.parallel import World, share_batch_norm
from model.recipe import Recipe

__all__ = ["Prepare", "State", "follow", "start"]

Prepare = Callable[[nn.Module], nn.Module]

_LINE = {"epoch": int, "loss": float, "accuracy": float, "seconds": float, "images_per_s": int}


@dataclasses.dataclass
class State:
    """All that changes while training.

    Parameters
    ----------
    model, mean : nn.Module
        Current and averaged weights.
    optimizers : list of torch.optim.Optimizer
    run : callable
        What to call in training: the model, compiled or shared among processes.
    teacher : nn.Module, optional
        Whose logits the model's are compared with.
    epoch : int
        Epochs done.
    log : list of dict
        A line for each.
    compression : Compression, optional
        What is done to the weights of `model` and `mean` on the way.
    record : dict, optional
        What a run depends on besides the recipe.
    """

    model: nn.Module
    mean: nn.Module
    optimizers: list[torch.optim.Optimizer]
    run: Callable[[torch.Tensor], torch.Tensor]
    teacher: nn.Module | None = None
    epoch: int = 0
    log: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    compression: Compression | None = None
    record: dict[str, Any] | None = None

    def _slots(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield name and tensor of everything that the optimisers remember."""
        for number, optimizer in enumerate(self.optimizers):
            for index, slots in optimizer.state_dict()["state"].items():
                for name, value in slots.items():
                    yield f"{number}.{index}.{name}", value

    def save(self, file: Path, recipe: Recipe) -> None:
        """Write everything that `restore` needs."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.mean.state_dict().items()}
        tensors |= {f"optimizer.{k}": v for k, v in self._slots()}
        facts = {"epoch": self.epoch, "log": self.log} | self.origin(recipe)
        checkpoint.write(file, tensors, facts)

    def origin(self, recipe: Recipe) -> dict[str, Any]:
        """Return the facts on which the weights of a checkpoint depend."""
        facts = {"recipe": dataclasses.asdict(recipe)}
        return facts | ({"compression": self.record} if self.record else {})

    def restore(self, file: Path, recipe: Recipe) -> None:
        """Go back to a checkpoint of the same recipe.

        Raises
        ------
        checkpoint.CheckpointError
            If it is damaged, hostile, or of another recipe.
        """
        tensors, facts = checkpoint.read(file)
        wanted = dataclasses.asdict(recipe)
        stored = dataclasses.asdict(Recipe.read(facts.get("recipe")))
        checkpoint.check_same(f"{file} must be of the same recipe", stored, wanted)
        compressed = facts.get("compression")
        found = compressed if isinstance(compressed, dict) else {}
        checkpoint.check_same(f"{file} must be compressed alike", found, self.record or {})
        epoch, log = facts.get("epoch"), facts.get("log")
        if type(epoch) is not int or not 0 <= epoch <= recipe.epochs:
            raise checkpoint.CheckpointError(
                f"{file} must be of an epoch from 0 to {recipe.epochs}, not {epoch!r:.60}"
            )
        if not isinstance(log, list) or len(log) != epoch or not all(map(_is_line, log, count(1))):
            raise checkpoint.CheckpointError(f"{file} must have a line of log for each epoch")
        if epoch:
            # One step without gradient or rate: the optimisers make the slots that must be filled.
            for parameter in self.model.parameters():
                parameter.grad = torch.zeros_like(parameter)
            set_rates(self.optimizers, 0.0)
            for optimizer in self.optimizers:
                optimizer.step()
        slots = checkpoint.match(dict(self._slots()), tensors, "optimizer.")
        checkpoint.load_into(self.model, tensors, "model.")
        checkpoint.load_into(self.mean, tensors, "ema.")
        # In place, so that their memory format stays.
        for name, own in self._slots():
            own.copy_(slots[name])
        # A file's keys are sorted; a line's are in the order in which `train` writes them.
        self.epoch, self.log = epoch, [{key: line[key] for key in _LINE} for line in log]


def _is_line(line: object, epoch: int) -> bool:
    """Tell whether this is an epoch's line of log, with numbers that can be."""
    return (
        isinstance(line, dict)
        and {key: type(value) for key, value in line.items()} == _LINE
        and line["epoch"] == epoch
        and math.isfinite(line["loss"])
        and 0.0 <= line["accuracy"] <= 1.0
    )


def start(
    recipe: Recipe,
    dataset: Dataset,
    *,
    world: World | None = None,
    compiled: bool = False,
    prepare: Prepare | None = None,
    teacher: nn.Module | None = None,
    compression: Compression | None = None,
    record: dict[str, Any] | None = None,
) -> State:
    """Make the network and the optimisers, as the seed says; parameters as for `train`."""
    world = world or World()
    torch.manual_seed(recipe.seed)
    model = recipe.network(num_classes=dataset.num_classes, image_size=dataset.image_size)
    model = prepare(model) if prepare else model
    model.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = copy.deepcopy(model)
    if compression:
        # Not before: a copy of a parametrised module shares its class, and could not be settled.
        for network in (model, mean):
            compression.attach(network)
    mean.requires_grad_(False)
    share_batch_norm(model, world)
    optimizers = make_optimizers(model, recipe)
    run = world.wrap(torch.compile(model) if compiled else model)  # type: ignore[arg-type]
    if teacher:
        teacher.to(world.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        teacher.eval().requires_grad_(False)
    return State(model, mean, optimizers, run, teacher, compression=compression, record=record)


def follow(mean: nn.Module, model: nn.Module, average: float) -> None:
    """Move the averaged weights and statistics towards the current ones."""
    pairs = zip(mean.state_dict().values(), model.state_dict().values(), strict=True)
    old, new = map(list, zip(*pairs, strict=True))
    moving = [value.dtype.is_floating_point for value in old]
    with torch.no_grad():
        torch._foreach_lerp_(
            [value for value, floats in zip(old, moving, strict=True) if floats],
            [value for value, floats in zip(new, moving, strict=True) if floats],
            1.0 - average,
        )
        for value, source, floats in zip(old, new, moving, strict=True):
            if not floats:
                value.copy_(source)
