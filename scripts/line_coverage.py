# SPDX-License-Identifier: Apache-2.0
"""How many lines of Python the tests run: ``python -m scripts.line_coverage [--update]``.

Reads what ``coverage`` has measured; ``make coverage`` measures first. Counted are the statements
of hw, model, cosim, fpga and scripts, in every process that the tests start, simulators' too.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hw import cli, disk
from scripts.tables import ROOT

__all__ = ["Lines", "by_package", "main", "read"]

PROGRAM = "python -m scripts.line_coverage"
MEASURED = ROOT / "build/coverage/coverage.json"
RESULTS = ROOT / "docs/results/line_coverage.json"
LOW = 90
"""Percent below which a file is listed."""


@dataclasses.dataclass(frozen=True)
class Lines:
    """Statements, and those of them that some test runs."""

    statements: int
    covered: int

    def __add__(self, other: Lines) -> Lines:
        return Lines(self.statements + other.statements, self.covered + other.covered)

    @property
    def percent(self) -> float:
        """Share that is run; of a file without statements, all."""
        return 100 * self.covered / self.statements if self.statements else 100.0


def read(report: Mapping[str, Any]) -> dict[str, Lines]:
    """Return the lines of each file, from what ``coverage json`` wrote."""
    return {
        file: Lines(of["summary"]["num_statements"], of["summary"]["covered_lines"])
        for file, of in sorted(report["files"].items())
    }


def by_package(files: Mapping[str, Lines]) -> dict[str, Lines]:
    """Return the lines of each package, and of all as ``total``."""
    packages: dict[str, Lines] = {}
    for file, lines in files.items():
        for name in (str(Path(file).parent), "total"):
            packages[name] = packages.get(name, Lines(0, 0)) + lines
    return {name: packages[name] for name in sorted(packages, key=lambda n: (n == "total", n))}


def _record(files: Mapping[str, Lines]) -> dict[str, Any]:
    return {
        "packages": {name: dataclasses.asdict(of) for name, of in by_package(files).items()},
        "low": {name: dataclasses.asdict(of) for name, of in files.items() if of.percent < LOW},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Show how many lines of Python the tests run.")
    parser.add_argument("measured", nargs="?", type=Path, default=MEASURED, metavar="FILE",
                        help="what `coverage json` wrote")  # fmt: skip
    parser.add_argument("--least", type=cli.integer("least", 0, 100), default=0, metavar="PERCENT",
                        help="fail if it is less in total")  # fmt: skip
    parser.add_argument("--update", action="store_true", help=f"store them: {RESULTS.name}")
    options = parser.parse_args(arguments)
    try:
        files = read(json.loads(options.measured.read_text(encoding="utf-8")))
        total = by_package(files)["total"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        cli.bad_input(PROGRAM, f"{options.measured} must be a result of coverage json: {error!r}")
    for name, lines in files.items():
        if lines.percent < LOW:
            print(f"{lines.percent:6.1f} % of {lines.statements:5} lines  {name}")
    for name, lines in by_package(files).items():
        print(f"{lines.percent:6.1f} % of {lines.statements:5} lines  {name}")
    if options.update:
        disk.replace(RESULTS, (json.dumps(_record(files), indent=1) + "\n").encode())
    if total.percent < options.least:
        return cli.failed(PROGRAM, f"{total.percent:.1f} % must be at least {options.least} %")
    return 0


if __name__ == "__main__":
    cli.run(main)
