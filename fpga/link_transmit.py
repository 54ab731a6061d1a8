# SPDX-License-Identifier: Apache-2.0
"""The sending end of the host link: from the body of an answer to the bytes of a frame."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.cobs import PACKET_BYTE, CobsEncoder
from fpga.crc import SerialCrc
from fpga.link_receive import CRC_BYTES

__all__ = ["LONGEST_ANSWER", "AnswerSender"]

LONGEST_ANSWER = 3 + 256 + CRC_BYTES


class AnswerSender(wiring.Component):
    """Adds the CRC to a body, and makes a frame of both.

    Members
    -------
    body : In, stream of PACKET_BYTE
        After the last byte it is ready again when the whole frame has been taken.
    frame : Out, stream of 8 bits
    """

    def __init__(self) -> None:
        super().__init__(
            {"body": In(stream.Signature(PACKET_BYTE)), "frame": Out(stream.Signature(8))}
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        m.submodules.crc = crc = SerialCrc()
        m.submodules.encoder = encoder = CobsEncoder(longest=LONGEST_ANSWER)
        connect(m, encoder.frame, flipped(self.frame))
        packet = encoder.packet
        number = Signal(range(CRC_BYTES))
        crc_bytes = Array(crc.crc[8 * at : 8 * at + 8] for at in range(CRC_BYTES))
        ready = Signal()  # from a flip-flop: who asks has a whole cycle for the answer
        taken = self.body.valid & ready
        m.d.comb += [
            self.body.ready.eq(ready),
            crc.data.eq(self.body.payload.byte),
            crc.valid.eq(taken),
        ]
        with m.FSM() as fsm:
            with m.State("BODY"):
                m.d.comb += [
                    packet.payload.byte.eq(self.body.payload.byte),
                    packet.valid.eq(taken),
                ]
                with m.If(taken & self.body.payload.last):
                    m.next = "LAST"
            with m.State("LAST"), m.If(~crc.busy):
                m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [
                    packet.payload.byte.eq(crc_bytes[number]),
                    packet.payload.last.eq(number == CRC_BYTES - 1),
                    packet.valid.eq(1),
                ]
                with m.If(packet.ready):
                    m.d.sync += number.eq(number + 1)
                    with m.If(packet.payload.last):
                        m.d.comb += crc.start.eq(1)
                        m.next = "BODY"
        m.d.sync += ready.eq(fsm.ongoing("BODY") & packet.ready & ~crc.busy & ~taken)
        return m
