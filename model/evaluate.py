# SPDX-License-Identifier: Apache-2.0
"""Accuracy of a checkpoint or an integer network: ``python -m model.evaluate PATH``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import nn

from hw import cli
from hw.params import ParameterError
from model import checkpoint, fast_executor, intnet, ranges
from model.data import DataError, Dataset, load, normalise
from model.intnet import IntNet
from model.quant_network import QuantNetwork
from model.quantise import check_integers, quantise
from model.recipe import Recipe

__all__ = ["accuracy", "integer_accuracy", "load_network", "main"]

PROGRAM = "python -m model.evaluate"
FINAL = "model.safetensors"
RANGE_IMAGES = 100
LARGEST = 1e9
"""Of a checkpoint's numbers: trained ones are millions of times smaller."""
_BATCH = 512
"""Images between two looks at the progress."""
CROSSBARS = {
    "array_rows": (4096, "wordlines of a crossbar"),
    "cell_bits": (8, "bits of a cell"),
    "adc_bits": (16, "bits of an ADC, which saturates"),
}
"""What an integer network says of crossbars: the highest value, and what it is."""


def accuracy(model: nn.Module, dataset: Dataset, *, batch_size: int = 500) -> float:
    """Share of the test images that a network classifies correctly, 0…1."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for begin in range(0, len(dataset.test_images), batch_size):
            part = slice(begin, begin + batch_size)
            images = normalise(
                dataset.test_images[part], dataset.mean, dataset.std, torch.channels_last
            )
            found = model(images).argmax(1)
            right += int((found == dataset.test_labels[part]).sum())
    return right / len(dataset.test_images)


def load_network(file: Path) -> tuple[nn.Module, Recipe, dict[str, Any]]:
    """Load a trained network, of floats or for integers, from a file that may come from anywhere.

    Parameters
    ----------
    file : Path
        ``model.safetensors`` of a run, or one of ``model/zoo/``.

    Returns
    -------
    network : nn.Module
        In channels_last, on the CPU, ready to classify.
    recipe : Recipe
    data : dict
        ``num_classes``, ``image_size``, and ``mean`` and ``std`` to normalise with.

    Raises
    ------
    checkpoint.CheckpointError, ParameterError
    """
    tensors, facts = checkpoint.read(file)
    recipe, data = Recipe.read(facts.get("recipe")), facts.get("data")
    if not isinstance(data, dict) or data.keys() != {"num_classes", "image_size", "mean", "std"}:
        raise checkpoint.CheckpointError(
            f"{file} must be a finished network, which says what images it takes, like {FINAL}"
        )
    for key in ("mean", "std"):
        _check_channels(key, data[key])
    # Without memory until the file has proven to hold such a network.
    with torch.device("meta"):
        network = recipe.network(num_classes=data["num_classes"], image_size=data["image_size"])
        if scheme := recipe.scheme():
            size, mean, std = (data[key] for key in ("image_size", "mean", "std"))
            network = quantise(network, scheme, image_size=size, mean=mean, std=std)
    given = checkpoint.match(network.state_dict(), tensors, "model.")
    network.load_state_dict(given, assign=True)
    if isinstance(network, QuantNetwork):
        try:
            check_integers(network)
        except ParameterError as error:
            raise checkpoint.CheckpointError(f"{file}: {error}") from None
    for name, value in given.items():
        if value.is_floating_point() and not bool((value.abs() <= LARGEST).all()):
            raise checkpoint.CheckpointError(
                f"{name} in {file} must hold numbers from -{LARGEST:g} to {LARGEST:g}"
            )
        if name.endswith("running_var") and bool((value < 0).any()):
            raise checkpoint.CheckpointError(
                f"{name} in {file} must hold variances, at least 0, not {value.min():g}"
            )
        if name == "std" and not bool((value > 0).all()):
            raise checkpoint.CheckpointError(
                f"{name} in {file} must hold deviations above 0, not {value.min():g}"
            )
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval(), recipe, data


def _check_channels(name: str, values: object) -> None:
    """Refuse what is no list of three numbers that make sense for pixels of 0…1."""
    if (
        not isinstance(values, list)
        or len(values) != 3
        or not all(isinstance(value, float) and 0.0 < value < 1.0 for value in values)
    ):
        raise checkpoint.CheckpointError(f"{name} must be three numbers between 0 and 1")


def integer_accuracy(net: IntNet, dataset: Dataset) -> float:
    """Share of the test images that an integer network classifies correctly, 0…1."""
    right = 0
    parts = zip(dataset.test_images.split(_BATCH), dataset.test_labels.split(_BATCH), strict=True)
    total = -(-len(dataset.test_images) // _BATCH)
    bar = Console(stderr=True)
    for images, labels in track(
        parts, "classify", total, console=bar, transient=True, disable=not bar.is_terminal
    ):
        found = fast_executor.run(net, images.numpy()).argmax(1)
        right += int((found == labels.numpy()).sum())
    return right / len(dataset.test_images)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Measure a network's accuracy on the test images.")
    parser.add_argument(
        "source", type=Path, metavar="PATH",
        help="model.safetensors of a run, or the folder of an integer network",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument(
        "--dataset", default="cifar10", metavar="NAME",
        help="images for an integer network; a run knows its own",
    )  # fmt: skip
    parser.add_argument(
        "--ranges", action="store_true",
        help="of an integer network: ranges and saturation by layer, and the widths needed",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=cli.integer("images", 1, 100_000), metavar="N",
        help="test images that --ranges looks at (default: 100)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    group = parser.add_argument_group("an integer network as it would be on other crossbars")
    for name, (high, text) in CROSSBARS.items():
        group.add_argument(
            f"--{name.replace('_', '-')}", type=cli.integer(name, 1, high), metavar="COUNT",
            help=text,
        )  # fmt: skip
    options = parser.parse_args(arguments)
    asked = {name: value for name in CROSSBARS if (value := getattr(options, name)) is not None}
    try:
        if options.images is not None and not options.ranges:
            raise ParameterError("--images must not be given without --ranges")
        if options.source.is_dir():
            return _evaluate_integers(options, asked)
        for name in ["ranges"] * options.ranges + list(asked):
            option = name.replace("_", "-")
            raise ParameterError(
                f"{options.source} must be an integer network's folder (--{option})"
            )
        network, recipe, data = load_network(options.source)
        dataset = dataclasses.replace(
            load(recipe.dataset, options.data, image_size=recipe.image_size),
            mean=tuple(data["mean"]), std=tuple(data["std"]),
        )  # fmt: skip
    except (ParameterError, DataError, checkpoint.CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    _report(options, recipe.model, accuracy(network, dataset), len(dataset.test_images))
    return 0


def _evaluate_integers(options: argparse.Namespace, crossbars: dict[str, Any]) -> int:
    net = dataclasses.replace(intnet.read(options.source), **crossbars)
    dataset = load(options.dataset, options.data, image_size=net.input_shape[1])
    if options.ranges:
        images = dataset.test_images[: options.images or RANGE_IMAGES].numpy()
        found = ranges.measure(net, images)
        if options.json:
            layers = [each.as_dict() for each in found]
            facts = {"model": net.name, "images": len(images), "adc_bits": net.adc_bits}
            print(json.dumps(facts | {"layers": layers}))
        else:
            print(
                f"{net.name}, {len(images)} test images; % of the numbers that saturate, by point"
            )
            print(ranges.table(found))
            acc, adc = (max(getattr(each, of) for each in found) for of in ("acc_bits", "adc_bits"))
            print(
                f"needed: accumulators of {acc} bits, ADCs of {adc} (the network's: {net.adc_bits})"
            )
        return 0
    _report(options, net.name, integer_accuracy(net, dataset), len(dataset.test_images))
    return 0


def _report(options: argparse.Namespace, name: str, found: float, images: int) -> None:
    if options.json:
        print(json.dumps({"model": name, "accuracy": found, "images": images}))
    else:
        print(f"{name}: {100 * found:.2f} % of {images} test images")


if __name__ == "__main__":
    cli.run(main)
