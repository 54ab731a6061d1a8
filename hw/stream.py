# SPDX-License-Identifier: Apache-2.0
"""The shift module behind AXI4-Stream: a map in, the shifted map out.

Handshakes follow AMBA AXI4-Stream (ARM IHI 0051): a beat passes in a cycle with TVALID and TREADY;
TVALID waits for nothing and holds, with its payload, until TREADY.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.memory import ReadFirstMemory
from hw.params import ShiftParams
from hw.shift import ShiftModule

__all__ = ["AxisShift"]


class AxisShift(wiring.Component):
    """A ShiftModule with a memory for one map, between two AXI4-Streams.

    One packet is one channel: H·W beats in row order, TLAST on the last. It takes H·W cycles in,
    H·W + 2 to shift and to fetch the first pixel, H·W out (``hw.timing.axis_cycles``); a new map
    is taken in the cycle after the last beat out.

    A packet whose TLAST comes early or not on the last beat is dropped whole: ``error`` strobes,
    nothing goes out, and the first beat after its TLAST begins a new map.

    Parameters
    ----------
    params : ShiftParams
        Shape of the channel; keyword only.

    Members
    -------
    s_axis_tdata : In, bits rounded up to whole bytes
        A pixel in the low bits; the others are ignored.
    s_axis_tuser : In, 3
        ``Direction`` 0…7, taken with a packet's first beat.
    s_axis_tlast, s_axis_tvalid : In
    s_axis_tready : Out
    m_axis_tdata : Out, as s_axis_tdata
        A pixel in the low bits, 0 above.
    m_axis_tlast, m_axis_tvalid : Out
    m_axis_tready : In
        Reaches the memory's address within the cycle (no register slice in between).
    error : Out
        Strobe, in the cycle in which a dropped packet's TLAST is taken.
    """

    def __init__(self, *, params: ShiftParams) -> None:
        self._params = params
        data_bits = -(-params.bits // 8) * 8
        super().__init__(
            {
                "s_axis_tdata": In(data_bits),
                "s_axis_tuser": In(3),
                "s_axis_tlast": In(1),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "m_axis_tdata": Out(data_bits),
                "m_axis_tlast": Out(1),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params = self._params
        last_address = params.address(params.height - 1, params.width - 1)
        m.submodules.shift = shift = ShiftModule(params=params)
        m.submodules.memory = memory = ReadFirstMemory(width=params.bits, depth=last_address + 1)

        # The pixel that comes next, in or out, and the one after it.
        row = Signal(params.row_bits)
        column = Signal(params.column_bits)
        next_row = Signal.like(row)
        next_column = Signal.like(column)
        row_ends = column == params.width - 1
        on_last = Signal()
        m.d.comb += [
            on_last.eq(row_ends & (row == params.height - 1)),
            next_column.eq(Mux(row_ends, 0, column + 1)),
            next_row.eq(Mux(on_last, 0, row + row_ends)),
        ]

        first_beat = Signal(init=1)
        direction = Signal(3)
        taken = Signal()
        sent = Signal()
        with m.If(taken):
            m.d.sync += first_beat.eq(self.s_axis_tlast)
            with m.If(first_beat):
                m.d.sync += direction.eq(self.s_axis_tuser)

        with m.FSM() as fsm:
            with m.State("RECEIVE"), m.If(taken):
                with m.If(on_last & ~self.s_axis_tlast):
                    m.next = "DROP"
                with m.Elif(on_last):
                    m.next = "SHIFT"
            with m.State("DROP"), m.If(taken & self.s_axis_tlast):
                m.next = "RECEIVE"
            with m.State("SHIFT"), m.If(shift.done):
                m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "SEND"
            with m.State("SEND"), m.If(sent & on_last):
                m.next = "RECEIVE"

        # Plain expressions of the state, not assignments within it: those would become processes
        # that a SystemVerilog simulator does not run before one of their inputs changes.
        receiving = fsm.ongoing("RECEIVE")
        dropping = fsm.ongoing("DROP")
        shifting = fsm.ongoing("SHIFT")
        sending = fsm.ongoing("SEND")
        m.d.comb += [
            self.s_axis_tready.eq(receiving | dropping),
            taken.eq(self.s_axis_tvalid & self.s_axis_tready),
            self.error.eq(taken & self.s_axis_tlast & (dropping | ~on_last)),
            self.m_axis_tvalid.eq(sending),
            self.m_axis_tlast.eq(on_last),
            self.m_axis_tdata.eq(memory.rdata),
            sent.eq(sending & self.m_axis_tready),
            shift.start.eq(receiving & taken & on_last & self.s_axis_tlast),
            shift.direction.eq(direction),
            shift.mem_rdata.eq(memory.rdata),
        ]
        with m.If(self.error):
            m.d.sync += [row.eq(0), column.eq(0)]
        with m.Elif(sent | (taken & receiving)):
            m.d.sync += [row.eq(next_row), column.eq(next_column)]

        # The memory's output register is the stream's: read again what waits, or read on.
        waiting = Cat(column, row)
        following = Cat(next_column, next_row)
        m.d.comb += [
            memory.addr.eq(Mux(shifting, shift.mem_addr, Mux(sent, following, waiting))),
            memory.we.eq(Mux(shifting, shift.mem_we, taken & receiving)),
            memory.wdata.eq(Mux(shifting, shift.mem_wdata, self.s_axis_tdata)),
        ]
        return m
