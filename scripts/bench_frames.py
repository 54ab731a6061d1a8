# SPDX-License-Identifier: Apache-2.0
"""Time and memory to turn FASM into frames, for the part of each board.

``python -m scripts.bench_frames`` runs ``python -m fpga.frames`` on a design that
uses every LUT and every block RAM of the part, with random contents, and twenty connections in each
switch box: more than a router ever fills. ``--fasm PART=FILE`` takes a real design instead. If
Project X-Ray's own ``fasm2frames`` is on the path, it runs in turn with ours.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from fpga.database import Database, add_option, chosen
from fpga.segbits import DatabaseError
from hw import cli

PROGRAM = "python -m scripts.bench_frames"
PARTS = ("xc7a35tcsg324-1", "xc7a100tcsg324-1", "xc7a200tfbg676-2")
PIPS = 20
OURS, UPSTREAM = "ours", "fasm2frames"


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one process took: seconds on the clock and of a processor, MB of memory at the peak."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def full_design(folder: Path, part: str) -> Iterator[str]:
    """Return the lines of a FASM that fills a part; the same ones each time."""
    database = Database(folder, part)
    chance = random.Random(1)
    for name in database.tiles(("BRAM_L", "BRAM_R")):
        for half in ("RAMB18_Y0", "RAMB18_Y1"):
            for row in (*(f"INIT_{i:02X}" for i in range(64)), *(f"INITP_0{i}" for i in range(8))):
                yield f"{name}.{half}.{row}[255:0] = 256'h{chance.getrandbits(256):064X}"
    for name in database.tiles(("CLBLL_L", "CLBLL_R", "CLBLM_L", "CLBLM_R")):
        for half in ("SLICEM_X0" if "CLBLM" in name else "SLICEL_X0", "SLICEL_X1"):
            for lut in "ABCD":
                value = f"64'b{chance.getrandbits(64):064b}"
                yield f"{name}.{half}.{lut}LUT.INIT[63:0] = {value}"
    for name in database.tiles(("INT_L", "INT_R")):
        tile = database.tile(name)
        if tile is not None:
            # One source for each wire: two would disagree.
            sources = {pip.partition(".")[0]: pip for pip in tile.kind.names}
            for pip in chance.sample(list(sources.values()), PIPS):
                yield f"{name}.{pip}"


def write_full_design(folder: Path, part: str, file: Path) -> None:
    """Write a FASM that fills a part."""
    with file.open("w") as stream:
        stream.writelines(f"{line}\n" for line in full_design(folder, part))


def measure(command: Sequence[str | Path]) -> Cost:
    """Run a command and return what it took.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            message = errors.read().decode(errors="replace")
            raise subprocess.CalledProcessError(process.returncode, command, stderr=message)
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def median(costs: Sequence[Cost]) -> Cost:
    """Return the median of each figure."""
    table = zip(*map(dataclasses.astuple, costs), strict=True)
    return Cost(*(round(statistics.median(column), 2) for column in table))


def bench(folder: Path, part: str, file: Path, runs: int) -> dict[str, Cost]:
    """Return the cost of each assembler on a FASM, the runs taken in turn after one to warm up."""
    out = {name: file.with_suffix(f".{name}") for name in (OURS, UPSTREAM)}
    commands: dict[str, list[str | Path]] = {
        OURS: [sys.executable, "-m", "fpga.frames", "--part", part, "--database", folder,
               file, "-o", out[OURS]],
    }  # fmt: skip
    upstream = shutil.which(UPSTREAM)
    if upstream:
        commands[UPSTREAM] = [
            upstream, "--db-root", folder, "--part", part, file, out[UPSTREAM]
        ]  # fmt: skip
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(runs + 1):
        for name, command in commands.items():
            costs[name].append(measure(command))
    return {name: median(taken[1:]) for name, taken in costs.items()}


def table(results: Mapping[str, Mapping[str, Cost]]) -> str:
    """Return the results as a table of Markdown."""
    lines = [
        "| part | assembler | wall, s | CPU, s | peak, MB | ours to it, CPU |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for part, costs in results.items():
        for name, cost in costs.items():
            ratio = "" if name == OURS else f"{costs[OURS].cpu_s / cost.cpu_s:.3f}"
            lines.append(
                f"| {part} | {name} | {cost.wall_s:.2f} | {cost.cpu_s:.2f} "
                f"| {cost.peak_mb:.0f} | {ratio} |"
            )
    return "\n".join(lines)


def design(text: str) -> tuple[str, Path]:
    """Return PART=FILE as part and file; for argparse."""
    part, equals, file = text.partition("=")
    if not equals or not Path(file).is_file():
        raise argparse.ArgumentTypeError(f"must be PART=FILE, not {text!r}")
    return part, Path(file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Time and memory of the frame assembler.")
    add_option(parser)
    parser.add_argument(
        "--fasm", action="append", type=design, metavar="PART=FILE", default=None,
        help="a design; without one, a full part for each board",
    )  # fmt: skip
    parser.add_argument(
        "--runs", type=cli.integer("runs", 1, 100), default=3, metavar="COUNT",
        help="runs of each, taken in turn",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    results = {}
    try:
        database = chosen(options)
    except DatabaseError as error:
        cli.bad_input(PROGRAM, error)
    # Another process: this one's own memory would count as that of those it starts.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch:
        for part, given in options.fasm or [(part, None) for part in PARTS]:
            file = Path(scratch, "design.fasm")
            if given is None:
                with ProcessPoolExecutor(1, mp_context=context) as pool:
                    writing = pool.submit(write_full_design, database, part, file)
                    try:
                        writing.result()
                    except DatabaseError as error:
                        cli.bad_input(PROGRAM, error)
            else:
                shutil.copyfile(given, file)
            try:
                results[part] = bench(database, part, file, options.runs)
            except subprocess.CalledProcessError as error:
                cli.bad_input(PROGRAM, error.stderr)
    if options.json:
        figures = {
            part: {name: dataclasses.asdict(cost) for name, cost in costs.items()}
            for part, costs in results.items()
        }
        print(json.dumps(figures))
    else:
        print(table(results))
    return 0


if __name__ == "__main__":
    cli.run(main)
