# SPDX-License-Identifier: Apache-2.0
"""Drivers and monitors for the simulated blocks; imported inside the simulator.

Time runs in cycles, from one rising edge to the next. All coroutines keep one convention: inputs
change just after a rising edge; at the falling edge everything has settled, and is looked at; a
coroutine is entered, and returns, just after a rising edge.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

__all__ = [
    "Port",
    "StreamSink",
    "StreamSource",
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
        self._block = block
        self._handles: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        handle = self._handles.get(name)
        if handle is None:
            handle = self._handles[name] = getattr(self._dut, f"{self._block}__{name}")
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


class StreamSource:
    """Sends beats into an AXI4-Stream; holds each until it is taken.

    Parameters
    ----------
    port : Port
        Block with ``s_axis_*`` ports.
    now : callable
        Returns the number of the present cycle.
    """

    def __init__(self, port: Port, now: Callable[[], int]) -> None:
        self._port = port
        self._now = now
        self.cycle: list[int] = []  # in which each beat was taken

    async def put(self, data: int, *, user: int, last: bool, stall: int = 0) -> None:
        """Send a beat after ``stall`` cycles without TVALID."""
        port = self._port
        if stall:
            # A payload without TVALID means nothing, so it is made as misleading as can be.
            port.drive(s_axis_tvalid=0, s_axis_tlast=1, s_axis_tuser=user ^ 7)
            await idle(port, stall)
        port.drive(s_axis_tvalid=1, s_axis_tdata=data, s_axis_tuser=user, s_axis_tlast=int(last))
        while True:
            await port.settle()
            taken = port.read("s_axis_tready")
            now = self._now()
            await port.rise()
            if taken:
                self.cycle.append(now)
                break
        port.drive(s_axis_tvalid=0)


class StreamSink:
    """Takes beats from an AXI4-Stream, and checks in every cycle that what waits does not change.

    Parameters
    ----------
    port : Port
        Block with ``m_axis_*`` ports.
    stall : callable
        Returns whether to keep TREADY low in the coming cycle.
    """

    def __init__(self, port: Port, stall: Callable[[], bool]) -> None:
        self._port = port
        self._stall = stall
        self._waiting: tuple[int, int] | None = None
        self.now = 0
        self.beats: list[tuple[int, int]] = []  # TDATA, TLAST
        self.cycle: list[int] = []
        self.errors: list[int] = []  # cycles with `error`

    def forget(self) -> None:
        """Allow a beat that waits to vanish: the block is being reset."""
        self._waiting = None

    async def run(self) -> None:
        """Take beats for ever."""
        port = self._port
        while True:
            ready = not self._stall()
            port.drive(m_axis_tready=int(ready))
            await port.settle()
            if port.read("error"):
                self.errors.append(self.now)
            valid = port.read("m_axis_tvalid")
            beat = (port.read("m_axis_tdata"), port.read("m_axis_tlast")) if valid else None
            if self._waiting is not None and not port.read("rst"):
                assert beat == self._waiting, (
                    f"cycle {self.now}: a beat that waits must hold, {self._waiting}, not {beat}"
                )
            self._waiting = None
            if beat is not None and not port.read("rst"):
                if ready:
                    self.beats.append(beat)
                    self.cycle.append(self.now)
                else:
                    self._waiting = beat
            await port.rise()
            self.now += 1
