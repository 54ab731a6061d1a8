# SPDX-License-Identifier: Apache-2.0
"""The table that takes GELU's place in an integer network, computed once, with exact arithmetic.

Entry i stands for the integer pre = i − 2^(bits−1) and holds

    sat(⌊GELU(pre · 2^pre_exp) · 2^−act_exp + ½⌋),   GELU(x) = x · Φ(x)

with the erf form of Φ. Floating-point libraries differ from one another where GELU comes close to a
half, so the table is stored with the network and never computed again.
"""

from __future__ import annotations

import mpmath
import numpy as np
import numpy.typing as npt

from hw.params import check_integer

__all__ = ["gelu_table"]

_DIGITS = 60


def gelu_table(
    *, pre_bits: int, pre_exp: int, act_bits: int, act_exp: int
) -> npt.NDArray[np.int16]:
    """Return GELU from one power-of-two grid to another.

    Parameters
    ----------
    pre_bits, pre_exp : int
        The input is pre · 2^pre_exp, pre two's complement of ``pre_bits`` (2…12).
    act_bits, act_exp : int
        The output likewise.

    Returns
    -------
    numpy.ndarray
        int16 [2^pre_bits], from the lowest pre to the highest.

    Raises
    ------
    ParameterError
        If a number is out of range.
    """
    check_integer("pre_bits", pre_bits, 2, 12)
    check_integer("act_bits", act_bits, 2, 12)
    check_integer("pre_exp", pre_exp, -64, 64)
    check_integer("act_exp", act_exp, -64, 64)
    half = 1 << (pre_bits - 1)
    low, high = -(1 << (act_bits - 1)), (1 << (act_bits - 1)) - 1
    with mpmath.workdps(_DIGITS):
        entries = [_entry(pre, pre_exp, act_exp) for pre in range(-half, half)]
    return np.clip(entries, low, high).astype(np.int16)


def _entry(pre: int, pre_exp: int, act_exp: int) -> int:
    """Return ⌊GELU(pre·2^pre_exp)·2^−act_exp + ½⌋.

    GELU(x) lies below max(x, 0) by a tail δ = |x|·erfc(|x|/√2)/2 > 0, for either sign of x. Far out
    δ has fewer digits than any precision could show, but it still decides at a half.
    """
    scale = mpmath.mpf(2) ** (pre_exp - act_exp)
    asymptote = max(pre, 0) * scale  # exact
    x = abs(pre) * mpmath.mpf(2) ** pre_exp
    tail = abs(pre) * scale * mpmath.erfc(x / mpmath.sqrt(2)) / 2
    rounded = int(mpmath.floor(asymptote + 0.5))
    if pre > 0 and asymptote + 0.5 == rounded and tail < 1:
        return rounded - 1
    return int(mpmath.floor(asymptote - tail + 0.5))
