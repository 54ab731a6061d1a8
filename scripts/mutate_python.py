# SPDX-License-Identifier: Apache-2.0
"""Mutation check of Python: ``python -m scripts.mutate_python [--file FILE] [--update]``.

Every fault of `scripts.python_faults` is seeded in the files on which all else rests, one at a
time, and the file's own tests must fail. Each fault has a process of its own, forked from one that
has imported what the tests need but nothing of the project. Hypothesis draws the same examples
each time, so that the verdicts are the same each time.

A fault that no test can notice is listed, with the reason, in ``scripts/equivalent_faults.toml``.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import importlib
import json
import multiprocessing
import multiprocessing.connection
import os
import sys
import tomllib
from collections.abc import Sequence

import hypothesis
import pytest
from rich.progress import track

from hw import cli
from scripts.python_faults import FaultyImporter, list_faults
from scripts.tables import ROOT, VERIFICATION, insert
from scripts.verdicts import Verdict, read_verdicts, write_verdicts

__all__ = ["FILES", "check", "equivalents", "listing", "main", "stored", "table"]

PROGRAM = "python -m scripts.mutate_python"
RESULTS = ROOT / "docs/results/mutation_python.json"
EQUIVALENT = ROOT / "scripts/equivalent_faults.toml"
OUTCOMES = ("caught", "equivalent", "missed")
SECONDS = 300
"""After which a test counts as endless: they take a few."""

OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""The warning: hypothesis is there before pytest is."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """How a file is tested: arguments of pytest, and what may be imported before the fault is."""

    tests: tuple[str, ...]
    imports: tuple[str, ...]


FILES = {
    "fpga/frames.py": Subject(
        # Without those of installed tools, so that the verdicts do not depend on them.
        (
            "tests/test_fpga_frames.py",
            "tests/test_fpga_frames_edges.py",
            "-k",
            "not random_features and not frames_of_the_grid",
        ),
        ("numpy",),
    ),
    "model/golden.py": Subject(
        (
            "tests/test_model_golden_axes.py",
            "tests/test_model_golden_steps.py",
            "tests/test_model_golden.py",
        ),
        ("numpy", "torch", "hypothesis.extra.numpy"),
    ),
    "model/cost/mapping.py": Subject(
        ("tests/test_model_cost_mapping_sides.py", "tests/test_model_cost_mapping.py"), ("numpy",)
    ),
}


class _First:
    """Notes the first test that fails; a plugin of pytest."""

    def __init__(self) -> None:
        self.failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.location[2].split("[")[0]


def _try(
    file: str, number: int, subject: Subject, answer: multiprocessing.connection.Connection
) -> None:
    """Run the tests with one fault, none if ``number`` is negative; answer what failed first."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    if number >= 0:
        module = file.removesuffix(".py").replace("/", ".")
        sys.meta_path.insert(0, FaultyImporter(module, ROOT / file, number))
    hypothesis.settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    hypothesis.settings.load_profile("mutation")
    first = _First()
    code = pytest.main([*OPTIONS, *subject.tests], plugins=[first])
    others = {pytest.ExitCode.OK: "", pytest.ExitCode.INTERRUPTED: "import"}
    answer.send(first.failed or others.get(pytest.ExitCode(code), "crash"))


def judge(file: str, number: int, subject: Subject, seconds: float = SECONDS) -> str:
    """Return by what a fault is caught: a test, the import, or the time limit; "" if by nothing.

    To be called where nothing of the project has been imported: a fork would have it, too.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_try, args=(file, number, subject, theirs))
    process.start()
    theirs.close()
    try:
        by = str(ours.recv()) if ours.poll(seconds) else "time limit"
    except EOFError:
        by = "crash"
    process.kill()
    process.join()
    ours.close()
    return by


def check(file: str, *, jobs: int = 1, numbers: Sequence[int] | None = None) -> list[Verdict]:
    """Seed every fault of a file, or those numbered, and say what became of each.

    Raises
    ------
    RuntimeError
        If the tests fail without a fault.
    """
    subject = FILES[file]
    faults = list_faults((ROOT / file).read_text(encoding="utf-8"))
    chosen = range(len(faults)) if numbers is None else numbers
    # A process of its own for each file: what it imports, the faulty ones inherit.
    with concurrent.futures.ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare,
        initargs=(subject,),
    ) as pool:
        if by := pool.submit(judge, file, -1, subject).result():
            raise RuntimeError(f"the tests of {file} must pass without a fault, not fail: {by}")
        found = pool.map(judge, *zip(*((file, number, subject) for number in chosen), strict=True))
        shown = track(found, file, len(chosen), transient=True, disable=not sys.stderr.isatty())
        reasons = equivalents().get(file, {})
        verdicts = []
        for number, by in zip(chosen, shown, strict=True):
            function, fault = faults[number]
            reason = reasons.get(f"{function}: {fault}", "")
            outcome = "caught" if by else "equivalent" if reason else "missed"
            verdicts.append(Verdict(file, function, fault, outcome, by or reason))
    return verdicts


def _prepare(subject: Subject) -> None:
    """Import in a process of the pool what its forks need."""
    for name in subject.imports:
        importlib.import_module(name)


def equivalents() -> dict[str, dict[str, str]]:
    """Read why which faults change nothing that can be seen: by file, function and fault."""
    data: dict[str, dict[str, str]] = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))
    return data


def table(verdicts: Sequence[Verdict]) -> str:
    """Return in Markdown how many faults of each file were caught."""
    rows = ["| file | faults | caught | no fault | missed | score |", "|---|---|---|---|---|---|"]
    for file in dict.fromkeys(verdict.design for verdict in verdicts):
        own = collections.Counter(v.outcome for v in verdicts if v.design == file)
        caught, same, missed = (own[outcome] for outcome in OUTCOMES)
        rows.append(
            f"| `{file}` | {own.total()} | {caught} | {same} | {missed} | "
            f"{100 * caught / own.total():.1f} % |"
        )
    return "\n".join(rows)


def listing(verdicts: Sequence[Verdict]) -> str:
    """Return in Markdown the faults that no test catches, and why."""
    rows = ["| file | function | fault | why nothing can notice it |", "|---|---|---|---|"]
    for v in verdicts:
        if v.outcome != "caught":
            fault = v.fault.replace("|", "\\|")
            rows.append(f"| `{v.design}` | `{v.block}` | `{fault}` | {v.by or 'missed'} |")
    return "\n".join(rows)


def stored() -> list[Verdict]:
    """Read the verdicts that were stored."""
    return read_verdicts(RESULTS)


def numbers_left(file: str) -> list[int]:
    """Return the numbers of a file's faults that are not stored as caught."""
    caught = {(v.block, v.fault) for v in stored() if v.design == file and v.outcome == "caught"}
    faults = list_faults((ROOT / file).read_text(encoding="utf-8"))
    return [number for number, fault in enumerate(faults) if fault not in caught]


def update(verdicts: Sequence[Verdict]) -> None:
    """Store the verdicts, with those stored of other faults; write the tables of all of them."""
    known = {(v.design, v.block, v.fault): v for v in [*stored(), *verdicts]}
    keys = [
        (file, *fault)
        for file in FILES
        for fault in list_faults((ROOT / file).read_text(encoding="utf-8"))
    ]
    every = [known[key] for key in keys if key in known]
    write_verdicts(RESULTS, every)
    insert(VERIFICATION, "python-mutants", table(every))
    insert(VERIFICATION, "python-survivors", listing(every))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Seed single faults in Python; none may be missed.")
    parser.add_argument("--file", choices=FILES, help="only that one")
    parser.add_argument("--left", action="store_true",
                        help="only faults that are not stored as caught")  # fmt: skip
    parser.add_argument("--jobs", type=cli.integer("jobs", 1, 256), default=2, metavar="COUNT",
                        help="faults at a time")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print every verdict as JSON")
    parser.add_argument(
        "--update", action="store_true", help="store the verdicts; write docs/verification.md"
    )
    options = parser.parse_args(arguments)
    verdicts = []
    for file in [options.file] if options.file else FILES:
        numbers = numbers_left(file) if options.left else None
        try:
            found = check(file, jobs=options.jobs, numbers=numbers)
        except RuntimeError as error:
            return cli.failed(PROGRAM, error)
        if options.update:
            update(found)
        verdicts += found
    if options.json:
        print(json.dumps([dataclasses.asdict(verdict) for verdict in verdicts], indent=2))
    else:
        for verdict in verdicts:
            if verdict.outcome == "missed":
                print(f"missed {verdict.design} {verdict.block} {verdict.fault}")
        print(table(verdicts))
    return int(any(verdict.outcome == "missed" for verdict in verdicts))


if __name__ == "__main__":
    cli.run(main)
