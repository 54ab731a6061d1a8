# SPDX-License-Identifier: Apache-2.0
"""What is proven of ``fpga.cobs``: what is encoded is decoded."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from amaranth.hdl import Array, Assert, Assume, Cover, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from fpga.cobs import CobsDecoder, CobsEncoder

__all__ = ["CobsRoundTrip", "PacketParams"]


@dataclasses.dataclass(frozen=True)
class PacketParams:
    """A packet of 1…longest bytes; at most 253, so that no block is full."""

    longest: int

    @property
    def name(self) -> str:
        """For the name of a proof."""
        return str(self.longest)

    @property
    def cycles(self) -> int:
        """From reset until the zero of the longest frame has been decoded.

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
