# SPDX-License-Identifier: Apache-2.0
"""The netlist equals the RTL, and a single wrong LUT bit is noticed."""

import pytest

from cosim import equivalence
from hw.params import ShiftParams

PARAMS = ShiftParams(height=16, width=16, bits=8)


def test_netlist_equals_rtl():
    found = equivalence.prove(PARAMS)
    assert found.holds
    assert found.pairs == 23  # 13 flip-flops, ready, done, 8 data outputs


def test_a_flipped_bit_is_noticed():
    found = equivalence.prove(PARAMS, fault="mem_wdata[3]")
    assert not found.holds
    assert found.proven == found.pairs - 1


def test_flip_changes_one_bit_of_the_named_lut():
    text = "LUT2 #(\n .INIT(4'h8)\n) a (\n .O(x)\n);\nLUT1 #(.INIT(2'd1)) b (.O(y));"
    assert equivalence.flip(text, "x") == text.replace("4'h8", "4'h9")
    assert equivalence.flip(text, "y") == text.replace("2'd1", "2'h0")
    with pytest.raises(ValueError, match="not enough values"):
        equivalence.flip(text, "z")


def test_the_drivers_netlist_equals_the_rtl_from_reset():
    assert equivalence.equal_from_reset(equivalence.DRIVER)


def test_a_flipped_bit_of_the_drivers_is_noticed():
    fault = equivalence.DRIVER_FAULT
    assert not equivalence.equal_from_reset(equivalence.DRIVER, fault=fault)
