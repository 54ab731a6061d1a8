# SPDX-License-Identifier: Apache-2.0
"""The device's own two regions: what it is, and what it has counted."""

from __future__ import annotations

import json
from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpga.bus import REGISTER_BITS, Bus, Design
from fpga.protocol import INFO, OWN_REGISTERS, REGISTER_BYTES, REGISTERS, VERSION, Region

__all__ = ["InfoRom", "Registers", "device_info", "device_regions"]


def device_regions(design: Design, info_bytes: int) -> tuple[Region, ...]:
    """Return the regions of a device, its own two before the design's."""
    registers = REGISTER_BYTES * (len(OWN_REGISTERS) + len(design.registers))
    return (
        Region("info", INFO, info_bytes, 1, "r"),
        Region("registers", REGISTERS, registers, REGISTER_BYTES, "r"),
        *design.regions,
    )


def device_info(design: Design, clock_hz: int) -> dict[str, Any]:
    """Return what region ``info`` holds as JSON (``fpga/protocol.md``).

    The region's own size is part of it: a power of two bytes, the rest is 0.
    """
    parameters = dict(design.parameters)
    if design.registers:
        parameters["registers"] = list(design.registers)
    size = 256
    while True:
        size *= 2
        info = {
            "protocol": VERSION,
            "design": design.name,
            "clock_hz": clock_hz,
            "regions": [vars(region) for region in device_regions(design, size)],
            "parameters": parameters,
        }
        if len(info_bytes(info)) <= size:
            return info


def info_bytes(info: dict[str, Any]) -> bytes:
    """Return the contents of region ``info``: length, JSON."""
    text = json.dumps(info, separators=(",", ":")).encode("ascii")
    return len(text).to_bytes(4, "little") + text


class InfoRom(wiring.Component):
    """Region ``info``, a block RAM that is never written.

    Parameters
    ----------
    info : dict
        From `device_info`.

    Members
    -------
    address : In
    rdata : Out, 8
        Two cycles later.
    """

    def __init__(self, info: dict[str, Any]) -> None:
        self._contents = info_bytes(info)
        self._size = info["regions"][INFO]["bytes"]
        super().__init__({"address": In(range(self._size)), "rdata": Out(8)})

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        # Without the attribute synthesis would make logic of so small a table.
        m.submodules.memory = memory = Memory(
            shape=8, depth=self._size, init=self._contents, attrs={"rom_style": "block"}
        )
        read = memory.read_port()
        m.d.comb += [read.addr.eq(self.address), read.en.eq(1)]
        m.d.sync += self.rdata.eq(read.data)
        return m


class Registers(wiring.Component):
    """Region ``registers``: words of 64 bits, of which the device's own use 32, a design's 48.

    A word is taken as a whole when its first byte is read. They must be read in order, which the
    link does.

    Parameters
    ----------
    design : Design

    Members
    -------
    bus : In, Bus
        ``rdata`` is that of this region; ``busy`` and ``registers`` are not driven.
    synced : In
        Strobe: ``loaded`` begins anew.
    busy : In
    counts : In, 48 a register
        Both are the design's; ``counts`` only if it has any.
    """

    def __init__(self, design: Design) -> None:
        self._loads = {r.number: r for r in design.regions if not r.readable}
        self._counts = len(design.registers)
        layout = data.ArrayLayout(REGISTER_BITS, self._counts)
        counts = {"counts": In(layout)} if self._counts else {}
        super().__init__(
            {"bus": In(Bus()), "synced": In(1), "busy": In(1), **counts}
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        bus = self.bus
        cycles = Signal(32)
        runs = Signal(32)
        with m.If(bus.run):
            m.d.sync += [cycles.eq(0), runs.eq(runs + 1)]
        with m.Elif(self.busy):
            m.d.sync += cycles.eq(cycles + 1)

        loaded: Value = Const(0, 32)  # CRC-32 of no bytes
        if self._loads:
            m.submodules.crc = crc = CRC32_ISO_HDLC().create()
            m.d.sync += [
                crc.data.eq(bus.wdata),
                crc.valid.eq(bus.we & bus.region.matches(*self._loads)),
            ]
            m.d.comb += crc.start.eq(self.synced)
            loaded = crc.crc

        own = self.counts if self._counts else ()
        words = Array([self.busy, cycles, runs, loaded, *own])
        number = bus.address >> REGISTER_BYTES.bit_length() - 1
        taken = Signal(REGISTER_BITS if self._counts else 32)
        with m.If(bus.re & (bus.address % REGISTER_BYTES == 0)):
            m.d.sync += taken.eq(words[number[: (len(words) - 1).bit_length()]])
        octets = Array(taken[at : at + 8] for at in range(0, len(taken), 8))
        byte = bus.address % REGISTER_BYTES
        m.d.sync += bus.rdata.eq(Mux(byte < len(taken) // 8, octets[byte], 0))
        return m
