# SPDX-License-Identifier: Apache-2.0
"""Time a training step with the shift block, and with Algorithm 1 as printed in its place.

    python -m scripts.bench_train --batch-size 64 --compile

All arms are the same network with the same weights. They run in one process and take turns, round
after round, so that a busy moment of the machine hits all of them; ratios are within a round, then
the median. Processor time is steadier than time by the clock where other programs run.
A step is what `model.train` does with a batch, less augmentation and averaging of weights.

Before anything is timed, losses and gradients must be equal. Autograd returns the gradient of
Algorithm 1's slices in NCHW, whatever the map's format, so that batch norm below the last shift
adds in another order: those gradients agree up to rounding. A second arm, also the faster one, puts
that gradient back into channels_last and must agree to the bit. So must the losses of both.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from hw import cli
from hw.params import ParameterError
from model.data import Dataset, normalise, synthetic
from model.parallel import World
from model.recipe import Recipe
from model.shift import Shift, shift_reference
from model.state import State, start
from model.step import backward, step
from scripts.ablation import replace_shifts
from scripts.bench_shift import keep_memory

__all__ = ["DifferenceError", "check", "main", "make_arms", "measure"]

PROGRAM = "python -m scripts.bench_train"
OURS = "model.shift.Shift"
PRINTED = "Algorithm 1 as printed"
RESTORED = "Algorithm 1, gradient in channels_last"
COMPILED = "model.shift.Shift, compiled"

# Of the gradient's norm. Rounding differs where sums are ordered or fused otherwise.
TOLERANCE = {"float32": 1e-4, "bf16": 0.1}

Batch = tuple[torch.Tensor, torch.Tensor]


class DifferenceError(Exception):
    """An arm computes something else than the others."""


class Printed(nn.Module):
    """Algorithm 1, slice by slice, each recorded by autograd."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shift ``x`` [B, C, H, W]."""
        return shift_reference(x)


class Restored(Printed):
    """The same; its gradient has the map's memory format."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shift ``x`` [B, C, H, W], which must need a gradient."""
        x.register_hook(lambda grad: grad.contiguous(memory_format=torch.channels_last))
        return super().forward(x)


def make_arms(
    recipe: Recipe, dataset: Dataset, world: World, *, compiled: bool = False
) -> dict[str, State]:
    """Return the arms by name, ours first, all with the weights of the recipe's seed.

    Raises
    ------
    ParameterError
        If the network has no shift block.
    """
    arms = {OURS: start(recipe, dataset, world=world)}
    if not any(isinstance(module, Shift) for module in arms[OURS].model.modules()):
        raise ParameterError(f"model must be one with shift blocks, not {recipe.model!r}")
    for name, block in ((PRINTED, Printed), (RESTORED, Restored)):
        arms[name] = start(
            recipe, dataset, world=world, prepare=partial(replace_shifts, make=block)
        )
    if compiled:
        arms[COMPILED] = start(recipe, dataset, world=world, compiled=True)
    return arms


def check(arms: Mapping[str, State], recipe: Recipe, batch: Batch) -> None:
    """Compare losses and gradients of all arms with ours; call it before the first step.

    Raises
    ------
    DifferenceError
        If they differ, or differ by more than rounding where another order of sums is allowed.
    """
    rounding = TOLERANCE[recipe.precision]
    limits = {PRINTED: (0.0, rounding), RESTORED: (0.0, 0.0), COMPILED: (rounding, rounding)}
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        for name, state in arms.items():
            loss = backward(state, recipe, *batch)
            grads = [p.grad.flatten() for p in state.model.parameters() if p.grad is not None]
            found[name] = loss.double(), torch.cat(grads).double()
    loss, grad = found.pop(OURS)
    for name, (other_loss, other_grad) in found.items():
        errors = ((other_loss - loss) / loss).abs(), (other_grad - grad).norm() / grad.norm()
        if not all(error <= limit for error, limit in zip(errors, limits[name], strict=True)):
            loss_limit, limit = limits[name]
            raise DifferenceError(
                f"{name}: loss and gradient must be those of {OURS} up to {loss_limit:g} and "
                f"{limit:g}, not {errors[0]:.2g} and {errors[1]:.2g} of them"
            )


def measure(
    arms: Mapping[str, State], recipe: Recipe, batch: Batch, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Return milliseconds of each round, by arm and clock (``wall``, ``processor``)."""
    device = batch[0].device
    clocks = {"wall": time.perf_counter, "processor": time.process_time}
    times: dict[str, dict[str, list[float]]] = {name: {k: [] for k in clocks} for name in arms}
    for state in arms.values():
        step(state, recipe, *batch)  # the first makes what the optimisers remember
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for name, state in arms.items():
            _finish(device)
            begun = {key: clock() for key, clock in clocks.items()}
            step(state, recipe, *batch)
            _finish(device)
            for key, clock in clocks.items():
                times[name][key].append((clock() - begun[key]) * 1e3)
    return times


def _finish(device: torch.device) -> None:
    """Wait for what a GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def summarise(
    times: Mapping[str, Mapping[str, Sequence[float]]], batch_size: int
) -> dict[str, dict[str, Any]]:
    """Return quartiles of times and of ratios to ours, by arm and clock, and images a second."""
    result: dict[str, dict[str, Any]] = {}
    for name, clocks in times.items():
        ratios = {
            key: [own / ours for own, ours in zip(values, times[OURS][key], strict=True)]
            for key, values in clocks.items()
        }
        result[name] = {
            "milliseconds": {key: _quartiles(values) for key, values in clocks.items()},
            "ratio": {key: _quartiles(values) for key, values in ratios.items()},
            "images_per_s": batch_size * 1e3 / statistics.median(clocks["wall"]),
        }
    return result


def _quartiles(values: Sequence[float]) -> list[float]:
    return statistics.quantiles(values, method="inclusive")


def print_table(result: Mapping[str, Mapping[str, Any]]) -> None:
    """Print medians, with the quartiles on both sides in brackets."""
    heads = ("ms by the clock", "ms of processor", "ratio by the clock", "ratio of processor")
    print(f"{'median (quartiles)':38}", *(f"{head:>24}" for head in heads), f"{'images/s':>9}")
    for name, entry in result.items():
        cells = []
        for key, form in (("milliseconds", ".1f"), ("ratio", ".2f")):
            for low, median, high in entry[key].values():
                cells.append(f"{median:{form}} ({low:{form}}…{high:{form}})")
        print(f"{name:38}", *(f"{c:>24}" for c in cells), f"{entry['images_per_s']:9.0f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, (__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="psp_64_4", metavar="NAME", help="with shift blocks")
    parser.add_argument(
        "--batch-size", type=cli.integer("batch_size", 2, 1 << 16), default=64, metavar="IMAGES",
        help="of a step",
    )  # fmt: skip
    parser.add_argument(
        "--precision",
        choices=TOLERANCE,
        default=Recipe.precision,
        help="of what autocast may round",
    )  # fmt: skip
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="to train on")
    parser.add_argument("--compile", action="store_true", help="ours under torch.compile, too")
    parser.add_argument(
        "--threads", type=cli.integer("threads", 1, 256), default=1, metavar="COUNT",
        help="threads of PyTorch",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=cli.integer("rounds", 2, 1000), default=21, metavar="COUNT",
        help="rounds to take the median of",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    keep_memory()
    try:
        if options.device == "cuda" and not torch.cuda.is_available():
            raise ParameterError("device must be cpu where PyTorch sees no GPU, not cuda")
        recipe = Recipe(
            model=options.model, dataset="synthetic", batch_size=options.batch_size,
            precision=options.precision,
        )  # fmt: skip
        world = World(device=torch.device(options.device))
        dataset = synthetic(train=recipe.batch_size, test=1, device=world.device)
        arms = make_arms(recipe, dataset, world, compiled=options.compile)
    except ParameterError as error:
        cli.bad_input(PROGRAM, error)
    images = normalise(dataset.train_images, dataset.mean, dataset.std, torch.channels_last)
    batch = images, dataset.train_labels
    try:
        check(arms, recipe, batch)
    except DifferenceError as error:
        return cli.failed(PROGRAM, error)
    result = summarise(measure(arms, recipe, batch, options.rounds), recipe.batch_size)
    if options.json:
        settings = {key: value for key, value in vars(options).items() if key != "json"}
        print(json.dumps({**settings, "torch": torch.__version__, "arms": result}, indent=2))
    else:
        print_table(result)
    return 0


if __name__ == "__main__":
    cli.run(main)
