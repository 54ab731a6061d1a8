# SPDX-License-Identifier: Apache-2.0
"""The stored table equals GELU rounded with hundreds of digits; double precision does not."""

import math

import mpmath
import numpy as np
import pytest

from hw.params import ParameterError, ParameterTypeError
from model.gelu_table import gelu_table

DIGITS = 300
"""Enough for |x| up to 32, where GELU leaves its asymptote by 10^−223."""


def gelu(x):
    """GELU by mpmath's normal distribution; the table takes its tail instead."""
    return x * mpmath.ncdf(x)


def rounded(value, bits):
    half = 1 << (bits - 1)
    return min(max(int(mpmath.floor(value + mpmath.mpf("0.5"))), -half), half - 1)


def expected(bits, pre_exp, act_exp):
    half = 1 << (bits - 1)
    with mpmath.workdps(DIGITS):
        exact = [gelu(mpmath.ldexp(pre, pre_exp)) for pre in range(-half, half)]
        return [rounded(mpmath.ldexp(value, -act_exp), bits) for value in exact]


@pytest.mark.parametrize(("pre_exp", "act_exp"), [(-6, -7), (-5, -4), (-4, -4), (-2, -1)])
def test_all_entries_of_8_bits(pre_exp, act_exp):
    table = gelu_table(bits=8, pre_exp=pre_exp, act_exp=act_exp)
    assert table.dtype == np.int8
    assert table.tolist() == expected(8, pre_exp, act_exp)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_all_entries_of_fewer_bits(bits):
    for pre_exp in (-4, -1, 0, 2):
        for act_exp in (-3, 0, 1):
            table = gelu_table(bits=bits, pre_exp=pre_exp, act_exp=act_exp)
            assert table.tolist() == expected(bits, pre_exp, act_exp)


def test_far_out_a_tail_of_no_digits_decides_ties():
    # 2·pre·2^pre_exp is odd: asymptotically halves, of which GELU stays just below.
    table = gelu_table(bits=8, pre_exp=3, act_exp=4)
    # GELU(8·pre)/16 = pre/2 − δ: rounds down, where pre/2 itself would go up.
    assert table[128:].tolist() == [pre // 2 for pre in range(128)]
    assert not table[:128].any()
    with mpmath.workdps(DIGITS):
        assert rounded(gelu(mpmath.mpf(8)) / 16, 8) == 0
    # Beyond any number of digits: δ of the last entry is about exp(−2^139).
    assert gelu_table(bits=8, pre_exp=64, act_exp=64)[129:].tolist() == list(range(1, 128))
    assert gelu_table(bits=8, pre_exp=63, act_exp=64)[128:].tolist() == [n // 2 for n in range(128)]


def test_saturation():
    assert gelu_table(bits=8, pre_exp=0, act_exp=-4)[-1] == 127
    assert gelu_table(bits=8, pre_exp=64, act_exp=-64)[129:].tolist() == [127] * 127
    # GELU is never below −0.17, so that the lower end is reached on fine grids only.
    assert gelu_table(bits=8, pre_exp=-6, act_exp=-10)[128 - 64] == -128
    assert gelu_table(bits=8, pre_exp=-64, act_exp=64).tolist() == [0] * 256


def in_double(bits, pre_exp, act_exp):
    half = 1 << (bits - 1)
    values = []
    for pre in range(-half, half):
        x = math.ldexp(pre, pre_exp)
        y = x * (1 + math.erf(x / math.sqrt(2))) / 2
        values.append(math.floor(math.ldexp(y, -act_exp) + 0.5))
    return np.clip(values, -half, half - 1)


def test_double_precision_would_be_wrong():
    wrong = {}
    for pre_exp in (-4, -3, -2):
        for act_exp in (-2, -1):
            table = gelu_table(bits=8, pre_exp=pre_exp, act_exp=act_exp)
            places = np.flatnonzero(in_double(8, pre_exp, act_exp) != table)
            wrong[pre_exp, act_exp] = [int(place) - 128 for place in places]
    # Odd multiples of half a step, from where Φ is 1 in double precision: no other entry differs.
    assert wrong.pop((-3, -2)) == list(range(67, 128, 2))
    assert wrong.pop((-3, -1)) == list(range(66, 128, 4))
    assert wrong.pop((-2, -1)) == list(range(33, 128, 2))
    assert not any(wrong.values())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"bits": 1}, ParameterError, "bits must be an integer from 2 to 8, not 1"),
        ({"bits": 9}, ParameterError, "bits must be an integer from 2 to 8, not 9"),
        ({"pre_exp": -65}, ParameterError, "pre_exp must be an integer from -64 to 64, not -65"),
        ({"act_exp": 65}, ParameterError, "act_exp must be an integer from -64 to 64, not 65"),
        (
            {"act_exp": 0.5},
            ParameterTypeError,
            "act_exp must be an integer from -64 to 64, not 0.5",
        ),
    ],
)
def test_what_is_refused(change, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        gelu_table(**({"bits": 8, "pre_exp": -4, "act_exp": -4} | change))
