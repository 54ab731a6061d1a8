# SPDX-License-Identifier: Apache-2.0
"""Golden steps on any leading axes, on maps whose channels are not their rows, on floats."""

import re

import numpy as np
import pytest

from hw.params import ParameterTypeError
from model import golden

WIDTHS = {"act_bits": 4, "weight_bits": 3, "cell_bits": 2, "adc_bits": 3}
SOURCE = np.random.default_rng(7)
Q = SOURCE.integers(-8, 8, (2, 3, 4, 9))
WEIGHTS = SOURCE.integers(0, 8, (9, 5), np.uint8)
BIAS = SOURCE.integers(-100, 100, 5)


def bit_serial(q, weights=WEIGHTS):
    return golden.bit_serial(q, weights, **WIDTHS)


def accumulate(q, weights=WEIGHTS, bias=BIAS):
    return golden.accumulate(q, weights, bias, zero_point=3, array_rows=4, **WIDTHS)


@pytest.mark.parametrize("step", [bit_serial, accumulate])
def test_vectors_are_taken_one_by_one(step):
    found = step(Q)
    assert found.shape == (2, 3, 4, 5)
    for index in np.ndindex(2, 3, 4):
        assert np.array_equal(found[index], step(Q[index]))


def test_patches_of_maps_with_other_sides_than_channels():
    x = np.arange(2 * 3 * 5 * 7).reshape(2, 3, 5, 7)
    rows = golden.patches(x, 3, 1, 1)
    assert rows.shape == (2, 5, 7, 27)
    framed = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for b, row, column in np.ndindex(2, 5, 7):
        window = framed[b, :, row : row + 3, column : column + 3]
        assert np.array_equal(rows[b, row, column], window.transpose(1, 2, 0).ravel())


ONES = np.ones(5, np.int64)
MAP = np.ones((1, 5, 2, 2), np.int64)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("q", lambda f: bit_serial(f(Q))),
        ("weights", lambda f: bit_serial(Q, f(WEIGHTS))),
        ("q", lambda f: accumulate(f(Q))),
        ("weights", lambda f: accumulate(Q, f(WEIGHTS))),
        ("bias", lambda f: accumulate(Q, bias=f(BIAS))),
        ("table", lambda f: golden.apply_table(ONES, f(ONES))),
        ("pre", lambda f: golden.apply_table(f(ONES), ONES)),
        ("v", lambda f: golden.apply_affine(f(MAP), ONES, ONES, ONES, 1)),
        ("affine", lambda f: golden.apply_affine(MAP, f(ONES), ONES, ONES, 1)),
        ("affine", lambda f: golden.apply_affine(MAP, ONES, f(ONES), ONES, 1)),
        ("affine", lambda f: golden.apply_affine(MAP, ONES, ONES, f(ONES), 1)),
        ("v", lambda f: golden.round_shift(f(ONES), 1)),
        ("v", lambda f: golden.saturate(f(ONES), 8)),
        ("column_sum", lambda f: golden.adc(f(ONES), 8)),
        ("x", lambda f: golden.pool(f(MAP), 1)),
        ("x", lambda f: golden.max_pool(f(MAP), 1)),
        ("x", lambda f: golden.patches(f(MAP), 1, 1, 0)),
    ],
)
def test_a_float_is_named(name, call):
    call(lambda values: values)
    message = f"{name} must have an integer dtype, not float64"
    with pytest.raises(ParameterTypeError, match=f"^{re.escape(message)}$"):
        call(lambda values: values.astype(float))
