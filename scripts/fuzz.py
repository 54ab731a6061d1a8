# SPDX-License-Identifier: Apache-2.0
"""Hostile input: damaged files, bytes and command lines for everything that reads any of them.

``python -m scripts.fuzz`` runs more than a million cases, each of which follows from the seed, the
format and its number alone. A format is read in a process of its own: one that dies, or stands
still, is a fault too.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hw import cli, disk
from scripts import fuzz_commands, fuzz_fpga, fuzz_model
from scripts.fuzz_case import SECONDS, Files, Outcome, Target, fault, limited, make, run
from scripts.tables import ROOT, VERIFICATION, insert

__all__ = ["TARGETS", "main", "survey", "table"]

PROGRAM = "python -m scripts.fuzz"
RESULTS = ROOT / "docs/results/fuzz.json"
TARGETS = fuzz_model.TARGETS | fuzz_fpga.TARGETS | fuzz_commands.TARGETS
"""By format: what makes its target, in a folder of its own, and how many cases a full run has."""

CHUNK = 1000
"""Cases after which a process tells what it has found."""

MOST_FAULTS = 50
"""Of a format, after which its other cases are left."""

STILL_S = 12 * SECONDS
"""Seconds on the clock after which a process that is still in the same case is ended."""

Maker = Callable[[Path], Target]


def survey(
    maker: Maker, name: str, seed: int, cases: int, tell: Callable[[int], object] = lambda n: None
) -> Outcome:
    """Run the first cases of a format in processes of their own.

    Parameters
    ----------
    maker : callable
        Makes the target in a folder.
    name : str
    seed : int
    cases : int
    tell : callable
        Gets the number of the current case, now and then.
    """
    # Forked, for what is read takes long to import.
    context = multiprocessing.get_context("fork")
    found = Outcome()
    start = 0
    while start < cases and len(found.faults) < MOST_FAULTS:
        current = context.Value("q", -1, lock=False)
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_work,
            args=(maker, name, seed, range(start, cases), set(found.faults), current, theirs),
        )
        process.start()
        theirs.close()
        seen, since = -1, time.monotonic()
        try:
            while start < cases and len(found.faults) < MOST_FAULTS:
                if ours.poll(0.5):
                    part: Outcome = ours.recv()
                    found.taken += part.taken
                    found.refused += part.refused
                    found.faults |= part.faults
                    start = min(start + CHUNK, cases)
                if current.value != seen:
                    seen, since = current.value, time.monotonic()
                    tell(seen)
                elif seen >= 0 and time.monotonic() - since > STILL_S:
                    process.kill()
        except EOFError:
            process.join()
            if current.value < start:
                raise ValueError(f"{name}: the process must come to its first case") from None
            found.faults[current.value] = f"the process ended with {_how(process.exitcode)}"
        finally:
            process.kill()
            process.join()
            ours.close()
    return found


def _how(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


def _work(
    maker: Maker,
    name: str,
    seed: int,
    numbers: range,
    done: set[int],
    current: Any,
    out: Connection,
) -> None:
    """Run cases, those done excepted, in a process of its own."""

    def tell(number: int) -> None:
        current.value = number

    with tempfile.TemporaryDirectory() as folder:
        target = maker(Path(folder))
        with limited():
            for first in range(numbers.start, numbers.stop, CHUNK):
                chunk = range(first, min(first + CHUNK, numbers.stop))
                left = [number for number in chunk if number not in done]
                out.send(run(target, name, seed, left, tell))


def _again(name: str, seed: int, number: int) -> tuple[Files, str | None]:
    """Return a case's input, and what is wrong with how it is read, with the traceback."""
    with tempfile.TemporaryDirectory() as folder:
        target = TARGETS[name][0](Path(folder))
        files = make(target, name, seed, number)
        with limited():
            return files, fault(target, files, Outcome(), where=True)


def _keep(folder: Path, name: str, files: Files) -> None:
    for file, content in files.items():
        place = folder / name.replace(" ", "_") / file
        disk.make_folder(place.parent)
        place.write_bytes(content)


def _record(seed: int, found: Mapping[str, Outcome]) -> dict[str, Any]:
    return {
        name: {"seed": seed, "cases": outcome.cases, **dataclasses.asdict(outcome)}
        for name, outcome in found.items()
    }


def _store(record: Mapping[str, Any]) -> None:
    """Store results, with what is stored of other formats."""
    known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    known = {**known, **record}
    every = {name: known[name] for name in TARGETS if name in known}
    disk.replace(RESULTS, (json.dumps(every, indent=1) + "\n").encode())


def table(stored: Mapping[str, Any]) -> str:
    """Return stored results in Markdown."""
    rows = ["| format | cases | refused | taken | faults |", "|---|---|---|---|---|"]
    for name, each in stored.items():
        counts = (each["cases"], each["refused"], each["taken"], len(each["faults"]))
        rows.append(f"| {name} | " + " | ".join(f"{count:,}" for count in counts) + " |")
    cases = sum(each["cases"] for each in stored.values())
    return "\n".join([*rows, f"| all | **{cases:,}** | | | |"])


def _survey_all(
    names: Sequence[str], seed: int, cases: int | None, *, update: bool
) -> dict[str, Outcome]:
    found = {}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(),
    ) as bar:  # fmt: skip
        for name in names:
            maker, most = TARGETS[name]
            task = bar.add_task(name, total=cases or most)

            def tell(number: int, task: Any = task) -> None:
                bar.update(task, completed=number + 1)

            found[name] = survey(maker, name, seed, cases or most, tell)
            if update:
                _store(_record(seed, {name: found[name]}))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Read damaged files, bytes and command lines.")
    parser.add_argument("--format", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument(
        "--cases", type=cli.integer("cases", 1, 10**9), metavar="N",
        help="of each format (without it: as many as are useful, more than a million in all)",
    )  # fmt: skip
    parser.add_argument("--seed", type=cli.integer("seed", 0, 2**32), default=1, metavar="S")
    parser.add_argument(
        "--case", type=cli.integer("case", 0, 10**9), metavar="N",
        help="run this case alone, of one format, and show where it fails",
    )  # fmt: skip
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write what is not read well")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument(
        "--update", action="store_true", help="store them; write docs/verification.md"
    )
    options = parser.parse_args(arguments)
    if options.keep:
        try:
            disk.check_folder(options.keep, owner=None)
        except disk.OutputError as error:
            cli.bad_input(PROGRAM, error)
    if options.case is not None:
        if len(options.format) != 1:
            cli.bad_input(PROGRAM, "--case must come with one --format")
        files, wrong = _again(options.format[0], options.seed, options.case)
        if options.keep:
            _keep(options.keep, f"{options.format[0]}_{options.case}", files)
        print(wrong or "nothing is wrong")
        return int(wrong is not None)
    found = _survey_all(options.format, options.seed, options.cases, update=options.update)
    record = _record(options.seed, found)
    if options.keep:
        for name, outcome in found.items():
            with tempfile.TemporaryDirectory() as folder:
                target = TARGETS[name][0](Path(folder))
                for number in outcome.faults:
                    files = make(target, name, options.seed, number)
                    _keep(options.keep, f"{name}_{number}", files)
    if options.update:
        insert(VERIFICATION, "fuzz", table(json.loads(RESULTS.read_text("utf-8"))))
    if options.json:
        print(json.dumps(record, indent=1))
    else:
        for name, outcome in found.items():
            print(f"{name:<22} {outcome.cases:>8} cases, {outcome.refused:>7} refused")
            for number, wrong in outcome.faults.items():
                print(f"  {number}: {wrong}")
    faults = sum(len(outcome.faults) for outcome in found.values())
    cases = sum(outcome.cases for outcome in found.values())
    print(f"{cases} cases, seed {options.seed}: {faults} faults", file=sys.stderr)
    return int(faults > 0)


if __name__ == "__main__":
    cli.run(main)
