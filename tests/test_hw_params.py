# SPDX-License-Identifier: Apache-2.0
"""Sizes are checked where they enter, and a direction is defined once."""

import re

import pytest

from hw.params import (
    ArrayParams,
    Direction,
    ParameterError,
    ParameterTypeError,
    ShiftParams,
    address_bits,
    channel_directions,
    group_size,
)


@pytest.mark.parametrize("name", ["height", "width"])
@pytest.mark.parametrize("value", [0, 1, -1, 257])
def test_side_out_of_range(name, value):
    sides = {"height": 4, "width": 4} | {name: value}
    message = f"^{name} must be an integer from 2 to 256, not {value}$"
    with pytest.raises(ParameterError, match=message):
        ShiftParams(**sides)


@pytest.mark.parametrize("value", [True, False, 4.0, "4", None])
def test_side_of_wrong_kind(value):
    message = re.escape(f"height must be an integer from 2 to 256, not {value!r}")
    with pytest.raises(ParameterTypeError, match=f"^{message}$"):
        ShiftParams(height=value, width=4)
    with pytest.raises(TypeError):
        ShiftParams(height=value, width=4)


@pytest.mark.parametrize("value", ["x" * 1000, 10**1000, [[0] * 1000]])
def test_a_value_of_any_length_is_told_in_short(value):
    rule = "height must be an integer from 2 to 256, not "
    with pytest.raises(ParameterError) as caught:
        ShiftParams(height=value, width=4)
    assert str(caught.value) == rule + repr(value)[:60]


@pytest.mark.parametrize("value", [0, 65, -8])
def test_bits_out_of_range(value):
    with pytest.raises(
        ParameterError, match=f"^bits must be an integer from 1 to 64, not {value}$"
    ):
        ShiftParams(height=4, width=4, bits=value)


def test_extreme_sizes_are_allowed():
    assert ShiftParams(height=2, width=256, bits=64).addr_bits == 1 + 8
    assert ShiftParams(height=256, width=2, bits=1).pixels == 512


@pytest.mark.parametrize("channels", [11, 0, -12, 4097])
def test_too_few_or_too_many_channels(channels):
    message = f"^channels must be an integer from 12 to 4096, not {channels}$"
    with pytest.raises(ParameterError, match=message):
        group_size(channels)
    with pytest.raises(ParameterError, match=message):
        ArrayParams(shift=ShiftParams(height=4, width=4), channels=channels)


def test_a_bank_too_large_to_emit():
    message = (
        "^a lane's bank must have at most 262144 words, not 22347776: 341 channels of 256 by 256"
    )
    with pytest.raises(ParameterError, match=message):
        ArrayParams(shift=ShiftParams(height=256, width=256), channels=4096)


def test_array_needs_shift_params():
    with pytest.raises(ParameterTypeError, match="^shift must be ShiftParams, not 16$"):
        ArrayParams(shift=16, channels=24)


def test_parameters_are_frozen():
    with pytest.raises(AttributeError):
        ShiftParams(height=4, width=4).height = 5


def test_directions_are_those_of_algorithm_1():
    # Written out: group number, name, rows and columns by which content moves (the design's table).
    expected = [
        (0, "LEFT", 0, -1), (1, "RIGHT", 0, 1), (2, "UP", -1, 0), (3, "DOWN", 1, 0),
        (4, "LEFT_UP", -1, -1), (5, "RIGHT_UP", -1, 1),
        (6, "LEFT_DOWN", 1, -1), (7, "RIGHT_DOWN", 1, 1), (8, "STAY", 0, 0),
    ]  # fmt: skip
    assert [(int(d), d.name, d.dy, d.dx) for d in Direction] == expected
    assert Direction.STAY not in Direction.moving()
    assert len(Direction.moving()) == 8


@pytest.mark.parametrize(
    ("channels", "group", "moving"), [(12, 1, 8), (128, 10, 80), (256, 21, 168), (512, 42, 336)]
)
def test_channel_groups(channels, group, moving):
    directions = channel_directions(channels)
    assert group_size(channels) == group
    assert len(directions) == channels
    assert sum(d is not Direction.STAY for d in directions) == moving
    for d in Direction.moving():
        assert set(directions[d * group : (d + 1) * group]) == {d}


def test_addresses_are_distinct_and_fit():
    params = ShiftParams(height=5, width=3)
    addresses = [params.address(row, column) for row in range(5) for column in range(3)]
    assert len(set(addresses)) == 15
    assert max(addresses) < 1 << params.addr_bits
    assert ArrayParams(shift=params, channels=36).depth == (2 << params.addr_bits) + 19


@pytest.mark.parametrize(("count", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8)])
def test_address_bits(count, bits):
    assert address_bits(count) == bits
