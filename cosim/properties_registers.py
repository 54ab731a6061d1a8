# SPDX-License-Identifier: Apache-2.0
"""What is proven of the device's counters: words that are read, beats put together of bytes."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import ClassVar

from amaranth.hdl import Array, Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, flipped

from cosim.properties_link import NoParams
from fpga.accelerator_design import STREAMS, assemble_beats
from fpga.bus import REGISTER_BITS, Bus
from fpga.protocol import OWN_REGISTERS, REGISTER_BYTES, Region
from fpga.registers import Registers

__all__ = ["BeatRules", "RegisterRules"]

SIZES = {"program": 4, "entries": 3, "affines": 1}
"""Streams and the bytes of their beats."""


@dataclasses.dataclass(frozen=True)
class _Design:
    """What `Registers` asks of a design: two counts, and a region that is only written."""

    name = "counts"
    arguments = 1
    registers = ("first", "second")
    regions = (Region("program", STREAMS["program"], 64, 4, "w"),)


class RegisterRules(wiring.Component):
    """A word that is read in order is what was counted when its first byte was read.

    Whatever is counted meanwhile: the cycles of the last run, and how many there were; the CRC
    takes each byte that is loaded, once. Covered: the last byte of a register.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_cycles": "dut.cycles",
        "probe_runs": "dut.runs",
        "probe_taken": "dut.taken",
        "probe_loaded": "dut.crc",
        "probe_valid": "dut.valid",
        "probe_data": "dut.data",
    }

    def __init__(self, params: NoParams) -> None:
        super().__init__(
            {
                **{name: In(1) for name in ("run", "busy", "re", "we", "synced", "probe_valid")},
                **{name: In(8) for name in ("wdata", "probe_data")},
                **{name: In(32) for name in ("probe_cycles", "probe_runs", "probe_loaded")},
                "address": In(32),
                "region": In(4),
                "counts": In(2 * REGISTER_BITS),
                "probe_taken": In(REGISTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the registers, a count of what goes by, and the claims."""
        m = Module()
        design = _Design()
        m.submodules.dut = dut = Registers(design)  # type: ignore[arg-type]
        m.d.comb += [
            *(
                getattr(dut.bus, name).eq(getattr(self, name))
                for name in ("run", "re", "we", "wdata", "address", "region")
            ),
            dut.synced.eq(self.synced),
            dut.busy.eq(self.busy),
            Value.cast(dut.counts).eq(self.counts),
        ]
        cycles, runs, word = Signal(32), Signal(32), Signal(REGISTER_BITS)
        m.d.sync += [
            cycles.eq(Mux(self.run, 0, cycles + self.busy)),
            runs.eq(runs + self.run),
        ]
        counts = [self.counts.word_select(n, REGISTER_BITS) for n in range(len(design.registers))]
        words = Array([self.busy, cycles, runs, self.probe_loaded, *counts])
        byte = self.address % REGISTER_BYTES
        with m.If(self.re & (byte == 0)):
            m.d.sync += word.eq(words[(self.address // REGISTER_BYTES)[:3]])
        # Two cycles after ``re``, for as long as the address holds.
        read, address, expected = Signal(2), Signal(32), Signal(8)
        m.d.sync += [
            read.eq(Cat(self.re, read)),
            address.eq(self.address),
            expected.eq(Cat(word, Const(0, 16)).word_select(byte[:3], 8)),
        ]
        loads, data = Signal(), Signal(8)
        m.d.sync += [
            loads.eq(self.we & (self.region == STREAMS["program"])),
            data.eq(self.wdata),
        ]
        registers = len(OWN_REGISTERS) + len(design.registers)
        m.d.comb += [
            Assume(self.address < REGISTER_BYTES * registers),
            Assume(~read.any() | (self.address == address)),
            Assert((self.probe_cycles == cycles) & (self.probe_runs == runs)),
            Assert(self.probe_taken == word),
            Assert(~read[1] | (dut.bus.rdata == expected)),
            Assert((self.probe_valid == loads) & (self.probe_data == data)),
            Cover(read[1] & (self.address == REGISTER_BYTES * 5 + 5) & (word == 3 << 40)),
        ]
        return m


class BeatRules(wiring.Component):
    """Of bytes that come in a row every n-th ends a beat, which is the last n bytes.

    In the stream of their region, one cycle later, and in no other; a piece of a beat that is left
    over when a transfer begins is dropped. Covered: a beat after such a piece.
    """

    PROBES: ClassVar[dict[str, str]] = {"probe_count": "dut.count", "probe_word": "dut.word"}

    def __init__(self, params: NoParams) -> None:
        longest = max(SIZES.values())
        super().__init__(
            {
                "begin": In(1),
                "we": In(1),
                "region": In(4),
                "wdata": In(8),
                "probe_count": In(range(longest)),
                "probe_word": In(8 * longest),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the counter of bytes, another one, and the claims."""
        m = Module()
        m.submodules.dut = dut = Module()
        bus = flipped(Bus().create())
        m.d.comb += [
            getattr(bus, name).eq(getattr(self, name))
            for name in ("begin", "we", "region", "wdata")
        ]
        loads = SimpleNamespace(
            **{
                name: stream.Signature(8 * size, always_ready=True).create(path=(name,))
                for name, size in SIZES.items()
            }
        )
        assemble_beats(dut, bus, SIZES, loads)

        region, bytes_, before = Signal(4), Signal(range(max(SIZES.values()))), Signal(32)
        m.d.sync += region.eq(self.region)
        ended, dropped = {name: Signal(name=f"ended_{name}") for name in SIZES}, Signal()
        size = Signal(range(max(SIZES.values()) + 1))  # 0 of any other region
        for name in SIZES:
            with m.If(self.region == STREAMS[name]):
                m.d.comb += size.eq(SIZES[name])
        last = self.we & (bytes_ + 1 == size)
        with m.If(self.begin):
            m.d.sync += [bytes_.eq(0), dropped.eq(dropped | (bytes_ != 0))]
        with m.Elif(self.we):
            m.d.sync += [
                bytes_.eq(Mux(last, 0, bytes_ + 1)),
                before.eq(Cat(before[8:], self.wdata)),
            ]
        m.d.sync += [ended[name].eq(last & (self.region == STREAMS[name])) for name in SIZES]
        m.d.comb += [
            # What the bus promises.
            Assume(~(self.begin & self.we)),
            Assume(self.begin | (self.region == region)),
            Assert(self.probe_count == bytes_),
            Assert(self.probe_word == before),
            Assert(self.begin | (size == 0) | (bytes_ < size)),
            Cover(dropped & ended["entries"]),
        ]
        for name, count in SIZES.items():
            load = getattr(loads, name)
            m.d.comb += [
                Assert(load.valid == ended[name]),
                Assert(~load.valid | (load.payload == before[-8 * count :])),
            ]
        return m
