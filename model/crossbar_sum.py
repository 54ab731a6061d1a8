# SPDX-License-Identifier: Apache-2.0
"""What a crossbar computes, in PyTorch: a convolution, as its converters see it.

Inputs are driven bit plane by bit plane, weights lie in cells of a few bits, and each column sum
goes through a converter of ``adc_bits`` that saturates. With enough bits this is a convolution.

Source: docs/arithmetic.md, steps 1 and 2.
"""

from __future__ import annotations

import dataclasses

import torch
from torch.nn import functional

from hw.params import check_integer

__all__ = ["Crossbar", "crossbar_sum"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crossbar:
    """The array and its converters.

    Parameters
    ----------
    rows : int
        Wordlines of an array, 1…1024: longer sums are added digitally.
    cell_bits : int
        Bits of a cell, 1…4.
    adc_bits : int
        Bits of a converter, 1…16.
    """

    rows: int = 64
    cell_bits: int = 2
    adc_bits: int = 8

    def __post_init__(self) -> None:
        check_integer("rows", self.rows, 1, 1024)
        check_integer("cell_bits", self.cell_bits, 1, 4)
        check_integer("adc_bits", self.adc_bits, 1, 16)

    @property
    def lossless(self) -> bool:
        """Whether no column sum can saturate."""
        return self.rows * ((1 << self.cell_bits) - 1) < 1 << self.adc_bits


def crossbar_sum(
    inputs: torch.Tensor,
    weights: torch.Tensor,
    *,
    act_bits: int,
    weight_bits: int,
    crossbar: Crossbar,
    stride: int = 1,
    padding: int = 0,
) -> torch.Tensor:
    """Convolve integers as the crossbar does; the gradient is the convolution's.

    Parameters
    ----------
    inputs : torch.Tensor
        Integers in float32 [B, I, H, W], two's complement of ``act_bits``.
    weights : torch.Tensor
        Integers in float32 [O, I, k, k], two's complement of ``weight_bits``; the cells hold them
        with 2^(weight_bits−1) added.
    act_bits, weight_bits : int
    crossbar : Crossbar
    stride, padding : int

    Returns
    -------
    torch.Tensor
        Integers in float32 [B, O, H', W'], exact below 2^24.
    """
    plain = functional.conv2d(inputs, weights, stride=stride, padding=padding)
    if crossbar.lossless:
        return plain
    with torch.no_grad():
        kernel = weights.shape[2]
        # Rows are ordered (ky, kx, channel): [B, k·k·I, L].
        rows = functional.unfold(inputs, kernel, padding=padding, stride=stride)
        rows = rows.unflatten(1, (-1, kernel * kernel)).transpose(1, 2).flatten(1, 2)
        zero = 1 << (weight_bits - 1)
        cells = (weights + zero).permute(0, 2, 3, 1).flatten(1).long()
        seen = _converted(rows.long(), cells, act_bits, weight_bits, crossbar)
        seen -= zero * rows.sum(1, keepdim=True)
        seen = seen.view(plain.shape)
    # Both are integers below 2^24, so that the difference and the sum are exact.
    return plain + (seen - plain).detach()


def _converted(
    rows: torch.Tensor, cells: torch.Tensor, act_bits: int, weight_bits: int, crossbar: Crossbar
) -> torch.Tensor:
    """Return Σ 2^bit Σ 2^slice · ADC(column sum), the highest bit plane subtracted.

    ``rows`` [B, R, L] and ``cells`` [O, R] are int64; the result is float32 [B, O, L].
    """
    ceiling = (1 << crossbar.adc_bits) - 1
    mask = (1 << crossbar.cell_bits) - 1
    total = torch.zeros(len(rows), len(cells), rows.shape[2], device=rows.device)
    for begin in range(0, rows.shape[1], crossbar.rows):
        part = slice(begin, begin + crossbar.rows)
        for bit in range(act_bits):
            plane = ((rows[:, part] >> bit) & 1).float()
            sign = -1 if bit == act_bits - 1 else 1
            for low in range(0, weight_bits, crossbar.cell_bits):
                column = ((cells[:, part] >> low) & mask).float() @ plane
                total += sign * 2 ** (bit + low) * column.clamp_(max=ceiling)
    return total
