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

__all__ = ["ArrayShape", "crossbar_sum"]

_FLOAT32_EXACT = 1 << 24


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
        return self.rows * ((1 << self.cell_bits) - 1) < 1 << self.adc_bits


def crossbar_sum(
    inputs: torch.Tensor,
    weights: torch.Tensor,
    *,
    act_bits: int,
    weight_bits: int,
    array: ArrayShape,
    stride: int = 1,
) -> torch.Tensor:
    """Convolve integers as crossbars do; the gradient is the convolution's.

    Parameters
    ----------
    inputs : torch.Tensor
        Integers in float32 [B, I, H, W], two's complement of ``act_bits``.
    weights : torch.Tensor
        Integers in float32 [O, I, k, k], two's complement of ``weight_bits``; the cells hold them
        with 2^(weight_bits−1) added.
    act_bits, weight_bits : int
    array : ArrayShape
    stride : int

    Returns
    -------
    torch.Tensor
        Integers [B, O, H', W']: float32 where that is exact, with as much again for a bias; in
        wide layers float64.
    """
    rows = weights[0].numel()
    # Saturating converters may take from the positive planes alone.
    largest = 1 << (weight_bits - 1) if array.lossless else 3 << (weight_bits - 1)
    if (rows << (act_bits - 1)) * largest > _FLOAT32_EXACT // 2:
        inputs, weights = inputs.double(), weights.double()
    plain = functional.conv2d(inputs, weights, stride=stride)
    if array.lossless:
        return plain
    with torch.no_grad():
        kernel = weights.shape[2]
        # Rows are ordered (ky, kx, channel): [B, k·k·I, H'·W'].
        q = functional.unfold(inputs, kernel, stride=stride)
        q = q.unflatten(1, (-1, kernel * kernel)).transpose(1, 2).flatten(1, 2)
        zero = 1 << (weight_bits - 1)
        cells = (weights + zero).permute(0, 2, 3, 1).flatten(1)
        seen = _converted(q, cells, act_bits, weight_bits, array)
        seen -= zero * q.sum(1, keepdim=True)
        lost = seen.view_as(plain) - plain
    return plain + lost


def _converted(
    q: torch.Tensor, cells: torch.Tensor, act_bits: int, weight_bits: int, array: ArrayShape
) -> torch.Tensor:
    """Return Σ ±2^bit Σ 2^low · ADC(column sum), the highest bit plane subtracted.

    ``q`` [B, R, L] and ``cells`` [O, R] hold integers, and so does the result [B, O, L].
    """
    ceiling, mask = (1 << array.adc_bits) - 1, (1 << array.cell_bits) - 1
    total = q.new_zeros(len(q), len(cells), q.shape[2])
    bits, codes = q.int(), cells.int()
    for first in range(0, q.shape[1], array.rows):
        tile = slice(first, first + array.rows)
        for bit in range(act_bits):
            plane = ((bits[:, tile] >> bit) & 1).float()
            sign = -1 if bit == act_bits - 1 else 1
            for low in range(0, weight_bits, array.cell_bits):
                column = ((codes[:, tile] >> low) & mask).float() @ plane
                total += sign * 2 ** (bit + low) * column.clamp_(max=ceiling)
    return total
