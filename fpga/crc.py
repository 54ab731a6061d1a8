# SPDX-License-Identifier: Apache-2.0
"""CRC-32 of bytes, a bit a cycle: at the speed of a serial line there is time to be small."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

__all__ = ["SerialCrc"]


class SerialCrc(wiring.Component):
    """CRC-32 as in Ethernet and zlib. A byte at once takes twice the LUTs.

    Members
    -------
    start : In
        Strobe, while not ``busy``: begin anew.
    data : In, 8
    valid : In
        Strobe, while not ``busy``: ``data`` is the next byte.
    busy : Out
        Level: the eight cycles after ``valid``.
    crc : Out, 32
        Of the bytes since ``start``; not while ``busy``.
    intact : Out
        The last four bytes are the CRC of those before; one cycle after the end of ``busy``.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "data": In(8),
                "valid": In(1),
                "busy": Out(1),
                "crc": Out(32),
                "intact": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        # One bit as a word: no order of bits within it.
        m.submodules.processor = processor = CRC32_ISO_HDLC(data_width=1).create()
        bits = Signal(9)  # those left, least significant first; a one above them
        m.d.comb += [
            processor.start.eq(self.start),
            processor.data.eq(bits[0]),
            processor.valid.eq(self.busy),
            self.crc.eq(processor.crc),
        ]
        m.d.sync += self.intact.eq(processor.match_detected)
        with m.If(self.valid):
            m.d.sync += [bits.eq(Cat(self.data, Const(1, 1))), self.busy.eq(1)]
        with m.Else():
            m.d.sync += [bits.eq(bits >> 1), self.busy.eq(bits[2:] != 0)]
        return m
