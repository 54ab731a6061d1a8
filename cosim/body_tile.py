# SPDX-License-Identifier: Apache-2.0
"""Tests of the tile inside the simulator.

Parameters of a run: ``block``, ``seed``, ``widths`` (bits of each stream that goes in),
``contents`` (beats of ``program`` and ``entries``), and ``jobs``, a list of

- ``feeds``: beats of ``activations``, ``commands``, ``channels``;
- ``outputs``: the beats that must come out;
- ``activity``: what the counters must count meanwhile;
- ``cycles``: how many it must take without stalls, if that is known.
"""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from cosim.bench import first_difference, idle, parameters, reset
from cosim.stream_port import StreamPort
from cosim.tile_bench import TIMEOUT, TileBench


class Scenario(TileBench):
    """A bare tile."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.streams = StreamPort(self.port, "outputs", self.random, parameters()["widths"])

    async def begin(self) -> None:
        """Reset, and write the contents."""
        await reset(self.port, **self.streams.quiet())
        await self.streams.exchange(self.contents)

    async def run(self, job: dict[str, Any], stalls: float = 0.0) -> None:
        """Run a job and compare outputs and counters."""
        before = await self.counters(job)
        beats = await self.streams.exchange(job["feeds"], count=len(job["outputs"]), stalls=stalls)
        await idle(self.port, 4)  # anything that comes too much
        self.port.drive(outputs__ready=0)
        await self.port.settle()
        assert not self.port.outputs__valid.value, f"{self.name}: more outputs than there are"
        await self.port.rise()
        # As Python's integers: a payload may have more bits than NumPy's have.
        got, expected = np.array(beats, object), np.array(job["outputs"], object)
        difference = first_difference(got, expected)
        assert difference is None, f"{self.name}, stalls {stalls}: outputs: {difference}"
        await self.check_activity(job, before, stalls)


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def jobs_with_random_stalls(dut: Any) -> None:
    """Whoever waits, and however long: the same outputs and the same activity, of the first job."""
    scenario = Scenario(dut)
    await scenario.begin()
    mixed = scenario.jobs[0]
    for stalls in (0.0, 0.3, 0.7):
        await scenario.run(mixed, stalls)


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def cycles_without_stalls(dut: Any) -> None:
    """Without stalls, vectors back to back take exactly the cycles of hw.timing."""
    scenario = Scenario(dut)
    await scenario.begin()
    timed = [job for job in scenario.jobs if job["cycles"] is not None]
    assert timed, "some job must have its cycles given"
    for job in timed:
        await scenario.run(job)
        taken = scenario.streams.taken
        cycles = taken["outputs"][-1] - taken["activations"][0] + 1
        assert cycles == job["cycles"], (
            f"{scenario.name}: must take {job['cycles']} cycles, not {cycles}"
        )


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def reset_at_random_moments(dut: Any) -> None:
    """Reset drops vectors, sums and outputs on their way; the next job is right."""
    scenario = Scenario(dut)
    await scenario.begin()
    job = min(scenario.jobs, key=lambda job: len(job["feeds"]["activations"]))
    count = len(job["outputs"])
    await scenario.run(job)
    last = scenario.streams.taken["outputs"][-1]
    for moment in sorted(scenario.random.integers(1, last, 5).tolist()):
        await scenario.streams.exchange(job["feeds"], count=count, cycles=moment)
        scenario.port.drive(rst=1, **scenario.streams.quiet())
        await scenario.port.rise()
        scenario.port.drive(rst=0)
        await scenario.run(job)
