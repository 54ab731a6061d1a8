# SPDX-License-Identifier: Apache-2.0
"""What crossbars compute, in PyTorch: a convolution, as their converters see it.

Inputs are driven bit plane by bit plane, weights lie in cells of a few bits, and each column's sum
goes through a converter of ``adc_bits`` that saturates. With enough bits this is a convolution.

Source: docs/intnet.md, steps 1 and 2.
"""

from __future__ import annotations

import dataclasses

import torch
from torch.nn import functional

from hw.params import check_integer
from model.golden import is_lossless

__all__ = ["ArrayShape", "crossbar_sum"]

_FLOAT32_EXACT = 1 << 24
_CACHED = 2048
"""Pixels at a time, such that the sums of their columns stay in the processor's cache."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArrayShape:
    """A crossbar and its converters.

    Parameters
    ----------
    rows : int
        Wordlines, 1…4096: longer sums are added digitally.
    cell_bits : int
        Bits of a cell, 1…8.
    adc_bits : int
        Bits of a converter, 1…16.

    Raises
    ------
    ParameterError
        If one is out of its range.
    """

    rows: int = 64
    cell_bits: int = 2
    adc_bits: int = 8

    def __post_init__(self) -> None:
        check_integer("rows", self.rows, 1, 4096)
        check_integer("cell_bits", self.cell_bits, 1, 8)
        check_integer("adc_bits", self.adc_bits, 1, 16)

    @property
    def lossless(self) -> bool:
        """Whether no column's sum can saturate."""
        return is_lossless(self.rows, self.cell_bits, self.adc_bits)


def crossbar_sum(
    inputs: torch.Tensor,
    weights: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    steps: tuple[torch.Tensor, torch.Tensor],
    act_bits: int,
    weight_bits: int,
    zero_point: int,
    array: ArrayShape,
    stride: int = 1,
) -> torch.Tensor:
    """Convolve as crossbars do; the gradient is the convolution's.

    Parameters
    ----------
    inputs : torch.Tensor
        float32 [B, I, H, W], on a grid of ``act_bits``.
    weights : torch.Tensor
        float32 [O, I, k, k], on a grid; the cells hold their integers with ``zero_point`` added.
    bias : torch.Tensor
        [O], multiples of the product of the steps, no larger than 2^23 of them.
    steps : tuple of torch.Tensor
        Powers of two, of the inputs' grid and of the weights': [] and [1] or [O].
    act_bits, weight_bits, zero_point : int
    array : ArrayShape
    stride : int

    Returns
    -------
    torch.Tensor
        [B, O, H', W'], multiples of the product of the steps: float32 where that is exact, in wide
        layers float64.
    """
    rows = weights[0].numel()
    largest = max(zero_point, (1 << weight_bits) - 1 - zero_point)
    # Saturating converters may take from the positive planes alone.
    largest += 0 if array.lossless else 1 << weight_bits
    if (rows << (act_bits - 1)) * largest > _FLOAT32_EXACT // 2:
        inputs, weights = inputs.double(), weights.double()
        bias = None if bias is None else bias.double()
    found = functional.conv2d(inputs, weights, bias, stride)
    if array.lossless:
        return found
    with torch.no_grad():
        input_step, weight_step = steps
        q = _rows(inputs, weights.shape[2], stride) / input_step
        codes = weights.permute(0, 2, 3, 1).flatten(1) / weight_step[:, None]
        lost = _clipped(q, codes + zero_point, act_bits, weight_bits, array)
        lost = lost.view(len(found), *found.shape[2:], -1).permute(0, 3, 1, 2)
        lost = lost * (input_step * weight_step)[:, None, None]
    return found - lost


def _rows(inputs: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Return what drives the wordlines, [B·H'·W', k·k·I], ordered (ky, kx, channel)."""
    if kernel == 1:
        return inputs[:, :, ::stride, ::stride].permute(0, 2, 3, 1).flatten(0, 2)
    q = functional.unfold(inputs, kernel, stride=stride)  # [B, I·k·k, H'·W']
    q = q.unflatten(1, (-1, kernel * kernel))
    rows: torch.Tensor = q.permute(0, 3, 2, 1).reshape(-1, inputs.shape[1] * kernel * kernel)
    return rows


def _clipped(
    q: torch.Tensor, cells: torch.Tensor, act_bits: int, weight_bits: int, array: ArrayShape
) -> torch.Tensor:
    """Return Σ ±2^bit Σ 2^low · (column sum − ADC(column sum)), the highest plane subtracted.

    ``q`` [N, R] and ``cells`` [O, R] hold integers, and so does the result [N, O].
    """
    ceiling, mask = (1 << array.adc_bits) - 1, (1 << array.cell_bits) - 1
    # bfloat16 has all integers up to 256, and products of it are fast.
    dtype = torch.bfloat16 if array.rows * mask <= 256 else torch.float32
    lows = range(0, weight_bits, array.cell_bits)
    # Columns are ordered (low, output); this adds those of an output up.
    join = torch.cat([torch.eye(len(cells)) * 2**low for low in lows]).to(q)
    total = torch.zeros(len(q), len(cells), dtype=q.dtype, device=q.device)
    for first in range(0, q.shape[1], array.rows):
        tile = slice(first, first + array.rows)
        codes = cells[:, tile].int()
        columns = torch.cat([codes >> low & mask for low in lows])
        # What cannot exceed the ceiling even with all wordlines driven needs no look.
        live = columns.sum(1) > ceiling
        weights = columns[live].to(dtype).T
        for part, lost in zip(q[:, tile].int().split(_CACHED), total.split(_CACHED), strict=True):
            # Σ ±2^bit is −1, so `ceiling` makes max(sum, ceiling) what exceeds it.
            over = torch.full((len(part), weights.shape[1]), float(ceiling), device=q.device)
            for bit in range(act_bits):
                sums = (part >> bit & 1).to(dtype) @ weights
                sign = -1 if bit == act_bits - 1 else 1
                over.add_(sums.clamp_(min=ceiling), alpha=sign * 2**bit)
            lost += over.to(q.dtype) @ join[live]
    return total
