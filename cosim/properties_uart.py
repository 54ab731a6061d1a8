# SPDX-License-Identifier: Apache-2.0
"""What is proven of ``fpga.uart``: bits are sampled in their middle, and sent for their whole time.

A ghost counts cycles from the edge of a start bit, or from the byte that is taken, and says from
their number alone which bit it is.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from amaranth.hdl import Array, Assert, Cat, Const, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from cosim.properties_link import BYTE_CYCLES
from fpga.uart import UartReceiver, UartTransmitter

__all__ = ["LineParams", "UartReceives", "UartSends"]

BITS = 10  # start, eight of data, stop
IDLE, RECEIVE, WAIT = range(3)  # states of the receiver, as Amaranth numbers them


@dataclasses.dataclass(frozen=True)
class LineParams:
    """A line of so many cycles a bit."""

    clocks_per_bit: int

    @property
    def name(self) -> str:
        """For the name of a proof."""
        return str(self.clocks_per_bit)


class UartReceives(wiring.Component):
    """The receiver: a byte or an error for each start bit that lasts, never both, and in time.

    Bit n is what the line is clocks_per_bit/2 + n·clocks_per_bit cycles after its edge. ``valid``
    strobes, with the eight bits of data, if the last one is high; ``error`` if it is low, and
    then no byte begins before the line has been high. Strobes are at least twelve cycles apart,
    which is what the link wants. Covered: a byte, an error, noise.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_rx": "dut.synchroniser.stage1",
        "probe_state": "dut.fsm_state",
        "probe_timer": "dut.timer",
        "probe_bits": "dut.bits",
    }

    def __init__(self, params: LineParams) -> None:
        self._period = params.clocks_per_bit
        timer = Signal(range(-1, self._period)).shape()
        super().__init__(
            {
                "rx": In(1),
                "probe_rx": In(1),
                "probe_state": In(2),
                "probe_timer": In(timer),
                "probe_bits": In(BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the receiver, the ghost and the claims."""
        m = Module()
        period, half = self._period, self._period // 2
        m.submodules.dut = dut = UartReceiver(period)
        m.d.comb += dut.rx.eq(self.rx)

        age = Signal(range(half + (BITS - 1) * period + 1))  # 0: no byte is under way
        came = [Signal(name=f"came_{n}") for n in range(BITS)]
        got = Signal(range(BITS))  # bits that have been sampled
        blocked = Signal()
        valid, error, byte = Signal(), Signal(), Signal(8)
        noise = Signal()
        samples = (age != 0) & (age == half + got * period)
        m.d.sync += [valid.eq(0), error.eq(0), noise.eq(0)]
        with m.If(age == 0):
            m.d.sync += [got.eq(0), age.eq(~self.probe_rx & ~blocked)]
        with m.Else():
            m.d.sync += age.eq(age + 1)
        with m.If(blocked & self.probe_rx):
            m.d.sync += blocked.eq(0)
        with m.If(samples):
            m.d.sync += [got.eq(got + 1), Array(came)[got].eq(self.probe_rx)]
            with m.If((got == 0) & self.probe_rx):
                m.d.sync += [age.eq(0), noise.eq(1)]
            with m.If(got == BITS - 1):
                m.d.sync += [
                    age.eq(0), blocked.eq(1), byte.eq(Cat(came[1:])),
                    valid.eq(self.probe_rx), error.eq(~self.probe_rx),
                ]  # fmt: skip

        strobe = dut.valid | dut.error
        quiet = Signal(range(BYTE_CYCLES + 1), init=BYTE_CYCLES)  # cycles since the last strobe
        m.d.sync += quiet.eq(Mux(strobe, 1, quiet + (quiet != BYTE_CYCLES)))
        m.d.comb += [
            Assert(~strobe | ((quiet == BYTE_CYCLES) & (age == 0))),
            Assert(strobe | (quiet == BYTE_CYCLES) | (quiet + 1 >= age)),
            Assert(quiet <= BYTE_CYCLES),
            Assert((dut.valid == valid) & (dut.error == error)),
            Assert(~(dut.valid & dut.error)),
            Assert(~dut.valid | (dut.data == byte)),
            Assert(self.probe_state == Cat(age != 0, blocked)),
            Assert(~(blocked & (age != 0))),
            Cover(dut.valid & (dut.data == 0x53)),
            Cover(dut.error),
            Cover(noise),
        ]
        with m.If(age != 0):
            m.d.comb += Assert(self.probe_timer == half + got * period - age - 1)
            m.d.comb += Assert((got < BITS) & (age <= half + got * period))
            m.d.comb += Assert((got == 0) | (age > half + (got - 1) * period))
            for number in range(BITS):
                with m.If(got == number):
                    marked = Cat(Const(1 << (BITS - 1 - number), BITS - number), came[:number])
                    m.d.comb += Assert(self.probe_bits == marked)
            m.d.comb += Assert((got == 0) | ~came[0])
        return m


class UartSends(wiring.Component):
    """The transmitter: a byte is ten bits, each for clocks_per_bit cycles, from the next cycle on.

    The line is high at rest, where alone a byte is taken. Covered: a second byte at its end.
    """

    PROBES: ClassVar[dict[str, str]] = {"probe_timer": "dut.timer", "probe_bits": "dut.bits"}

    def __init__(self, params: LineParams) -> None:
        self._period = params.clocks_per_bit
        timer = Signal(range(-1, self._period)).shape()
        super().__init__(
            {
                "byte": In(8),
                "valid": In(1),
                "probe_timer": In(timer),
                "probe_bits": In(BITS + 1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the transmitter, the ghost and the claims."""
        m = Module()
        period = self._period
        m.submodules.dut = dut = UartTransmitter(period)
        m.d.comb += [dut.bytes.payload.eq(self.byte), dut.bytes.valid.eq(self.valid)]

        sends, second = Signal(), Signal()
        bit, phase = Signal(range(BITS)), Signal(range(period))
        byte = Signal(8)
        ends = phase == period - 1
        with m.If(~sends):
            m.d.sync += [sends.eq(self.valid), byte.eq(self.byte), bit.eq(0), phase.eq(0)]
        with m.Elif(ends):
            m.d.sync += [phase.eq(0), bit.eq(Mux(bit == BITS - 1, 0, bit + 1))]
            with m.If(bit == BITS - 1):
                m.d.sync += [sends.eq(0), second.eq(1)]
        with m.Else():
            m.d.sync += phase.eq(phase + 1)

        line = Cat(Const(0, 1), byte, Const(1, 1))
        m.d.comb += [
            Assert(dut.bytes.ready == ~sends),
            Assert(dut.tx == (~sends | line.bit_select(bit, 1))),
            Assert(bit < BITS),
            Assert(phase < period),
            Cover(second & sends),
        ]
        with m.If(sends):
            m.d.comb += Assert(self.probe_timer == period - 2 - phase)
            m.d.comb += Assert(self.probe_bits == Cat(line, Const(1, 1)) >> bit)
        with m.Else():
            m.d.comb += Assert(self.probe_bits == 1)
        return m
