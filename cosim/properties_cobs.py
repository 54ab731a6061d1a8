# SPDX-License-Identifier: Apache-2.0
"""What is proven of ``fpga.cobs``: what is encoded is decoded; places in memory, ends of frames."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from amaranth.hdl import Array, Assert, Assume, Cover, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from cosim.properties_link import NoParams, assert_holds, packet_ports
from fpga.cobs import CobsDecoder, CobsEncoder
from hw.params import address_bits

__all__ = ["CobsRoundTrip", "DecoderRules", "EncoderRules", "PacketParams"]

FULL = 255
TAKE, STORE, CLOSE, END, READ, FETCH, SETTLE, SEND = range(8)  # as Amaranth numbers them


@dataclasses.dataclass(frozen=True)
class PacketParams:
    """A packet of 1…longest bytes."""

    longest: int

    @property
    def name(self) -> str:
        """For the name of a proof."""
        return str(self.longest)

    @property
    def cycles(self) -> int:
        """From reset until the zero of the longest frame has been decoded, of no full block.

        Three cycles a byte to store, one more at the end, two to close and end; four to send each
        of longest + 2 bytes, two to decode.
        """
        return 3 * self.longest + 3 + 4 * (self.longest + 2) + 2


class CobsRoundTrip(wiring.Component):
    """Any packet, encoded and decoded, is itself, in one frame.

    To be looked at in the last cycle of ``params.cycles``; the packet is fed without pauses.
    """

    PROBES: ClassVar[dict[str, str]] = {}

    def __init__(self, params: PacketParams) -> None:
        self._longest, self._cycles = params.longest, params.cycles
        super().__init__({"byte": In(8), "last": In(1)})

    def elaborate(self, platform: object) -> Module:
        """Build encoder and decoder, a record of the packet, and the claim."""
        m = Module()
        m.submodules.encoder = encoder = CobsEncoder(longest=self._longest)
        m.submodules.decoder = decoder = CobsDecoder()
        packet = Array(Signal(8, name=f"packet_{n}") for n in range(self._longest))
        length = Signal(range(self._longest + 1))
        fed = Signal()
        last = self.last | (length == self._longest - 1)
        m.d.comb += [
            encoder.packet.payload.byte.eq(self.byte),
            encoder.packet.payload.last.eq(last),
            encoder.packet.valid.eq(~fed),
            encoder.frame.ready.eq(1),
            decoder.data.eq(encoder.frame.payload),
            decoder.valid.eq(encoder.frame.valid),
        ]
        with m.If(encoder.packet.ready & ~fed):
            m.d.sync += [packet[length].eq(self.byte), length.eq(length + 1), fed.eq(last)]

        cycle = Signal(range(self._cycles + 1))
        with m.If(cycle != self._cycles):
            m.d.sync += cycle.eq(cycle + 1)
        got = Signal.like(length)
        wrong = Signal()
        frames = Signal(2)
        with m.If(decoder.strobe):
            m.d.sync += got.eq(got + 1)
            with m.If((got == length) | (packet[got] != decoder.byte)):
                m.d.sync += wrong.eq(1)
        with m.If(decoder.end):
            m.d.sync += frames.eq(frames + 1)
            with m.If(~decoder.good | (got != length)):
                m.d.sync += wrong.eq(1)
        m.d.comb += [
            Assume(~ResetSignal()),
            Assert(~wrong & ((frames == 1) | (cycle != self._cycles))),
            Cover((frames == 1) & (length == self._longest) & (packet[0] == 0) & (packet[1] != 0)),
        ]
        return m


class EncoderRules(wiring.Component):
    """The encoder: packet after packet lies inside its memory, and is sent once, as one frame.

    A frame has a byte more than the packet, one for each full block, and the zero. What is offered
    holds; nothing is taken meanwhile. Each of its eight states is legal. Covered: a frame ends.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_state": "dut.fsm_state",
        "probe_place": "dut.place",
        "probe_code_place": "dut.code_place",
        "probe_code": "dut.code",
        "probe_zero": "dut.zero",
        "probe_last": "dut.current[8]",
        "probe_sent": "dut.sent",
        "probe_we": "dut.we",
        "probe_address": "dut.address",
    }

    def __init__(self, params: PacketParams) -> None:
        self._longest = params.longest
        self._places = params.longest + params.longest // (FULL - 1) + 2
        place = address_bits(self._places)
        wide = {
            "probe_state": 3, "probe_code": 8, "probe_place": place, "probe_code_place": place,
            "probe_address": place,
        }  # fmt: skip
        super().__init__(packet_ports(self.PROBES, wide))

    def elaborate(self, platform: object) -> Module:
        """Build the encoder, counts of bytes and full blocks, the invariants and the claims."""
        m = Module()
        m.submodules.dut = dut = CobsEncoder(longest=self._longest)
        m.d.comb += [
            dut.packet.payload.byte.eq(self.byte),
            dut.packet.payload.last.eq(self.last),
            dut.packet.valid.eq(self.valid),
            dut.frame.ready.eq(self.ready),
        ]
        state, place = self.probe_state, self.probe_place
        count, full = Signal(range(self._longest + 1)), Signal(range(self._places))
        sent, ended = Signal(range(self._places + 1)), Signal()
        leaves = dut.frame.valid & self.ready
        m.d.sync += ended.eq(leaves & self.probe_sent)
        with m.If(self.valid & dut.packet.ready):
            m.d.sync += count.eq(count + 1)
        closes_full = (state == CLOSE) & ~self.probe_zero & ~self.probe_last
        with m.If(closes_full):
            m.d.sync += full.eq(full + 1)
        with m.If(leaves):
            m.d.sync += sent.eq(sent + 1)
            with m.If(self.probe_sent):
                m.d.sync += [sent.eq(0), count.eq(0), full.eq(0)]

        pending = (state == STORE) | ((state == CLOSE) & self.probe_zero)  # the byte has no place
        in_block = (FULL - 1) * full + self.probe_code - 1
        m.d.comb += [
            Assume(~self.valid | self.last | (count < self._longest - 1)),
            Assert(dut.packet.ready == (state == TAKE)),
            Assert(dut.frame.valid == (state == SEND)),
            Assert(~leaves | (self.probe_sent == (sent == count + full + 1))),
            Assert(count <= self._longest),
            Assert(place == 1 + count + full - pending),
            Assert(full * (FULL - 1) <= count),
            Assert(~self.probe_we | (self.probe_address < self._places)),
            Assert(self.probe_code != 0),
            Cover(ended),
        ]
        assert_holds(m, dut.frame.valid, self.ready, dut.frame.payload)
        with m.If(state <= CLOSE):
            m.d.comb += [
                Assert(place == self.probe_code_place + self.probe_code),
                Assert(in_block + pending <= count),
                Assert(sent == 0),
                Assert((state != TAKE) | (self.probe_code < FULL)),
                Assert((state != TAKE) | (count < self._longest)),
                Assert((state != STORE) | (self.probe_code < FULL)),
                Assert((state == TAKE) | (count != 0)),
                Assert((state != STORE) | self.probe_last | (count < self._longest)),
            ]
            with m.If(state == CLOSE):
                m.d.comb += [
                    Assert(self.probe_last | self.probe_zero | (self.probe_code == FULL)),
                    Assert(~self.probe_zero | (self.probe_code < FULL)),
                    Assert(self.probe_last | (count < self._longest)),
                ]
        with m.Else():
            reached = Mux((state == SETTLE) | (state == SEND), 1, 0)
            m.d.comb += [
                Assert((state == END) | (self.probe_code == 1)),
                Assert((state != END) | (sent == 0)),
                Assert((state == END) | (self.probe_code_place == sent + reached)),
                Assert(sent <= count + full + 1),
                Assert(~reached | (self.probe_sent == (sent == place))),
            ]
        return m


class DecoderRules(wiring.Component):
    """The decoder: each frame that is not empty ends once; one with a byte lost is not good.

    Nor is one that ends within a block. No byte comes with an end. Covered: a good frame.
    """

    PROBES: ClassVar[dict[str, str]] = {"probe_left": "dut.left", "probe_spoilt": "dut.spoilt"}

    def __init__(self, params: NoParams) -> None:
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "error": In(1),
                "probe_left": In(8),
                "probe_spoilt": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the decoder, what its frames are, and the claims."""
        m = Module()
        m.submodules.dut = dut = CobsDecoder()
        m.d.comb += [getattr(dut, n).eq(getattr(self, n)) for n in ("data", "valid", "error")]
        ends = self.valid & (self.data == 0)
        some, lost = Signal(), Signal()  # of the frame: anything came; a byte was lost
        missing = Signal(8)  # bytes that the last code promised
        ended, good = Signal(), Signal()
        m.d.sync += [ended.eq(ends & some), good.eq(~lost & (missing == 0))]
        with m.If(ends):
            m.d.sync += [some.eq(0), lost.eq(0), missing.eq(0)]
        with m.Elif(self.valid):
            m.d.sync += [some.eq(1), missing.eq(Mux(missing == 0, self.data, missing) - 1)]
        with m.If(self.error):
            m.d.sync += [some.eq(1), lost.eq(1)]
        m.d.comb += [
            Assume(~(self.valid & self.error)),
            Assert(dut.end == ended),
            Assert(~dut.end | (dut.good == good)),
            Assert(~(dut.end & dut.strobe)),
            Assert(dut.begun == some),
            Assert(self.probe_spoilt == lost),
            Assert(self.probe_left == missing),
            Cover(dut.end & dut.good),
        ]
        return m
