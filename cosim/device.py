# SPDX-License-Identifier: Apache-2.0
"""A simulated device behind a pseudo-terminal: ``python -m cosim.device``, until Ctrl-C.

It prints the terminal's path, which `fpga.host` takes as its port. The rate of the line is that of
the simulation, whatever baud the host asks for.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import tty
from collections.abc import Callable, Sequence

from cosim import serial, simulators
from cosim.runner import BuildError
from cosim.serial import Line, levels
from fpga.shift_design import ShiftDesign
from hw import cli
from hw.params import MAX_SIDE, ParameterError, ShiftParams

__all__ = ["main", "serve"]

PROGRAM = "python -m cosim.device"

SLICE = 1 << 16
"""Cycles between two looks at what the host has sent."""

SILENCE = 4000
"""Cycles without a movement on the line, nor a run, after which nothing will happen by itself."""

_BYTES = 4096


def serve(line: Line, *, opened: Callable[[str], object]) -> None:
    """Serve a device behind a pseudo-terminal until Ctrl-C.

    Parameters
    ----------
    line : Line
    opened : callable
        Gets the terminal's path.
    """
    device, terminal = os.openpty()
    try:
        # The terminal stays open here as well: hosts come and go.
        tty.setraw(terminal)
        os.set_blocking(device, False)
        opened(os.ttyname(terminal))
        with contextlib.suppress(KeyboardInterrupt):
            _exchange(line, device)
    finally:
        os.close(terminal)
        os.close(device)


def _exchange(line: Line, device: int) -> None:
    """Bring bytes to the device and back; sleep while it does nothing."""
    rests = True
    while True:
        ready, _, _ = select.select([device], [], [], None if rests else 0)
        if ready:
            line.send(levels(os.read(device, _BYTES)))
        before = line.cycles
        answer = line.run(silence=SILENCE, limit=SLICE)
        rests = not answer and line.cycles - before < SLICE and not line.busy
        # What a host does not fetch is lost, as on a wire.
        with contextlib.suppress(BlockingIOError):
            os.write(device, answer)


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(
        PROGRAM, "Simulate the shift module's device, and print the port that leads to it."
    )
    side = cli.integer("side", 2, MAX_SIDE)
    command.add_argument("--height", type=side, metavar="PIXELS", default=16, help="rows")
    command.add_argument("--width", type=side, metavar="PIXELS", default=16, help="columns")
    command.add_argument(
        "--bits", type=cli.integer("bits", 1, 8), metavar="BITS", default=8, help="of a pixel"
    )
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        params = ShiftParams(height=options.height, width=options.width, bits=options.bits)
        block = serial.device_block(ShiftDesign(params=params))
        library = serial.build(block, optimise="-O1")
    except ParameterError as error:
        cli.bad_input(PROGRAM, error)
    except (BuildError, simulators.SimulatorError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    with Line(library) as line:
        serve(line, opened=lambda path: print(path, flush=True))
    return 0


if __name__ == "__main__":
    cli.run(main)
