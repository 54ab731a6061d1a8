# SPDX-License-Identifier: Apache-2.0
"""Grids for fake quantisation: float tensors that hold the numbers of the integer network.

Every value lies on a grid 2^exponent · {−2^(bits−1) … 2^(bits−1) − 1}. Products with powers of two
are exact in floating point, and so are sums of integers below 2^24, so the forward pass gives, bit
for bit, what `model.executor` gives with integers. The backward pass goes straight through the
roundings where nothing saturates (Bengio, Léonard, Courville, "Estimating or Propagating Gradients
Through Stochastic Neurons for Conditional Computation", 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = [
    "MAX_EXPONENT",
    "Grid",
    "best_exponents",
    "covering_exponents",
    "nearest_power",
    "search",
    "to_grid",
    "two_to",
]

MAX_EXPONENT = 64
"""Exponents of grids are −64…64."""
_FINER = 3
"""Powers of two, below the one that covers all values, that `best_exponents` tries."""


def two_to(exponent: torch.Tensor) -> torch.Tensor:
    """Return 2^exponent in float32, −126…127, by its bits: no library's exp2 takes part."""
    return ((exponent.to(torch.int32) + 127) << 23).view(torch.float32)


class _ToGrid(torch.autograd.Function):
    """Round half up and saturate; the gradient passes where nothing saturates."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
        rounded = (x / step).add_(0.5).floor_()
        ctx.save_for_backward(rounded)
        ctx.limits = low - 0.5, high + 0.5
        return rounded.clamp(low, high).mul_(step)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (rounded,) = ctx.saved_tensors
        # One pass, where a comparison and a product with its booleans take four times as long.
        passed: torch.Tensor = torch.ops.aten.hardtanh_backward(grad, rounded, *ctx.limits)
        return passed, None, None, None


def to_grid(x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Return clip(⌊x/step + ½⌋, low, high) · step.

    Parameters
    ----------
    x : torch.Tensor
        float32 or float64. Exact if x/step and x/step + ½ are in its format.
    step : torch.Tensor
        A power of two, or one for each channel, that broadcasts with ``x``.
    low, high : int
        Of the integers.
    """
    found: torch.Tensor = _ToGrid.apply(x, step, low, high)
    return found


class _NearestPower(torch.autograd.Function):
    """Straight through, for the sign and the size."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, low: int, high: int) -> torch.Tensor:
        exponent = x.abs().log2().round().nan_to_num(0.0).clamp(low, high)
        return torch.copysign(two_to(exponent), x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return grad, None, None


def nearest_power(x: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Return ±2^e next to each value in the logarithm, with low ≤ e ≤ high."""
    found: torch.Tensor = _NearestPower.apply(x, low, high)
    return found


def covering_exponents(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Return for each row [N] of [rows, N] the least exponent that saturates nothing: int32.

    ⌈log2(max|x| / (2^(bits−1) − 1))⌉.
    """
    largest = values.abs().amax(1).clamp_min(2.0**-40)
    return (largest / ((1 << (bits - 1)) - 1)).log2().ceil().to(torch.int32)


def best_exponents(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Return for each row the exponent whose grid of ``bits`` has the least squared error.

    Each one less than what covers all saturates more and doubles the resolution of the rest.

    Parameters
    ----------
    values : torch.Tensor
        float32 [rows, N].
    bits : int
        Two's complement, full range.

    Returns
    -------
    torch.Tensor
        int32 [rows].
    """
    high = (1 << (bits - 1)) - 1
    covering = covering_exponents(values, bits)
    tried = torch.stack([covering - less for less in range(_FINER + 1)])
    errors = [
        (to_grid(values, two_to(exponent)[:, None], -high - 1, high) - values).square().mean(1)
        for exponent in tried
    ]
    return tried.gather(0, torch.stack(errors).argmin(0, keepdim=True))[0]


def search(place: Callable[[int], Any], exponents: range, loss: Callable[[], float]) -> None:
    """Leave the exponent of the least loss in its place."""
    losses = {}
    for exponent in exponents:
        place(exponent)
        losses[exponent] = loss()
    place(min(losses, key=losses.__getitem__))


class Grid(nn.Module):
    """A grid that calibration fixes; as a module, it rounds to it and saturates.

    Parameters
    ----------
    bits : int
        Two's complement, full range.
    """

    exponent: torch.Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.low, self.high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        self.register_buffer("exponent", torch.zeros((), dtype=torch.int32))

    @property
    def step(self) -> torch.Tensor:
        """2^exponent."""
        return two_to(self.exponent)

    def fit(self, values: torch.Tensor) -> None:
        """Choose the exponent for values like these."""
        self.exponent.copy_(best_exponents(values.reshape(1, -1), self.bits)[0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Round ``x`` to the grid, and saturate; float32."""
        return to_grid(x, self.step, self.low, self.high).float()

    def extra_repr(self) -> str:
        """Return bits and exponent."""
        return f"bits={self.bits}, exponent={int(self.exponent)}"
