# SPDX-License-Identifier: Apache-2.0
"""What the integer twins of all networks share: pixels in, layers in their order, a head.

A twin names its layers one by one (`QuantNetwork.layers`): what each reads and writes, and which
modules compute it. Export makes an integer network of that list, verification compares its numbers
with the golden executor's, and calibration fits the weights: none of them knows a kind of network.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from model.power_norm import PowerOfTwoNorm
from model.quant import Grid
from model.quant_cnn_layers import Requantise, Widen
from model.quant_layers import QuantConv, QuantHead
from model.quant_stream import Scheme
from model.schedule import Step

__all__ = ["QUANTISABLE", "Probe", "QuantCrossbar", "QuantMaxPool", "QuantNetwork", "Seen"]

QUANTISABLE = (
    "only psp_W_D, sp_W_D, resnet20, resnet32, resnet56, resnet110, vgg8 and vgg16 can be quantised"
)
PIXEL_OFFSET = 128
PIXEL_EXPONENT = -7
"""A pixel less 128 counts as −1 to 127/128, so that the stem's weights keep their size."""

Probe = tuple[nn.Module, torch.Tensor]
"""A module, and what a 1 of its output stands for."""
Seen = Mapping[str, torch.Tensor]
"""Some values that a float network's modules give, by their names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantCrossbar:
    """A crossbar layer of the integer network, and the modules that compute it.

    Parameters
    ----------
    step : Step
        What it reads and writes.
    conv : QuantConv or Widen
        Gives the accumulators.
    pre : Grid or Requantise
        Gives what is looked up.
    table : numpy.ndarray
        int8 [2^act_bits], as `model.intnet_layers.Periphery` has it.
    writer : nn.Module
        Gives what is written, on `grid`. One module may write for several layers, in their order.
    grid : Grid
        Of the map that is written, and of the second one.
    norm, second : PowerOfTwoNorm, optional
        The affines of step 5 and step 7.
    """

    step: Step
    conv: QuantConv | Widen
    pre: Grid | Requantise
    table: npt.NDArray[np.int8]
    writer: nn.Module
    grid: Grid
    norm: PowerOfTwoNorm | None = None
    second: PowerOfTwoNorm | None = None

    @property
    def name(self) -> str:
        """Of the layer."""
        return self.step.name

    @property
    def source(self) -> str:
        """The map, or the first of two, that it fetches."""
        return self.step.operands[0].map

    @property
    def written(self) -> tuple[str, ...]:
        """The maps that it writes."""
        return (self.step.out, self.step.second) if self.step.second else (self.step.out,)

    @property
    def probes(self) -> dict[str, Probe]:
        """Where its numbers are seen, by their names in `model.executor.Trace`."""
        found: dict[str, Probe] = {
            "acc": (self.conv, self.conv.unit[:, None, None]),
            "pre": (self.pre, self.pre.step),
            "out": (self.writer, self.grid.step),
        }
        return found | ({"second": (self.second, self.grid.step)} if self.second else {})


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantMaxPool:
    """Max pooling, from a map to another on the same grid."""

    name: str
    source: str
    written: tuple[str]
    window: int
    writer: nn.Module
    grid: Grid

    @property
    def probes(self) -> dict[str, Probe]:
        """Where its numbers are seen."""
        return {"out": (self.writer, self.grid.step)}


class QuantNetwork(nn.Module, abc.ABC):
    """A network on power-of-two grids.

    Parameters
    ----------
    scheme : Scheme
    image_size : int
        Pixels.
    mean, std : sequence of float
        By which its images are normalised; the stem takes pixels, and they go into its weights.
    stream_bits : int
        Of the maps that crossbar layers write.
    """

    ENTRANCE: ClassVar[str]
    """The module of the float network that takes what the head of the twin takes."""

    mean: torch.Tensor
    std: torch.Tensor
    head: QuantHead

    def __init__(
        self, scheme: Scheme, *, image_size: int, mean: Any, std: Any, stream_bits: int
    ) -> None:
        super().__init__()
        self.scheme, self.image_size, self.stream_bits = scheme, image_size, stream_bits
        self.register_buffer("mean", 255 * torch.tensor(mean)[:, None, None])
        self.register_buffer("std", 255 * torch.tensor(std)[:, None, None])
        self.pixels = Grid(8)
        self.pixels.exponent.fill_(PIXEL_EXPONENT)

    @torch.no_grad()
    def take_pixels(self, stem: nn.Conv2d) -> None:
        """Let a convolution of normalised images take values of the grid `pixels`."""
        offset = (stem.weight * ((PIXEL_OFFSET - self.mean) / self.std)).sum((1, 2, 3))
        stem.weight.div_(self.std * 2.0**PIXEL_EXPONENT)
        stem.bias = nn.Parameter(offset if stem.bias is None else stem.bias + offset)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images [B, 3, H, W] to logits [B, classes]."""
        pixels = (images * self.std + self.mean).round_().clamp_(0, 255) - PIXEL_OFFSET
        found: torch.Tensor = self.head(self.features(pixels * self.pixels.step))
        return found

    @abc.abstractmethod
    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map pixels on their grid to what the head pools [B, C, H', W']."""

    @abc.abstractmethod
    def layers(self) -> Iterator[QuantCrossbar | QuantMaxPool]:
        """Yield all layers but pool and head, in the order in which they run."""

    @property
    def fetch_shift(self) -> int:
        """r: how many bits the body drops as it fetches."""
        return 0

    @abc.abstractmethod
    def watched(self, network: nn.Module) -> list[str]:
        """Return the names of the float network's modules whose values `fit` wants."""

    @abc.abstractmethod
    def fit(
        self, seen: Seen, means: Seen, features: torch.Tensor, loss: Callable[[], float]
    ) -> None:
        """Choose every exponent.

        Parameters
        ----------
        seen : mapping of str to torch.Tensor
            What the modules of `watched` gave.
        means : mapping of str to torch.Tensor
            The mean [C] of what they gave on the images that ``loss`` looks at.
        features : torch.Tensor
            What `ENTRANCE` took, [B, C, H', W'] or its means [B, C].
        loss : callable
            Measures how far the twin, as it is, is from the float network.
        """
