# SPDX-License-Identifier: Apache-2.0
"""Quantisation-aware training: how a run for integers begins, from a trained network.

Everything else is `model.train`. The recipe names the checkpoint that it begins from by its sha256
and the images that choose the exponents are always the same ones, so a recipe still determines a
run.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from hw.params import ParameterError
from model.augment import normalise
from model.data import Dataset
from model.evaluate import load_network
from model.parallel import World
from model.psp import PSP, SP
from model.quant_network import QuantNetwork
from model.quantise import calibrate, quantise
from model.recipe import Recipe
from model.rescale import absorb, centre, orient, rescale
from model.state import Prepare
from model.zero_point import fit_zero_points

__all__ = ["DEFAULTS", "TAKEN", "begin", "check", "check_images", "recipe_from"]

IMAGES = 512
"""Training images that choose the exponents: evenly spaced, since folders are sorted by class."""
ORIENTED = 64
"""Those of them that choose signs and zero points."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "int8": {"epochs": 6, "rate": 0.0002, "matrix_rate": 0.0004, "distil": 0.9},
    "int4": {"epochs": 10, "rate": 0.003, "matrix_rate": 0.006, "distil": 0.9, "average": 0.0},
}
"""The tested recipes, where they differ from that of a float run."""
TAKEN = ("dataset", "form", "shortcut", "patch_size", "image_size")
"""What is the checkpoint's."""


def recipe_from(file: Path, options: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a run that goes on from a checkpoint.

    Parameters
    ----------
    file : Path
        ``model.safetensors`` of a run.
    options : mapping
        Fields that are asked for. Of the others, some are the checkpoint's and some `DEFAULTS`.

    Raises
    ------
    ParameterError, model.checkpoint.CheckpointError
    """
    _, trained, _ = load_network(file)
    taken = {name: getattr(trained, name) for name in TAKEN}
    defaults = DEFAULTS.get(options.get("quantize", ""), {})
    return Recipe(**{**defaults, **taken, **options})


def begin(file: Path, recipe: Recipe, dataset: Dataset) -> tuple[Recipe, Prepare, nn.Module | None]:
    """Return what a run that goes on from a checkpoint needs: recipe, preparation, teacher.

    Parameters
    ----------
    file : Path
        ``model.safetensors`` of a float run, or of one for the same integers: other converters
        may look at them.
    recipe : Recipe
        Its ``start`` is filled in. It trains in float32 whatever it says: bfloat16 cannot hold
        the integers.
    dataset : Dataset
        The one that the checkpoint was trained on.

    Raises
    ------
    ParameterError, model.checkpoint.CheckpointError
        If the checkpoint is damaged or hostile, or holds another network, one for other images,
        or integers of other widths.
    """
    scheme = recipe.scheme()
    if scheme is None:
        raise ParameterError("quantize must be int8 or int4 where --from is given, not 'none'")
    network, trained, data = load_network(file)
    integers = isinstance(network, QuantNetwork)
    names = ["model", "form", "shortcut", "patch_size"]
    if integers:
        names += ["quantize", "stream_bits"]
    for name in names:
        wanted, given = getattr(trained, name), getattr(recipe, name)
        if wanted != given:
            raise ParameterError(f"{name} must be {wanted} as in {file}, not {given}")
    check_images(file, data, dataset)
    teacher = copy.deepcopy(network) if recipe.distil else None
    chosen = dataset.train_images[:: -(-len(dataset.train_images) // IMAGES)].cpu()
    images = normalise(chosen, dataset.mean, dataset.std)
    if isinstance(network, PSP | SP):
        rescale(network)
        if scheme.array.lossless:  # else few numbers should be negative, as `orient` has it
            centre(network)
        absorb(network)
        orient(network, images[:: -(-len(images) // ORIENTED)])
    # What has no twin is told before there is a run.
    size = dataset.image_size
    made = recipe.network(num_classes=dataset.num_classes, image_size=size) if integers else network
    twin = quantise(made, scheme, image_size=size, mean=dataset.mean, std=dataset.std)
    start = hashlib.sha256(file.read_bytes()).hexdigest()

    def prepare(_: nn.Module) -> nn.Module:
        if integers:
            twin.load_state_dict(network.state_dict())
        else:
            calibrate(twin, network, images)
        if not scheme.array.lossless:
            fit_zero_points(twin, images[:: -(-len(images) // ORIENTED)])
        return twin

    return dataclasses.replace(recipe, start=start, precision="float32"), prepare, teacher


def check_images(file: Path, data: Mapping[str, Any], dataset: Dataset) -> None:
    """Refuse other images than those on which a checkpoint was trained.

    Raises
    ------
    ParameterError
    """
    for name, value in data.items():
        given = getattr(dataset, name)
        if value != (list(given) if isinstance(given, tuple) else given):
            raise ParameterError(f"{name} of the images must be {value} as in {file}, not {given}")


def check(recipe: Recipe, world: World) -> None:
    """Refuse recipes and surroundings in which a run for integers cannot be one.

    Raises
    ------
    ParameterError
    """
    recipe.scheme()
    if recipe.quantize != "none" and not recipe.start:
        raise ParameterError(f"--quantize {recipe.quantize} must go on from a checkpoint: --from")
    if recipe.quantize == "none" and recipe.start:
        raise ParameterError("a run that goes on from a checkpoint must be one for integers")
    if recipe.quantize == "none":
        for name in ("adc_bits", "stream_bits", "distil", "freeze"):
            value, default = getattr(recipe, name), getattr(Recipe, name)
            if value != default:
                raise ParameterError(f"{name} must be {default} without --quantize, not {value}")
    if recipe.quantize != "none" and recipe.precision != "float32":
        raise ParameterError(f"precision must be float32 for integers, not {recipe.precision!r}")
    if recipe.quantize != "none" and world.size > 1:
        raise ParameterError(f"a run for integers must be one process, not {world.size}")
