# SPDX-License-Identifier: Apache-2.0
"""Random faults between host and device: no wrong answer may be taken for a right one.

``python -m cosim.serial_faults`` shifts maps on the simulated device, and writes and reads parts of
its memory, over a line that fails all the time (`cosim.faulty_port`). Whatever the host takes for
a result is compared with the golden shift, or with what was written. The host is the one that
talks to boards, the device its RTL.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from cosim import serial, simulators
from cosim.design import Block
from cosim.faulty_port import KINDS, FaultyPort
from cosim.runner import BuildError
from cosim.serial import Line
from fpga import shift_host
from fpga.session import CutError, LinkError, NoAnswerError, Session
from fpga.shift_design import ShiftDesign
from fpga.target import Target
from hw import cli, timing
from hw.params import Direction, ShiftParams
from model import golden

__all__ = ["PARAMS", "Outcome", "device", "main", "run"]

PROGRAM = "python -m cosim.serial_faults"

PARAMS = ShiftParams(height=4, width=4, bits=8)
"""A small map: what costs time are the bits on the line."""

RATE = 0.15
WRITES = 4


@dataclasses.dataclass
class Outcome:
    """What has been done, and what of it was wrong.

    Parameters
    ----------
    faults : dict of str to int
        How often each kind has happened.
    results : int
        Results that were taken for right, and compared.
    requests, retries, restarts : int
        As `fpga.session.Session` counts.
    unplugged : int
        Sessions begun anew as the port was gone.
    given_up : int
        Sessions begun anew as no answer came.
    wrong : list of str
        What was taken for right, or refused, and should not have been.
    cycles : int
        That were simulated.
    """

    faults: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    results: int = 0
    requests: int = 0
    retries: int = 0
    restarts: int = 0
    unplugged: int = 0
    given_up: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)
    cycles: int = 0


def device() -> Block:
    """Return the Verilog of the device that is spoken to."""
    return serial.device_block(ShiftDesign(params=PARAMS))


def run(
    line: Line,
    *,
    faults: int,
    seed: int,
    rate: float = RATE,
    advance: Callable[[int], object] = lambda _: None,
) -> Outcome:
    """Do pieces of work until so many faults have happened.

    Parameters
    ----------
    line : Line
        To `device`, or to one with a seeded fault.
    faults : int
    seed : int
        Of faults, maps and everything else; the same seed gives the same outcome.
    rate : float
        Probability of a fault, for each frame in each direction.
    advance : callable
        Gets the number of faults so far.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    port = FaultyPort(line, generator, rate=rate)
    outcome = Outcome()
    while (happened := port.counts.total()) < faults:
        advance(happened)
        port.replug()
        _session(port, generator, outcome, faults)
    outcome.faults |= port.counts
    outcome.cycles = line.cycles
    return outcome


def _session(
    port: FaultyPort, generator: np.random.Generator, outcome: Outcome, faults: int
) -> None:
    """Work until the port is unplugged, nobody answers, or enough faults have happened."""
    session = None
    try:
        session = Session(port, sequence=int(generator.integers(1 << 16)))
        target = Target(session)
        while port.counts.total() < faults:
            piece = _shift if generator.integers(2) else _memory
            wrong = piece(target, generator)
            outcome.results += 1
            if wrong is not None:
                outcome.wrong.append(wrong)
    except NoAnswerError:
        outcome.given_up += 1
    except CutError:
        outcome.unplugged += 1
    except LinkError as error:
        outcome.wrong.append(str(error))
    if session is not None:
        outcome.requests += session.requests
        outcome.retries += session.retries
        outcome.restarts += session.restarts


def _shift(target: Target, generator: np.random.Generator) -> str | None:
    """Shift a random map; say what is wrong with the result."""
    pixels = shift_host.random_map(PARAMS, generator)
    direction = Direction(int(generator.integers(len(Direction.moving()))))
    found, cycles = shift_host.shift(target, pixels, direction)
    if not np.array_equal(found, golden.shift_channel(pixels, direction)):
        return f"{direction.name} of {pixels.tolist()} must not be {found.tolist()}"
    wanted = timing.shift_cycles(PARAMS)
    return None if cycles == wanted else f"cycles must be {wanted}, not {cycles}"


def _memory(target: Target, generator: np.random.Generator) -> str | None:
    """Write parts of the map over each other and read a part; say what is wrong with it."""
    size = PARAMS.pixels
    spans = [np.sort(generator.integers(size + 1, size=2)) for _ in range(WRITES)]
    parts = [(0, generator.bytes(size))]
    parts += [(int(low), generator.bytes(int(high - low))) for low, high in spans if low < high]
    held = bytearray(size)
    for address, data in parts:
        held[address : address + len(data)] = data
    first = int(generator.integers(size))

    def piece() -> bytes:
        for address, data in parts:
            target.write("map", address, data)
        return target.read("map", first, size - first)

    found = target.work(piece)
    if found == held[first:]:
        return None
    return f"bytes from {first} on must be {held[first:].hex()}, not {found.hex()}"


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(PROGRAM, "Random faults on the line to a simulated device.")
    command.add_argument(
        "--faults", type=cli.integer("faults", 1, 10**9), default=10_000, metavar="N",
        help="how many",
    )  # fmt: skip
    command.add_argument(
        "--seed", type=cli.integer("seed", 0, 2**63 - 1), default=1, metavar="N",
        help="of everything random",
    )  # fmt: skip
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        library = serial.build(device(), optimise="-O2")
    except (BuildError, simulators.SimulatorError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    begin = time.monotonic()
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with (
        Line(library) as line,
        Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bar,
    ):
        task = bar.add_task("faults", total=options.faults)
        outcome = run(
            line,
            faults=options.faults,
            seed=options.seed,
            advance=lambda happened: bar.update(task, completed=happened),
        )
    seconds = time.monotonic() - begin
    print(f"{options.faults / seconds:.0f} faults a second", file=sys.stderr)
    print(json.dumps(dataclasses.asdict(outcome), indent=1))
    return int(bool(outcome.wrong))


if __name__ == "__main__":
    cli.run(main)
