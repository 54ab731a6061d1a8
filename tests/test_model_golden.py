# SPDX-License-Identifier: Apache-2.0
"""The golden shift: by hand, and against the PyTorch module, with which it shares no code."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hw import params
from hw.params import Direction, ParameterError, ParameterTypeError, channel_directions
from model import golden
from model import shift as shift_module
from model.images import embed, zoo_images

# What becomes of [[1, 2, 3], [4, 5, 6]], written out by hand.
BY_HAND = {
    Direction.LEFT: [[2, 3, 0], [5, 6, 0]],
    Direction.RIGHT: [[0, 1, 2], [0, 4, 5]],
    Direction.UP: [[4, 5, 6], [0, 0, 0]],
    Direction.DOWN: [[0, 0, 0], [1, 2, 3]],
    Direction.LEFT_UP: [[5, 6, 0], [0, 0, 0]],
    Direction.RIGHT_UP: [[0, 4, 5], [0, 0, 0]],
    Direction.LEFT_DOWN: [[0, 0, 0], [2, 3, 0]],
    Direction.RIGHT_DOWN: [[0, 0, 0], [0, 1, 2]],
    Direction.STAY: [[1, 2, 3], [4, 5, 6]],
}


def random_map(*shape: int, dtype: type[np.integer] = np.int8) -> npt.NDArray[np.integer]:
    """Return values over the whole range of ``dtype``."""
    limits = np.iinfo(dtype)
    generator = np.random.default_rng(5)
    return generator.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def torch_shift(x: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Return what the PyTorch module makes of [B, C, H, W]."""
    return shift_module.shift(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("direction", Direction, ids=lambda direction: direction.name)
def test_moves_a_channel_as_written_by_hand(direction: Direction) -> None:
    channel = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int8)
    before = channel.copy()
    moved = golden.shift_channel(channel, direction)
    assert moved.tolist() == BY_HAND[direction]
    assert moved.dtype == np.int8
    moved[:] = 9
    assert np.array_equal(channel, before)


@pytest.mark.parametrize("direction", Direction, ids=lambda direction: direction.name)
def test_moves_a_lone_pixel(direction: Direction) -> None:
    for row, column in itertools.product(range(4), range(3)):
        channel = np.zeros((4, 3), dtype=np.int16)
        channel[row, column] = 1
        landed = np.argwhere(golden.shift_channel(channel, direction)).tolist()
        to = [row + direction.dy, column + direction.dx]
        inside = 0 <= to[0] < 4 and 0 <= to[1] < 3
        assert landed == ([to] if inside else []), (row, column)


@pytest.mark.parametrize("channels", [12, 13, 24, 47, 128])
def test_equals_the_torch_module(channels: int) -> None:
    for height, width in [(1, 1), (1, 5), (6, 1), (2, 3), (5, 4), (9, 7)]:
        x = random_map(2, channels, height, width)
        assert np.array_equal(golden.shift(x), torch_shift(x)), (height, width)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.int64])
def test_keeps_every_integer_dtype(dtype: type[np.integer]) -> None:
    x = random_map(2, 25, 4, 5, dtype=dtype)
    moved = golden.shift(x)
    assert moved.dtype == dtype
    assert np.array_equal(moved, torch_shift(x))


def test_equals_the_torch_module_on_real_images() -> None:
    x = embed(zoo_images()[0][:4], 256, seed=1)
    assert np.array_equal(golden.shift(x), torch_shift(x))


def test_takes_one_map_and_any_strides() -> None:
    x = random_map(2, 24, 3, 4)
    assert np.array_equal(golden.shift(x[1]), golden.shift(x)[1])
    strided = np.asfortranarray(x)[:, ::-1]
    assert np.array_equal(golden.shift(strided), golden.shift(strided.copy(order="C")))
    assert golden.shift(x[:0]).shape == (0, 24, 3, 4)


@pytest.mark.parametrize("direction", Direction.moving(), ids=lambda direction: direction.name)
def test_disagrees_with_a_wrong_offset(
    direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = random_map(1, 12, 4, 4)
    right = torch_shift(x)
    monkeypatch.setitem(params._OFFSETS, direction, (0, 0))
    differs = (golden.shift(x) != right).any(axis=(0, 2, 3))
    assert np.flatnonzero(differs).tolist() == [direction]


def test_disagrees_with_swapped_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    x = random_map(1, 12, 4, 4)
    swapped = list(channel_directions(12))
    swapped[2], swapped[3] = swapped[3], swapped[2]
    monkeypatch.setattr(golden, "channel_directions", lambda channels: tuple(swapped))
    differs = (golden.shift(x) != torch_shift(x)).any(axis=(0, 2, 3))
    assert np.flatnonzero(differs).tolist() == [2, 3]


ONES = np.ones((12, 2, 2), dtype=np.int8)
BAD_CALLS: dict[str, tuple[Callable[[], object], type[ParameterError], str]] = {
    "list": (
        lambda: golden.shift([1]),  # type: ignore[arg-type]
        ParameterTypeError,
        "x must be a numpy.ndarray, not list",
    ),
    "float": (
        lambda: golden.shift(ONES.astype(np.float32)),  # type: ignore[type-var]
        ParameterTypeError,
        "x must have an integer dtype, not float32",
    ),
    "bool": (
        lambda: golden.shift(ONES.astype(bool)),
        ParameterTypeError,
        "x must have an integer dtype, not bool",
    ),
    "rank 2": (
        lambda: golden.shift(ONES[0]),
        ParameterError,
        "x must have the shape [C, H, W] or [B, C, H, W], not [2, 2]",
    ),
    "rank 5": (
        lambda: golden.shift(ONES[None, None]),
        ParameterError,
        "x must have the shape [C, H, W] or [B, C, H, W], not [1, 1, 12, 2, 2]",
    ),
    "11 channels": (
        lambda: golden.shift(ONES[1:]),
        ParameterError,
        "channels must be an integer from 12 to 4096, not 11",
    ),
    "no rows": (
        lambda: golden.shift(ONES[:, :0]),
        ParameterError,
        "H and W must be at least 1, not 0 and 2",
    ),
    "channel of floats": (
        lambda: golden.shift_channel(np.ones((2, 2)), Direction.UP),  # type: ignore[type-var]
        ParameterTypeError,
        "channel must have an integer dtype, not float64",
    ),
    "channel of rank 3": (
        lambda: golden.shift_channel(ONES, Direction.UP),
        ParameterError,
        "channel must have the shape [H, W], not [12, 2, 2]",
    ),
    "channel without columns": (
        lambda: golden.shift_channel(ONES[0, :, :0], Direction.UP),
        ParameterError,
        "H and W must be at least 1, not 2 and 0",
    ),
    "number for a direction": (
        lambda: golden.shift_channel(ONES[0], 2),  # type: ignore[arg-type]
        ParameterTypeError,
        "direction must be a Direction, not 2",
    ),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_refuses(case: str) -> None:
    call, error, message = BAD_CALLS[case]
    with pytest.raises(error, match=f"^{re.escape(message)}$") as caught:
        call()
    assert type(caught.value) is error


def test_needs_numpy_only() -> None:
    code = "import sys, model.golden; print(*(n in sys.modules for n in ('torch', 'amaranth')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
