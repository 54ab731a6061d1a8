# SPDX-License-Identifier: Apache-2.0
"""The top of a board: pads, clock, reset and LEDs around a device."""

from __future__ import annotations

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from fpga.bus import Design
from fpga.device import Device
from hw.params import ParameterError, check_integer

__all__ = ["BAUD", "Top"]

BAUD = 1_000_000
"""Bits per second of the UART."""

_LEDS = 3  # that mean something
_RESET_STAGES = 4


class Top(wiring.Component):
    """A device with the pads of an Artix-7 around it, and no PLL: it runs at the board's clock.

    All flip-flops begin as configured, which is as after a reset; the reset then lasts until the
    clock has been there for four cycles. LEDs: 0 blinks slowly; 1 after a run, 2 after a dropped
    frame, each for about an eighth of a second; others are dark.

    Parameters
    ----------
    design : Design
    clock_hz : int
    differential : bool
        The clock comes on two pins.
    reset_active_low : bool
        Level of the pin that resets.
    leds : int
        At least 3.
    baud : int
        Of the UART; at most clock_hz / 4.

    Members
    -------
    clk, or clk_p and clk_n : In
    rst : In
    uart_rx : In
    uart_tx : Out
    led : Out, leds bits

    Raises
    ------
    ParameterError
        If the clock cannot make bits of the UART to within 1 %.
    """

    def __init__(
        self,
        design: Design,
        *,
        clock_hz: int,
        differential: bool,
        reset_active_low: bool,
        leds: int,
        baud: int = BAUD,
    ) -> None:
        check_integer("clock_hz", clock_hz, 1_000_000, 1_000_000_000)
        check_integer("baud", baud, 1, clock_hz // 4)
        clocks_per_bit = (clock_hz + baud // 2) // baud
        if abs(clocks_per_bit * baud - clock_hz) * 100 > clock_hz:
            raise ParameterError(
                f"clock_hz must be a multiple of the baud rate {baud} to within 1 %, not {clock_hz}"
            )
        self._differential = differential
        self._reset_active_low = reset_active_low
        self._blink_bits = clock_hz.bit_length()  # one to two seconds
        self._design = design
        self._clocks_per_bit = clocks_per_bit
        self._clock_hz = clock_hz
        clock_ports = ("clk_p", "clk_n") if differential else ("clk",)
        super().__init__(
            {
                **{name: In(1) for name in clock_ports},
                "rst": In(1),
                "uart_rx": In(1, init=1),
                "uart_tx": Out(1, init=1),
                "led": Out(check_integer("leds", leds, _LEDS, 64)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        m.submodules.device = device = Device(
            self._design, clocks_per_bit=self._clocks_per_bit, clock_hz=self._clock_hz
        )
        clock = Signal()
        rst = Signal()
        if self._differential:
            m.submodules.pad_clk = Instance(
                "IBUFDS", ("i", "I", self.clk_p), ("i", "IB", self.clk_n), ("o", "O", clock)
            )
        else:
            m.submodules.pad_clk = _input(self.clk, clock)
        m.submodules.pad_rst = _input(self.rst, rst)
        m.submodules.pad_uart_rx = _input(self.uart_rx, device.rx)
        m.submodules.pad_uart_tx = _output(device.tx, self.uart_tx)

        m.domains.sync = ClockDomain()
        m.submodules.clock_buffer = Instance("BUFG", ("i", "I", clock), ("o", "O", ClockSignal()))
        m.submodules.reset = FFSynchronizer(
            ~rst if self._reset_active_low else rst, ResetSignal(), init=1, stages=_RESET_STAGES
        )

        blink = Signal(self._blink_bits)
        slow = blink[-4]
        before = Signal()
        m.d.sync += [blink.eq(blink + 1), before.eq(slow)]
        lights = [blink[-1]]
        for name, event in (("busy", device.busy), ("error", device.error)):
            # What happens in one period of the slow clock is shown in the next one.
            seen, shown = Signal(name=f"{name}_seen"), Signal(name=f"{name}_shown")
            with m.If(slow & ~before):
                m.d.sync += [shown.eq(seen), seen.eq(0)]
            with m.If(event):
                m.d.sync += seen.eq(1)
            lights.append(shown)
        lights += [Value.cast(0)] * (len(self.led) - _LEDS)
        for number, light in enumerate(lights):
            m.submodules[f"pad_led_{number}"] = _output(light, self.led[number])
        return m


def _input(pad: Value, inside: Value) -> Instance:
    return Instance("IBUF", ("i", "I", pad), ("o", "O", inside))


def _output(inside: Value, pad: Value) -> Instance:
    return Instance("OBUF", ("i", "I", inside), ("o", "O", pad))
