# SPDX-License-Identifier: Apache-2.0
"""The steps of a layer in golden integers: by hand, and against exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.params import ParameterTypeError
from model import golden

INT32 = st.integers(-(2**31), 2**31 - 1)


def array(*values, dtype=np.int64):
    return np.array(values, dtype)


def test_rounds_halves_up_by_hand():
    v = array(-6, -5, -3, -2, -1, 0, 1, 2, 3, 5, 6)
    assert golden.round_shift(v, 2).tolist() == [-1, -1, -1, 0, 0, 0, 0, 1, 1, 1, 2]
    assert golden.round_shift(v, 1).tolist() == [-3, -2, -1, -1, 0, 0, 1, 1, 2, 3, 3]
    assert golden.round_shift(v, 0).tolist() == v.tolist()
    assert golden.round_shift(v, -7).tolist() == (v * 128).tolist()
    each = golden.round_shift(array(7, 7, 7, dtype=np.int32), array(-1, 0, 1, dtype=np.int8))
    assert each.tolist() == [14, 7, 4]
    assert each.dtype == np.int64


@given(INT32, st.integers(-7, 23))
def test_rounds_as_a_fraction_does(v, k):
    exact = floor(Fraction(v) / Fraction(2) ** k + Fraction(1, 2))
    assert golden.round_shift(array(v), k).tolist() == [exact]


def test_saturates():
    assert golden.saturate(array(-9, -8, 7, 8), 4).tolist() == [-8, -8, 7, 7]
    assert golden.saturate(array(-(2**31), 2**31 - 1), 16).tolist() == [-32768, 32767]


def test_an_adc_saturates_and_says_when_it_cannot():
    assert golden.adc(array(0, 254, 255, 256, 4095), 8).tolist() == [0, 254, 255, 255, 255]
    assert golden.is_lossless(64, 2, 8)  # 192
    assert golden.is_lossless(85, 2, 8)  # 255
    assert not golden.is_lossless(86, 2, 8)
    assert not golden.is_lossless(64, 2, 7)


WIDTHS = st.fixed_dictionaries(
    {
        "act_bits": st.integers(2, 8), "weight_bits": st.integers(1, 8),
        "cell_bits": st.integers(1, 8), "adc_bits": st.integers(1, 12),
    }
)  # fmt: skip


def draw_tile(seed, rows, widths, fill):
    source = np.random.default_rng(seed)
    half, top = 1 << (widths["act_bits"] - 1), (1 << widths["weight_bits"]) - 1
    q = source.integers(-half, half, (3, rows))
    weights = source.integers(0, top + 1, (rows, 2), np.uint8)
    if fill:
        q[0], q[1], weights[:, 0] = -half, half - 1, top
    return q, weights


@settings(max_examples=300)
@given(st.integers(0, 999), st.integers(1, 40), WIDTHS, st.booleans())
def test_without_saturation_bit_serial_is_a_matrix_product(seed, rows, widths, fill):
    q, weights = draw_tile(seed, rows, widths, fill)
    if golden.is_lossless(rows, widths["cell_bits"], widths["adc_bits"]):
        assert np.array_equal(golden.bit_serial(q, weights, **widths), q @ weights)
    wide = widths | {"adc_bits": 16}
    assert np.array_equal(golden.bit_serial(q, weights, **wide), q @ weights)


def test_one_cell_more_than_lossless_can_saturate():
    widths = {"act_bits": 8, "weight_bits": 8, "cell_bits": 2, "adc_bits": 8}
    for rows, equal in ((85, True), (86, False)):
        q, weights = np.full((1, rows), -1), np.full((rows, 1), 255, np.uint8)
        assert np.array_equal(golden.bit_serial(q, weights, **widths), q @ weights) is equal


def test_bit_serial_by_hand():
    # Two rows, 2-bit weights in 1-bit cells, a 1-bit ADC that reads "any": both columns of cells
    # hold two ones. q = 01 and 11: plane 0 has two ones, read as 1; plane 1 one, read as 1.
    widths = {"act_bits": 2, "weight_bits": 2, "cell_bits": 1, "adc_bits": 1}
    found = golden.bit_serial(array([1, -1]), array([3], [3]), **widths)
    assert found.tolist() == [[1 * (1 + 2) - 2 * (1 + 2)]]


@settings(max_examples=200)
@given(
    st.integers(0, 999), st.integers(1, 40), WIDTHS, st.booleans(), st.integers(1, 50),
    st.integers(0, 255),
)  # fmt: skip
def test_accumulates_tile_by_tile(seed, rows, widths, fill, array_rows, zero_point):
    q, weights = draw_tile(seed, rows, widths, fill)
    bias = array(-5, 2**20, dtype=np.int32)
    acc = golden.accumulate(
        q, weights, bias, zero_point=zero_point, array_rows=array_rows, **widths
    )
    wanted = bias - zero_point * q.sum(1, keepdims=True)
    for first in range(0, rows, array_rows):
        tile = slice(first, first + array_rows)
        wanted = wanted + golden.bit_serial(q[:, tile], weights[tile], **widths)
    assert np.array_equal(acc, wanted)


def test_patches_are_ordered_by_row_column_channel():
    x = np.arange(2 * 2 * 3).reshape(1, 2, 2, 3)  # [B, C, H, W]
    rows = golden.patches(x, 2, 1, 0)
    assert rows.shape == (1, 1, 2, 8)
    assert rows[0, 0, 0].tolist() == [0, 6, 1, 7, 3, 9, 4, 10]
    assert rows[0, 0, 1].tolist() == [1, 7, 2, 8, 4, 10, 5, 11]
    padded = golden.patches(x, 3, 2, 1)
    assert padded.shape == (1, 1, 2, 18)
    assert padded[0, 0, 0].tolist() == [0] * 8 + [0, 6, 1, 7] + [0, 0, 3, 9, 4, 10]
    assert np.array_equal(golden.patches(x, 1, 1, 0), x.transpose(0, 2, 3, 1))
    assert np.array_equal(golden.patches(x, 1, 2, 0), x[:, :, ::2, ::2].transpose(0, 2, 3, 1))


def test_looks_up_from_the_least_value():
    table = np.arange(16, dtype=np.int8) - 3
    assert golden.apply_table(array(-8, -1, 0, 7), table).tolist() == [-3, 4, 5, 12]


@given(
    st.integers(-(2**15), 2**15 - 1), st.integers(-1, 1), st.integers(0, 7),
    st.integers(-(2**15), 2**15 - 1), st.integers(0, 15),
)  # fmt: skip
def test_the_affine_rounds_once(v, s, e, t, f):
    found = golden.apply_affine(
        array(v).reshape(1, 1, 1, 1), array(s, dtype=np.int8), array(e, dtype=np.uint8),
        array(t, dtype=np.int16), f,
    )  # fmt: skip
    exact = Fraction(s * v * 2**e + t, 2**f)
    assert found.item() == floor(exact + Fraction(1, 2))


def test_the_affine_goes_channel_by_channel():
    v = np.arange(12).reshape(1, 3, 2, 2)
    found = golden.apply_affine(v, array(1, -1, 0), array(0, 1, 7), array(0, 3, -9), 0)
    assert found[0].tolist() == [[[0, 1], [2, 3]], [[-5, -7], [-9, -11]], [[-9, -9], [-9, -9]]]


def test_pools():
    x = array([[[1, 2, 3], [4, 5, 7]], [[-1, -2, -3], [-4, -5, -7]]])
    assert golden.pool(x, 2).tolist() == [[[[6]], [[-5]]]]  # 22/4 = 5.5 up, and -5.5 up
    assert golden.max_pool(x, 2).tolist() == [[[[5]], [[-1]]]]  # the third column is dropped


@pytest.mark.parametrize(
    "call",
    [
        lambda v: golden.round_shift(v, 1),
        lambda v: golden.saturate(v, 8),
        lambda v: golden.adc(v, 8),
        lambda v: golden.apply_table(array(0), v),
        lambda v: golden.pool(v.reshape(1, 1, 1, 2), 0),
        lambda v: golden.max_pool(v.reshape(1, 1, 1, 2), 1),
        lambda v: golden.patches(v.reshape(1, 1, 1, 2), 1, 1, 0),
    ],
)
def test_floats_never_slip_in(call):
    message = re.escape("must have an integer dtype, not float64")
    with pytest.raises(ParameterTypeError, match=f"^[a-z_]+ {message}$"):
        call(np.ones(2))
