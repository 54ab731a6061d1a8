# SPDX-License-Identifier: Apache-2.0
"""What a training run depends on: one flat record, kept in every checkpoint.

A field carries its range and its help, so that the command line, the check of a foreign checkpoint
and this page are the same text. The defaults are the tested recipe for CIFAR-10 (docs/training.md).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, get_args

from torch import nn

from hw.params import ParameterError, ParameterTypeError, check_integer, check_number
from model.crossbar_sum import ArrayShape
from model.layers import NAMES, Shortcut
from model.psp import BLOCKS, DEFAULT_FORM, BlockForm, create_model
from model.quant_stream import Scheme

__all__ = ["Recipe"]


def _number(default: float, low: float, high: float, text: str) -> Any:
    """Return a field for a number of the default's type, from ``low`` to ``high``."""
    return dataclasses.field(default=default, metadata={"range": (low, high), "help": text})


def _choice(default: str, choices: tuple[str, ...], text: str) -> Any:
    """Return a field for one of a few words."""
    return dataclasses.field(default=default, metadata={"choices": choices, "help": text})


def _text(text: str, **default: str) -> Any:
    """Return a field for a word that is checked where it is used."""
    return dataclasses.field(metadata={"help": text}, **default)  # type: ignore[call-overload]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a run depends on; ``--resume`` goes on with an equal one only.

    Raises
    ------
    ParameterError, ParameterTypeError
        If a value is out of its range, or of another type.
    """

    model: str = _text(f"one of {', '.join(NAMES)}: W channels, D blocks")
    dataset: str = _text(
        "cifar10, cifar100, synthetic, or imagefolder:PATH with train/ and val/", default="cifar10"
    )
    form: BlockForm = _choice(  # noqa: RUF009 - it is a field
        DEFAULT_FORM, BLOCKS, "where a PSP block's skip goes"
    )
    shortcut: Shortcut = _choice(  # noqa: RUF009 - it is a field
        "projection", get_args(Shortcut), "what a ResNet's skip does where the shape changes"
    )
    patch_size: int = _number(2, 1, 64, "side of the stem's patches, pixels (PSP and SP)")
    image_size: int = _number(224, 8, 1024, "side of the pictures of a folder, pixels")
    epochs: int = _number(24, 1, 10_000, "passes over the training images")
    batch_size: int = _number(128, 1, 1 << 20, "images of a step, over all processes")
    optimizer: str = _choice(
        "muon", ("muon", "adamw"), "for the convolutions of the body; AdamW does the rest"
    )
    rate: float = _number(0.01, 0.0, 10.0, "AdamW's highest learning rate")
    matrix_rate: float = _number(0.02, 0.0, 10.0, "Muon's highest learning rate")
    decay: float = _number(0.02, 0.0, 10.0, "AdamW's weight decay; Muon's is half of it")
    schedule: str = _choice("triangle", ("triangle", "cosine"), "how the rate comes down")
    warmup: float = _number(0.2, 0.0, 0.9, "share of the steps in which the rate goes up")
    smoothing: float = _number(0.1, 0.0, 0.9, "label smoothing")
    average: float = _number(0.998, 0.0, 0.99999, "how much of the averaged weights a step keeps")
    translate: int = _number(4, 0, 1024, "translation, pixels")
    cutout: int = _number(0, 0, 1024, "side of the square cut out, pixels")
    colour: float = _number(0.0, 0.0, 1.0, "change of brightness, contrast and saturation")
    affine: float = _number(0.0, 0.0, 0.5, "change of the coordinates' matrix")
    precision: str = _choice("bf16", ("bf16", "float32"), "of what autocast may round")
    seed: int = _number(0, 0, 2**63 - 1, "of weights, order and augmentation")
    quantize: str = _choice(
        "none",
        ("none", "int8", "int4"),
        "train on for integers of that width, in float32",
    )
    adc_bits: int = _number(8, 1, 16, "quantize: bits of a crossbar's ADC")
    stream_bits: int = _number(8, 4, 16, "quantize: bits of the maps between layers (PSP and SP)")
    distil: float = _number(
        0.0, 0.0, 1.0, "quantize: share of the loss that compares with the network it is from"
    )
    freeze: float = _number(0.5, 0.0, 1.0, "quantize: share of steps that move norm statistics")
    start: str = _text("sha256 of the checkpoint that a quantised run goes on from", default="")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, rule = getattr(self, field.name), field.metadata
            if "range" not in rule:
                if not isinstance(value, str):
                    raise ParameterTypeError(f"{field.name} must be a word, not {value!r:.60}")
                if value not in rule.get("choices", (value,)):
                    words = ", ".join(rule["choices"])
                    raise ParameterError(f"{field.name} must be one of {words}, not {value!r:.60}")
            elif isinstance(field.default, int):
                check_integer(field.name, value, *rule["range"])
            else:
                check_number(field.name, value, *rule["range"])

    @classmethod
    def read(cls, facts: object) -> Recipe:
        """Make one from JSON that may come from anywhere.

        A field that is not there has its default: whoever adds one chooses the default that says
        what was done before, and old checkpoints stay good.

        Raises
        ------
        ParameterError, ParameterTypeError
        """
        if not isinstance(facts, Mapping):
            raise ParameterTypeError(f"a recipe must be an object, not {type(facts).__name__}")
        names = {field.name for field in dataclasses.fields(cls)}
        for name in sorted(facts.keys() - names, key=str):
            raise ParameterError(f"the recipe has no place for {name!r:.60}")
        if "model" not in facts:
            raise ParameterError("the recipe lacks 'model'")
        return cls(**facts)

    def network(self, *, num_classes: int, image_size: int) -> nn.Module:
        """Make the network, with fresh weights, for images of a size.

        Raises
        ------
        ParameterError
            If there is no such network.
        """
        return create_model(
            self.model,
            num_classes=num_classes,
            image_size=image_size,
            patch_size=self.patch_size,
            form=self.form,
            shortcut=self.shortcut,
        )

    def scheme(self) -> Scheme | None:
        """Return the widths of the integer network, or None if it is to stay one of floats.

        Raises
        ------
        ParameterError
            If the maps between layers are narrower than what the layers fetch.
        """
        if self.quantize == "none":
            return None
        bits = int(self.quantize.removeprefix("int"))
        return Scheme(
            act_bits=bits,
            weight_bits=bits,
            stream_bits=self.stream_bits,
            per_channel=bits < 8,
            array=ArrayShape(adc_bits=self.adc_bits),
        )

    def rate_at(self, progress: float) -> float:
        """Return the share of the highest rate after a share ``progress`` of all steps, 0…1."""
        if progress < self.warmup:
            return progress / self.warmup
        down = (progress - self.warmup) / (1.0 - self.warmup)
        return (1.0 + math.cos(math.pi * down)) / 2 if self.schedule == "cosine" else 1.0 - down
