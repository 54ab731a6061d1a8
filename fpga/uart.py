# SPDX-License-Identifier: Apache-2.0
"""UART: 8 data bits, no parity, one stop bit, least significant bit first."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from hw.params import check_integer

__all__ = ["UartReceiver", "UartTransmitter"]

_BITS = 10  # start, eight of data, stop


class UartReceiver(wiring.Component):
    """Bits to bytes. A byte counts only with its stop bit.

    A bit is sampled in its middle, counted from the edge of the start bit. After half of the stop
    bit it waits for the next edge, so that the sender's clock may be a few percent faster or
    slower. A start bit that is
    over before its middle is noise.

    Parameters
    ----------
    clocks_per_bit : int
        4…65,535.

    Members
    -------
    rx : In
        May change at any time: goes through two flip-flops.
    data : Out, 8
    valid : Out
        Strobe: ``data`` is a byte.
    error : Out
        Strobe: where a stop bit should be, the line was low. The next byte begins once it was high.
    """

    def __init__(self, clocks_per_bit: int) -> None:
        self._clocks_per_bit = check_integer("clocks_per_bit", clocks_per_bit, 4, 65535)
        super().__init__(
            {"rx": In(1, init=1), "data": Out(8), "valid": Out(1), "error": Out(1)}
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        rx = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, rx, init=1)

        # Cycles to the next sample, less one; -1 ends a count, so that one bit tells it.
        period = self._clocks_per_bit
        timer = Signal(range(-1, period))
        sample = timer[-1]
        # The bits so far, from the top; a one that the start bit pushes out at the bottom ends it.
        bits = Signal(_BITS)
        starts = bits == 1 << (_BITS - 1)
        ends = bits[0]

        m.d.sync += [self.valid.eq(0), self.error.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [timer.eq(period // 2 - 2), bits.eq(1 << (_BITS - 1))]
                with m.If(~rx):
                    m.next = "BITS"
            with m.State("BITS"):
                m.d.sync += timer.eq(timer - 1)
                with m.If(sample):
                    m.d.sync += [timer.eq(period - 2), bits.eq(Cat(bits[1:], rx))]
                    with m.If(starts & rx):
                        m.next = "IDLE"
                    with m.Elif(ends):
                        m.d.sync += [self.data.eq(bits[2:]), self.valid.eq(rx), self.error.eq(~rx)]
                        m.next = "WAIT"
            with m.State("WAIT"), m.If(rx):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to bits.

    Parameters
    ----------
    clocks_per_bit : int
        2…65,535.

    Members
    -------
    bytes : In, stream of 8 bits
        A byte is taken once the one before has been sent, its stop bit included.
    tx : Out
        From a flip-flop; high at rest.
    """

    def __init__(self, clocks_per_bit: int) -> None:
        self._clocks_per_bit = check_integer("clocks_per_bit", clocks_per_bit, 2, 65535)
        super().__init__({"bytes": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        period = self._clocks_per_bit
        timer = Signal(range(-1, period))
        # The lowest bit is on the line. A one above the stop bit tells how many are left.
        bits = Signal(_BITS + 1, init=1)
        rest = Signal(init=1)
        m.d.comb += [self.bytes.ready.eq(rest), self.tx.eq(bits[0])]
        with m.If(rest):
            m.d.sync += timer.eq(period - 2)
            with m.If(self.bytes.valid):
                m.d.sync += [bits.eq(Cat(Const(0, 1), self.bytes.payload, Const(3, 2))), rest.eq(0)]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
            with m.If(timer[-1]):
                m.d.sync += timer.eq(period - 2)
                m.d.sync += bits.eq(Cat(bits[1:], Const(0, 1)))
                with m.If(bits[1:] == 1):
                    m.d.sync += rest.eq(1)
        return m
