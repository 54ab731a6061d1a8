# SPDX-License-Identifier: Apache-2.0
"""CRC-32 of bytes, a bit a cycle: at the speed of a serial line there is time to be small."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SerialCrc"]

_POLYNOMIAL = 0xEDB88320  # as all here, least significant bit first
_ONES = 0xFFFFFFFF
_RESIDUE = 0xDEBB20E3
"""What is left after a packet and its own CRC."""


class SerialCrc(wiring.Component):
    """CRC-32 as in Ethernet and zlib. A byte at once takes three times the LUTs.

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
        rest = Signal(32, init=_ONES)
        bits = Signal(9)  # those left of the byte; a one above them
        with m.If(self.start):
            m.d.sync += rest.eq(_ONES)
        with m.Elif(self.busy):
            m.d.sync += rest.eq((rest >> 1) ^ Mux(rest[0] ^ bits[0], _POLYNOMIAL, 0))
        with m.If(self.valid):
            m.d.sync += [bits.eq(Cat(self.data, Const(1, 1))), self.busy.eq(1)]
        with m.Else():
            m.d.sync += [bits.eq(bits >> 1), self.busy.eq(bits[2:] != 0)]
        m.d.sync += self.intact.eq(rest == _RESIDUE)
        m.d.comb += self.crc.eq(~rest)
        return m
