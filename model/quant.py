# SPDX-License-Identifier: Apache-2.0
"""Fake quantisation: float tensors that hold exactly the numbers of the integer network.

Every value lies on a grid 2^exponent · {−2^(bits−1) … 2^(bits−1) − 1}. Multiplying by a power of
two is exact in floating point, and so are sums of integers below 2^24, so the forward pass gives,
bit for bit, what `model.executor` gives with integers; where nothing saturates, the backward pass
goes straight through the roundings (Bengio, Léonard, Courville, "Estimating or Propagating
Gradients Through Stochastic Neurons for Conditional Computation", 2013).

Source of the scheme: the crossbar-aligned integer-only compression, docs/arithmetic.md.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from model.gelu_table import gelu_table

__all__ = ["Grid", "TableGELU", "best_exponent", "power_of_two", "to_grid"]


class _ToGrid(torch.autograd.Function):
    """Round half up and saturate; the gradient passes where nothing saturates."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
        scaled = x / step
        ctx.save_for_backward((scaled >= low - 0.5) & (scaled < high + 0.5))
        return scaled.add_(0.5).floor_().clamp_(low, high).mul_(step)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return grad * inside, None, None, None


def to_grid(x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Return clip(⌊x/step + ½⌋, low, high) · step.

    Parameters
    ----------
    x : torch.Tensor
        float32. Exact if |x/step| < 2^23.
    step : torch.Tensor
        A power of two, or one for each channel, that broadcasts with ``x``.
    low, high : int
        Of the integers.
    """
    found: torch.Tensor = _ToGrid.apply(x, step, low, high)
    return found


class _PowerOfTwo(torch.autograd.Function):
    """The nearest power of two, in the logarithm, with its sign; the gradient goes through."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, low: float, high: float) -> torch.Tensor:
        exponent = x.abs().log2().round().clamp(low, high)
        return torch.copysign(torch.exp2(exponent), x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return grad, None, None


def power_of_two(x: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Return ±2^e next to each value, with low ≤ e ≤ high."""
    found: torch.Tensor = _PowerOfTwo.apply(x, float(low), float(high))
    return found


def best_exponent(values: torch.Tensor, bits: int) -> int:
    """Return the exponent that represents values best in two's complement of ``bits``.

    ⌈log2(max|x| / (2^(bits−1) − 1))⌉ covers all; one less saturates a few and doubles the
    resolution of the rest. Whichever has the smaller squared error is taken.
    """
    largest = float(values.abs().max())
    high = (1 << (bits - 1)) - 1
    covering = math.ceil(math.log2(max(largest, 1e-30) / high))

    def error(exponent: int) -> float:
        step = values.new_tensor(2.0**exponent)
        return float((to_grid(values, step, -high - 1, high) - values).square().mean())

    return min((covering, covering - 1), key=error)


class Grid(nn.Module):
    """Round to a grid of ``bits``; its exponent is calibrated once, then fixed.

    While ``observing``, values pass unchanged, and a share of them is kept; `settle` chooses the
    exponent from these.

    Parameters
    ----------
    bits : int
        Two's complement, full range.
    """

    KEPT = 1 << 14
    """Values kept of each observed tensor."""

    step: torch.Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.low, self.high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        self.bits = bits
        self.register_buffer("step", torch.ones(()))
        self.observing = False
        self._seen: list[torch.Tensor] = []

    @property
    def exponent(self) -> int:
        """The step is 2^exponent."""
        return round(math.log2(float(self.step)))

    def settle(self, exponent: int | None = None) -> int:
        """Fix the exponent: the best for what was seen, or the one given."""
        if exponent is None:
            exponent = best_exponent(torch.cat(self._seen), self.bits)
        self.step.fill_(2.0**exponent)
        self.observing, self._seen = False, []
        return exponent

    def observe(self, x: torch.Tensor) -> None:
        """Keep some values, the largest in any case."""
        flat = x.detach().flatten()
        kept = flat[:: max(1, flat.numel() // self.KEPT)]
        self._seen.append(torch.cat([kept, flat.min()[None], flat.max()[None]]))

    def seen(self) -> torch.Tensor:
        """Return what was observed."""
        return torch.cat(self._seen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Round ``x`` to the grid, and saturate."""
        if self.observing:
            self.observe(x)
            return x
        return to_grid(x, self.step, self.low, self.high)


class _Lookup(torch.autograd.Function):
    """The table forward, GELU's derivative backward."""

    @staticmethod
    def forward(
        ctx: Any, pre: torch.Tensor, step: torch.Tensor, table: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(pre)
        index = (pre / step).long() + len(table) // 2
        return table[index]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (pre,) = ctx.saved_tensors
        moved: torch.Tensor = torch.ops.aten.gelu_backward(grad, pre)
        return moved, None, None


class TableGELU(nn.Module):
    """GELU by a stored table: float before `settle`, the table after.

    Parameters
    ----------
    pre : Grid
        The grid of its input.
    act : Grid
        The grid of its output.
    """

    table: torch.Tensor

    def __init__(self, pre: Grid, act: Grid) -> None:
        super().__init__()
        self.pre, self.act = pre, act
        self.register_buffer("table", torch.zeros(1 << pre.bits, dtype=torch.int16))

    def settle(self) -> None:
        """Fix both grids and compute the table."""
        entries = gelu_table(
            pre_bits=self.pre.bits, pre_exp=self.pre.settle(),
            act_bits=self.act.bits, act_exp=self.act.settle(),
        )  # fmt: skip
        self.table.copy_(torch.from_numpy(entries))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``x`` to its GELU, on the grid of the output."""
        if self.pre.observing:
            return self.act(functional.gelu(self.pre(x)))
        found: torch.Tensor = _Lookup.apply(self.pre(x), self.pre.step, self.table * self.act.step)
        return found
