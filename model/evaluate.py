# SPDX-License-Identifier: Apache-2.0
"""Accuracy of a checkpoint: ``python -m model.evaluate build/psp_64_4/model.safetensors``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from hw import cli
from hw.params import ParameterError
from model import checkpoint
from model.data import DataError, Dataset, load, normalise
from model.psp import create_model
from model.recipe import Recipe

__all__ = ["accuracy", "main"]

PROGRAM = "python -m model.evaluate"


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Measure a checkpoint's accuracy on the test images.")
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="model.safetensors of a run")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    try:
        tensors, facts = checkpoint.read(options.checkpoint)
        recipe = Recipe.read(facts.get("recipe"))
        dataset = load(recipe.dataset, options.data, "cpu", image_size=recipe.image_size)
        model = create_model(
            recipe.model,
            num_classes=dataset.num_classes,
            image_size=dataset.image_size,
            patch_size=recipe.patch_size,
            form=recipe.form,
        )
        checkpoint.load_into(model, tensors, "model.")
    except (ParameterError, DataError, checkpoint.CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    found = accuracy(model.to(memory_format=torch.channels_last), dataset)  # type: ignore[call-overload]
    images = len(dataset.test_images)
    if options.json:
        print(json.dumps({"model": recipe.model, "accuracy": found, "images": images}))
    else:
        print(f"{recipe.model}: {100 * found:.2f} % of {images} test images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
