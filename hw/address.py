# SPDX-License-Identifier: Apache-2.0
"""The address walk: the order in which a shift module visits the pixels of a channel.

A pixel receives what was read one step earlier, so a walk always steps in the direction in which
the content moves. A pixel whose predecessor would lie outside the map is a *boundary* and
receives 0. Source: DATE 2024, section IV-B and Fig. 4 (address pointers, no line buffers).

Straight moves walk row by row (LEFT, RIGHT) or column by column (UP, DOWN). Diagonal moves step
both indices on the wrapped torus and so visit H·W pixels like any other move:

- Row and column step together; a column that wraps begins a piece that is a boundary, and so does
  every row that wraps, since each run of H steps begins in the first row.
- On an H×W torus such steps close after lcm(H, W) pixels; there are g = gcd(H, W) of these loops.
  The walk enters the loops at the columns g−1, g−2, …, 0 of the first row. It leaves loop k from
  the last row of column k−1, where the column *holds* for one step, and so enters loop k−1.
- So the last pixel is in the last row and the last column for every direction, and one comparison
  serves all. On a square map g = W and the column holds at the end of every run.

Rows and columns here count along the direction of travel, and are mirrored for LEFT and UP.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.params import Direction, ParameterError, ShiftParams

__all__ = ["AddressWalk", "Visit", "neighbour", "walk"]


class Visit(NamedTuple):
    """One step of a walk: the pixel, and whether it receives 0."""

    row: int
    column: int
    boundary: bool


def _at(index: Value, count: int, forward: Value, position: int) -> Value:
    """``index`` is at ``position``, counted along the direction of travel."""
    return Mux(forward, index == position, index == count - 1 - position)


def neighbour(index: Value, forward: Value) -> Value:
    """``index`` + 1 if ``forward``, else ``index`` − 1, in its own bits; wraps around.

    A bit toggles where all lower bits equal ``forward``. Written out because an adder would be
    mapped to a carry chain, which costs more LUTs than it saves on so few bits.
    """
    lowest, *others = index
    return Cat(
        ~lowest,
        (
            bit ^ (index[:place] ^ (~forward).replicate(place)).all()
            for place, bit in enumerate(others, start=1)
        ),
    )


def _next(index: Value, count: int, forward: Value, at_end: Value) -> Value:
    """Return the next index along the direction of travel; from the last, the first.

    Where ``count`` is a power of two the index wraps by itself.
    """
    stepped = neighbour(index, forward)
    if count & (count - 1) == 0:
        return stepped
    return Mux(at_end, Mux(forward, 0, count - 1), stepped)


def _column_forward(direction: Direction) -> bool:
    """Columns are walked upwards; for UP and DOWN, where either way serves, as rows are."""
    return bool(direction & 1)


def _row_forward(direction: Direction) -> bool:
    """Rows are walked upwards; for LEFT and RIGHT, where either way serves, against the columns.

    So among straight moves, rows and columns going opposite ways means horizontal, and the two
    bits say which of the four it is.
    """
    return direction.dy > 0 if direction.dy else not direction & 1


def walk(params: ShiftParams, direction: Direction) -> Iterator[Visit]:
    """Software twin of ``AddressWalk``: the H·W pixels in the order in which it visits them.

    Raises
    ------
    ParameterError
        For ``STAY``, which nothing walks.
    """
    if direction not in Direction.moving():
        raise ParameterError(f"direction must be one of the eight that move, not {direction!r}")
    height, width = params.height, params.width
    dy, dx = direction.dy, direction.dx
    loops = math.gcd(height, width)
    row, column = 0, loops - 1 if dy and dx else 0  # along the direction of travel
    for _ in range(params.pixels):
        yield Visit(
            row=row if _row_forward(direction) else height - 1 - row,
            column=column if _column_forward(direction) else width - 1 - column,
            boundary=bool((dy and row == 0) or (dx and column == 0)),
        )
        row_end, column_end = row == height - 1, column == width - 1
        holds = row_end and column < loops - 1
        if dy or column_end:
            row = (row + 1) % height
        if (dx and not (dy and holds)) or (not dx and row_end):
            column = (column + 1) % width


class AddressWalk(wiring.Component):
    """Address generator of the shift module.

    Parameters
    ----------
    params : ShiftParams
        Shape of the channel.

    Members
    -------
    direction : In, 3
        ``Direction`` of the next walk; taken in cycles with ``load``.
    load : In
        Level: go to the first pixel of ``direction``. Overrides ``step``.
    step : In
        Level: go to the next pixel.
    row, column : Out
        The pixel; inside the map from reset on.
    wraps : Out
        The *next* pixel is a boundary. (Every walk's first pixel is one too.)
    last : Out
        The pixel is the last of the walk, H·W − 1 steps after the first. False on every first
        pixel, and after reset.
    """

    def __init__(self, params: ShiftParams) -> None:
        self._params = params
        super().__init__(
            {
                "direction": In(3),
                "load": In(1),
                "step": In(1),
                "row": Out(params.row_bits),
                "column": Out(params.column_bits),
                "wraps": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        height, width = self._params.height, self._params.width
        loops = math.gcd(height, width)
        code = self.direction

        # Three bits hold the direction; see _row_forward for why no fourth is needed.
        diagonal = Signal(reset_less=True)
        row_forward = Signal(reset_less=True)
        column_forward = Signal(init=1)
        horizontal = Signal()
        vertical = Signal()
        m.d.comb += [
            horizontal.eq(~diagonal & (row_forward ^ column_forward)),
            vertical.eq(~diagonal & ~(row_forward ^ column_forward)),
        ]

        row = Signal(len(self.row), reset_less=True)
        column = Signal(len(self.column), reset_less=True)
        row_end = Signal()
        column_end = Signal()
        holds = Signal()
        m.d.comb += [
            self.row.eq(row),
            self.column.eq(column),
            row_end.eq(_at(row, height, row_forward, height - 1)),
            column_end.eq(_at(column, width, column_forward, width - 1)),
            self.last.eq(row_end & column_end),
            self.wraps.eq((~horizontal & row_end) | (~vertical & column_end)),
        ]
        if loops == width:  # every column; the very last one ends the walk
            m.d.comb += holds.eq(row_end)
        elif loops > 1:
            before = Mux(column_forward, column < loops - 1, column > width - loops)
            m.d.comb += holds.eq(row_end & before)

        # A walk starts at 0 or at count − 1, but for diagonals on a map with 1 < g < W. Clearing
        # is kept apart from setting because flip-flops have a reset input for free; a reset
        # clears too, and with the columns forward (0, 0) is not a last pixel.
        row_clear = Signal()
        column_clear = Signal()
        row_set = height - 1
        column_set = width - 1
        m.d.comb += [
            row_clear.eq(ResetSignal() | self.load & Mux(code[2], code[1], ~(code[1] ^ code[0]))),
            column_clear.eq(
                ResetSignal()
                | self.load & Mux(code[2], Mux(code[0], loops == 1, loops == width), code[0])
            ),
        ]
        if 1 < loops < width:
            column_set = Mux(code[2], Mux(code[0], loops - 1, width - loops), width - 1)

        row_next = _next(row, height, row_forward, row_end)
        column_next = _next(column, width, column_forward, column_end)
        with m.If(row_clear):
            m.d.sync += row.eq(0)
        with m.Elif(self.load | (self.step & (~horizontal | column_end))):
            m.d.sync += row.eq(Mux(self.load, row_set, row_next))
        with m.If(column_clear):
            m.d.sync += column.eq(0)
        with m.Elif(self.load | (self.step & Mux(diagonal, ~holds, horizontal | row_end))):
            m.d.sync += column.eq(Mux(self.load, column_set, column_next))
        with m.If(self.load):
            m.d.sync += [
                diagonal.eq(code[2]),
                row_forward.eq(row_clear),
                column_forward.eq(code[0]),
            ]
        return m
