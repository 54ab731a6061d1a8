# SPDX-License-Identifier: Apache-2.0
"""GELU by a stored table, in training: step 4 of docs/intnet.md."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from model.gelu_table import gelu_table
from model.quant import Grid, best_exponents

__all__ = ["TableGELU"]


class _Lookup(torch.autograd.Function):
    """One table forward, another one backward."""

    @staticmethod
    def forward(
        ctx: Any, index: torch.Tensor, x: torch.Tensor, table: torch.Tensor, slopes: torch.Tensor
    ) -> torch.Tensor:
        # Flat, since indexing with four dimensions takes ten times as long.
        pixels = index.permute(0, 2, 3, 1)
        flat = pixels.reshape(-1)
        ctx.save_for_backward(slopes.index_select(0, flat).view(pixels.shape).permute(0, 3, 1, 2))
        return table.index_select(0, flat).view(pixels.shape).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return None, grad * slope, None, None


class TableGELU(nn.Module):
    """GELU by a stored table, from one grid to another.

    Far below 0 GELU is nothing, and never far below 0: codes for values down there would be wasted.
    So those before and after the table stand for values that are `threshold` and `lowered` more.
    The accumulators' bias takes the one, batch norm's mean the other.

    Parameters
    ----------
    bits : int
        Of both.
    """

    table: torch.Tensor
    pre_zero: torch.Tensor
    act_zero: torch.Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.pre, self.act = Grid(bits), Grid(bits)
        self.register_buffer("table", torch.zeros(1 << bits, dtype=torch.int8))
        for name in ("pre_zero", "act_zero"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int16))

    @property
    def threshold(self) -> torch.Tensor:
        """What is taken from the accumulators."""
        return self.pre_zero * self.pre.step

    @property
    def lowered(self) -> torch.Tensor:
        """What is taken from the results."""
        return self.act_zero * self.act.step

    def fit(self, sums: torch.Tensor) -> None:
        """Choose both grids by the squared error of what becomes of sums like these.

        Parameters
        ----------
        sums : torch.Tensor
            float32 [N], of the float network. What a twin that is not calibrated yet makes of
            other grids is no judge of them: it prefers ones that are far too coarse.
        """
        wanted = functional.gelu(sums)
        finest = [
            # Of a grid of one bit more, the upper half.
            int(best_exponents(values.clamp_min(0.0)[None], grid.bits + 1)) - 1
            for grid, values in ((self.pre, sums), (self.act, wanted))
        ]
        errors = {}
        for exponents in itertools.product(*(range(least, least + 4) for least in finest)):
            self._place(*exponents)
            found = self((sums - self.threshold)[None, :, None, None]).flatten() + self.lowered
            errors[exponents] = float((found - wanted).square().mean())
        self._place(*min(errors, key=errors.__getitem__))

    def _place(self, pre: int, act: int) -> None:
        self.pre.exponent.fill_(pre)
        self.act.exponent.fill_(act)
        self.tabulate()

    def tabulate(self) -> None:
        """Choose the zeros for the grids as they are, and compute the table."""
        bits, pre_exp, act_exp = self.pre.bits, int(self.pre.exponent), int(self.act.exponent)
        half = 1 << (bits - 1)
        codes = [
            math.floor(_gelu(-below * 2.0**pre_exp) * 2.0**-act_exp + 0.5)
            for below in range(half + 1)
        ]
        needed = max((below for below, code in enumerate(codes) if code), default=-1) + 1
        self.pre_zero.fill_(half - min(needed, half))
        self.act_zero.fill_(half + max(min(codes), -half))
        entries = gelu_table(
            bits=bits, pre_exp=pre_exp, act_exp=act_exp,
            pre_zero=int(self.pre_zero), act_zero=int(self.act_zero),
        )  # fmt: skip
        self.table.copy_(torch.from_numpy(entries))

    def slopes(self) -> torch.Tensor:
        """Return GELU's derivative at each entry, and 0 where the table saturates."""
        levels = torch.arange(self.pre.low, self.pre.high + 1, device=self.table.device)
        moved: torch.Tensor = torch.ops.aten.gelu_backward(
            (self.table < self.act.high).float(), levels * self.pre.step + self.threshold
        )
        return moved

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map accumulators [B, C, H, W], less `threshold`, to their GELU, less `lowered`."""
        pre = self.pre(x)
        # Weights that are no numbers any more are told after the epoch.
        index = (pre.detach() / self.pre.step).nan_to_num_(0.0).int() - self.pre.low
        found: torch.Tensor = _Lookup.apply(index, pre, self.table * self.act.step, self.slopes())
        return found


def _gelu(x: float) -> float:
    return x * (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0
