# SPDX-License-Identifier: Apache-2.0
"""The layers of a network that trains for integers: twins of convolution, GELU, add and head.

A layer fetches from feature maps on the *stream* grid, which the whole network shares, sums in
crossbars, requantises, takes GELU from a table, and applies batch norm as a power of two and an
offset for each channel, back on the stream grid: docs/intnet.md, step by step.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hw.params import check_integer
from model.crossbar_sum import ArrayShape, crossbar_sum
from model.gelu_table import gelu_table
from model.intnet_layers import MAX_K, MIN_K
from model.quant import Grid, best_exponents, to_grid, two_to

__all__ = ["QuantConv", "QuantHead", "Scheme", "Stream", "StreamAdd", "TableGELU"]

BIAS_BITS = 24
"""In float32, the sums stay below 2^23 besides."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
    """Widths of an integer network.

    Parameters
    ----------
    act_bits, weight_bits : int
        Of the body, 2…8; stem and head are 8-bit.
    stream_bits : int
        Of the feature maps between layers, ``act_bits``…16.
    per_channel : bool
        A weight exponent for each output channel of the body, instead of one for each layer.
    array : ArrayShape

    Raises
    ------
    ParameterError
        If a width is out of its range.
    """

    act_bits: int = 8
    weight_bits: int = 8
    stream_bits: int = 8
    per_channel: bool = False
    array: ArrayShape = dataclasses.field(default_factory=ArrayShape)

    def __post_init__(self) -> None:
        check_integer("act_bits", self.act_bits, 2, 8)
        check_integer("weight_bits", self.weight_bits, 2, 8)
        check_integer("stream_bits", self.stream_bits, self.act_bits, 16)


class Stream(nn.Module):
    """The grid of all feature maps, and the coarser one on which the body fetches from them."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.map = Grid(scheme.stream_bits)
        self.fetch = Grid(scheme.act_bits)

    def fit(self, values: torch.Tensor) -> None:
        """Choose both exponents; the fetch is at most 15 bits coarser, and never finer."""
        self.map.fit(values)
        if self.fetch.bits == self.map.bits:
            self.fetch.exponent.copy_(self.map.exponent)
        else:
            self.fetch.fit(values)
            self.fetch.exponent.clamp_(self.map.exponent, self.map.exponent + 15)


class StreamAdd(nn.Module):
    """An add of two feature maps, saturating."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        # In a tuple, here and below: a grid belongs to one module, and others look at it.
        self._grids = (stream.map,)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the saturated sum."""
        found: torch.Tensor = self._grids[0](a + b)
        return found


class QuantConv(nn.Module):
    """A convolution by crossbars: integers in, integer accumulators out, as their values.

    Parameters
    ----------
    conv : nn.Conv2d
        Its weights are copied; its padding is of zeros.
    source : Grid
        On which it fetches.
    weight_bits : int
    per_channel : bool
        A weight exponent for each output, instead of one.
    array : ArrayShape
    """

    weight_exponent: torch.Tensor

    def __init__(
        self, conv: nn.Conv2d, source: Grid, *, weight_bits: int, per_channel: bool,
        array: ArrayShape,
    ) -> None:  # fmt: skip
        super().__init__()
        self.weight_bits, self.array, self.stride = weight_bits, array, conv.stride[0]
        self.padding = int(conv.padding[0])
        self.weight = nn.Parameter(conv.weight.detach().clone())
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach().clone())
        exponents = torch.zeros(len(conv.weight) if per_channel else 1, dtype=torch.int32)
        self.register_buffer("weight_exponent", exponents)
        self._grids = (source,)

    @property
    def source(self) -> Grid:
        """The grid on which it fetches."""
        return self._grids[0]

    @property
    def zero_point(self) -> int:
        """Z: what the cells hold for a weight of 0."""
        return 1 << (self.weight_bits - 1)

    @property
    def unit(self) -> torch.Tensor:
        """What an accumulator of 1 stands for: [1] or [O]."""
        return two_to(self.source.exponent + self.weight_exponent)

    def fit(self, pre: Grid) -> None:
        """Choose the weights' exponents, such that ``pre`` is at most 23 bits coarser.

        Parameters
        ----------
        pre : Grid
            To which the accumulators are requantised.
        """
        rows = self.weight.detach().reshape(len(self.weight_exponent), -1)
        self.weight_exponent.copy_(best_exponents(rows, self.weight_bits))
        finest = pre.exponent - self.source.exponent
        self.weight_exponent.clamp_(finest - MAX_K, finest - MIN_K)

    def integers(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return weights and bias as integers in float32."""
        half = 1 << (self.weight_bits - 1)
        step = two_to(self.weight_exponent)[:, None, None, None]
        weight = to_grid(self.weight, step, -half, half - 1) / step
        return weight, None if self.bias is None else _bias_integers(self.bias, self.unit)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, I, H, W] to accumulators [B, O, H', W']."""
        weight, bias = self.integers()
        q = self.source(x) / self.source.step
        if self.padding:
            q = functional.pad(q, (self.padding,) * 4)
        acc = crossbar_sum(
            q, weight, act_bits=self.source.bits,
            weight_bits=self.weight_bits, array=self.array, stride=self.stride,
        )  # fmt: skip
        if bias is not None:
            acc = acc + bias[:, None, None]
        return acc * self.unit[:, None, None]


class _Lookup(torch.autograd.Function):
    """The table forward, GELU's derivative backward, and nothing where the table saturates."""

    @staticmethod
    def forward(
        ctx: Any, pre: torch.Tensor, step: torch.Tensor, table: torch.Tensor, act_step: torch.Tensor
    ) -> torch.Tensor:
        half = len(table) // 2
        # Weights that are no numbers any more are told after the epoch.
        index = (pre / step).nan_to_num_(0.0).int() + half
        out = (table * act_step)[index]
        ctx.save_for_backward(pre, out < (half - 1) * act_step)
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        pre, inside = ctx.saved_tensors
        moved: torch.Tensor = torch.ops.aten.gelu_backward(grad, pre)
        return moved.mul_(inside), None, None, None


class TableGELU(nn.Module):
    """GELU by a stored table, from one grid to another.

    Parameters
    ----------
    bits : int
        Of both.
    """

    table: torch.Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.pre, self.act = Grid(bits), Grid(bits)
        self.register_buffer("table", torch.zeros(1 << bits, dtype=torch.int8))

    def fit(self, pre: torch.Tensor, act: torch.Tensor) -> None:
        """Choose both grids for values like these, and compute the table."""
        self.pre.fit(pre)
        self.act.fit(act)
        entries = gelu_table(
            bits=self.pre.bits, pre_exp=int(self.pre.exponent), act_exp=int(self.act.exponent)
        )
        self.table.copy_(torch.from_numpy(entries))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map accumulators to their GELU, on the grid ``act``."""
        pre = self.pre(x)
        found: torch.Tensor = _Lookup.apply(pre, self.pre.step, self.table, self.act.step)
        return found


class QuantHead(nn.Module):
    """Pool, then a linear layer: integer logits, as their values.

    Parameters
    ----------
    linear : nn.Linear
    pixels : int
        Of a map. If they are no power of two, the rest of the mean goes into the weights.
    source : Grid
        Of the map.
    array : ArrayShape
    """

    BITS = 8
    zero_point = 1 << (BITS - 1)

    weight_exponent: torch.Tensor

    def __init__(self, linear: nn.Linear, pixels: int, source: Grid, array: ArrayShape) -> None:
        super().__init__()
        self.array = array
        self.log2_pixels = pixels.bit_length() - 1
        self.rest = (1 << self.log2_pixels) / pixels
        self.weight = nn.Parameter(linear.weight.detach() * self.rest)
        self.bias = nn.Parameter(linear.bias.detach().clone())
        self.pool = Grid(self.BITS)
        self.register_buffer("weight_exponent", torch.zeros(1, dtype=torch.int32))
        self._grids = (source,)

    @property
    def pool_shift(self) -> int:
        """p: how many bits the pooled sum drops."""
        return int(self.pool.exponent - self._grids[0].exponent) + self.log2_pixels

    @property
    def unit(self) -> torch.Tensor:
        """What a logit of 1 stands for: [1]."""
        return two_to(self.pool.exponent + self.weight_exponent)

    def fit(self, means: torch.Tensor) -> None:
        """Choose the exponents of pool and weights, such that −7 ≤ p ≤ 23.

        Parameters
        ----------
        means : torch.Tensor
            [B, C], of maps like those that it pools.
        """
        self.pool.fit(means / self.rest)
        finest = self._grids[0].exponent - self.log2_pixels
        self.pool.exponent.clamp_(finest + MIN_K, finest + MAX_K)
        rows = self.weight.detach().reshape(1, -1)
        self.weight_exponent.copy_(best_exponents(rows, self.BITS))

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum((2, 3), dtype=torch.float64) * 2.0**-self.log2_pixels

    def integers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights [O, I] and bias as integers in float32."""
        half = self.zero_point
        step = two_to(self.weight_exponent)
        weight = to_grid(self.weight, step, -half, half - 1) / step
        return weight, _bias_integers(self.bias, self.unit)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, C, H, W] on the stream grid to logits [B, classes]."""
        weight, bias = self.integers()
        q = self.pool(self._pooled(x)) / self.pool.step
        acc = crossbar_sum(
            q[:, :, None, None], weight[:, :, None, None], act_bits=self.BITS,
            weight_bits=self.BITS, array=self.array,
        )[:, :, 0, 0]  # fmt: skip
        return ((acc + bias) * self.unit).float()


def _bias_integers(bias: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    half = 1 << (BIAS_BITS - 1)
    return to_grid(bias, unit, -half, half - 1) / unit
