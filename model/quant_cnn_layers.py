# SPDX-License-Identifier: Apache-2.0
"""Layers of ReLU networks that train for integers: folded batch norm, the add before the table.

Batch norm comes before ReLU, so it is part of the convolution. What ReLU drops needs no grid of its
own, so the table leads from a grid to the same one: nothing is rounded but the accumulator.
Source: docs/intnet.md, steps 3 and 4.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from model.power_norm import batch_norm
from model.quant import Grid, to_grid
from model.quant_layers import QuantConv
from model.resnet import ConvNorm

__all__ = ["QuantConvReLU", "Requantise", "Widen", "folded"]

_UNBOUNDED = 1 << 31
"""Of rounded accumulators that have not been saturated yet."""


@torch.no_grad()
def folded(layer: ConvNorm) -> nn.Conv2d:
    """Return a convolution with its batch norm, by the running statistics, in weights and bias."""
    parts: Any = layer
    conv: nn.Conv2d = copy.deepcopy(parts.conv)
    gain, offset = batch_norm(parts.norm)
    conv.weight.mul_(gain[:, None, None, None])
    conv.bias = nn.Parameter(offset)
    return conv


class Requantise(nn.Module):
    """Round to a grid that others own, add, saturate: once.

    Parameters
    ----------
    grid : Grid
        Of the result, and of what is added.
    bits : int
        To which it saturates, whatever the grid's own are.
    """

    def __init__(self, grid: Grid, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self._grids = (grid,)

    @property
    def exponent(self) -> torch.Tensor:
        """Of the grid."""
        return self._grids[0].exponent

    @property
    def step(self) -> torch.Tensor:
        """2^exponent."""
        return self._grids[0].step

    def forward(self, acc: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Map accumulators, and a map on the grid, to the grid; float32."""
        if skip is not None:
            acc = to_grid(acc, self.step, -_UNBOUNDED, _UNBOUNDED) + skip
        half = 1 << (self.bits - 1)
        return to_grid(acc, self.step, -half, half - 1).float()


class QuantConvReLU(nn.Module):
    """A crossbar layer: convolve, requantise, add, ReLU.

    Parameters
    ----------
    conv : QuantConv or Widen
    grid : Grid or int
        Of the map that it writes: another's, or the bits of one of its own.
    relu : bool
    """

    def __init__(self, conv: QuantConv | Widen, grid: Grid | int, *, relu: bool = True) -> None:
        super().__init__()
        self.conv, self.relu = conv, relu
        if isinstance(grid, int):
            grid = self.own = Grid(grid)
        self._grids = (grid,)
        self.pre = Requantise(grid, conv.source.bits)

    @property
    def grid(self) -> Grid:
        """Of the map that it writes."""
        return self._grids[0]

    @property
    def table(self) -> npt.NDArray[np.int8]:
        """ReLU, or nothing, on one grid: int8 [2^act_bits]."""
        half = 1 << (self.pre.bits - 1)
        return np.arange(-half, half).clip(0 if self.relu else -half).astype(np.int8)

    def forward(self, x: torch.Tensor, skip: torch.Tensor | None = None) -> torch.Tensor:
        """Map [B, I, H, W], and what is added [B, O, H', W'], to [B, O, H', W']."""
        grid = self.grid
        pre = self.pre(self.conv(x), skip)
        # A ReLU whose gradient also passes what was rounded to 0.
        return to_grid(pre, grid.step, 0 if self.relu else grid.low, grid.high)


class Widen(nn.Module):
    """The skip without weights, option A, as a crossbar of ones and zeros: an exact copy.

    Every other pixel, and more channels that are zero. A column sums one input at most and Z is 0,
    so no converter saturates.

    Parameters
    ----------
    inputs, outputs, stride : int
    source : Grid
        On which it fetches.
    """

    padding, weight_bits, zero_point = 0, 1, 0

    def __init__(self, inputs: int, outputs: int, stride: int, source: Grid) -> None:
        super().__init__()
        self.inputs, self.outputs, self.stride = inputs, outputs, stride
        self._grids = (source,)

    @property
    def source(self) -> Grid:
        """The grid on which it fetches."""
        return self._grids[0]

    @property
    def weight_exponent(self) -> torch.Tensor:
        """Of a weight that is 1: [1]."""
        return torch.zeros(1, dtype=torch.int32)

    @property
    def unit(self) -> torch.Tensor:
        """What an accumulator of 1 stands for: [1]."""
        return self.source.step[None]

    def integers(self) -> tuple[torch.Tensor, None]:
        """Return the weights [O, I, 1, 1], ones and zeros, in float32; there is no bias."""
        return torch.eye(self.outputs, self.inputs)[:, :, None, None], None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, inputs, H, W] to [B, outputs, ⌈H/stride⌉, ⌈W/stride⌉]."""
        x = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(x, (0, 0, 0, 0, 0, self.outputs - self.inputs))
