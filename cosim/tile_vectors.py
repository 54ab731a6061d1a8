# SPDX-License-Identifier: Apache-2.0
"""Random scenarios for a tile, with all corners in them."""

from __future__ import annotations

import dataclasses

import numpy as np

from cosim.tile_scenario import Channel, Command, Ints, Scenario
from hw.tile_params import ACC_BITS, TileParams

__all__ = ["draw"]


def draw(
    params: TileParams, *, seed: int, vectors: int, pages: int = 1, steady: bool = False
) -> Scenario:
    """Draw a scenario.

    Page 0 holds the largest weights, page 1 none; the first vectors are all the least, all the
    largest, all −1; Z goes through its extremes. The rest is random: rows loaded, bit planes,
    pages and which of them are stored.

    Parameters
    ----------
    params : TileParams
    seed : int
    vectors : int
        Vectors; with ``passes`` > 1, as many groups of 1…passes vectors whose sums are added.
    pages : int
        Commands a vector, where sums of several are not added.
    steady : bool
        All rows, all planes, all pages stored, every sum put out: each command takes the same time.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    top = params.max_weight
    shape = (params.crossbars, params.pages, params.rows, params.outputs)
    weights = random.integers(0, top, shape, endpoint=True)
    weights[:, 0] = top
    if params.pages > 1:
        weights[:, 1] = 0
    half = 1 << (params.act_bits - 1)
    tables = random.integers(-half, half, (params.tables, 2 * half))
    drawn: list[Ints] = []
    commands: list[Command] = []
    zero_points = [0, top, (top + 1) // 2]

    def vector() -> int:
        """Append a vector; return its bit planes."""
        planes = params.act_bits
        rows = params.rows
        if not steady and random.random() < 0.5:
            planes = int(random.integers(2, params.act_bits, endpoint=True))
            rows = int(random.integers(1, params.rows, endpoint=True))
        high = 1 << (planes - 1)
        q = random.integers(-high, high, (params.crossbars, rows))
        if len(drawn) < 3:
            q[:] = (-high, high - 1, -1)[len(drawn)]
        drawn.append(q)
        return planes

    def command(planes: int, number: int, **flags: bool) -> None:
        if steady or random.random() < 0.7:
            stored = np.ones(params.crossbars, bool)
        else:
            stored = random.random(params.crossbars) < 0.5
        numbers = random.integers(0, params.pages, params.crossbars)
        if number < 2 * params.pages:
            numbers[:] = number % params.pages
        zero_point = zero_points[number] if number < 3 else int(random.integers(0, top + 1))
        chosen = tuple(
            int(page) if is_stored else None
            for page, is_stored in zip(numbers, stored, strict=True)
        )
        commands.append(Command(chosen, zero_point, planes, **flags))

    for _ in range(vectors):
        if params.passes > 1 and not steady:
            passes = int(random.integers(1, params.passes, endpoint=True))
            for step in range(passes):
                last = step == passes - 1
                command(vector(), len(commands), begin=step == 0, complete=last)
        else:
            planes = vector()
            for page in range(pages):
                command(planes, len(commands), release=page == pages - 1)
    scenario = Scenario(params, weights, tables, drawn, commands, [])
    channels = [_channel(params, random, total) for total in scenario.sums().tolist()]
    return dataclasses.replace(scenario, channels=channels)


def _channel(params: TileParams, random: np.random.Generator, total: int) -> Channel:
    """Draw the parameters of an output with this sum.

    Half of them are anything. The others lead to a value within its range, from an accumulator
    that lies just between two: what rounding is for.
    """
    if random.random() < 0.5:
        room = (1 << (ACC_BITS - 1)) - params.largest_sum - (1 << 23)
        bias, k = int(random.integers(-room, room)), int(random.integers(-7, 24))
        sign, exponent, fraction_bits = int(random.integers(-1, 2)), 7, 15
        offset = int(random.integers(-(1 << 15), 1 << 15))
    else:
        half = 1 << (params.act_bits - 1)
        k = int(random.integers(1, 20))
        bias = (2 * int(random.integers(-half, half)) + 1 << (k - 1)) - total
        sign, exponent, fraction_bits = (-1, 1)[int(random.integers(2))], 2, 2
        offset = int(random.integers(-2 * half, 2 * half))
    return Channel(
        bias=bias,
        k=k,
        table=int(random.integers(params.tables)),
        sign=sign,
        exponent=int(random.integers(exponent, endpoint=True)),
        offset=offset,
        fraction_bits=int(random.integers(fraction_bits, endpoint=True)),
    )
