# SPDX-License-Identifier: Apache-2.0
"""Batch norm's integer twin: step 5 of docs/intnet.md, trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from model.quant import Grid, nearest_power, to_grid, two_to
from model.quant_table import TableGELU

__all__ = ["PowerOfTwoNorm", "batch_norm"]

MAX_GAIN = 7
"""e: how far an affine's shifter moves to the left at most."""
MAX_FRACTION = 15
"""f: how many bits are dropped afterwards at most."""
OFFSET_BITS = 16
_CONSTANT = 0.25
"""Steps of the incoming grid: with a deviation below that, a channel does not vary."""


class PowerOfTwoNorm(nn.Module):
    """Batch norm as ±2^E·x + T: what a shifter and an adder can do.

    In training the offset follows the batch's mean until `frozen`; the gain, a power of two,
    follows the running variance.

    Parameters
    ----------
    norm : nn.BatchNorm2d
        Taken over, with its statistics.
    source, out : Grid
        Of what comes in and goes out.
    table : TableGELU, optional
        What comes before: results of it are lowered, and so is their mean.
    """

    lowest: torch.Tensor

    def __init__(self, norm: Any, source: Grid, out: Grid, table: TableGELU | None = None) -> None:
        super().__init__()
        self.norm = norm
        self.frozen = False
        # Least exponent of a gain; the offset's unit goes with it.
        self.register_buffer("lowest", torch.zeros((), dtype=torch.int32))
        self._grids, self._tables = (source, out), (table,)

    @property
    def unit(self) -> torch.Tensor:
        """What an offset of 1 stands for."""
        return two_to(self._grids[0].exponent + self.lowest)

    @property
    def fraction_bits(self) -> int:
        """f: how many bits are dropped at the end."""
        source, out = self._grids
        return int(out.exponent - source.exponent - self.lowest)

    @property
    def lowered(self) -> torch.Tensor | float:
        """What is missing in what comes in."""
        table = self._tables[0]
        return table.lowered if table else 0.0

    @property
    def mean(self) -> torch.Tensor:
        """Of what comes in, by the running statistics: [C]."""
        found: torch.Tensor = self.norm.running_mean - self.lowered
        return found

    def fit(self) -> None:
        """Choose the window of gains, such that offsets fit and 0 ≤ f ≤ 15."""
        source, out = self._grids
        with torch.no_grad():
            gain = self._gain()
            highest = int(gain.abs().amax().clamp_min(2.0**-40).log2().round())
            reach = (self.norm.bias - self.mean * gain).abs().amax()
            # Twice the largest offset, and one gain more, are left for training.
            coarse = int((reach.clamp_min(2.0**-40) / (1 << (OFFSET_BITS - 2))).log2().ceil())
        rounded = int(out.exponent - source.exponent)
        least = max(highest + 1 - MAX_GAIN, coarse - int(source.exponent), rounded - MAX_FRACTION)
        self.lowest.fill_(min(least, rounded))

    def _gain(self) -> torch.Tensor:
        variance = self.norm.running_var
        gain: torch.Tensor = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        # A channel that does not vary, such as one whose weights were all pruned, has nothing to be
        # amplified: a large gain would only show how far the running mean lags behind.
        return torch.where(variance < (_CONSTANT * self._grids[0].step) ** 2, 0.0, gain)

    def coefficients(self, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return gain and offset of each channel: ±2^E, and multiples of `unit`."""
        lowest = int(self.lowest)
        wanted = self._gain()
        gain = nearest_power(wanted, lowest, lowest + MAX_GAIN) * (wanted != 0)
        half = 1 << (OFFSET_BITS - 1)
        return gain, to_grid(self.norm.bias - mean * gain, self.unit, -half, half - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, C, H, W] to the grid ``out``."""
        norm = self.norm
        mean = self.mean
        if self.training and not self.frozen:
            mean = x.mean((0, 2, 3))
            with torch.no_grad():
                norm.running_mean.lerp_(mean + self.lowered, norm.momentum)
                variance = (
                    x.square().mean((0, 2, 3)) - mean.square()
                )  # var() takes forty times as long
                norm.running_var.lerp_(variance.clamp_min(0.0), norm.momentum)
        gain, offset = self.coefficients(mean)
        found: torch.Tensor = self._grids[1](
            torch.addcmul(offset[:, None, None], x, gain[:, None, None])
        )
        return found


def batch_norm(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gain and offset of each channel, by the running statistics of an nn.BatchNorm2d."""
    gain = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return gain, norm.bias - norm.running_mean * gain
