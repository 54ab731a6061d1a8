# SPDX-License-Identifier: Apache-2.0
"""Golden integer operations in NumPy: what RTL and PyTorch must equal, bit for bit.

The shift, then each step of a layer on crossbars, in its order; `model.executor` runs networks of
them. Integers go in, int64 comes out. A leaf: NumPy and `hw.params` only. It shares no code with
the PyTorch modules, so that the two can check each other.

Source: Guan, Li et al., "An Isotropic Shift-Pointwise Network for Crossbar-Efficient Neural
Network Design", DATE 2024: section III, Algorithm 1.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hw.params import Direction, ParameterError, ParameterTypeError, channel_directions

__all__ = [
    "accumulate",
    "adc",
    "apply_affine",
    "apply_table",
    "bit_serial",
    "is_lossless",
    "max_pool",
    "patches",
    "pool",
    "round_shift",
    "saturate",
    "shift",
    "shift_channel",
]

_Integer = TypeVar("_Integer", bound=np.integer[Any])
_Integers = npt.NDArray[np.integer[Any]]
_Int64 = npt.NDArray[np.int64]


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


def round_shift(v: _Integers, k: int | _Integers) -> _Int64:
    """Return round(v·2^−k), halves up: (v + 2^(k−1)) >> k, or v << −k for k ≤ 0.

    Parameters
    ----------
    v : numpy.ndarray
        Integers within ±2^31.
    k : int or numpy.ndarray
        −31…31, broadcast against ``v``.
    """
    amount = np.asarray(k, dtype=np.int64)
    right, left = np.maximum(amount, 0), np.maximum(-amount, 0)
    half = (np.int64(1) << right) >> 1
    return np.right_shift((_int64("v", v) << left) + half, right, dtype=np.int64)


def saturate(v: _Integers, bits: int) -> _Int64:
    """Clip to the two's complement range of ``bits``."""
    return np.clip(_int64("v", v), -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def adc(column_sum: _Integers, adc_bits: int) -> _Int64:
    """Return the code of a column's sum: min(sum, 2^adc_bits − 1)."""
    return np.minimum(_int64("column_sum", column_sum), (1 << adc_bits) - 1)


def is_lossless(rows: int, cell_bits: int, adc_bits: int) -> bool:
    """Say whether no sum of that many cells exceeds the ADC's largest code."""
    return rows * ((1 << cell_bits) - 1) <= (1 << adc_bits) - 1


def bit_serial(
    q: _Integers, weights: _Integers, *, act_bits: int, weight_bits: int, cell_bits: int,
    adc_bits: int,
) -> _Int64:  # fmt: skip
    """Return what shift-and-add units make of one tile's ADC codes: Σ U·Q, unless codes clip.

    Σ_bit ±2^bit Σ_slice 2^(cell_bits·slice)·ADC(column sum), the most significant bit plane
    subtracted. Slice 0 of a weight is its least significant cell.

    Parameters
    ----------
    q : numpy.ndarray
        Inputs [..., rows], two's complement of ``act_bits``.
    weights : numpy.ndarray
        U [rows, outputs], unsigned, ``weight_bits`` wide.

    Returns
    -------
    numpy.ndarray
        int64 [..., outputs].
    """
    q, weights = _int64("q", q), _int64("weights", weights)
    total = np.zeros((*q.shape[:-1], weights.shape[1]), dtype=np.int64)
    for bit in range(act_bits):
        plane = q >> bit & 1
        sign = -1 if bit == act_bits - 1 else 1
        for low in range(0, weight_bits, cell_bits):
            cells = weights >> low & ((1 << cell_bits) - 1)
            total += sign * (adc(plane @ cells, adc_bits) << (bit + low))
    return total


def accumulate(
    q: _Integers, weights: _Integers, bias: _Integers, *, zero_point: int, act_bits: int,
    weight_bits: int, array_rows: int, cell_bits: int, adc_bits: int,
) -> _Int64:  # fmt: skip
    """Return the accumulators: bias + Σ_tile (bit_serial(Q, U) − Z·ΣQ).

    Without saturation they are bias + Σ (U − Z)·Q; tiles in which no ADC can saturate are
    computed that way.

    Parameters
    ----------
    q : numpy.ndarray
        Inputs [..., rows], two's complement of ``act_bits``; row i lies in tile i // array_rows.
    weights : numpy.ndarray
        U [rows, outputs], unsigned, ``weight_bits`` wide.
    bias : numpy.ndarray
        [outputs].

    Returns
    -------
    numpy.ndarray
        int64 [..., outputs].
    """
    q, weights = _int64("q", q), _int64("weights", weights)
    acc = np.zeros((*q.shape[:-1], weights.shape[1]), dtype=np.int64) + _int64("bias", bias)
    for first in range(0, len(weights), array_rows):
        q_tile, u_tile = q[..., first : first + array_rows], weights[first : first + array_rows]
        if is_lossless(len(u_tile), cell_bits, adc_bits):
            acc += q_tile @ (u_tile - zero_point)
        else:
            acc += bit_serial(
                q_tile, u_tile, act_bits=act_bits, weight_bits=weight_bits, cell_bits=cell_bits,
                adc_bits=adc_bits,
            )  # fmt: skip
            acc -= zero_point * q_tile.sum(-1, keepdims=True)
    return acc


def patches(x: _Integers, kernel: int, stride: int, padding: int) -> _Int64:
    """Return the inputs of each output of a convolution, in the order of the crossbar's rows.

    Parameters
    ----------
    x : numpy.ndarray
        Feature map [B, C, H, W]; ``padding`` zeros are put on each border.

    Returns
    -------
    numpy.ndarray
        int64 [B, H', W', kernel²·C], the last axis ordered (ky, kx, channel).
    """
    border = (padding, padding)
    framed = np.pad(_int64("x", x), ((0, 0), (0, 0), border, border))
    windows = np.lib.stride_tricks.sliding_window_view(framed, (kernel, kernel), axis=(2, 3))
    rows = windows[:, :, ::stride, ::stride].transpose(0, 2, 3, 4, 5, 1)  # [B, H', W', ky, kx, C]
    return rows.reshape(*rows.shape[:3], kernel**2 * x.shape[1])


def apply_table(pre: _Integers, table: _Integers) -> _Int64:
    """Look up the non-linearity: entry i belongs to the value i − len(table)/2."""
    return _int64("table", table)[_int64("pre", pre) + len(table) // 2]


def apply_affine(
    v: _Integers, sign: _Integers, exponent: _Integers, offset: _Integers, fraction_bits: int
) -> _Int64:
    """Return round((sign·(v << exponent) + offset)·2^−fraction_bits), channel by channel.

    Parameters
    ----------
    v : numpy.ndarray
        Feature map [B, C, H, W].
    sign, exponent, offset : numpy.ndarray
        s, e and T, [C] each.
    fraction_bits : int
        f.
    """
    s, e, t = (_int64("affine", of)[:, None, None] for of in (sign, exponent, offset))
    return round_shift(s * (_int64("v", v) << e) + t, fraction_bits)


def pool(x: _Integers, p: int) -> _Int64:
    """Return the pooled map round(sum·2^−p) [B, C, 1, 1] of [B, C, H, W]."""
    return round_shift(_int64("x", x).sum((2, 3), keepdims=True), p)


def max_pool(x: _Integers, window: int) -> _Int64:
    """Return the maxima of squares of [B, C, H, W]; a rest at the right and below is dropped."""
    batch, channels, height, width = x.shape
    rows, columns = height // window, width // window
    squares = _int64("x", x)[:, :, : rows * window, : columns * window].reshape(
        batch, channels, rows, window, columns, window
    )
    largest: _Int64 = squares.max((3, 5))
    return largest


def _int64(name: str, value: _Integers) -> _Int64:
    """Widen integers; floats never slip in."""
    if not np.issubdtype(value.dtype, np.integer):
        raise ParameterTypeError(f"{name} must have an integer dtype, not {value.dtype}")
    return value.astype(np.int64, copy=False)


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
