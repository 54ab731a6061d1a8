# SPDX-License-Identifier: Apache-2.0
"""What is proven of the host link's two ends, `fpga.link_receive` and `fpga.link_transmit`.

Each frame is held or dropped; each body becomes one packet; and what the CRC, which takes a bit a
cycle, asks of both is kept, as long as bytes come no faster than a UART can bring them.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Mapping
from typing import ClassVar

from amaranth.hdl import Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from fpga.crc import SerialCrc
from fpga.link_receive import CRC_BYTES, LONGEST_REQUEST, RequestReceiver
from fpga.link_transmit import LONGEST_ANSWER, AnswerSender

__all__ = [
    "BYTE_CYCLES",
    "AnswerRules",
    "CrcSteps",
    "NoParams",
    "RequestRules",
    "assert_holds",
    "packet_ports",
]

BYTE_CYCLES = 12
"""From byte to byte of the line, at least."""

SHORTEST = 3 + CRC_BYTES
POLYNOMIAL = 0x04C11DB7  # as the standard writes it, most significant bit first
BODY, LAST, CRC = range(3)  # states of the sender, as Amaranth numbers them
TAKE, STORE, CLOSE = range(3)  # those of its encoder in which a packet is stored


@dataclasses.dataclass(frozen=True)
class NoParams:
    """Hardware of one size."""

    name: str = "link"


def assert_holds(m: Module, valid: Value, ready: Value, payload: Value) -> Signal:
    """Claim that what is offered holds until it is taken; return whether it waited."""
    waited = Signal()
    before = Signal(len(payload))
    m.d.sync += [waited.eq(valid & ~ready), before.eq(payload)]
    with m.If(waited):
        m.d.comb += Assert(valid & (payload == before))
    return waited


def packet_ports(probes: Iterable[str], wide: Mapping[str, int]) -> dict[str, wiring.Member]:
    """Return the ports of a harness that offers a packet's bytes and takes the frame's.

    And those of its probes, of a bit unless they are ``wide``.
    """
    ends = {"byte": In(8), "last": In(1), "valid": In(1), "ready": In(1)}
    return ends | {name: In(wide.get(name, 1)) for name in probes}


def _residue() -> int:
    """Return the rest that a packet leaves with its own CRC, by zlib's."""
    packet = b"any"
    packet += zlib.crc32(packet).to_bytes(CRC_BYTES, "little")
    return zlib.crc32(packet) ^ 0xFFFFFFFF


class CrcSteps(wiring.Component):
    """The serial CRC divides byte after byte, begun anew at any time, and is busy for eight cycles.

    ``intact`` tells, one cycle later, whether the rest is the one that any packet and its own CRC
    leave. Covered: a whole byte.
    """

    PROBES: ClassVar[dict[str, str]] = {"probe_rest": "dut.rest", "probe_bits": "dut.bits"}

    def __init__(self, params: NoParams) -> None:
        super().__init__(
            {
                "start": In(1),
                "data": In(8),
                "valid": In(1),
                "probe_rest": In(32),
                "probe_bits": In(9),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the CRC, what it must hold after each bit, and the claims."""
        m = Module()
        m.submodules.dut = dut = SerialCrc()
        m.d.comb += [getattr(dut, n).eq(getattr(self, n)) for n in ("start", "data", "valid")]
        ones = Const((1 << 32) - 1, 32)
        reflected = int(f"{POLYNOMIAL:032b}"[::-1], 2)
        rest, before, byte = Signal(32, init=ones.value), Signal(32, init=ones.value), Signal(8)
        done = Signal(range(9), init=8)  # bits of the byte
        quotient = rest[0] ^ byte.bit_select(done[:3], 1)
        m.d.sync += before.eq(rest)
        with m.If(done != 8):
            m.d.sync += [rest.eq((rest >> 1) ^ Mux(quotient, reflected, 0)), done.eq(done + 1)]
        with m.If(self.valid):
            m.d.sync += [byte.eq(self.data), done.eq(0)]
        with m.If(self.start):
            m.d.sync += rest.eq(ones)
        m.d.comb += [
            Assume(~((self.start | self.valid) & dut.busy)),
            Assert(done <= 8),
            Assert(dut.busy == (done != 8)),
            Assert(self.probe_rest == rest),
            Assert(dut.crc == ~rest),
            Assert(dut.intact == (before == _residue())),
            Cover((done == 8) & (byte == 0x5A)),
        ]
        with m.If(done == 8):
            m.d.comb += Assert(self.probe_bits <= 1)
        with m.Else():
            m.d.comb += Assert(self.probe_bits == Cat(byte, Const(1, 1)) >> done)
        return m


class RequestRules(wiring.Component):
    """The receiver: every frame is held or dropped, never both; what is held does not change.

    A request that is held has a possible length, and its bytes lie inside the memory. The CRC
    gets each byte when it is not busy, and is asked when it is done. Covered: a frame is dropped.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_strobe": "dut.decoder.strobe",
        "probe_end": "dut.decoder.end",
        "probe_begun": "dut.decoder.begun",
        "probe_busy": "dut.crc.busy",
        "probe_bits": "dut.crc.bits",
        "probe_late": "dut.late",
        "probe_fits": "dut.fits",
        "probe_we": "dut.we",
        "probe_place": "dut.place",
    }

    def __init__(self, params: NoParams) -> None:
        wide = {"probe_place": 9, "probe_bits": 9}
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "error": In(1),
                "address": In(9),
                "release": In(1),
                **{name: In(wide.get(name, 1)) for name in self.PROBES},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the receiver, what a line and a link keep to, and the claims."""
        m = Module()
        m.submodules.dut = dut = RequestReceiver()
        m.d.comb += [
            getattr(dut, name).eq(getattr(self, name))
            for name in ("data", "valid", "error", "address", "release")
        ]
        event = self.valid | self.error
        since = Signal(range(BYTE_CYCLES + 1), init=BYTE_CYCLES)  # the last byte, or loss of one
        m.d.sync += since.eq(Mux(event, 1, since + (since != BYTE_CYCLES)))
        m.d.comb += [
            Assume(~(self.valid & self.error)),
            Assume(~event | (since == BYTE_CYCLES)),
            Assume(~self.release | dut.held),
            Assert((since != 0) & (since <= BYTE_CYCLES)),
            Assert(~(self.probe_strobe | self.probe_end) | (since == 1)),
            Assert(~(self.probe_end & (self.probe_strobe | self.probe_begun))),
            Assert(~self.probe_we | (since == 2)),
            Assert(~self.probe_busy | ((since > 1) & (since < 10))),
        ]
        # What is left of a byte, and above it its marker, says how long the CRC will be busy.
        for age in range(1, BYTE_CYCLES + 1):
            left = 11 - age if 1 < age < 11 else 0
            with m.If(since == age):
                m.d.comb += Assert(self.probe_bits[left:] == 0)

        ended, was_held = Signal(), Signal()
        m.d.sync += [ended.eq(self.probe_end), was_held.eq(dut.held & ~self.release)]
        rose = dut.held & ~was_held
        m.d.comb += [
            Assert(~(self.probe_strobe | self.probe_end) | ~self.probe_busy),
            Assert(dut.dropped | rose == ended),
            Assert(~(dut.dropped & rose)),
            Assert(~(dut.held & self.probe_begun) | self.probe_late | (since == 1)),
            Assert(~(dut.held & self.probe_end) | self.probe_late),
            Assert(dut.length <= LONGEST_REQUEST),
            Assert(~dut.held | (dut.length >= SHORTEST)),
            Assert(~self.probe_we | (self.probe_place <= LONGEST_REQUEST)),
            Assert(~(dut.held & self.probe_we)),
            Cover(dut.dropped),
        ]
        with m.If(self.probe_end & ~self.probe_late):
            m.d.comb += Assert(self.probe_fits == (dut.length >= SHORTEST))
        m.d.comb += Assert(~was_held | dut.held)
        assert_holds(m, dut.held, self.release, Cat(dut.length, dut.header))
        return m


class AnswerRules(wiring.Component):
    """The sender: a body and its four bytes of CRC are one packet, and nothing is lost between.

    Each byte is taken when the encoder and the CRC are ready for it; after the last one none is
    before the frame has been sent. The frame's bytes hold. Covered: a frame has been sent.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_state": "dut.fsm_state",
        "probe_number": "dut.number",
        "probe_busy": "dut.busy",
        "probe_start": "dut.start",
        "probe_byte_valid": "dut.encoder.packet__valid",
        "probe_byte_ready": "dut.encoder.packet__ready",
        "probe_byte_last": "dut.encoder.packet__payload[8]",
        "probe_encoder": "dut.encoder.fsm_state",
        "probe_last": "dut.encoder.current[8]",
        "probe_sent": "dut.encoder.sent",
    }

    def __init__(self, params: NoParams) -> None:
        wide = {"probe_state": 2, "probe_number": 2, "probe_encoder": 3}
        super().__init__(packet_ports(self.PROBES, wide))

    def elaborate(self, platform: object) -> Module:
        """Build the sender, a count of its packet, and the claims."""
        m = Module()
        m.submodules.dut = dut = AnswerSender()
        m.d.comb += [
            dut.body.payload.byte.eq(self.byte),
            dut.body.payload.last.eq(self.last),
            dut.body.valid.eq(self.valid),
            dut.frame.ready.eq(self.ready),
        ]
        taken = self.valid & dut.body.ready
        packed = self.probe_byte_valid & self.probe_byte_ready
        leaves = dut.frame.valid & self.ready
        count = Signal(range(LONGEST_ANSWER + 1))  # bytes of the packet
        closing, open_frame = Signal(), Signal()  # the CRC is to come; the packet is complete
        frames = Signal()
        with m.If(packed):
            m.d.sync += count.eq(Mux(self.probe_byte_last, 0, count + 1))
        with m.If(taken & self.last):
            m.d.sync += closing.eq(1)
        with m.If(packed & self.probe_byte_last):
            m.d.sync += [open_frame.eq(1), closing.eq(0)]
        with m.If(leaves & self.probe_sent):
            m.d.sync += [open_frame.eq(0), frames.eq(1)]
        storing = (self.probe_encoder == STORE) | (self.probe_encoder == CLOSE)
        m.d.comb += [
            Assume(~self.valid | self.last | (count < LONGEST_ANSWER - CRC_BYTES - 1)),
            Assert(self.probe_state <= CRC),
            Assert(~(taken | self.probe_start) | ~self.probe_busy),
            Assert(~taken | packed),
            Assert(~dut.body.ready | (self.probe_state == BODY)),
            Assert(~dut.body.ready | ~(open_frame | closing)),
            Assert(~dut.body.ready | (self.probe_encoder == TAKE) & ~self.probe_busy),
            Assert(closing == (self.probe_state != BODY)),
            Assert(self.probe_start == (packed & self.probe_byte_last)),
            Assert((self.probe_state == CRC) | (self.probe_number == 0)),
            Assert((self.probe_state != CRC) | ~self.probe_busy),
            Assert(closing | (count < LONGEST_ANSWER - CRC_BYTES)),
            Assert(count + CRC_BYTES - self.probe_number <= LONGEST_ANSWER),
            Assert(~open_frame | (self.probe_state == BODY) & (count == 0)),
            Assert(open_frame == ((self.probe_encoder > CLOSE) | (storing & self.probe_last))),
            Cover(frames),
        ]
        assert_holds(m, dut.frame.valid, self.ready, dut.frame.payload)
        return m
