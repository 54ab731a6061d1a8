# SPDX-License-Identifier: Apache-2.0
"""Sizes of a tile are checked where they enter; widths follow from them, and are the least."""

import re

import pytest

from hw.params import ParameterError, ParameterTypeError
from hw.tile_params import LIMITS, TileParams


@pytest.mark.parametrize("name", LIMITS)
def test_every_size_has_its_limits(name):
    low, high = LIMITS[name]
    for value in (low - 1, high + 1):
        message = f"^{name} must be an integer from {low} to {high}, not {value}$"
        with pytest.raises(ParameterError, match=message):
            TileParams(**{name: value})
    for value in (True, 4.0, "4", None):
        message = re.escape(f"{name} must be an integer from {low} to {high}, not {value!r}")
        with pytest.raises(ParameterTypeError, match=f"^{message}$"):
            TileParams(**{name: value})


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"columns": 60}, "columns must be a multiple of columns_per_adc 8, not 60"),
        ({"columns_per_adc": 32},
         "the ADCs must be a multiple of the 4 cells of a weight, not 2: 64 columns, 32 an ADC"),
        ({"pages": 65536},
         "an ADC must have at most 262144 stored columns, not 524288: 65536 pages of 8"),
        ({"crossbars": 64, "passes": 256},
         "a sum must fit in 32 bits, not need 36: it reaches 34225520640"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_go_together(sizes, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        TileParams(**sizes)


def test_the_usual_tile():
    params = TileParams()
    assert (params.cells, params.adcs, params.units, params.outputs) == (4, 8, 2, 16)
    assert (params.max_column_sum, params.max_code, params.code_bits) == (192, 192, 8)
    assert params.largest_sum == 64 * 128 * 255
    assert params.sum_bits == 22
    assert params.total_bits == 15
    assert params.name == "64x64_w8c2a8_adc8x8_1x1"


def test_an_adc_that_saturates_has_fewer_codes():
    assert [TileParams(adc_bits=bits).max_code for bits in (9, 8, 7, 4)] == [192, 192, 127, 15]
    assert TileParams(adc_bits=16).code_bits == 8


def test_stored_columns_have_gaps_but_for_powers_of_two():
    assert TileParams(pages=3).lane_depth == 24
    assert TileParams(columns=48, columns_per_adc=6, pages=3).lane_depth == 2 * 8 + 6
