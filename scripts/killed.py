# SPDX-License-Identifier: Apache-2.0
"""A process that kills itself by SIGKILL, at one of its writes or so many calls after it.

That a file is opened to be written, renamed or removed is told by Python's audit hooks (PEP 578);
calls, by its profiler. So the moment is the same on any machine, whatever else it has to do.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

__all__ = ["Moment", "call"]

_WRITES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate"}


class Moment(NamedTuple):
    """When a process kills itself.

    Parameters
    ----------
    write : int
        Which of its writes, counted from 0.
    calls : int
        How many calls and returns of functions after it; 0: instead of it.
    """

    write: int
    calls: int


def call(
    work: Callable[[], int | None], out: Path, log: Path, moment: Moment | None, writes: Any
) -> None:
    """Do some work, silent, in this process; which ends with its exit code.

    Parameters
    ----------
    work : callable
    out : Path
        What it does to files there are its writes.
    log : Path
        Gets what it says.
    moment : Moment, optional
        Of the kill.
    writes : shared integer
        Counts the writes.
    """
    place = str(out)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _WRITES or not any(str(each).startswith(place) for each in arguments[:2]):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if moment and writes.value == moment.write:
            _kill_after(moment.calls)
        writes.value += 1

    sys.addaudithook(hear)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    sys.stdout.flush()
    os._exit(code or 0)


def _kill_after(calls: int) -> None:
    if not calls:
        os.kill(os.getpid(), signal.SIGKILL)

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls -= 1
        if not calls:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
