# SPDX-License-Identifier: Apache-2.0
"""What is proven of ``hw.shift.ShiftModule``: its protocol, and that it shifts.

A harness is a component that holds the hardware, says what it must do, and asserts it in every
cycle. Inputs of a harness are free: the solver chooses them anew in each cycle. Signals inside
the hardware that an invariant needs are inputs named ``probe_…``; ``PROBES`` says to which net
``cosim.prove`` ties each.

The unbounded proofs are 1-inductive: the asserted invariants of a cycle imply those of the next.
"""

from __future__ import annotations

from typing import ClassVar

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from cosim.properties_walk import (
    GhostMemory,
    Operation,
    any_pixel,
    assert_walk,
    source_of,
    visit_time,
)
from hw.params import Direction, ShiftParams
from hw.shift import ShiftModule
from hw.timing import shift_cycles

__all__ = ["ShiftContent", "ShiftProtocol", "ShiftRun"]

_REGISTERS = ("boundary", "diagonal", "row_forward", "column_forward")


class ShiftProtocol(wiring.Component):
    """A shift module on its own: whatever it reads, it keeps to the protocol.

    Covered: a channel ends in each direction, and one begins in another's last cycle.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_boundary": "dut.boundary",
        "probe_diagonal": "dut.walk.diagonal",
        "probe_row_forward": "dut.walk.row_forward",
        "probe_column_forward": "dut.walk.column_forward",
    }

    def __init__(self, params: ShiftParams) -> None:
        self._params = params
        super().__init__(
            {
                "start": In(1),
                "direction": In(3),
                "mem_rdata": In(params.bits),
                **{name: In(1) for name in self.PROBES},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the module, what it must do, and the claims."""
        m = Module()
        m.submodules.dut = self._dut = dut = ShiftModule(params=self._params)
        m.submodules.operation = self._operation = operation = Operation(self._params)
        m.d.comb += [
            dut.start.eq(self.start),
            dut.direction.eq(self.direction),
            operation.start.eq(self.start),
            operation.direction.eq(self.direction),
        ]
        self._feed(m)
        probe = {name: getattr(self, f"probe_{name}") for name in _REGISTERS}
        probe |= {name: getattr(dut, name) for name in ("ready", "done", "mem_we", "mem_addr")}
        assert_walk(m, self._params, operation, probe)

        followed = Signal()
        with m.If(operation.ready):
            m.d.sync += followed.eq(operation.last & self.start)
        m.d.comb += [
            Cover(dut.done & (operation.code == direction)) for direction in Direction.moving()
        ]
        m.d.comb += Cover(followed & operation.moving)
        return m

    def _feed(self, m: Module) -> None:
        """Give the module its read data: here anything at all."""
        m.d.comb += self._dut.mem_rdata.eq(self.mem_rdata)


class ShiftContent(ShiftProtocol):
    """A shift module and its memory: once a channel is done, the memory holds the shifted map.

    Cell and content are any. While the module makes no access, so in CONFIG too, somebody else
    uses the memory: so each channel begins with any content.
    """

    def _feed(self, m: Module) -> None:
        """Read from a memory, and assert what it holds."""
        params, dut, operation = self._params, self._dut, self._operation
        last_address = params.address(params.height - 1, params.width - 1)
        m.submodules.memory = memory = GhostMemory(width=params.bits, depth=last_address + 1)
        host = [AnySeq(params.addr_bits), AnySeq(1), AnySeq(params.bits)]
        with m.If(dut.mem_we):
            m.d.comb += [memory.addr.eq(dut.mem_addr), memory.we.eq(1)]
            m.d.comb += memory.wdata.eq(dut.mem_wdata)
        with m.Else():
            m.d.comb += [memory.addr.eq(host[0]), memory.we.eq(host[1]), memory.wdata.eq(host[2])]
        m.d.comb += dut.mem_rdata.eq(memory.rdata)

        row, column = any_pixel(m, params)
        inside, source = source_of(m, params, operation.code, row, column)
        now = memory.peek(Cat(column, row))
        now_source = memory.peek(source)

        # What the cell must become is known from the first SHIFT cycle, before which nothing has
        # been written; it is remembered, for the channel overwrites it.
        expected = Signal(params.bits)
        kept = Signal(params.bits)
        first = operation.moving & (operation.pixel == 0)
        m.d.comb += expected.eq(Mux(first, Mux(inside, now_source, 0), kept))
        m.d.sync += kept.eq(expected)
        complete = Signal()
        m.d.sync += complete.eq(dut.done)
        with m.If(complete):
            m.d.comb += Assert(now == kept)

        time = visit_time(m, params, operation.code, row, column)
        m.d.comb += Assert(~operation.moving | inside | (expected == 0))
        with m.If(operation.moving & (operation.pixel > time)):
            m.d.comb += Assert(now == expected)
        with m.If(operation.moving & inside & (operation.pixel == time)):
            m.d.comb += Assert(memory.rdata == expected)
        with m.If(operation.moving & inside & (operation.pixel < time)):
            m.d.comb += Assert(now_source == expected)


class ShiftRun(wiring.Component):
    """One channel from reset on, checked after exactly H·W + 2 cycles; no invariant is involved.

    This guards the inductive proofs: were an invariant or the closed form of the walk to hide
    something, it would show here. ``start`` stays free after the first cycle.
    """

    PROBES: ClassVar[dict[str, str]] = {}

    def __init__(self, params: ShiftParams) -> None:
        self._params = params
        super().__init__({"start": In(1), "direction": In(3)})

    def elaborate(self, platform: object) -> Module:
        """Build the module, its memory, and the claim about the last cycle."""
        m = Module()
        params = self._params
        last_address = params.address(params.height - 1, params.width - 1)
        m.submodules.dut = dut = ShiftModule(params=params)
        m.submodules.memory = memory = GhostMemory(width=params.bits, depth=last_address + 1)
        m.d.comb += [
            dut.start.eq(self.start),
            dut.direction.eq(self.direction),
            dut.mem_rdata.eq(memory.rdata),
            memory.addr.eq(dut.mem_addr),
            memory.we.eq(dut.mem_we),
            memory.wdata.eq(dut.mem_wdata),
        ]
        cycles = shift_cycles(params)
        cycle = Signal(range(cycles + 1))
        done_early = Signal()
        m.d.sync += [
            cycle.eq(cycle + 1),
            done_early.eq(done_early | (dut.done & (cycle != cycles - 1))),
        ]
        m.d.comb += Assume(~ResetSignal())

        row, column = any_pixel(m, params)
        inside, source = source_of(m, params, self.direction, row, column)
        now = memory.peek(Cat(column, row))
        now_source = memory.peek(source)
        expected = Signal(params.bits)
        done = Signal()
        m.d.sync += done.eq(dut.done)
        with m.If(cycle == 0):
            m.d.comb += Assume(self.start)
            m.d.sync += expected.eq(Mux(inside, now_source, 0))
        with m.If(cycle == cycles):
            m.d.comb += [Assert(now == expected), Assert(done), Assert(~done_early)]
        m.d.comb += Cover(cycle == cycles)
        return m
