# SPDX-License-Identifier: Apache-2.0
"""Drivers and monitors for the simulated blocks; imported inside the simulator.

Time runs in cycles, from one rising edge to the next. All coroutines keep one convention: inputs
change just after a rising edge; at the falling edge everything has settled, and is looked at; a
coroutine is entered, and returns, just after a rising edge.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Coroutine
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

__all__ = [
    "Port",
    "array",
    "first_difference",
    "idle",
    "parameters",
    "reset",
    "run_folder",
    "together",
]

PERIOD = 10  # ns


def run_folder() -> Path:
    """Folder of this run, where the parameters and arrays are."""
    return Path(os.environ["COSIM_RUN"])


def parameters() -> dict[str, Any]:
    """Return what was given to the run."""
    loaded = json.loads((run_folder() / "parameters.json").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict), f"parameters must be a JSON object, not {loaded!r}"
    return loaded


def array(name: str) -> npt.NDArray[Any]:
    """Return an array given to the run."""
    values: npt.NDArray[Any] = np.load(run_folder() / f"{name}.npy", allow_pickle=False)
    return values


class Port:
    """The ports of one block of a design: ``port.ready`` is ``dut.<block>__ready``."""

    def __init__(self, dut: Any, block: str) -> None:
        self._dut = dut
        self.block = block
        self._handles: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        handle = self._handles.get(name)
        if handle is None:
            handle = self._handles[name] = getattr(self._dut, f"{self.block}__{name}")
        return handle

    def read(self, name: str) -> int:
        """Value of a port as an unsigned number; an unknown bit is an error."""
        return int(getattr(self, name).value)

    def drive(self, **values: int) -> None:
        """Set inputs."""
        for name, value in values.items():
            getattr(self, name).value = value

    async def rise(self) -> None:
        """Wait for the rising edge: the next cycle begins."""
        await RisingEdge(self.clk)

    async def settle(self) -> None:
        """Wait for the falling edge, when all outputs of this cycle are valid."""
        await FallingEdge(self.clk)


async def reset(port: Port, **inputs: int) -> None:
    """Start the clock, set the inputs and hold reset for two cycles."""
    port.drive(rst=1, **inputs)
    Clock(port.clk, PERIOD, unit="ns").start(start_high=False)
    await port.rise()
    await port.rise()
    port.drive(rst=0)


async def idle(port: Port, cycles: int) -> None:
    """Let cycles pass."""
    for _ in range(cycles):
        await port.rise()


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines side by side, until all of them have ended."""
    tasks: list[Awaitable[None]] = [cocotb.start_soon(each) for each in coroutines]
    for task in tasks:
        await task


def first_difference(got: npt.NDArray[Any], expected: npt.NDArray[Any]) -> str | None:
    """Say where two arrays differ first, and how often; ``None`` if they are equal."""
    if got.shape != expected.shape:
        return f"shape {got.shape}, not {expected.shape}"
    wrong = np.argwhere(got != expected)
    if not len(wrong):
        return None
    place = tuple(int(index) for index in wrong[0])
    return (
        f"{len(wrong)} of {got.size} values differ, first at {list(place)}: "
        f"{got[place]}, not {expected[place]}"
    )
