# SPDX-License-Identifier: Apache-2.0
"""What goes into the hardware, and what must come out: pixels as port values, and PyTorch's word.

The PyTorch block is the only reference of co-simulation. The shift moves pixels and never looks
at them, except that it fills in 0, whose code is 0; so it may be applied to port values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hw.params import CHANNEL_DIVIDER, Direction, ParameterError, ShiftParams
from model.shift import shift

__all__ = ["from_ports", "moved", "random_maps", "shifted", "to_ports"]

Pixels = npt.NDArray[np.int64]


def to_ports(values: npt.NDArray[Any], bits: int) -> Pixels:
    """Values of unsigned ports for signed pixels: two's complement of ``bits`` bits.

    Raises
    ------
    ParameterError
        If a pixel does not fit.
    """
    wide = values.astype(np.int64)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if wide.size and (wide.min() < low or wide.max() > high):
        raise ParameterError(
            f"pixels must be from {low} to {high}, not {wide.min()} to {wide.max()}"
        )
    return wide & ((1 << bits) - 1)


def from_ports(codes: npt.NDArray[Any], bits: int) -> Pixels:
    """Signed pixels for values of unsigned ports: the inverse of `to_ports`."""
    sign = np.int64(1 << (bits - 1))
    return (codes.astype(np.int64) ^ sign) - sign


def shifted(feature_map: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Shift a whole feature map [C, H, W] with the PyTorch block."""
    out: npt.NDArray[Any] = shift(torch.from_numpy(feature_map[None].copy()))[0].numpy()
    return out


def moved(maps: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Move each channel [N, H, W] in every direction with the PyTorch block: [N, 9, H, W].

    The second index is the `hw.params.Direction`, STAY last. Each channel is made a feature map of
    12 equal channels, of which Algorithm 1 moves the first eight, one a direction.
    """
    stacked = np.repeat(maps[:, None], CHANNEL_DIVIDER, axis=1)
    out: npt.NDArray[Any] = shift(torch.from_numpy(stacked)).numpy()
    return np.ascontiguousarray(out[:, : Direction.STAY + 1])


def random_maps(params: ShiftParams, count: int, *, seed: int) -> Pixels:
    """Port values [count, H, W]: all ones, all zeros, then random."""
    generator = np.random.Generator(np.random.PCG64(seed))
    shape = (count, params.height, params.width)
    maps = generator.integers(0, 1 << params.bits, size=shape, dtype=np.int64)
    maps[0] = (1 << params.bits) - 1
    maps[1] = 0
    return maps
