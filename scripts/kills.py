# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments in what writes files; then the same again, until it is done.

``python -m scripts.kills`` starts training, exports, generators and a sweep, and kills each
many times: in turns at one of its writes or soon after it (`scripts.killed`), and by the clock.
After each kill every file that is there under its own name must be whole; at the end all must be
those of a run that nobody killed, and nothing else may be left.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from hw import cli, disk
from scripts.kill_programs import PROGRAMS, Program
from scripts.killed import Moment, call
from scripts.tables import ROOT, VERIFICATION, insert

__all__ = ["KillError", "Tally", "endure", "main", "table"]

PROGRAM = "python -m scripts.kills"
RESULTS = ROOT / "docs/results/kills.json"
LIMIT_S = 600
"""Of a run that nobody kills."""


class _Run(NamedTuple):
    """What a run takes that nobody kills: seconds, and writes into its folder."""

    seconds: float
    writes: int


class KillError(Exception):
    """A kill did harm; the message says which, and what."""


@dataclasses.dataclass
class Tally:
    """What a program went through.

    Parameters
    ----------
    kills : int
        While it ran.
    writing : int
        Of these, before or soon after a file was opened to be written, renamed or removed.
    resumed : int
        Runs that went on where one had been killed.
    completions : int
        Runs that came to their end, with the bytes of a run that nobody killed.
    """

    kills: int = 0
    writing: int = 0
    resumed: int = 0
    completions: int = 0


def endure(
    program: Program, kills: int, seed: int, scratch: Path,
    tell: Callable[[int], object] = lambda kills: None,
) -> Tally:  # fmt: skip
    """Kill a program so many times, and compare what it leaves.

    Raises
    ------
    KillError
        If a file is half-written or lost, or rubbish stays.
    """
    chance = random.Random(f"{seed} {program.name}")
    inputs = scratch / "inputs"
    inputs.mkdir()
    # In a process of its own: one that has computed with PyTorch must not be forked.
    _end(program, _process(lambda: program.prepare(inputs), inputs), 0)
    began, writes = time.monotonic(), _CONTEXT.Value("q", 0, lock=False)
    _end(program, _run(program, inputs, scratch / "whole", writes=writes), 0)
    run = _Run(time.monotonic() - began, writes.value)
    whole = _contents(scratch / "whole")
    tally = Tally()
    life = 0
    while tally.kills < kills:
        life += 1
        out = scratch / f"life{life}"
        for _ in range(chance.randint(1, program.kills_a_life)):
            if _killed(program, inputs, out, chance, run, tally):
                tell(tally.kills)
                _check(program, out, whole, tally.kills)
            if tally.kills == kills:
                break
        _end(program, _run(program, inputs, out), tally.kills)
        tally.completions += 1
        _check(program, out, whole, tally.kills)
        if lost := _contents(out).keys() ^ whole.keys():
            raise KillError(
                f"{program.name}, after kill {tally.kills} and a whole run: lost, or too many: "
                f"{', '.join(sorted(lost))}"
            )
    return tally


def _killed(
    program: Program, inputs: Path, out: Path, chance: random.Random, run: _Run, tally: Tally
) -> bool:
    """Start a program and kill it; False if it came to its end before."""
    resumed = program.goes_on(out)
    moment = None
    if tally.kills % 2 == 0:
        calls = chance.choice([0, int(10 ** chance.uniform(0, 4))])
        moment = Moment(chance.randrange(run.writes), calls)
    process = _run(program, inputs, out, moment)
    process.start()
    process.join(LIMIT_S if moment else chance.uniform(0, run.seconds))
    process.kill()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        code = process.exitcode
        raise KillError(f"{program.name}: exit code {code} after {tally.kills} kills")
    tally.resumed += resumed
    if process.exitcode == 0:
        return False
    tally.kills += 1
    tally.writing += moment is not None
    return True


def _end(program: Program, process: BaseProcess, kills: int) -> None:
    """Run a process to its end."""
    process.start()
    process.join(LIMIT_S)
    alive = process.is_alive()
    process.kill()
    process.join()
    if alive or process.exitcode:
        how = f"more than {LIMIT_S} s" if alive else f"exit code {process.exitcode}"
        raise KillError(f"{program.name}: a run must end well after {kills} kills, not with {how}")


def _run(
    program: Program, inputs: Path, out: Path, moment: Moment | None = None, writes: Any = None
) -> BaseProcess:
    return _process(lambda: program.run(inputs, out, program.goes_on(out)), out, moment, writes)


def _process(
    work: Callable[[], int | None], out: Path, moment: Moment | None = None, writes: Any = None
) -> BaseProcess:
    if writes is None:
        writes = _CONTEXT.Value("q", 0, lock=False)
    log = out.with_suffix(".log")
    return _CONTEXT.Process(target=call, args=(work, out, log, moment, writes))


_CONTEXT = multiprocessing.get_context("fork")
"""A start takes milliseconds then, and kills come when there is work to spoil."""


def _contents(out: Path) -> dict[str, bytes]:
    """Return what lies in a folder; of what nobody compares, the names alone."""
    files = (file for file in sorted(out.rglob("*")) if file.is_file() and not file.is_symlink())
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def _check(program: Program, out: Path, whole: Mapping[str, bytes], kills: int) -> None:
    """See that what lies under its own name is whole."""
    for name, content in _contents(out).items() if out.exists() else ():
        if any(part.startswith(".") for part in Path(name).parts):
            continue  # beside its place; that it goes is checked at the end
        sound = program.sound.get(name)
        good = sound(content) if sound else whole.get(name) == content
        if not good:
            raise KillError(f"{program.name}, after kill {kills}: {name} is half-written or other")


def _store(name: str, counts: Mapping[str, int]) -> None:
    """Store what was counted, with what is stored of other programs."""
    known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    known[name] = counts
    every = {name: known[name] for name in PROGRAMS if name in known}
    disk.replace(RESULTS, (json.dumps(every, indent=1) + "\n").encode())


def table(stored: Mapping[str, Any]) -> str:
    """Return stored counts in Markdown."""
    rows = [
        "| program | kills | of these at a write | runs that went on | whole runs |",
        "|---|---|---|---|---|",
    ]
    for name, each in stored.items():
        counts = (each[key] for key in ("kills", "writing", "resumed", "completions"))
        rows.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Kill what writes files, again and again; nothing may be lost.")
    parser.add_argument("--program", nargs="+", choices=list(PROGRAMS), default=list(PROGRAMS))
    parser.add_argument(
        "--kills", type=cli.integer("kills", 1, 100_000), metavar="N",
        help="of each program (without it: as many as its time allows)",
    )  # fmt: skip
    parser.add_argument("--seed", type=cli.integer("seed", 0, 2**32), default=1, metavar="S")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.add_argument(
        "--update", action="store_true", help="store them; write docs/verification.md"
    )
    options = parser.parse_args(arguments)
    found = {}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        for name in options.program:
            kills = options.kills or PROGRAMS[name].kills
            task = bar.add_task(name, total=kills)

            def tell(count: int, task: object = task) -> None:
                bar.update(task, completed=count)  # type: ignore[arg-type]

            with tempfile.TemporaryDirectory() as scratch:
                try:
                    tally = endure(PROGRAMS[name], kills, options.seed, Path(scratch), tell)
                except KillError as error:
                    return cli.failed(PROGRAM, error)
            found[name] = dataclasses.asdict(tally)
            if options.update:
                _store(name, {"seed": options.seed, **found[name]})
    record = {name: {"seed": options.seed, **counts} for name, counts in found.items()}
    if options.update:
        insert(VERIFICATION, "kills", table(json.loads(RESULTS.read_text("utf-8"))))
    if options.json:
        print(json.dumps(record, indent=1))
    else:
        for name, counts in found.items():
            print(f"{name:<12} " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return 0


if __name__ == "__main__":
    cli.run(main)
