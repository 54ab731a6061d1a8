# SPDX-License-Identifier: Apache-2.0
"""A design behind the host link: all that is on a board after its pads.

``python -m fpga.device`` prints the Verilog of the shift module's device, for simulation.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.bus import Design
from fpga.link import Link
from fpga.protocol import INFO, REGISTERS
from fpga.registers import InfoRom, Registers, device_info, device_regions
from fpga.shift_design import ShiftDesign
from fpga.uart import UartReceiver, UartTransmitter
from hw import cli
from hw.params import MAX_SIDE, ShiftParams, check_integer
from hw.verilog import emit

__all__ = ["Core", "Device", "main"]

PROGRAM = "python -m fpga.device"
SIMULATED_CLOCKS_PER_BIT = 8


class Core(wiring.Component):
    """Link and design between two streams of bytes.

    Parameters
    ----------
    design : Design
    clock_hz : int
        Told to the host.

    Members
    -------
    data, valid, error : In
        Bytes from the line, as `fpga.uart.UartReceiver`.
    frame : Out, stream of 8 bits
        Bytes to the line.
    busy : Out
        Level: a run goes on.
    dropped : Out
        Strobe: a frame was dropped.
    """

    def __init__(self, design: Design, *, clock_hz: int) -> None:
        self._design = design
        self._info = device_info(design, clock_hz)
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "error": In(1),
                "frame": Out(stream.Signature(8)),
                "busy": Out(1),
                "dropped": Out(1),
            }
        )

    @property
    def info(self) -> dict[str, Any]:
        """What region ``info`` holds."""
        return self._info

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        m.submodules.design = design = self._design
        regions = device_regions(design, self._info["regions"][INFO]["bytes"])
        m.submodules.link = link = Link(regions=regions, arguments=design.arguments)
        m.submodules.info = info = InfoRom(self._info)
        m.submodules.registers = registers = Registers(design)
        connect(m, link.frame, flipped(self.frame))
        m.d.comb += [
            link.data.eq(self.data),
            link.valid.eq(self.valid),
            link.error.eq(self.error),
            self.busy.eq(design.bus.busy),
            self.dropped.eq(link.dropped),
            info.address.eq(link.bus.address),
            registers.synced.eq(link.synced),
            registers.busy.eq(design.bus.busy),
            link.bus.busy.eq(design.bus.busy),
        ]
        if design.registers:
            m.d.comb += registers.counts.eq(design.bus.registers)
        for name in ("region", "address", "begin", "re", "we", "wdata", "run", "argument"):
            for part in (registers, design):
                m.d.comb += getattr(part.bus, name).eq(getattr(link.bus, name))
        with m.Switch(link.bus.region):
            with m.Case(INFO):
                m.d.comb += link.bus.rdata.eq(info.rdata)
            with m.Case(REGISTERS):
                m.d.comb += link.bus.rdata.eq(registers.bus.rdata)
            with m.Default():
                m.d.comb += link.bus.rdata.eq(design.bus.rdata)
        return m


class Device(wiring.Component):
    """A core behind a UART.

    Parameters
    ----------
    design : Design
    clocks_per_bit : int
        Of the UART, 4…65,535.
    clock_hz : int
        Told to the host.

    Members
    -------
    rx : In
    tx : Out
    busy : Out
        Level: a run goes on.
    error : Out
        Strobe: a frame was dropped.
    """

    def __init__(self, design: Design, *, clocks_per_bit: int, clock_hz: int) -> None:
        self._design = design
        self._clocks_per_bit = check_integer("clocks_per_bit", clocks_per_bit, 4, 65535)
        self._clock_hz = clock_hz
        super().__init__(
            {"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1), "error": Out(1)}
        )

    @property
    def info(self) -> dict[str, Any]:
        """What region ``info`` holds."""
        return device_info(self._design, self._clock_hz)

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._clocks_per_bit)
        m.submodules.transmitter = transmitter = UartTransmitter(self._clocks_per_bit)
        m.submodules.core = core = Core(self._design, clock_hz=self._clock_hz)
        connect(m, core.frame, transmitter.bytes)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            core.data.eq(receiver.data),
            core.valid.eq(receiver.valid),
            core.error.eq(receiver.error),
            self.tx.eq(transmitter.tx),
            self.busy.eq(core.busy),
            self.error.eq(core.dropped),
        ]
        return m


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the Verilog of a device with the shift module; return the exit code."""
    parser = cli.Parser(PROGRAM, "Print the Verilog of the shift module's device.")
    side = cli.integer("side", 2, MAX_SIDE)
    parser.add_argument("--height", type=side, metavar="PIXELS", default=16, help="rows")
    parser.add_argument("--width", type=side, metavar="PIXELS", default=16, help="columns")
    parser.add_argument(
        "--bits", type=cli.integer("bits", 1, 8), metavar="BITS", default=8, help="of a pixel"
    )
    parser.add_argument(
        "--clocks-per-bit",
        type=cli.integer("clocks per bit", 4, 65535),
        metavar="CYCLES",
        default=SIMULATED_CLOCKS_PER_BIT,
        help="of the UART",
    )
    parser.add_argument(
        "--clock-hz",
        type=cli.integer("clock", 1, 10**9),
        metavar="HZ",
        default=100_000_000,
        help="told to the host",
    )
    options: argparse.Namespace = parser.parse_args(arguments)
    params = ShiftParams(height=options.height, width=options.width, bits=options.bits)
    device = Device(
        ShiftDesign(params=params),
        clocks_per_bit=options.clocks_per_bit,
        clock_hz=options.clock_hz,
    )
    print(emit(device, "device"), end="")
    return 0


if __name__ == "__main__":
    cli.run(main)
