# SPDX-License-Identifier: Apache-2.0
"""What is proven of ``hw.stream.AxisShift``: handshakes, packets, and the map that comes out."""

from __future__ import annotations

from typing import ClassVar

from amaranth.hdl import Assert, Assume, Cover, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from cosim.properties_walk import Operation, any_pixel, assert_walk, source_of
from hw.params import ShiftParams
from hw.stream import AxisShift
from hw.timing import axis_cycles

__all__ = ["PacketRun", "StreamProtocol"]

# States of AxisShift in the order in which its text names them, which is how Amaranth numbers them.
_RECEIVE, _DROP, _SHIFT, _FETCH, _SEND = range(5)


class Packets(wiring.Component):
    """What the two streams of an AxisShift are specified to do, from the beats that pass.

    Members
    -------
    taken, last : In
        A beat passes in; it carries TLAST.
    sent : In
        A beat passes out.
    beats : Out
        Beats of the packet so far; H·W also stands for more.
    good, bad : Out
        A packet ends in this cycle: with H·W beats, or with another number.
    owed : Out
        Beats still to come out: H·W after a good packet.
    waited : Out
        Cycles since the good packet, up to the H·W + 2 that shifting and fetching take.
    """

    def __init__(self, params: ShiftParams) -> None:
        self._pixels = params.pixels
        self.delay = axis_cycles(params) - 2 * params.pixels
        super().__init__(
            {
                "taken": In(1),
                "last": In(1),
                "sent": In(1),
                "beats": Out(range(self._pixels + 1)),
                "good": Out(1),
                "bad": Out(1),
                "owed": Out(range(self._pixels + 1)),
                "waited": Out(range(self.delay + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the counters."""
        m = Module()
        ends = self.taken & self.last
        full = self.beats == self._pixels - 1
        m.d.comb += [self.good.eq(ends & full), self.bad.eq(ends & ~full)]
        with m.If(ends):
            m.d.sync += self.beats.eq(0)
        with m.Elif(self.taken & (self.beats != self._pixels)):
            m.d.sync += self.beats.eq(self.beats + 1)
        with m.If(self.good):
            m.d.sync += [self.owed.eq(self._pixels), self.waited.eq(0)]
        with m.Else():
            m.d.sync += self.owed.eq(self.owed - self.sent)
            with m.If(self.waited != self.delay):
                m.d.sync += self.waited.eq(self.waited + 1)
        return m


class _Streams(wiring.Component):
    """An AxisShift between a source and a sink that do what they like."""

    PROBES: ClassVar[dict[str, str]] = {}

    def __init__(self, params: ShiftParams, probes: dict[str, int] | None = None) -> None:
        self._params = params
        super().__init__(
            {
                "s_axis_tdata": In(-(-params.bits // 8) * 8),
                "s_axis_tuser": In(3),
                "s_axis_tlast": In(1),
                "s_axis_tvalid": In(1),
                "m_axis_tready": In(1),
                **{name: In(bits) for name, bits in (probes or {}).items()},
            }
        )

    def _connect(self, m: Module) -> tuple[AxisShift, Packets]:
        """Add the hardware and the packets that pass through it."""
        m.submodules.dut = dut = AxisShift(params=self._params)
        m.submodules.packets = packets = Packets(self._params)
        m.d.comb += [
            dut.s_axis_tdata.eq(self.s_axis_tdata),
            dut.s_axis_tuser.eq(self.s_axis_tuser),
            dut.s_axis_tlast.eq(self.s_axis_tlast),
            dut.s_axis_tvalid.eq(self.s_axis_tvalid),
            dut.m_axis_tready.eq(self.m_axis_tready),
            packets.taken.eq(self.s_axis_tvalid & dut.s_axis_tready),
            packets.last.eq(self.s_axis_tlast),
            packets.sent.eq(dut.m_axis_tvalid & self.m_axis_tready),
        ]
        return dut, packets


class StreamProtocol(_Streams):
    """Packets and handshakes, without bound: 2-inductive.

    - TVALID holds with TDATA and TLAST until TREADY.
    - H·W + 2 cycles after a packet of H·W beats TVALID rises, for exactly H·W beats, with TLAST on
      the last of them only; after any other packet nothing comes out.
    - ``error`` strobes exactly where a packet of another length ends.
    - Beats are taken exactly while none is owed.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_state": "dut.fsm_state",
        "probe_row": "dut.row",
        "probe_column": "dut.column",
        "probe_start": "dut.shift.start",
        "probe_direction": "dut.shift.direction",
        "probe_ready": "dut.shift.ready",
        "probe_done": "dut.shift.done",
        "probe_mem_we": "dut.shift.mem_we",
        "probe_mem_addr": "dut.shift.mem_addr",
        "probe_boundary": "dut.shift.boundary",
        "probe_diagonal": "dut.shift.walk.diagonal",
        "probe_row_forward": "dut.shift.walk.row_forward",
        "probe_column_forward": "dut.shift.walk.column_forward",
    }

    def __init__(self, params: ShiftParams) -> None:
        bits = {
            "probe_state": 3,
            "probe_row": params.row_bits,
            "probe_column": params.column_bits,
            "probe_direction": 3,
            "probe_mem_addr": params.addr_bits,
        }
        super().__init__(params, {name: bits.get(name, 1) for name in self.PROBES})

    def elaborate(self, platform: object) -> Module:
        """Build the streams, what must pass, and the claims."""
        m = Module()
        params = self._params
        dut, packets = self._connect(m)
        owes = packets.owed != 0
        sending = owes & (packets.waited == packets.delay)
        m.d.comb += [
            Assert(dut.error == packets.bad),
            Assert(dut.s_axis_tready == ~owes),
            Assert(dut.m_axis_tvalid == sending),
            Assert(~sending | (dut.m_axis_tlast == (packets.owed == 1))),
        ]

        held = Signal()
        held_data = Signal.like(dut.m_axis_tdata)
        held_last = Signal()
        m.d.sync += [
            held.eq(dut.m_axis_tvalid & ~self.m_axis_tready),
            held_data.eq(dut.m_axis_tdata),
            held_last.eq(dut.m_axis_tlast),
        ]
        with m.If(held):
            m.d.comb += [
                Assert(dut.m_axis_tvalid),
                Assert(dut.m_axis_tdata == held_data),
                Assert(dut.m_axis_tlast == held_last),
            ]
        self._assert_invariants(m, packets, owes, sending)
        m.d.comb += [
            Cover(dut.m_axis_tvalid & dut.m_axis_tlast & self.m_axis_tready),
            Cover(dut.error & (packets.beats < params.pixels)),
            Cover(dut.error & (packets.beats == params.pixels)),
            Cover(held),
        ]
        return m

    def _assert_invariants(self, m: Module, packets: Packets, owes: Value, sending: Value) -> None:
        """Assert which state, counter and shift cycle go with the packets."""
        params = self._params
        m.submodules.operation = operation = Operation(params)
        m.d.comb += [
            operation.start.eq(self.probe_start),
            operation.direction.eq(self.probe_direction),
        ]
        probe = {name.removeprefix("probe_"): getattr(self, name) for name in self.PROBES}
        assert_walk(m, params, operation, probe)

        position = self.probe_row * params.width + self.probe_column
        receives = packets.beats != params.pixels
        moves = owes & (packets.waited > 0) & (packets.waited <= params.pixels)
        m.d.comb += [
            Assert((self.probe_row < params.height) & (self.probe_column < params.width)),
            Assert(packets.owed <= params.pixels),
            Assert(packets.beats <= params.pixels),
            Assert(~owes | (packets.beats == 0)),
            Assert(packets.waited <= packets.delay),
            Assert(sending | (packets.owed == 0) | (packets.owed == params.pixels)),
            Assert(operation.config == (owes & (packets.waited == 0))),
            Assert(operation.moving == moves),
            Assert(~moves | (operation.pixel == packets.waited - 1)),
        ]
        with m.If(sending):
            m.d.comb += Assert(self.probe_state == _SEND)
            m.d.comb += Assert(position == params.pixels - packets.owed)
        with m.Elif(owes):
            fetches = packets.waited == packets.delay - 1
            m.d.comb += Assert(self.probe_state == Mux(fetches, _FETCH, _SHIFT))
            m.d.comb += Assert(position == 0)
        with m.Else():
            m.d.comb += Assert(self.probe_state == Mux(receives, _RECEIVE, _DROP))
            m.d.comb += Assert(position == Mux(receives, packets.beats, 0))


class PacketRun(_Streams):
    """From reset on, with pauses on both sides: the beats out are the shifted beats in.

    Any beat stands for all. A wrong one is remembered, so that one look at the last cycle of the
    bound serves for all cycles.
    """

    def elaborate(self, platform: object) -> Module:
        """Build the streams, and follow one beat out to the beat in from which it must come."""
        m = Module()
        params = self._params
        dut, packets = self._connect(m)
        m.d.comb += Assume(~ResetSignal())
        kept_code = Signal(3)
        code = Mux(packets.taken & (packets.beats == 0), self.s_axis_tuser, kept_code)
        m.d.sync += kept_code.eq(code)

        row, column = any_pixel(m, params)
        inside, source = source_of(m, params, code, row, column)
        source_row, source_column = source[params.column_bits :], source[: params.column_bits]
        came = Signal(params.bits)
        with m.If(packets.taken & (packets.beats == source_row * params.width + source_column)):
            m.d.sync += came.eq(self.s_axis_tdata)

        leaves = packets.sent & (params.pixels - packets.owed == row * params.width + column)
        wrong = Signal()
        with m.If(leaves & (dut.m_axis_tdata != Mux(inside, came, 0))):
            m.d.sync += wrong.eq(1)
        m.d.comb += [
            Assert(~wrong),
            Cover(packets.sent & dut.m_axis_tlast),
        ]
        return m
