# SPDX-License-Identifier: Apache-2.0
"""Jobs for the tests of `cosim.body_tile`, and their runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cosim.design import Block, Design
from cosim.runner import run
from cosim.tile_scenario import Scenario

__all__ = ["CYCLES", "JOBS", "RESET", "job", "simulate"]

BODY = "cosim.body_tile"
JOBS, CYCLES, RESET = "jobs_with_random_stalls", "cycles_without_stalls", "reset_at_random_moments"


def job(scenario: Scenario, cycles: int | None = None) -> dict[str, Any]:
    """Return a job of `cosim.body_tile`."""
    return {
        "feeds": {
            "activations": scenario.activation_beats(),
            "commands": scenario.command_beats(),
            "channels": scenario.channel_beats(),
        },
        "outputs": scenario.output_beats(),
        "activity": scenario.activity(),
        "cycles": cycles,
    }


def simulate(
    design: Design,
    simulator: str,
    like: Block,
    name: str,
    contents: dict[str, list[int]],
    jobs: list[dict[str, Any]],
    folder: Path,
    *,
    tests: str | None = None,
) -> list[str]:
    """Run the body on the block of that name, whose ports are those of ``like``."""
    widths = {
        port.removesuffix("__payload"): width
        for kind, port, width in like.ports
        if kind == "input" and port.endswith("__payload")
    }
    return run(
        design,
        simulator,
        BODY,
        folder=folder,
        parameters={
            "block": name,
            "seed": 1,
            "widths": widths,
            "contents": contents,
            "jobs": jobs,
        },
        tests=tests,
    )
