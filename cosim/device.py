# SPDX-License-Identifier: Apache-2.0
"""A simulated device behind a pseudo-terminal: ``python -m cosim.device``, until Ctrl-C.

It prints the terminal's path, which `fpga.host` takes as its port. The rate of the line is that of
the simulation, whatever baud the host asks for.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import tty
from collections.abc import Callable, Sequence

from cosim import serial, simulators
from cosim.runner import BuildError
from cosim.serial import Line, levels
from fpga.bus import Design
from fpga.designs import design_of
from fpga.networks import NETWORK, add_net, network
from fpga.shift_design import ShiftDesign
from hw import cli
from hw.params import MAX_SIDE, ParameterError, ShiftParams

__all__ = ["main", "serve"]

PROGRAM = "python -m cosim.device"

SLICE = 1 << 16
"""Cycles between two looks at what the host has sent."""

SILENCE = 4000
"""Cycles without a movement on the line, nor a run, after which nothing will happen by itself."""

SHAPE = {"height": 16, "width": 16, "bits": 8}
"""Of the shift's map, unless told otherwise."""

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
    command = cli.Parser(PROGRAM, "Simulate a device, and print the port that leads to it.")
    command.add_argument(
        "--design",
        choices=("shift", "accelerator"),
        default="shift",
        help="what is behind the link",
    )
    add_net(command)
    side = cli.integer("side", 2, MAX_SIDE)
    of = "of the shift's map"
    for name, kind, unit, help in (
        ("height", side, "PIXELS", f"rows {of}"),
        ("width", side, "PIXELS", f"columns {of}"),
        ("bits", cli.integer("bits", 1, 8), "BITS", f"of a pixel {of}"),
    ):
        command.add_argument(
            f"--{name}", type=kind, metavar=unit, default=argparse.SUPPRESS,
            help=f"{help} (default: {SHAPE[name]})",
        )  # fmt: skip
    return command


def _design(options: argparse.Namespace) -> Design:
    if options.design == "accelerator":
        cli.refuse(options, SHAPE, "must come with --design shift, not accelerator")
        return design_of(network(getattr(options, "net", NETWORK)))
    cli.refuse(options, ["net"], "must come with --design accelerator, not shift")
    given = {name: value for name, value in vars(options).items() if name in SHAPE}
    return ShiftDesign(params=ShiftParams(**SHAPE | given))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        library = serial.build(serial.device_block(_design(options)), optimise="-O1")
    except ParameterError as error:
        cli.bad_input(PROGRAM, error)
    except (BuildError, simulators.SimulatorError) as error:
        return cli.failed(PROGRAM, error)
    with Line(library) as line:
        serve(line, opened=lambda path: print(path, flush=True))
    return 0


if __name__ == "__main__":
    cli.run(main)
