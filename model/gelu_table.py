# SPDX-License-Identifier: Apache-2.0
"""The table that takes GELU's place in an integer network, computed once, with exact arithmetic.

Entry i stands for the integer pre = i − 2^(bits−1) and holds

    sat(⌊GELU(pre · 2^pre_exp) · 2^−act_exp + ½⌋),   GELU(x) = x · Φ(x)

with the erf form of Φ. Floating-point libraries differ from one another where GELU comes close to a
half, so the table is stored with the network and never computed again.
"""

from __future__ import annotations

import functools

import mpmath
import numpy as np
import numpy.typing as npt

from hw.params import check_integer

__all__ = ["gelu_table"]

_DIGITS = 60


def gelu_table(
    *, bits: int, pre_exp: int, act_exp: int, pre_zero: int = 0, act_zero: int = 0
) -> npt.NDArray[np.int8]:
    """Return GELU from one power-of-two grid to another.

    Before the table, code q stands for (q + pre_zero)·2^pre_exp; after it, for
    (q + act_zero)·2^act_exp.

    Parameters
    ----------
    bits : int
        Of input and output, two's complement, 2…8.
    pre_exp, act_exp : int
        Exponents of input and output, −64…64.
    pre_zero, act_zero : int
        0…2^(bits−1).

    Returns
    -------
    numpy.ndarray
        int8 [2^bits], from the lowest input to the highest.

    Raises
    ------
    ParameterError
        If a number is out of range.
    """
    check_integer("bits", bits, 2, 8)
    check_integer("pre_exp", pre_exp, -64, 64)
    check_integer("act_exp", act_exp, -64, 64)
    half = 1 << (bits - 1)
    check_integer("pre_zero", pre_zero, 0, half)
    check_integer("act_zero", act_zero, 0, half)
    with mpmath.workdps(_DIGITS):
        entries = [_entry(pre + pre_zero, pre_exp, act_exp) for pre in range(-half, half)]
    # Before NumPy sees them: they may exceed any of its integers.
    return np.array([min(max(entry - act_zero, -half), half - 1) for entry in entries], np.int8)


@functools.cache
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
