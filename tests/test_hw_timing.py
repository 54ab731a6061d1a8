# SPDX-License-Identifier: Apache-2.0
"""The cycle formulas say what the design promises; co-simulation shows that the RTL keeps them."""

import pytest

from hw import timing
from hw.params import ArrayParams, ParameterError, ShiftParams

MAP = ShiftParams(height=16, width=16)


def test_promised_figures():
    assert timing.shift_cycles(MAP) == 258
    assert timing.shift_cycles(MAP, channels=80) == 80 * 256 + 2
    assert timing.array_cycles(ArrayParams(shift=MAP, channels=256)) == 21 * 256 + 2
    assert timing.array_cycles(ArrayParams(shift=MAP, channels=128), blocks=3) == 30 * 256 + 2
    assert timing.axis_cycles(ShiftParams(height=7, width=14), maps=2) == 2 * (3 * 98 + 2)
    assert timing.reader_cycles() == 0


def test_the_papers_latency_table():
    # Table IV, PSP_256_16: 0.12902 ms are 24 blocks of 21 channels of 256 pixels at 1 GHz.
    block = timing.paper_cycles(ArrayParams(shift=MAP, channels=256))
    assert [block * depth for depth in (8, 24, 32)] == [43008, 129024, 172032]


def test_text_of_a_formula():
    assert str(timing.SHIFT) == "channels*height*width + 2"
    assert str(timing.AXIS) == "3*maps*height*width + 2*maps"
    assert str(timing.READER) == "0"


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_bad_counts(count):
    with pytest.raises(ParameterError, match="^channels must be an integer from 1 to "):
        timing.shift_cycles(MAP, channels=count)
