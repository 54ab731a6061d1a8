# SPDX-License-Identifier: Apache-2.0
"""The host link's rules: which request is taken, what it does, what it is answered.

The contract is ``fpga/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.bus import Bus
from fpga.cobs import PACKET_BYTE
from fpga.link_receive import CRC_BYTES, WRITE_HEADER_BYTES, RequestReceiver
from fpga.link_transmit import AnswerSender
from fpga.protocol import MAX_DATA, REGISTERS, Operation, Region, Status

__all__ = ["Link"]

SYNC_BYTES, READ_BYTES, RUN_BYTES = 3, 10, 4
SETTLED = 6
"""Cycles until all that is to know about a request is known."""


class Link(wiring.Component):
    """Bytes of requests in, bytes of answers out, and a bus between them.

    Parameters
    ----------
    regions : sequence of Region
        All that are behind the bus. The device's own, 0 and 1, may be read during a run.
    arguments : int
        RUN takes 0…arguments − 1, at most 256 of them.

    Members
    -------
    data, valid, error : In
        Bytes from the line, as `RequestReceiver`.
    frame : Out, stream of 8 bits
        Bytes to the line.
    bus : Out, Bus
        Its ``registers`` are not looked at.
    synced : Out
        Strobe: a SYNC is carried out.
    dropped : Out
        Strobe: a frame was dropped.
    """

    def __init__(self, *, regions: Sequence[Region], arguments: int) -> None:
        self._regions = tuple(regions)
        self._arguments = arguments
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "error": In(1),
                "frame": Out(stream.Signature(8)),
                "bus": Out(Bus()),
                "synced": Out(1),
                "dropped": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        bus = self.bus
        m.submodules.receiver = receiver = RequestReceiver()
        m.submodules.sender = sender = AnswerSender()
        connect(m, sender.frame, flipped(self.frame))
        request = receiver.header
        m.d.comb += [
            receiver.data.eq(self.data),
            receiver.valid.eq(self.valid),
            receiver.error.eq(self.error),
            self.dropped.eq(receiver.dropped),
        ]

        # Facts about the request, in registers behind each other: SETTLE waits until all are there.
        bits = max(region.bytes for region in self._regions).bit_length()
        is_sync, is_read, is_write, is_run = flags = [
            Signal(name=f"is_{o.name}") for o in Operation
        ]
        m.d.sync += [
            flag.eq(request.operation == op) for flag, op in zip(flags, Operation, strict=True)
        ]

        size = Signal.like(receiver.length)
        well_formed = Signal()
        m.d.sync += [
            size.eq(receiver.length - CRC_BYTES),
            well_formed.eq(
                (is_sync & (size == SYNC_BYTES))
                | (is_read & (size == READ_BYTES))
                | (is_write & (size > WRITE_HEADER_BYTES))
                | (is_run & (size == RUN_BYTES) & (request.region < self._arguments))
            ),
        ]

        # Bytes are numbered as those of a WRITE are in its packet, here and in the comparisons.
        first = WRITE_HEADER_BYTES
        stop = Signal.like(size)
        m.d.sync += stop.eq(Mux(is_write, size, request.count + first))
        limit = Signal(bits + 1)
        more_bytes = Signal(range(max(region.word_bytes for region in self._regions)))
        alignment = Signal(range(max(r.word_bytes for r in self._regions if r.readable) + 1))
        readable, writable, own = Signal(), Signal(), Signal()
        m.d.sync += [readable.eq(0), writable.eq(0), own.eq(request.region <= REGISTERS)]
        with m.Switch(request.region):
            for region in self._regions:
                with m.Case(region.number):
                    m.d.sync += [
                        limit.eq(region.bytes + first),
                        more_bytes.eq(region.word_bytes - 1),
                        alignment.eq(region.word_bytes - 1 if region.readable else 0),
                        readable.eq(region.readable),
                        writable.eq(region.writable),
                    ]
        end = Signal(bits + 1)
        beyond = Signal()
        wrong_count = Signal()
        misaligned = Signal()
        allowed = Signal()
        outside = Signal()
        m.d.sync += [
            end.eq(request.address[:bits] + stop),
            beyond.eq((request.address >> bits) != 0),
            wrong_count.eq(is_read & ((request.count == 0) | (request.count > MAX_DATA))),
            misaligned.eq((request.address & alignment) != 0),
            allowed.eq((is_read & readable) | (is_write & writable)),
            outside.eq(~allowed | (end > limit) | beyond | wrong_count | misaligned),
        ]

        last = Signal(16, init=0xFFFF)  # sequence of the last request
        following = Signal(16)
        synced = Signal()
        is_following, is_last = Signal(), Signal()
        m.d.sync += [
            following.eq(last + 1),
            is_following.eq(synced & (request.sequence == following)),
            is_last.eq(synced & (request.sequence == last)),
        ]

        # What would become of the request if it were taken.
        byte_number = Signal.like(size)
        complete = byte_number == stop
        phase = Signal.like(more_bytes)
        found = Signal(Status)
        accesses = is_read | is_write
        with m.If(~well_formed):
            m.d.sync += found.eq(Status.OPERATION)
        with m.Elif(accesses & (outside | (phase != 0))):
            m.d.sync += found.eq(Status.RANGE)
        with m.Elif(bus.busy & (is_run | (accesses & ~own))):
            m.d.sync += found.eq(Status.BUSY)
        with m.Else():
            m.d.sync += found.eq(Status.OK)

        status = Signal(Status)
        kept = Signal(Status)  # of the last request that was taken
        new = Signal()
        ok = Signal()
        place = Signal(bits)
        beat = Signal(3)
        answered = Signal(3)
        answer = Signal(PACKET_BYTE)
        header = Array(
            [request.sequence[:8], request.sequence[8:], status, following[:8], following[8:]]
        )
        m.d.comb += [
            bus.region.eq(request.region),
            bus.argument.eq(request.region),
            bus.address.eq(place),
            receiver.address.eq(byte_number),
            sender.body.payload.eq(answer),
        ]
        m.d.sync += [
            ok.eq(status == Status.OK),
            bus.begin.eq(0),
            bus.re.eq(0),
            bus.we.eq(0),
            bus.run.eq(0),
            self.synced.eq(0),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += beat.eq(0)
                with m.If(receiver.held):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += [beat.eq(beat + 1), byte_number.eq(first), phase.eq(0)]
                with m.If(beat == SETTLED):
                    m.next = "MEASURE"
            with m.State("MEASURE"):
                # Are these whole words? Their size need not be a power of two.
                with m.If(complete):
                    m.next = "FIND"
                with m.Else():
                    m.d.sync += byte_number.eq(byte_number + 1)
                    m.d.sync += phase.eq(Mux(phase == more_bytes, 0, phase + 1))
            with m.State("FIND"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += new.eq(0)
                with m.If(is_sync | is_following):
                    m.d.sync += [
                        last.eq(request.sequence), synced.eq(1),
                        status.eq(found), kept.eq(found), new.eq(1),
                    ]  # fmt: skip
                with m.Elif(is_last):
                    m.d.sync += status.eq(Mux(is_read, found, kept))
                with m.Else():
                    m.d.sync += status.eq(Status.SEQUENCE)
                m.next = "PREPARE"
            with m.State("PREPARE"):
                m.d.sync += [place.eq(request.address), byte_number.eq(first)]
                m.d.sync += [beat.eq(0), answered.eq(0)]
                m.next = "ACT"
            with m.State("ACT"):
                m.d.sync += [
                    bus.begin.eq(ok & (is_read | (is_write & new))),
                    bus.run.eq(ok & is_run & new),
                    self.synced.eq(ok & is_sync),
                ]
                m.next = "HEADER"
                with m.If(ok & is_write & new):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.sync += [beat.eq(beat + 1), bus.wdata.eq(receiver.byte)]
                with m.If(beat == 2):
                    m.d.sync += [bus.we.eq(1), byte_number.eq(byte_number + 1)]
                with m.If(beat == 3):
                    m.d.sync += [place.eq(place + 1), beat.eq(0)]
                    with m.If(complete):
                        m.next = "HEADER"
            with m.State("HEADER"):
                header_ends = Mux(
                    status == Status.SEQUENCE, answered == 4, (answered == 2) & ~(ok & is_read)
                )
                m.d.sync += [answer.byte.eq(header[answered]), answer.last.eq(header_ends)]
                m.next = "OFFER"
            with m.State("READ"):
                m.d.sync += [beat.eq(beat + 1), answer.byte.eq(bus.rdata), answer.last.eq(complete)]
                with m.If(beat == 0):
                    m.d.sync += [bus.re.eq(1), byte_number.eq(byte_number + 1)]
                with m.If(beat == 3):
                    m.d.sync += [place.eq(place + 1), beat.eq(0)]
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += sender.body.valid.eq(1)
                with m.If(sender.body.ready):
                    m.d.sync += answered.eq(answered + 1)
                    m.next = "HEADER"
                    with m.If(ok & is_read & answered[1]):
                        m.d.sync += answered.eq(answered)
                        m.next = "READ"
                    with m.If(answer.last):
                        m.next = "FINISH"
            with m.State("FINISH"), m.If(sender.body.ready):
                m.d.comb += receiver.release.eq(1)
                m.next = "IDLE"
        return m
