# SPDX-License-Identifier: Apache-2.0
"""Tests of AxisShift inside the simulator, with cocotbext-axi on both sides.

Parameters of a run: ``block``, ``height``, ``width``, ``bits``, ``seed``. Arrays: ``maps``
[N, H, W], port values, and ``moved`` [N, 9, H, W], what PyTorch makes of them by direction.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotbext.axi import AxiStreamFrame

from cosim import axis_port
from cosim.bench import Port, array, idle, parameters, reset
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
        self.source = axis_port.source(dut, self.port, "s_axis", self._pauses(0))
        self.sink = axis_port.sink(dut, self.port, "m_axis", self._pauses(1))
        self.watch = axis_port.Watch(self.port, ["s_axis", "m_axis"], strobe="error")
        self._noise = (1 << -(-self.params.bits // 8) * 8) - (1 << self.params.bits)
        self._next = 0

    def _pauses(self, side: int) -> Iterator[bool]:
        while True:
            yield bool(self.random.random() < self.stalls[side])

    async def begin(self) -> None:
        """Reset, and watch from then on."""
        await reset(self.port)
        cocotb.start_soon(self.watch.run())

    def packet(self, beats: int | None = None) -> Packet:
        """Return a packet with the next map and a random direction; whole, unless told."""
        self._next += 1
        return Packet(
            self._next % len(self.maps),
            Direction(int(self.random.integers(8))),
            self.params.pixels if beats is None else beats,
        )

    def send(self, packet: Packet) -> None:
        """Queue a packet; TUSER but the first, and the bits above a pixel, are noise."""
        pixels = self.maps[packet.index].ravel()
        noise = self.random.integers(1 << 16, size=packet.beats) & self._noise
        data = np.resize(pixels, packet.beats) | noise
        user = self.random.integers(8, size=packet.beats)
        user[0] = packet.direction
        self.source.send_nowait(AxiStreamFrame(data.tolist(), tuser=user.tolist()))

    async def exchange(self, packets: Sequence[Packet]) -> int:
        """Send packets, take what comes, compare; cycles from the first beat to the last.

        Nothing may come out for a packet of the wrong length, which instead must raise ``error``
        once, in the cycle that takes its TLAST.
        """
        self.watch.clear()
        whole = [packet for packet in packets if packet.beats == self.params.pixels]
        for packet in packets:
            self.send(packet)
        for _ in range(10 * (len(packets) + 1) * (3 * self.params.pixels + 10)):
            if self.sink.count() >= len(whole) and self.source.idle():
                break
            await self.port.rise()
        else:
            raise AssertionError(
                f"{self.params.name}: {len(whole)} maps must come out, not {self.sink.count()}"
            )
        await idle(self.port, 4)  # anything that comes too much
        taken, sent = self.watch.cycles["s_axis"], self.watch.cycles["m_axis"]
        assert len(sent) == len(whole) * self.params.pixels, f"{self.params.name}: beats too many"
        for number, packet in enumerate(whole):
            self._compare(number, packet)
        ends = np.cumsum([packet.beats for packet in packets]) - 1
        expected = [
            taken[end]
            for packet, end in zip(packets, ends, strict=True)
            if packet.beats != self.params.pixels
        ]
        assert self.watch.strobes == expected, (
            f"{self.params.name}: error must strobe in the cycles {expected}, "
            f"not {self.watch.strobes}"
        )
        return sent[-1] - taken[0] + 1 if whole else 0

    def _compare(self, number: int, packet: Packet) -> None:
        got = self.sink.recv_nowait().tdata
        expected = self.moved[packet.index, packet.direction].ravel().tolist()
        pairs = itertools.zip_longest(got, expected)
        wrong = [place for place, (one, other) in enumerate(pairs) if one != other]
        assert not wrong, (
            f"{self.params.name} {packet.direction.name}, map {packet.index}, packet {number}: "
            f"{len(wrong)} beats differ, first beat {wrong[0]}: {got}, not {expected}"
        )


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
        scenario.send(scenario.packet())
        await idle(scenario.port, moment)
        scenario.source.clear()
        scenario.port.drive(rst=1)
        await scenario.port.rise()
        scenario.port.drive(rst=0)
        await scenario.exchange([scenario.packet()])
