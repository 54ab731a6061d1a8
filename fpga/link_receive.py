# SPDX-License-Identifier: Apache-2.0
"""The receiving end of the host link: from bytes to one whole, undamaged request."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from fpga.cobs import CobsDecoder
from fpga.crc import SerialCrc
from hw.memory import ReadFirstMemory

__all__ = ["CRC_BYTES", "HEADER", "LONGEST_REQUEST", "WRITE_HEADER_BYTES", "RequestReceiver"]

HEADER = data.StructLayout(
    {"sequence": 16, "operation": 8, "region": 8, "address": 32, "count": 16}
)
"""The first bytes of a request. RUN's argument is where others have ``region``."""

CRC_BYTES = 4
WRITE_HEADER_BYTES = 8
"""Of a WRITE, before its data."""

_SHORTEST = 3 + CRC_BYTES
LONGEST_REQUEST = WRITE_HEADER_BYTES + 256 + CRC_BYTES


class RequestReceiver(wiring.Component):
    """Takes frames apart, checks them, and holds one request until it is released.

    Members
    -------
    data : In, 8
    valid : In
        Strobe: ``data`` is a byte of the line; at most every twelfth cycle.
    error : In
        Strobe: a byte was lost.
    held : Out
        Level: there is a request; until ``release``. Frames of which a byte comes meanwhile are
        dropped.
    header : Out, HEADER
        While ``held``. What a shorter request has not is undefined.
    length : Out, 9
        Bytes of the request as a packet.
    address : In, 9
        Of a byte of the packet.
    byte : Out, 8
        While ``held``: that byte, two cycles later.
    release : In
        Strobe: the request is done.
    dropped : Out
        Strobe: a frame was dropped.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "error": In(1),
                "held": Out(1),
                "header": Out(HEADER),
                "length": Out(range(LONGEST_REQUEST + 1)),
                "address": In(9),
                "byte": Out(8),
                "release": In(1),
                "dropped": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.crc = crc = SerialCrc()
        m.submodules.memory = memory = ReadFirstMemory(width=8, depth=512)
        m.d.comb += [
            decoder.data.eq(self.data),
            decoder.valid.eq(self.valid),
            decoder.error.eq(self.error),
            crc.data.eq(decoder.byte),
            crc.valid.eq(decoder.strobe),
        ]

        fits = Signal()  # not too short
        too_long = Signal()
        late = Signal()  # a frame of which something came while a request was held
        fills = decoder.strobe & ~self.held & ~late
        passes = decoder.good & fits & ~too_long & crc.intact
        m.d.sync += fits.eq(self.length >= _SHORTEST)
        with m.If(fills):
            with m.If(self.length == LONGEST_REQUEST):
                m.d.sync += too_long.eq(1)
            with m.Else():
                m.d.sync += self.length.eq(self.length + 1)
        with m.If(self.held & decoder.begun):
            m.d.sync += late.eq(1)

        m.d.comb += crc.start.eq(decoder.end)
        m.d.sync += self.dropped.eq(decoder.end & (late | ~passes))
        with m.If(decoder.end):
            m.d.sync += [late.eq(0), too_long.eq(0)]
            with m.If(~late):
                m.d.sync += self.held.eq(passes)
                with m.If(~passes):
                    m.d.sync += self.length.eq(0)
        with m.If(self.release):
            m.d.sync += [self.held.eq(0), self.length.eq(0)]

        place = Signal.like(memory.addr)
        we = Signal()
        byte = Signal(8)
        m.d.sync += [
            place.eq(Mux(self.held, self.address, self.length)),
            we.eq(fills),
            byte.eq(decoder.byte),
        ]
        m.d.comb += [
            memory.addr.eq(place),
            memory.we.eq(we),
            memory.wdata.eq(byte),
            self.byte.eq(memory.rdata),
        ]
        header = Value.cast(self.header)
        for number in range(len(header) // 8):
            with m.If(we & (place == number)):
                m.d.sync += header[8 * number : 8 * number + 8].eq(byte)
        return m
