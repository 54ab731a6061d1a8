# SPDX-License-Identifier: Apache-2.0
"""COBS: packets without a zero byte in them, so that a zero byte ends a frame.

Source: Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on
Networking, 1999. A frame is a row of blocks. A block is a code n = 1…255 and n − 1 bytes, none of
them zero; it stands for these bytes and a zero, but for the bytes only if n is 255 or the block is
the last one.
"""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.memory import ReadFirstMemory
from hw.params import address_bits, check_integer

__all__ = ["PACKET_BYTE", "CobsDecoder", "CobsEncoder"]

PACKET_BYTE = data.StructLayout({"byte": 8, "last": 1})
"""A byte of a packet; ``last`` with its last one."""

_FULL = 255


class CobsDecoder(wiring.Component):
    """Frames to packets, one byte after the other; it stores none.

    Members
    -------
    data : In, 8
    valid : In
        Strobe: ``data`` is a byte of a frame, or the zero that ends it.
    error : In
        Strobe, not with ``valid``: a byte was lost, which spoils the frame.
    byte : Out, 8
    strobe : Out
        ``byte`` is the packet's next one.
    end : Out
        Strobe: a frame has ended, other than an empty one.
    good : Out
        With ``end``: nothing was wrong with it.
    begun : Out
        Level: a frame is under way.

    Notes
    -----
    The outputs come one cycle after the inputs.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "error": In(1),
                "byte": Out(8),
                "strobe": Out(1),
                "end": Out(1),
                "good": Out(1),
                "begun": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        left = Signal(8)  # of the block; 0: a code comes
        zero = Signal()  # the block before stands for a zero too, unless it was the last
        spoilt = Signal()
        coded = left == 0
        ends = self.valid & (self.data == 0)

        m.d.sync += [
            self.byte.eq(self.data),
            self.strobe.eq(0),
            self.end.eq(ends & self.begun),
            self.good.eq(coded & ~spoilt),
        ]
        with m.If(coded):
            m.d.sync += self.byte.eq(0)
        with m.If(ends):
            m.d.sync += [left.eq(0), self.begun.eq(0), zero.eq(0), spoilt.eq(0)]
        with m.Elif(self.valid):
            m.d.sync += self.begun.eq(1)
            with m.If(coded):
                m.d.sync += [
                    left.eq(self.data - 1), zero.eq(self.data != _FULL), self.strobe.eq(zero)
                ]  # fmt: skip
            with m.Else():
                m.d.sync += [left.eq(left - 1), self.strobe.eq(1)]
        with m.If(self.error):
            m.d.sync += [self.begun.eq(1), spoilt.eq(1)]
        return m


class CobsEncoder(wiring.Component):
    """Packets to frames: a packet is stored with its codes, then sent, with the zero after it.

    Parameters
    ----------
    longest : int
        Most bytes of a packet. The least is 1.

    Members
    -------
    packet : In, stream of PACKET_BYTE
        Not taken while a frame is sent.
    frame : Out, stream of 8 bits

    Notes
    -----
    A byte is taken every two or three cycles.
    """

    def __init__(self, *, longest: int) -> None:
        check_integer("longest", longest, 1, 1 << 16)
        self._depth = longest + longest // (_FULL - 1) + 2
        super().__init__(
            {
                "packet": In(stream.Signature(PACKET_BYTE)),
                "frame": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        m.submodules.memory = memory = ReadFirstMemory(
            width=8, depth=1 << address_bits(self._depth)
        )
        # An access goes through registers: one cycle to the memory, one more for what it reads.
        address = Signal.like(memory.addr)
        we = Signal()
        wdata = Signal(8)
        m.d.comb += [memory.addr.eq(address), memory.we.eq(we), memory.wdata.eq(wdata)]

        code = Signal(8, init=1)  # of the block that is being filled
        code_place = Signal.like(address)
        place = Signal.like(address, init=1)  # of the next byte
        current = Signal(PACKET_BYTE)
        zero = Signal()
        sent = Signal()

        m.d.sync += we.eq(0)
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.packet.ready.eq(1)
                m.d.sync += [
                    current.eq(self.packet.payload),
                    zero.eq(self.packet.payload.byte == 0),
                ]
                with m.If(self.packet.valid):
                    m.next = "STORE"
            with m.State("STORE"):
                m.d.sync += [address.eq(place), wdata.eq(current.byte)]
                m.next = "TAKE"
                with m.If(~zero):
                    m.d.sync += [we.eq(1), place.eq(place + 1), code.eq(code + 1)]
                with m.If(zero | current.last | (code == _FULL - 1)):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.sync += [address.eq(code_place), wdata.eq(code), we.eq(1)]
                with m.If(current.last & ~zero):
                    m.next = "END"
                with m.Else():
                    m.d.sync += [code_place.eq(place), place.eq(place + 1), code.eq(1), zero.eq(0)]
                    # After a last zero there is one more block to close, an empty one.
                    with m.If(~current.last):
                        m.next = "TAKE"
            with m.State("END"):
                m.d.sync += [address.eq(place), wdata.eq(0), we.eq(1)]
                m.d.sync += [code_place.eq(0), code.eq(1)]
                m.next = "READ"
            with m.State("READ"):
                # What is to be sent next; `code_place` counts up to the zero at `place`.
                m.d.sync += address.eq(code_place)
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += [code_place.eq(code_place + 1), sent.eq(code_place == place)]
                m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += self.frame.payload.eq(memory.rdata)
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.frame.valid.eq(1)
                with m.If(self.frame.ready):
                    m.next = "READ"
                    with m.If(sent):
                        m.d.sync += [code_place.eq(0), place.eq(1)]
                        m.next = "TAKE"
        return m
