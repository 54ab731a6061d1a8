# SPDX-License-Identifier: Apache-2.0
"""The walk: every pixel once, each right after its predecessor, and the RTL equal to its twin."""

import pytest
from amaranth.sim import Simulator

from hw.address import AddressWalk, walk
from hw.params import Direction, ParameterError, ShiftParams

SMALL = [(height, width) for height in range(2, 13) for width in range(2, 13)]
LARGE = [(16, 16), (28, 28), (7, 14), (14, 7), (6, 10), (256, 2), (2, 256), (30, 42), (256, 256)]


def check_walk(params, direction, visits):
    """What makes a walk a shift, said without the walk's own arithmetic."""
    height, width = params.height, params.width
    pixels = [(visit.row, visit.column) for visit in visits]
    assert sorted(pixels) == [(row, column) for row in range(height) for column in range(width)]
    for step, visit in enumerate(visits):
        source = (visit.row - direction.dy, visit.column - direction.dx)
        inside = 0 <= source[0] < height and 0 <= source[1] < width
        assert visit.boundary is not inside, (direction, visit)
        if inside:
            assert pixels[step - 1] == source, (direction, visit)
    assert visits[0].boundary


@pytest.mark.parametrize("direction", Direction.moving())
def test_every_pixel_once_after_its_predecessor(direction):
    for height, width in SMALL + LARGE:
        params = ShiftParams(height=height, width=width)
        check_walk(params, direction, list(walk(params, direction)))


def test_the_check_notices_a_wrong_walk():
    params = ShiftParams(height=4, width=4)
    with pytest.raises(AssertionError):
        check_walk(params, Direction.RIGHT_UP, list(walk(params, Direction.RIGHT)))
    with pytest.raises(AssertionError):
        check_walk(params, Direction.LEFT, list(walk(params, Direction.LEFT))[:-1])


def test_stay_is_not_walked():
    message = "^direction must be one of the eight that move, not <Direction.STAY: 8>$"
    with pytest.raises(ParameterError, match=message):
        next(walk(ShiftParams(height=4, width=4), Direction.STAY))


@pytest.mark.parametrize(
    "shape", [(2, 2), (3, 5), (5, 3), (6, 10), (7, 14), (8, 4), (9, 6), (16, 16)]
)
def test_rtl_equals_twin(shape):
    params = ShiftParams(height=shape[0], width=shape[1])
    dut = AddressWalk(params)

    async def testbench(ctx):
        # From every direction to every other: the registers start from wherever the last one ended.
        order = [d for first in Direction.moving() for second in Direction.moving()
                 for d in (first, second)]  # fmt: skip
        for direction in order:
            ctx.set(dut.direction, direction)
            ctx.set(dut.load, 1)
            ctx.set(dut.step, 0)
            await ctx.tick()
            ctx.set(dut.load, 0)
            visits = list(walk(params, direction))
            for step, visit in enumerate(visits):
                place = (shape, direction, step)
                assert (ctx.get(dut.row), ctx.get(dut.column)) == visit[:2], place
                assert ctx.get(dut.last) == (step == len(visits) - 1), place
                if step < len(visits) - 1:
                    assert ctx.get(dut.wraps) == visits[step + 1].boundary, place
                ctx.set(dut.step, step % 3 != 2)
                if step % 3 == 2:  # a pause: nothing may move
                    await ctx.tick()
                    assert (ctx.get(dut.row), ctx.get(dut.column)) == visit[:2], place
                    ctx.set(dut.step, 1)
                await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
