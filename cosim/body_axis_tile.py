# SPDX-License-Identifier: Apache-2.0
"""Tests of AxisTile inside the simulator, with cocotbext-axi on all sides.

Parameters of a run: ``block``, ``seed``, ``contents`` (packets of ``program`` and ``entries``), and
``jobs``, a list of

- ``feeds``: packets of ``activations``, ``commands``, ``channels``, each a list of TDATA;
- ``outputs``: the packets that must come out;
- ``activity``: what the counters must count meanwhile;
- ``cycles``: how many it must take without pauses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cocotb
from cocotbext.axi import AxiStreamFrame

from cosim import axis_port
from cosim.bench import idle, reset
from cosim.tile_bench import TIMEOUT, TileBench

LIMIT = 20_000
"""Cycles that no job takes."""

INPUTS = ("program", "entries", "activations", "commands", "channels")


class Scenario(TileBench):
    """A tile behind AXI4-Streams."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.stalls = 0.0  # probability of a waiting cycle, of each stream
        self.sources = {
            name: axis_port.source(dut, self.port, f"s_axis_{name}", self._pauses())
            for name in INPUTS
        }
        self.sink = axis_port.sink(dut, self.port, "m_axis_outputs", self._pauses())
        self.watch = axis_port.Watch(self.port, ["s_axis_activations", "m_axis_outputs"])

    def _pauses(self) -> Iterator[bool]:
        while True:
            yield bool(self.random.random() < self.stalls)

    async def begin(self) -> None:
        """Reset, and write the contents."""
        await reset(self.port)
        cocotb.start_soon(self.watch.run())
        await self.exchange(self.contents, 0)

    async def exchange(self, feeds: dict[str, list[list[int]]], count: int) -> list[list[int]]:
        """Send packets; return those that come out, which must be so many."""
        for name, packets in feeds.items():
            for packet in packets:
                self.sources[name].send_nowait(AxiStreamFrame(packet))
        for _ in range(LIMIT):
            sent = all(source.idle() for source in self.sources.values())
            if sent and self.sink.count() >= count:
                break
            await self.port.rise()
        else:
            raise AssertionError(
                f"{self.name}, stalls {self.stalls}: {count} packets must come out, "
                f"not {self.sink.count()}"
            )
        await idle(self.port, 20)  # anything that comes too much
        return [list(self.sink.recv_nowait().tdata) for _ in range(self.sink.count())]

    async def run(self, job: dict[str, Any], stalls: float = 0.0) -> int:
        """Run a job, compare outputs and counters; return its cycles."""
        self.stalls = stalls
        self.watch.clear()
        before = await self.counters(job)
        packets = await self.exchange(job["feeds"], len(job["outputs"]))
        assert packets == job["outputs"], (
            f"{self.name}, stalls {stalls}: outputs must be {job['outputs']}, not {packets}"
        )
        await self.check_activity(job, before, stalls)
        return (
            1 + self.watch.cycles["m_axis_outputs"][-1] - self.watch.cycles["s_axis_activations"][0]
        )


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def jobs_with_random_pauses(dut: Any) -> None:
    """Whoever waits, and however long: the same packets and the same activity, of the first job."""
    scenario = Scenario(dut)
    await scenario.begin()
    for stalls in (0.0, 0.3, 0.7):
        await scenario.run(scenario.jobs[0], stalls)


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def cycles_without_pauses(dut: Any) -> None:
    """Without pauses, the second job takes exactly the cycles of hw.timing."""
    scenario = Scenario(dut)
    await scenario.begin()
    job = scenario.jobs[1]
    cycles = await scenario.run(job)
    assert cycles == job["cycles"], f"{scenario.name}: must take {job['cycles']}, not {cycles}"
