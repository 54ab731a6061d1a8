# SPDX-License-Identifier: Apache-2.0
"""Sweep the design space of PSP networks on crossbars, and keep the Pareto front.

    python -m model.cost.sweep --points 1000 --jobs 2 --out build/sweep

writes ``journal.log``, each point as soon as it is known, then ``points.csv``, ``front.csv`` and
``front.svg``; ``--resume`` goes on from the journal. The same options give the same three files,
in one go or in several, with any number of processes or jobs of a cluster. A leaf; Optuna is
imported when it starts.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hw import cli, disk
from hw.params import ParameterError
from model.cost.accuracy import measured
from model.cost.config import Config
from model.cost.config_file import load
from model.cost.front import csv_text, designs, draw, front, markdown, row
from model.cost.journal import Journal
from model.cost.space import AXES, Cost, Point, choose, cost, grid, varied
from model.cost.stated import unmoved
from model.cost.workers import CLUSTERS, WorkerError, check_cluster, simulated

__all__ = ["main", "sweep"]

PROGRAM = "python -m model.cost.sweep"
JOURNAL = "journal.log"


def sweep(
    points: Sequence[Point], base: Config, file: Path, *, jobs: int = 1, cluster: str | None = None
) -> dict[Point, Cost]:
    """Return what points cost; those in the journal are not simulated again.

    Parameters
    ----------
    points : sequence of Point
    base : Config
    file : Path
        The journal.
    jobs : int
    cluster : {"slurm", "local"}, optional
        As `model.cost.workers.simulated` takes them.

    Raises
    ------
    ParameterError
        If the journal is another one's, or of an earlier model.
    WorkerError
        If a process or a job has ended before its points.
    OSError
        If it cannot be written.
    """
    journal = Journal(file, base)
    stored = journal.read()
    wanted = [point for point in points if point in stored]
    if wanted and stored[wanted[0]] != cost(wanted[0], base):
        raise ParameterError(f"{file} must be of this version of the cost model")
    missing = [point for point in points if point not in stored]
    with _progress(len(points), len(points) - len(missing)) as advance:
        for done in simulated(missing, base, journal, jobs=jobs, cluster=cluster):
            advance(done)
    stored = journal.read()
    return {point: stored[point] for point in points}


@contextlib.contextmanager
def _progress(total: int, done: int) -> Iterator[Any]:
    """Show a bar on a terminal; yields what counts points."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("points", total=total, completed=done)
        yield lambda more: bar.advance(task, more)


def _parser() -> cli.Parser:
    parser = cli.Parser(PROGRAM, (__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--config", default="date2024_22nm", metavar="NAME",
        help="the design that is varied: a published one, or a file .toml",
    )  # fmt: skip
    highest = {
        "width": 4096, "depth": 1024, "array": 4096, "cell_bits": 8, "adc_bits": 16,
        "columns_per_adc": 4096,
    }  # fmt: skip
    for name, high in highest.items():
        option = name.replace("_", "-")
        parser.add_argument(
            f"--{option}", type=cli.integer(option, 1, high), nargs="+", metavar="N",
            help=f"default: {' '.join(map(str, AXES[name]))}, and --config's, as far as it allows",
        )  # fmt: skip
    parser.add_argument("--shift", nargs="+", choices=AXES["shift"], help="default: all")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--points", type=cli.integer("points", 1, 1_000_000), default=1000,
                        metavar="N", help="at random from the grid, at most")  # fmt: skip
    amount.add_argument("--grid", action="store_true", help="the whole grid")
    parser.add_argument("--seed", type=cli.integer("seed", 0, 2**32 - 1), default=0, metavar="S")
    parser.add_argument("--jobs", type=cli.integer("jobs", 1, 1024), default=1, metavar="N",
                        help="processes, or jobs of --cluster")  # fmt: skip
    parser.add_argument("--cluster", choices=CLUSTERS,
                        help="submitit sends jobs to SLURM, or tries them here")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("build/sweep"), metavar="DIR")
    parser.add_argument("--resume", action="store_true", help="go on from the journal in --out")
    parser.add_argument("--json", action="store_true", help="print the front as JSON")
    return parser


def _make(folder: Path) -> None:
    try:
        disk.make_folder(folder)
    except OSError as error:
        raise disk.OutputError(error.errno, error.strerror, str(folder)) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    file = options.out / JOURNAL
    try:
        base = load(options.config)
        asked = {name: getattr(options, name) for name in Point._fields}
        points = grid({name: values for name, values in asked.items() if values}, base)
        if not options.grid:
            points = choose(points, options.points, options.seed)
        disk.check_folder(options.out, owner=JOURNAL)
        if file.exists() and not options.resume:
            raise ParameterError(f"{file} must be new, or go on with --resume")
        if options.resume and not file.exists():
            raise ParameterError(f"{file} must be there to go on from it")
        if options.cluster:
            check_cluster(options.cluster)
        for line in unmoved(base, varied(points)):
            print(f"{PROGRAM}: note: {line}", file=sys.stderr)
        _make(options.out)
        found = designs(
            sweep(points, base, file, jobs=options.jobs, cluster=options.cluster), base, measured()
        )
        best = front(found)
        title = f"{len(found):,} designs, {len(best):,} on the front of their network: {base.name}"
        files: dict[str, str | bytes] = {
            "points.csv": csv_text(found),
            "front.csv": csv_text(best),
            "front.svg": draw(found, best, title),
        }
        disk.write_files(options.out, files, owner=JOURNAL)
    except (ParameterError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except (OSError, WorkerError) as error:
        return cli.failed(PROGRAM, f"{error}; --resume goes on")
    print(json.dumps([row(each) for each in best], indent=1) if options.json else markdown(best))
    print(f"{title}; {options.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    cli.run(main)
