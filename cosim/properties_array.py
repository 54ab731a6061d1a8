# SPDX-License-Identifier: Apache-2.0
"""What is proven of ``hw.shift.ShiftedReader`` and ``hw.shift.ShiftArray``.

The reader against the definition of the shift, and the array against the reader: to shift a map
and then to read it plainly is to read the untouched map through the reader.
"""

from __future__ import annotations

from typing import ClassVar

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from cosim.properties_walk import GhostMemory, any_pixel, source_of
from hw.params import ArrayParams, Direction, ShiftParams, address_bits
from hw.shift import ShiftArray, ShiftedReader
from hw.timing import array_cycles

__all__ = ["ArrayEqualsReader", "ReaderContent"]


class ReaderContent(wiring.Component):
    """A reader and a memory: every pixel, in every direction, is the one that the shift brings.

    Codes above STAY are included; they read plainly.
    """

    PROBES: ClassVar[dict[str, str]] = {}

    def __init__(self, params: ShiftParams) -> None:
        self._params = params
        super().__init__(
            {"direction": In(4), "row": In(params.row_bits), "column": In(params.column_bits)}
        )

    def elaborate(self, platform: object) -> Module:
        """Build the reader on a memory that nobody writes, and the claim."""
        m = Module()
        params = self._params
        last_address = params.address(params.height - 1, params.width - 1)
        m.submodules.dut = dut = ShiftedReader(params=params)
        m.submodules.memory = memory = GhostMemory(width=params.bits, depth=last_address + 1)
        m.d.comb += [
            Assume((self.row < params.height) & (self.column < params.width)),
            dut.direction.eq(self.direction),
            dut.row.eq(self.row),
            dut.column.eq(self.column),
            dut.mem_rdata.eq(memory.rdata),
            memory.addr.eq(dut.mem_addr),
        ]
        inside, source = source_of(m, params, self.direction, self.row, self.column)
        asked = Signal()
        direction = Signal(4)
        expected = Signal(params.bits)
        m.d.sync += [
            asked.eq(1),
            direction.eq(self.direction),
            expected.eq(Mux(inside, memory.peek(source), 0)),
        ]
        with m.If(asked):
            m.d.comb += Assert(dut.data == expected)
            m.d.comb += [Cover((direction == code) & (dut.data != 0)) for code in Direction]
        return m


class ArrayEqualsReader(wiring.Component):
    """One block from reset on: read through a reader, shift, read plainly; both give the same.

    Bank, channel, pixel and content are any. The host writes what it likes while the lanes are
    in SHIFT, and ``start`` is asked for while it is not taken; neither may change anything.
    """

    PROBES: ClassVar[dict[str, str]] = {}

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        super().__init__({"start": In(1)})

    def elaborate(self, platform: object) -> Module:
        """Build array and reader, the host that uses both, and the claim."""
        m = Module()
        params, shift = self._params, self._params.shift
        m.submodules.dut = dut = ShiftArray(params=params)
        m.submodules.reader = reader = ShiftedReader(params=shift)
        m.d.comb += Assume(~ResetSignal())

        begin = 1  # cycle 0 asks through the reader; `start` comes with the answer
        end = begin + array_cycles(params) - 1  # the cycle of `done`
        cycle = Signal(range(end + 3))
        done_early = Signal()
        complete = Signal()
        m.d.sync += [
            cycle.eq(cycle + 1),
            done_early.eq(done_early | (dut.done & (cycle != end))),
            complete.eq(complete | (dut.done & (cycle == end))),
        ]

        lane = AnyConst(3)
        channel = AnyConst(address_bits(params.group))
        row, column = any_pixel(m, shift)
        m.d.comb += [
            Assume(channel < params.group),
            reader.direction.eq(lane),
            reader.row.eq(row),
            reader.column.eq(column),
            reader.mem_rdata.eq(dut.rdata),
            dut.lane.eq(lane),
            dut.addr.eq(Cat(column, row, channel)),
            dut.start.eq((cycle == begin) | ((cycle > begin) & (cycle < end) & self.start)),
        ]
        with m.If(cycle == 0):
            m.d.comb += dut.addr.eq(Cat(reader.mem_addr, channel))
        with m.Elif((cycle > begin + 1) & (cycle <= end)):
            m.d.comb += [
                dut.lane.eq(AnySeq(3)),
                dut.addr.eq(AnySeq(params.addr_bits)),
                dut.we.eq(AnySeq(1)),
                dut.wdata.eq(AnySeq(shift.bits)),
            ]
        read_untouched = Signal(shift.bits)
        with m.If(cycle == begin):
            m.d.sync += read_untouched.eq(reader.data)
        with m.If(cycle == end + 2):
            m.d.comb += [
                Assert(dut.rdata == read_untouched),
                Assert(complete),
                Assert(~done_early),
            ]
            m.d.comb += [Cover((lane == code) & (dut.rdata != 0)) for code in Direction.moving()]
        return m
