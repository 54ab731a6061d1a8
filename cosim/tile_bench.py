# SPDX-License-Identifier: Apache-2.0
"""A tile in the simulator, whatever its ports are, and the jobs for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosim.bench import Port, parameters

__all__ = ["TIMEOUT", "TileBench"]

TIMEOUT = 20  # ms: 2,000,000 cycles


class TileBench:
    """One tile with its contents and jobs, from the parameters of the run.

    They are ``block``, ``seed``, ``contents``, and ``jobs``, each of which holds in ``activity``
    what the tile's counters must count meanwhile.
    """

    def __init__(self, dut: Any) -> None:
        given = parameters()
        self.name = given["block"]
        self.jobs = given["jobs"]
        self.contents = given["contents"]
        self.random = np.random.Generator(np.random.PCG64(given["seed"]))
        self.port = Port(dut, self.name)

    async def counters(self, job: dict[str, Any]) -> dict[str, int]:
        """Read the counters of a job."""
        await self.port.settle()
        values = {name: self.port.read(name) for name in job["activity"]}
        await self.port.rise()
        return values

    async def check_activity(
        self, job: dict[str, Any], before: dict[str, int], stalls: float
    ) -> None:
        """Compare what was counted since the counters were read with the job's activity."""
        after = await self.counters(job)
        counted = {name: after[name] - before[name] for name in after}
        assert counted == job["activity"], (
            f"{self.name}, stalls {stalls}: counters must be {job['activity']}, not {counted}"
        )
