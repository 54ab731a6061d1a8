# SPDX-License-Identifier: Apache-2.0
"""Pseudo-random masks: whole periods, every width, and what is refused."""

import re

import numpy as np
import pytest

from hw.lfsr_params import TAPS, LfsrMask, page_seed, states
from hw.params import ParameterError, ParameterTypeError


@pytest.mark.parametrize("width", TAPS)
def test_a_register_runs_through_all_states_but_0(width):
    assert np.array_equal(np.sort(states(width, TAPS[width])), np.arange(1, 1 << width))


def test_states_by_hand():
    # 1 → taps; 6 → 3; 3 → 1 ^ 6 = 7; 7 → 3 ^ 6 = 5; 5 → 2 ^ 6 = 4; 4 → 2; 2 → 1
    assert states(3, 0x6).tolist() == [1, 6, 3, 7, 5, 4, 2]
    assert LfsrMask(positions=5, count=2, seed=7).order().tolist() == [4, 3, 1, 0, 2]
    assert LfsrMask(positions=5, count=2, seed=7).kept().tolist() == [False, False, False, True,
                                                                      True]  # fmt: skip


@pytest.mark.parametrize("positions", [4, 7, 8, 63, 64, 1000, 1024])
def test_every_position_comes_once_and_the_count_is_exact(positions):
    for seed in (1, 3, positions.bit_length() ** 2 % positions + 1):
        mask = LfsrMask(positions=positions, count=positions // 3, seed=seed)
        assert np.array_equal(np.sort(mask.order()), np.arange(positions))
        assert mask.kept().sum() == positions // 3


def test_another_seed_taps_or_count_is_another_mask():
    mask = LfsrMask(positions=64, count=32, seed=1).kept()
    assert not np.array_equal(mask, LfsrMask(positions=64, count=32, seed=2).kept())
    # x^7 + x^6 + 1 read from the other end is maximal, too.
    assert not np.array_equal(mask, LfsrMask(positions=64, count=32, seed=1, taps=0x41).kept())
    assert np.all(mask <= LfsrMask(positions=64, count=33, seed=1).kept())


@pytest.mark.parametrize(
    ("width", "taps", "message"),
    [
        (7, 0x61, "taps must be maximal, of period 127, not 0x61 with 12; 0x60 would be"),
        (4, 0xA, "taps must be maximal, of period 15, not 0xa with 6; 0xc would be"),
        (4, 0x0, "taps must be an integer from 1 to 15, not 0"),
        (21, 0x1, "width must be an integer from 3 to 20, not 21"),
    ],
)
def test_taps_that_are_not_maximal_are_refused(width, taps, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        states(width, taps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": 3}, "positions must be an integer from 4 to 1048575, not 3"),
        ({"count": 65}, "count must be an integer from 0 to 64, not 65"),
        ({"seed": 0}, "seed must be an integer from 1 to 127, not 0"),
        ({"seed": 128}, "seed must be an integer from 1 to 127, not 128"),
    ],
)
def test_numbers_out_of_range_are_refused(change, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        LfsrMask(**{"positions": 64, "count": 32, "seed": 1} | change)


def test_other_types_are_refused():
    with pytest.raises(ParameterTypeError):
        LfsrMask(positions=64, count=0.5, seed=1)


def test_pages_have_seeds_of_their_own():
    seeds = {
        page_seed(1024, layer, crossbar, group)
        for layer in range(10) for crossbar in range(2) for group in range(4)
    }  # fmt: skip
    assert len(seeds) > 70
    assert all(1 <= seed <= 2047 for seed in seeds)
    assert {page_seed(64, 0, 0, 0), page_seed(64, 4095, 255, 255)} <= set(range(1, 128))
    with pytest.raises(ParameterError, match=r"^group must be an integer from 0 to 255, not 256$"):
        page_seed(64, 0, 0, 256)
