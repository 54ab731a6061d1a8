# SPDX-License-Identifier: Apache-2.0
"""The layers of a network that trains for integers: twins of convolution and head.

A layer fetches from feature maps on the *stream* grid, which the whole network shares, sums in
crossbars, requantises, takes GELU from a table, and applies batch norm as a power of two and an
offset for each channel, back on the stream grid: docs/intnet.md, step by step.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from model.crossbar_sum import ArrayShape, crossbar_sum
from model.intnet_layers import MAX_K, MIN_K
from model.quant import Grid, best_exponents, to_grid, two_to
from model.quant_table import TableGELU

__all__ = ["QuantConv", "QuantHead"]

BIAS_BITS = 24
"""In float32, the sums stay below 2^23 besides."""


class QuantConv(nn.Module):
    """A convolution by crossbars: integers in, integer accumulators out, as their values.

    Parameters
    ----------
    conv : nn.Conv2d
        Its weights are copied; its padding is of zeros.
    source : Grid
        On which it fetches.
    rounds : bool
        Whether what comes in lies on a finer grid.
    weight_bits : int
    per_channel : bool
        A weight exponent for each output, instead of one.
    array : ArrayShape
    table : TableGELU, optional
        What follows; its threshold is part of the bias, so that there is one.
    """

    weight_exponent: torch.Tensor
    zero_point: torch.Tensor

    def __init__(
        self, conv: nn.Conv2d, source: Grid, *, rounds: bool, weight_bits: int,
        per_channel: bool, array: ArrayShape, table: TableGELU | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.rounds = rounds
        self.weight_bits, self.array, self.stride = weight_bits, array, conv.stride[0]
        self.padding = int(conv.padding[0])
        self.weight = nn.Parameter(conv.weight.detach().clone())
        bias = None if conv.bias is None else conv.bias.detach().clone()
        if bias is None and table:
            bias = torch.zeros(len(conv.weight))
        self.bias = None if bias is None else nn.Parameter(bias)
        exponents = torch.zeros(len(conv.weight) if per_channel else 1, dtype=torch.int32)
        self.register_buffer("weight_exponent", exponents)
        self.register_buffer("zero_point", _half(weight_bits))
        # In tuples: they belong to one module each, and others look at them.
        self._grids, self._tables = (source,), (table,)

    @property
    def source(self) -> Grid:
        """The grid on which it fetches."""
        return self._grids[0]

    @property
    def unit(self) -> torch.Tensor:
        """What an accumulator of 1 stands for: [1] or [O]."""
        return two_to(self.source.exponent + self.weight_exponent)

    def fit(self, pre: Grid) -> None:
        """Choose the weights' exponents, such that k is in its range.

        Parameters
        ----------
        pre : Grid
            To which the accumulators are requantised.
        """
        rows = self.weight.detach().reshape(len(self.weight_exponent), -1)
        self.weight_exponent.copy_(best_exponents(rows, self.weight_bits))
        finest = pre.exponent - self.source.exponent
        # A threshold must be a multiple of the accumulators' unit, and not too large a one.
        low, high = (0, BIAS_BITS - 1 - pre.bits) if self._tables[0] else (MIN_K, MAX_K)
        self.weight_exponent.clamp_(finest - high, finest - low)

    def rounded(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return weights and bias on their grids."""
        step = two_to(self.weight_exponent)[:, None, None, None]
        weight = _rounded_weights(self.weight, step, self.weight_bits, int(self.zero_point))
        bias: torch.Tensor | None = self.bias
        if bias is not None and self._tables[0]:
            bias = bias - self._tables[0].threshold
        return weight, None if bias is None else _rounded_bias(bias, self.unit)

    def integers(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return weights and bias as integers in float32."""
        weight, bias = self.rounded()
        weight = weight / two_to(self.weight_exponent)[:, None, None, None]
        return weight, None if bias is None else bias / self.unit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, I, H, W] to accumulators [B, O, H', W']."""
        if self.rounds:
            x = self.source(x)
        if self.padding:
            x = functional.pad(x, (self.padding,) * 4)
        return crossbar_sum(
            x, *self.rounded(), steps=(self.source.step, two_to(self.weight_exponent)),
            act_bits=self.source.bits, weight_bits=self.weight_bits,
            zero_point=int(self.zero_point), array=self.array, stride=self.stride,
        )  # fmt: skip


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

    BITS = weight_bits = 8

    weight_exponent: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, linear: nn.Linear, pixels: int, source: Grid, array: ArrayShape) -> None:
        super().__init__()
        self.array = array
        self.log2_pixels = pixels.bit_length() - 1
        self.rest = (1 << self.log2_pixels) / pixels
        self.weight = nn.Parameter(linear.weight.detach() * self.rest)
        self.bias = nn.Parameter(linear.bias.detach().clone())
        self.pool = Grid(self.BITS)
        self.register_buffer("weight_exponent", torch.zeros(1, dtype=torch.int32))
        self.register_buffer("zero_point", _half(self.BITS))
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

    def rounded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights and bias on their grids."""
        step = two_to(self.weight_exponent)
        weight = _rounded_weights(self.weight, step, self.BITS, int(self.zero_point))
        return weight, _rounded_bias(self.bias, self.unit)

    def integers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights [O, I] and bias as integers in float32."""
        weight, bias = self.rounded()
        return weight / two_to(self.weight_exponent), bias / self.unit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, C, H, W] on the stream grid to logits [B, classes]."""
        weight, bias = self.rounded()
        pooled = self.pool(self._pooled(x))
        logits = crossbar_sum(
            pooled[:, :, None, None], weight[:, :, None, None], bias,
            steps=(self.pool.step, two_to(self.weight_exponent)), act_bits=self.BITS,
            weight_bits=self.BITS, zero_point=int(self.zero_point), array=self.array,
        )  # fmt: skip
        return logits[:, :, 0, 0].float()


def _half(bits: int) -> torch.Tensor:
    return torch.tensor(1 << (bits - 1), dtype=torch.int16)


def _rounded_weights(
    weight: torch.Tensor, step: torch.Tensor, bits: int, zero_point: int
) -> torch.Tensor:
    """Round to what cells of ``bits`` hold, of which ``zero_point`` stands for 0."""
    return to_grid(weight, step, -zero_point, (1 << bits) - 1 - zero_point)


def _rounded_bias(bias: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    half = 1 << (BIAS_BITS - 1)
    return to_grid(bias, unit, -half, half - 1)
