# SPDX-License-Identifier: Apache-2.0
"""The layers of a network in training for integers: each is one of an IntNet's.

A layer fetches from feature maps on the *stream* grid, which the whole network shares, sums in the
crossbar, requantises, takes GELU from the table, and applies batch norm as a power of two and an
offset for each channel, back on the stream grid. See docs/arithmetic.md, step by step.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn

from model.crossbar_sum import Crossbar, crossbar_sum
from model.quant import Grid, TableGELU, best_exponent, power_of_two, to_grid

__all__ = ["PowerOfTwoNorm", "QuantHead", "QuantMix", "Scheme", "Stream", "StreamAdd"]

MAX_GAIN = 7
"""Largest exponent by which an affine's shifter moves to the left."""
MAX_ROUND = 15
"""Most bits that it drops afterwards."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
    """Widths of an integer network.

    Parameters
    ----------
    act_bits, weight_bits : int
        Of the body; stem and head are 8-bit.
    stream_bits : int
        Of the feature maps between layers, ``act_bits``…16.
    per_channel : bool
        A weight exponent for each output channel of the body, instead of one for each layer.
    crossbar : Crossbar
    """

    act_bits: int = 8
    weight_bits: int = 8
    stream_bits: int = 8
    per_channel: bool = False
    crossbar: Crossbar = dataclasses.field(default_factory=Crossbar)


class Stream(nn.Module):
    """The grid of all feature maps, and the coarser one on which layers fetch from them."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.map = Grid(scheme.stream_bits)
        self.fetch = Grid(scheme.act_bits)

    def settle(self) -> None:
        """Fix both exponents; the coarser one is not below the finer."""
        if self.map.bits == self.fetch.bits:
            self.fetch.settle(self.map.settle())
            return
        wanted = best_exponent(self.map.seen(), self.fetch.bits)
        self.fetch.settle(max(wanted, self.map.settle()))


class StreamAdd(nn.Module):
    """The add at a write: on the stream grid, saturating."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._shared = (stream,)  # in a tuple: it belongs to the network, not to this module

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the saturated sum."""
        found: torch.Tensor = self._shared[0].map(a + b)
        return found


class PowerOfTwoNorm(nn.Module):
    """Batch norm as s·2^e·x + T: what a shifter and an adder can do.

    While training, the offset follows the batch's mean until ``frozen``; the gain, a power of two,
    follows the running variance.

    Parameters
    ----------
    norm : nn.BatchNorm2d
        Its parameters and running statistics are taken over.
    stream : Stream
    """

    lowest: torch.Tensor
    unit: torch.Tensor

    def __init__(self, norm: nn.BatchNorm2d, stream: Stream) -> None:
        super().__init__()
        self.norm: Any = norm
        self._shared = (stream,)
        self.frozen = False
        self.register_buffer("lowest", torch.zeros((), dtype=torch.int32))
        self.register_buffer("unit", torch.ones(()))

    def settle(self, act_exp: int) -> None:
        """Choose the window of gains for inputs on the grid 2^act_exp."""
        round_off = self._shared[0].map.exponent - act_exp
        highest = int(self._real_gain().abs().log2().round().max())
        # One power of two is left for gains that grow in training.
        lowest = min(max(highest + 1 - MAX_GAIN, round_off - MAX_ROUND), round_off)
        self.lowest.fill_(lowest)
        self.unit.fill_(2.0 ** (act_exp + lowest))

    def _real_gain(self) -> torch.Tensor:
        gain: torch.Tensor = self.norm.weight * torch.rsqrt(self.norm.running_var + self.norm.eps)
        return gain

    def _mean(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean to subtract; in training the batch's, which the running one follows."""
        norm = self.norm
        if self.frozen or not self.training:
            running: torch.Tensor = norm.running_mean
            return running
        mean = x.mean((0, 2, 3))
        with torch.no_grad():
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(x.var((0, 2, 3)), norm.momentum)
        return mean

    def coefficients(self, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return gain and offset of each channel: powers of two, and multiples of ``unit``."""
        lowest = int(self.lowest)
        gain = power_of_two(self._real_gain(), lowest, lowest + MAX_GAIN)
        offset = to_grid(self.norm.bias - mean * gain, self.unit, -(1 << 15), (1 << 15) - 1)
        return gain, offset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the affine of ``x``, on the stream grid."""
        stream = self._shared[0].map
        if stream.observing:
            found: torch.Tensor = stream(self.norm(x))
            return found
        gain, offset = self.coefficients(self._mean(x))
        found = stream(x * gain[:, None, None] + offset[:, None, None])
        return found  # noqa: RET504 - typed above


class QuantMix(nn.Module):
    """P, G, B with integers: one layer of crossbars and its periphery.

    Parameters
    ----------
    conv : nn.Conv2d
        Without bias, unless ``bias`` gives one.
    norm : nn.BatchNorm2d
    stream : Stream
    scheme : Scheme
    source : Grid, optional
        Grid of what it fetches, where that is not the stream.
    bias : torch.Tensor, optional
        [O].
    """

    weight_step: torch.Tensor

    def __init__(
        self,
        conv: nn.Conv2d,
        norm: nn.BatchNorm2d,
        stream: Stream,
        scheme: Scheme,
        *,
        source: Grid | None = None,
        bias: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.scheme = scheme
        self.stride = conv.stride[0]
        self.weight = nn.Parameter(conv.weight.detach().clone())
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        steps = (len(self.weight), 1, 1, 1) if scheme.per_channel else ()
        self.register_buffer("weight_step", torch.ones(steps))
        self.gelu = TableGELU(Grid(scheme.act_bits), Grid(scheme.act_bits))
        self.norm = PowerOfTwoNorm(norm, stream)
        self._shared = (stream.fetch if source is None else source,)

    @property
    def source(self) -> Grid:
        """The grid of what the layer fetches."""
        return self._shared[0]

    def settle(self) -> None:
        """Fix all exponents; the stream's are fixed already."""
        bits = self.scheme.weight_bits
        for step, weight in zip(self.weight_step.view(-1), self._by_step(), strict=True):
            step.fill_(2.0 ** best_exponent(weight.detach(), bits))
        self.gelu.settle()
        self.norm.settle(self.gelu.act.exponent)

    def _by_step(self) -> list[torch.Tensor]:
        return list(self.weight) if self.weight_step.dim() else [self.weight]

    def quantised(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return weights and bias as integers in float32."""
        half = 1 << (self.scheme.weight_bits - 1)
        weight = to_grid(self.weight, self.weight_step, -half, half - 1) / self.weight_step
        if self.bias is None:
            return weight, None
        step = self.source.step * self.weight_step.view(-1)
        return weight, to_grid(self.bias, step, -(1 << 23), (1 << 23) - 1) / step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, I, H, W] on its source's grid to [B, O, H', W'] on the stream grid."""
        if self.gelu.pre.observing:
            summed = nn.functional.conv2d(x, self.weight, self.bias, self.stride)
        else:
            weight, bias = self.quantised()
            integers = crossbar_sum(
                self.source(x) / self.source.step, weight, act_bits=self.source.bits,
                weight_bits=self.scheme.weight_bits, crossbar=self.scheme.crossbar,
                stride=self.stride,
            )  # fmt: skip
            if bias is not None:
                integers = integers + bias[:, None, None]
            summed = integers * (self.source.step * self.weight_step.view(-1, 1, 1))
        found: torch.Tensor = self.norm(self.gelu(summed))
        return found


class QuantHead(nn.Module):
    """Batch norm folded into the linear layer; pool, then logits as integers.

    Parameters
    ----------
    norm : nn.BatchNorm2d
        By its running statistics.
    linear : nn.Linear
    """

    BITS = 8

    weight_step: torch.Tensor

    def __init__(self, norm: Any, linear: nn.Linear) -> None:
        super().__init__()
        gain = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        offset = norm.bias - norm.running_mean * gain
        self.weight = nn.Parameter((linear.weight * gain).detach())
        self.bias = nn.Parameter((linear.bias + linear.weight @ offset).detach())
        self.pool = Grid(self.BITS)
        self.register_buffer("weight_step", torch.ones(()))

    def settle(self) -> None:
        """Fix the exponents of pool and weights."""
        self.pool.settle()
        self.weight_step.fill_(2.0 ** best_exponent(self.weight.detach(), self.BITS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, C, H, W] on the stream grid to logits [B, classes]."""
        pooled = self.pool(x.mean((2, 3)))
        if self.pool.observing:
            return nn.functional.linear(pooled, self.weight, self.bias)
        half = 1 << (self.BITS - 1)
        step = self.weight_step * self.pool.step
        weight = to_grid(self.weight, self.weight_step, -half, half - 1)
        bias = to_grid(self.bias, step, -(1 << 23), (1 << 23) - 1)
        return nn.functional.linear(pooled, weight, bias)
