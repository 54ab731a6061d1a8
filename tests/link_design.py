# SPDX-License-Identifier: Apache-2.0
"""A design that keeps a record: every kind of region, and runs of a known length."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.bus import Bus
from fpga.protocol import Region
from hw.memory import ReadFirstMemory

RUN_CYCLES = 3000


class RecordingDesign(wiring.Component):
    """`bytes` is a memory, `words` can be read only, `beats` of 3 bytes can be written only."""

    name = "record"
    arguments = 2
    registers = ("begun", "argument")
    regions = (
        Region("bytes", 2, 320, 1, "rw"),
        Region("words", 3, 40, 4, "r"),
        Region("beats", 9, 303, 3, "w"),
    )

    @property
    def parameters(self):
        return {}

    def __init__(self):
        super().__init__(
            {"bus": In(Bus(2)), "writes": Out(16), "begun": Out(16), "running": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        m.submodules.memory = memory = ReadFirstMemory(width=8, depth=512)
        wait = Signal(range(RUN_CYCLES + 1))
        argument = Signal(32, init=0x04030201)
        with m.If(bus.run):
            m.d.sync += [wait.eq(RUN_CYCLES), argument.eq(argument + bus.argument)]
        with m.Elif(bus.busy):
            m.d.sync += wait.eq(wait - 1)
        m.d.comb += [
            bus.busy.eq(wait != 0),
            self.running.eq(wait != 0),
            memory.addr.eq(bus.address),
            memory.wdata.eq(bus.wdata),
            memory.we.eq(bus.we & (bus.region == 2)),
            bus.registers[0].eq(self.begun),
            bus.registers[1].eq(argument),
        ]
        m.d.sync += [
            bus.rdata.eq(Mux(bus.region == 3, 0xC0 + bus.address, memory.rdata)),
            self.writes.eq(self.writes + bus.we),
            self.begun.eq(self.begun + bus.begin),
        ]
        return m
