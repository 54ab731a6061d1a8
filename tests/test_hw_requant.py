# SPDX-License-Identifier: Apache-2.0
"""Requantisation equals the golden steps: every k, e and f, halves, both ends of the range."""

import random

import numpy as np
import pytest

from cosim.tile_scenario import Channel, expected_outputs
from hw.requant import Requant, channel_layout, table_layout
from hw.tile_params import TileParams
from hw.timing import REQUANT_LATENCY
from tests.stream_bench import exchange

PARAMS = TileParams(rows=16, columns=16, columns_per_adc=4, act_bits=4, tables=2, stream_bits=6)
TABLES = np.array([[(7 * i) % 16 - 8 for i in range(16)], [7 - i for i in range(16)]])
PLAIN = {"bias": 0, "k": 0, "table": 1, "sign": 1, "exponent": 0, "offset": 0, "fraction_bits": 0}


def run(sums, channels, probability=0.0):
    source = random.Random(1)
    channel, entry = channel_layout(PARAMS), table_layout(PARAMS)
    mask = (1 << PARAMS.sum_bits) - 1
    feeds = [
        {"entries": [
            entry.const({"table": t, "entry": e, "value": int(v)}).as_bits()
            for (t, e), v in np.ndenumerate(TABLES)
        ]},
        {"sums": [s & mask for s in sums],
         "channels": [channel.const(vars(c)).as_bits() for c in channels]},
    ]  # fmt: skip
    result = exchange(
        Requant(params=PARAMS), feeds, out="outputs", count=len(sums),
        stall=lambda: source.random() < probability,
    )  # fmt: skip
    assert result.beats == expected_outputs(PARAMS, np.array(sums), channels, TABLES)
    return result


def test_every_shift_amount_at_its_halves():
    cases = []
    for k in range(-7, 24):
        half = (1 << k) >> 1 if k > 0 else 1
        for acc in (half - 1, half, half + 1, -half - 1, -half, -half + 1, 3 * half, -3 * half):
            cases.append(Channel(**PLAIN | {"k": k, "bias": acc}))
    run([0] * len(cases), cases)


def test_both_ends_of_the_accumulator():
    top = PARAMS.largest_sum
    rest = (1 << 31) - 1 - top
    sums, cases = [], []
    for k in (-7, 0, 1, 23):
        for total, bias in ((top, rest), (-top, -rest - 1), (top, -rest), (-top, 0)):
            sums.append(total)
            cases.append(Channel(**PLAIN | {"k": k, "bias": bias}))
    run(sums, cases)


def test_every_affine():
    source = np.random.default_rng(3)
    cases = [
        Channel(**PLAIN | {"sign": sign, "exponent": e, "fraction_bits": f, "table": e & 1,
                           "bias": int(source.integers(-9, 9)), "offset": offset})
        for sign in (-1, 0, 1) for e in range(8) for f in range(16)
        for offset in (-(1 << 15), (1 << f) >> 1, int(source.integers(-99, 99)), (1 << 15) - 1)
    ]  # fmt: skip
    run([0] * len(cases), cases)


def test_one_a_cycle_after_its_latency():
    result = run(list(range(20)), [Channel(**PLAIN)] * 20)
    first = result.taken["sums"][0]
    assert result.taken["sums"] == result.taken["channels"] == list(range(first, first + 20))
    assert result.taken["outputs"] == [cycle + REQUANT_LATENCY for cycle in result.taken["sums"]]


@pytest.mark.parametrize("probability", [0.2, 0.7])
def test_sums_meet_their_channels_whoever_waits(probability):
    cases = [Channel(**PLAIN | {"bias": n % 13 - 6, "offset": n}) for n in range(40)]
    run([n % 5 - 2 for n in range(40)], cases, probability)
