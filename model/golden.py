# SPDX-License-Identifier: Apache-2.0
"""Golden integer operations in NumPy: what RTL and PyTorch must equal, bit for bit.

A leaf: NumPy and `hw.params` only. It shares no code with the PyTorch modules, so that the
two can check each other.

Source: Guan, Li et al., "An Isotropic Shift-Pointwise Network for Crossbar-Efficient Neural
Network Design", DATE 2024: section III, Algorithm 1.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hw.params import Direction, ParameterError, ParameterTypeError, channel_directions

__all__ = ["shift", "shift_channel"]

_Integer = TypeVar("_Integer", bound=np.integer[Any])


def shift_channel(channel: npt.NDArray[_Integer], direction: Direction) -> npt.NDArray[_Integer]:
    """Move the content of one channel by one pixel.

    Parameters
    ----------
    channel : numpy.ndarray
        Pixels [H, W], H and W at least 1, of an integer dtype.
    direction : Direction
        Where content moves; ``STAY`` copies.

    Returns
    -------
    numpy.ndarray
        A new array [H, W] of the same dtype; vacated pixels are 0.

    Raises
    ------
    ParameterTypeError
        If ``channel`` is no integer array, or ``direction`` no `Direction`.
    ParameterError
        If the shape is another.
    """
    _check_integers("channel", channel, {2: "[H, W]"})
    if not isinstance(direction, Direction):
        raise ParameterTypeError(f"direction must be a Direction, not {direction!r}")
    height, width = channel.shape
    # A frame of zeros, and a window that steps against the content.
    framed = np.pad(channel, 1)
    row, column = 1 - direction.dy, 1 - direction.dx
    return framed[row : row + height, column : column + width].copy()


def shift(x: npt.NDArray[_Integer]) -> npt.NDArray[_Integer]:
    """Move the channel groups of a feature map: the shift block on integers.

    Parameters
    ----------
    x : numpy.ndarray
        Feature map [C, H, W] or [B, C, H, W], 12 ≤ C ≤ 4096, H and W at least 1, of an
        integer dtype; any strides.

    Returns
    -------
    numpy.ndarray
        A new array of the same shape and dtype.

    Raises
    ------
    ParameterTypeError
        If ``x`` is no integer array: floats never slip in.
    ParameterError
        If the shape is another.
    """
    _check_integers("x", x, {3: "[C, H, W]", 4: "[B, C, H, W]"})
    directions = channel_directions(x.shape[-3])
    out = np.empty_like(x)
    for index in np.ndindex(x.shape[:-2]):
        out[index] = shift_channel(x[index], directions[index[-1]])
    return out


def _check_integers(name: str, value: object, shapes: dict[int, str]) -> None:
    """Refuse all but integer arrays of the ranks in ``shapes``, with at least one pixel."""
    if not isinstance(value, np.ndarray):
        raise ParameterTypeError(f"{name} must be a numpy.ndarray, not {type(value).__name__}")
    if not np.issubdtype(value.dtype, np.integer):
        raise ParameterTypeError(f"{name} must have an integer dtype, not {value.dtype}")
    if value.ndim not in shapes:
        rule = " or ".join(shapes.values())
        raise ParameterError(f"{name} must have the shape {rule}, not {list(value.shape)}")
    height, width = value.shape[-2:]
    if height < 1 or width < 1:
        raise ParameterError(f"H and W must be at least 1, not {height} and {width}")
