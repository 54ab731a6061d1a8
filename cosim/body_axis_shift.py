# SPDX-License-Identifier: Apache-2.0
"""Tests of AxisShift inside the simulator.

Parameters of a run: ``block``, ``height``, ``width``, ``bits``, ``seed``. Arrays: ``maps``
[N, H, W], port values, and ``moved`` [N, 9, H, W], what PyTorch makes of them by direction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import cocotb
import numpy as np

from cosim.bench import Port, StreamSink, StreamSource, array, idle, parameters, reset, together
from hw.params import Direction, ShiftParams
from hw.timing import axis_cycles

TIMEOUT = 5  # ms: 500,000 cycles


@dataclasses.dataclass(frozen=True)
class Packet:
    """A map to send, the direction to send it with, and how many beats until TLAST."""

    index: int
    direction: Direction
    beats: int


class Scenario:
    """One block, a source, a sink, and a seeded generator for data, directions and stalls."""

    def __init__(self, dut: Any) -> None:
        given = parameters()
        self.params = ShiftParams(height=given["height"], width=given["width"], bits=given["bits"])
        self.random = np.random.Generator(np.random.PCG64(given["seed"]))
        self.maps = array("maps")
        self.moved = array("moved")
        self.port = Port(dut, given["block"])
        self.stalls = (0.0, 0.0)  # probability of a waiting cycle: source, sink
        self.sink = StreamSink(self.port, lambda: bool(self.random.random() < self.stalls[1]))
        self.source = StreamSource(self.port, lambda: self.sink.now)
        self._noise = (1 << -(-self.params.bits // 8) * 8) - (1 << self.params.bits)
        self._next = 0

    async def begin(self) -> None:
        """Reset, and take beats from then on."""
        await reset(
            self.port,
            s_axis_tvalid=0,
            s_axis_tdata=0,
            s_axis_tuser=0,
            s_axis_tlast=0,
            m_axis_tready=0,
        )
        cocotb.start_soon(self.sink.run())

    def packet(self, beats: int | None = None) -> Packet:
        """Return a packet with the next map and a random direction; whole, unless told."""
        self._next += 1
        return Packet(
            self._next % len(self.maps),
            Direction(int(self.random.integers(8))),
            self.params.pixels if beats is None else beats,
        )

    async def send(self, packet: Packet) -> None:
        """Send a packet; TUSER but the first, and the bits above a pixel, are noise."""
        pixels = self.maps[packet.index].ravel().tolist()
        for beat in range(packet.beats):
            noise = int(self.random.integers(1 << 16)) & self._noise
            user = int(packet.direction) if beat == 0 else int(self.random.integers(8))
            stall = 0
            while self.random.random() < self.stalls[0]:
                stall += 1
            await self.source.put(
                pixels[beat % len(pixels)] | noise,
                user=user,
                last=beat == packet.beats - 1,
                stall=stall,
            )

    async def exchange(self, packets: Sequence[Packet]) -> int:
        """Send packets, take what comes, compare; cycles from the first beat to the last.

        Nothing may come out for a packet of the wrong length, which instead must raise ``error``
        once, in the cycle that takes its TLAST.
        """
        sink, source = self.sink, self.source
        sink.beats.clear()
        sink.cycle.clear()
        sink.errors.clear()
        source.cycle.clear()
        whole = [packet for packet in packets if packet.beats == self.params.pixels]

        async def send_all() -> None:
            for packet in packets:
                await self.send(packet)

        async def take_all() -> None:
            for _ in range(10 * (len(packets) + 1) * (3 * self.params.pixels + 10)):
                if len(sink.beats) >= len(whole) * self.params.pixels:
                    return
                await self.port.rise()
            raise AssertionError(
                f"{self.params.name}: {len(whole)} maps must come out, not {len(sink.beats)} beats"
            )

        await together(send_all(), take_all())
        cycles = sink.cycle[-1] - source.cycle[0] + 1 if whole else 0
        await idle(self.port, 4)  # anything that comes too much
        self._compare(whole)
        ends = np.cumsum([packet.beats for packet in packets]) - 1
        expected = [
            source.cycle[end]
            for packet, end in zip(packets, ends, strict=True)
            if packet.beats != self.params.pixels
        ]
        assert sink.errors == expected, (
            f"{self.params.name}: error must strobe in the cycles {expected}, not {sink.errors}"
        )
        return cycles

    def _compare(self, packets: Sequence[Packet]) -> None:
        pixels = self.params.pixels
        for number, packet in enumerate(packets):
            got = self.sink.beats[number * pixels : (number + 1) * pixels]
            values = self.moved[packet.index, packet.direction].ravel().tolist()
            expected = [(value, int(place == pixels - 1)) for place, value in enumerate(values)]
            wrong = [place for place in range(pixels) if got[place] != expected[place]]
            assert not wrong, (
                f"{self.params.name} {packet.direction.name}, map {packet.index}, packet {number}: "
                f"{len(wrong)} beats differ, first beat {wrong[0]}: (TDATA, TLAST) must be "
                f"{expected[wrong[0]]}, not {got[wrong[0]]}"
            )
        extra = len(self.sink.beats) - len(packets) * pixels
        assert extra == 0, f"{self.params.name}: {extra} beats too many"


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def maps_with_random_stalls(dut: Any) -> None:
    """Either side waits never, now and then, or most of the time."""
    scenario = Scenario(dut)
    await scenario.begin()
    for stalls in [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.3, 0.3), (0.05, 0.75), (0.75, 0.05)]:
        scenario.stalls = stalls
        count = min(12, max(2, 400 // scenario.params.pixels))
        await scenario.exchange([scenario.packet() for _ in range(count)])


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def cycles_without_stalls(dut: Any) -> None:
    """Without stalls, maps back to back take exactly the cycles of hw.timing."""
    scenario = Scenario(dut)
    await scenario.begin()
    for maps in (1, 2, 8):
        cycles = await scenario.exchange([scenario.packet() for _ in range(maps)])
        expected = axis_cycles(scenario.params, maps=maps)
        assert cycles == expected, (
            f"{scenario.params.name}: {maps} maps must take {expected} cycles, not {cycles}"
        )


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def packets_of_wrong_length(dut: Any) -> None:
    """TLAST early or late: the packet is dropped, error strobes once, the next map is intact."""
    scenario = Scenario(dut)
    pixels = scenario.params.pixels
    await scenario.begin()
    lengths = [*range(1, pixels), pixels + 1, pixels + 2, 2 * pixels, 2 * pixels + 1]
    if len(lengths) > 30:
        inner = scenario.random.choice(lengths[2:-5], 10, replace=False).tolist()
        lengths = [1, 2, *inner, *lengths[-5:]]
    for stalls in [(0.0, 0.0), (0.4, 0.4)]:
        scenario.stalls = stalls
        packets = []
        for beats in lengths:
            packets += [scenario.packet(beats)] * int(scenario.random.integers(1, 3))
            packets.append(scenario.packet())
        await scenario.exchange(packets)


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def reset_at_every_moment(dut: Any) -> None:
    """Reset drops what is inside; the next map is right, wherever the last one was cut off."""
    scenario = Scenario(dut)
    await scenario.begin()
    last = axis_cycles(scenario.params)
    moments = list(range(1, last + 1))
    if len(moments) > 60:
        moments = sorted(scenario.random.choice(moments, 24, replace=False).tolist())
    for moment in moments:
        lost = cocotb.start_soon(scenario.send(scenario.packet()))
        await idle(scenario.port, moment)
        lost.cancel()
        scenario.sink.forget()
        scenario.port.drive(rst=1, s_axis_tvalid=0)
        await scenario.port.rise()
        scenario.port.drive(rst=0)
        await scenario.exchange([scenario.packet()])
