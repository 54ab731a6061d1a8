# SPDX-License-Identifier: Apache-2.0
"""What the shift is and how a shift module walks, stated for the proofs of ``cosim.properties_*``.

``source_of`` is the specification of the content, ``Operation`` that of the protocol. What makes
induction possible is ``visit_time``, the closed form of the walk: the cycle in which a pixel is
visited. It is what ``hw.address`` must do, derived from its description and not from its code.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.memory import ReadFirstMemory
from hw.params import Direction, ShiftParams, address_bits

__all__ = [
    "GhostMemory",
    "Operation",
    "any_pixel",
    "assert_walk",
    "source_of",
    "visit_time",
]


def _among(code: Value, rule: Callable[[Direction], object]) -> Value:
    """``code`` is one of the eight moving directions for which ``rule`` holds."""
    return code.matches(*(int(d) for d in Direction.moving() if rule(d)))


def _rows_forward(direction: Direction) -> bool:
    """Rows are walked downwards; where rows do not move, an encoding that ``hw.address`` chose."""
    return direction.dy > 0 if direction.dy else direction is Direction.LEFT


def _columns_forward(direction: Direction) -> bool:
    """Columns are walked to the right; where they do not move, an encoding as for the rows."""
    return direction.dx > 0 if direction.dx else direction is Direction.DOWN


def source_of(
    m: Module, params: ShiftParams, code: Value, row: Value, column: Value
) -> tuple[Value, Value]:
    """Return whether the shift brings pixel (row, column) from inside the map, and from where.

    This is the specification: the source of a pixel is (row − dy, column − dx), outside is 0.
    """
    up, down = _among(code, lambda d: d.dy < 0), _among(code, lambda d: d.dy > 0)
    left, right = _among(code, lambda d: d.dx < 0), _among(code, lambda d: d.dx > 0)
    source_row = Signal(params.row_bits)
    source_column = Signal(params.column_bits)
    inside = Signal()
    m.d.comb += [
        source_row.eq(row + up - down),
        source_column.eq(column + left - right),
        inside.eq(
            ~(
                (up & (row == params.height - 1))
                | (down & (row == 0))
                | (left & (column == params.width - 1))
                | (right & (column == 0))
            )
        ),
    ]
    return inside, Cat(source_column, source_row)


def any_pixel(m: Module, params: ShiftParams) -> tuple[Value, Value]:
    """Return row and column of a pixel that stands for all: constant, and not known."""
    row, column = AnyConst(params.row_bits), AnyConst(params.column_bits)
    m.d.comb += Assume((row < params.height) & (column < params.width))
    return row, column


def visit_time(m: Module, params: ShiftParams, code: Value, row: Value, column: Value) -> Value:
    """Return the number of the SHIFT cycle, 0…H·W − 1, in which (row, column) is visited.

    Along the direction of travel a straight walk is a plain count. A diagonal one consists of
    runs of H pixels down from (0, s) to (H − 1, s + H − 1 mod W), so (r, c) belongs to the run
    with s = c − r mod W. After a run with start s comes s + H mod W, until the loop of W/g runs
    closes, g = gcd(H, W); the loops have the starts s ≡ g − 1, …, 0 mod g.
    """
    height, width = params.height, params.width
    loops = math.gcd(height, width)
    starts = [
        (first + turn * height) % width
        for first in reversed(range(loops))
        for turn in range(width // loops)
    ]
    run_of_start = Array([starts.index(start) for start in range(width)])
    r = Signal(params.row_bits)
    c = Signal(params.column_bits)
    r_wrapped = Signal(params.column_bits)
    start = Signal(params.column_bits)
    time = Signal(address_bits(params.pixels))
    m.d.comb += [
        r.eq(Mux(_among(code, _rows_forward), row, height - 1 - row)),
        c.eq(Mux(_among(code, _columns_forward), column, width - 1 - column)),
        r_wrapped.eq(Array([r % width for r in range(height)])[r]),
        start.eq(Mux(c >= r_wrapped, c - r_wrapped, c - r_wrapped + width)),
    ]
    with m.If(_among(code, lambda d: d.dy and d.dx)):
        m.d.comb += time.eq(run_of_start[start] * height + r)
    with m.Elif(_among(code, lambda d: d.dy)):
        m.d.comb += time.eq(c * height + r)
    with m.Else():
        m.d.comb += time.eq(r * width + c)
    return time


class Operation(wiring.Component):
    """The protocol of a shift module as it is specified: at rest, in CONFIG, or at pixel k.

    Members
    -------
    start, direction : In
        As at the module's ports.
    ready : Out
        At rest, or at the last pixel: ``start`` is taken.
    config, moving : Out
        The state; neither means at rest.
    pixel : Out
        Number of the SHIFT cycle in its channel.
    last : Out
        This is SHIFT cycle H·W − 1.
    code : Out, 3
        Direction of the channel that is being moved.
    """

    def __init__(self, params: ShiftParams) -> None:
        self._params = params
        super().__init__(
            {
                "start": In(1),
                "direction": In(3),
                "ready": Out(1),
                "config": Out(1),
                "moving": Out(1),
                "pixel": Out(address_bits(params.pixels)),
                "last": Out(1),
                "code": Out(3),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the state machine."""
        m = Module()
        m.d.comb += [
            self.last.eq(self.moving & (self.pixel == self._params.pixels - 1)),
            self.ready.eq(self.last | ~(self.config | self.moving)),
        ]
        with m.If(self.start & self.ready):
            m.d.sync += [self.code.eq(self.direction), self.config.eq(~self.moving)]
            m.d.sync += self.pixel.eq(0)
        with m.Elif(self.config):
            m.d.sync += [self.config.eq(0), self.moving.eq(1)]
        with m.Elif(self.moving):
            m.d.sync += self.moving.eq(~self.last)
            m.d.sync += self.pixel.eq(Mux(self.last, 0, self.pixel + 1))
        return m


class GhostMemory(ReadFirstMemory):
    """The memory, with ports that only look: ``peek`` shows a word within the cycle."""

    def __init__(self, *, width: int, depth: int) -> None:
        super().__init__(width=width, depth=depth)
        self._peeks: list[tuple[Value, Signal]] = []

    def peek(self, addr: Value) -> Value:
        """Return the word that is stored at ``addr`` now."""
        word = Signal(len(self.rdata))
        self._peeks.append((addr, word))
        return word

    def elaborate(self, platform: object) -> Module:
        """Add the looking ports to the memory proper."""
        m = super().elaborate(platform)
        for addr, word in self._peeks:
            port = m.submodules.memory.read_port(domain="comb")
            m.d.comb += [port.addr.eq(addr), word.eq(port.data)]
        return m


def assert_walk(
    m: Module, params: ShiftParams, operation: Operation, probe: dict[str, Value]
) -> None:
    """Assert that the module of ``probe`` does what ``operation`` says.

    Ports: who is ready or done when, which accesses are made. Invariants: the walk is at the
    pixel of this cycle and its registers hold the direction, so that the next pixel follows.
    """
    row = probe["mem_addr"][params.column_bits :]
    column = probe["mem_addr"][: params.column_bits]
    busy = operation.config | operation.moving
    inside, _ = source_of(m, params, operation.code, row, column)
    m.d.comb += [
        Assert(probe["ready"] == operation.ready),
        Assert(probe["done"] == operation.last),
        Assert(probe["mem_we"] == operation.moving),
        Assert(~busy | ((row < params.height) & (column < params.width))),
        Assert(~(operation.config & operation.moving)),
        Assert(operation.pixel < params.pixels),
        Assert(~operation.config | (operation.pixel == 0)),
        Assert(~busy | (operation.pixel == visit_time(m, params, operation.code, row, column))),
        Assert(probe["boundary"] == (operation.config | (operation.moving & ~inside))),
    ]
    with m.If(busy):
        m.d.comb += [
            Assert(probe["diagonal"] == _among(operation.code, lambda d: d.dy and d.dx)),
            Assert(probe["row_forward"] == _among(operation.code, _rows_forward)),
            Assert(probe["column_forward"] == _among(operation.code, _columns_forward)),
        ]
