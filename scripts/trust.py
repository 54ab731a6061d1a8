# SPDX-License-Identifier: Apache-2.0
"""What the checks have found, in one place: ``python -m scripts.trust [--update]``.

Each figure is read from the file that its own command has stored; none is made here. ``--update``
writes ``docs/results/trust.json`` and the README's table. Exit code 1: a file is not there yet, and
its figure is left out.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hw import cli, disk
from scripts.tables import ROOT, insert

__all__ = ["SOURCES", "Figure", "Source", "figures", "main", "stored", "table"]

PROGRAM = "python -m scripts.trust"
RESULTS = ROOT / "docs/results/trust.json"
README = ROOT / "README.md"
FORMAT = 1

Values = dict[str, int]


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of results.

    Parameters
    ----------
    file : str
        Below ``docs/results``.
    command : str
        What makes it, after ``python -m``, or a target of make.
    what : str
        What is counted, for people.
    read : callable
        Takes what the file holds; returns the counts.
    show : str
        How the counts are shown; ``{percent}`` is the share of the first in the second.
    rest : callable
        Takes the counts; returns what is told after them.
    """

    file: str
    command: str
    what: str
    read: Callable[[Any], Values]
    show: str
    rest: Callable[[Values], str] = lambda values: ""


@dataclasses.dataclass(frozen=True)
class Figure:
    """Counts of one source, as they are stored and shown."""

    file: str
    command: str
    what: str
    values: Values
    shown: str


def _proofs(proofs: Sequence[Mapping[str, Any]]) -> Values:
    return {"hold": sum(proof["passed"] for proof in proofs), "proofs": len(proofs)}


def _faults(verdicts: Sequence[Mapping[str, Any]]) -> Values:
    outcomes = collections.Counter(verdict["outcome"] for verdict in verdicts)
    missed = outcomes.pop("missed", 0)
    caught = outcomes.pop("caught", 0)
    return {"caught": caught, "faults": len(verdicts), "none": outcomes.total(), "missed": missed}


def _rtl_coverage(record: Mapping[str, Any]) -> Values:
    counts: collections.Counter[str] = collections.Counter()
    for design in record.values():
        for block in design["blocks"].values():
            counts.update(block)
        counts["unexplained"] += len(design["not moved, by reason"].get("", []))
    names = ("moved", "bits", "run", "lines", "constant", "unexplained")
    return {name: counts[name] for name in names} | {"designs": len(record)}


def _unexplained(values: Values) -> str:
    if values["unexplained"]:
        return f"; {values['unexplained']:,} of the other bits and lines without a stated reason"
    return "; every other bit and line has a stated reason"


def _lines(record: Mapping[str, Any]) -> Values:
    total = record["packages"]["total"]
    return {"run": total["covered"], "lines": total["statements"]}


def _hostile(formats: Mapping[str, Any]) -> Values:
    return {
        "cases": sum(each["cases"] for each in formats.values()),
        "formats": len(formats),
        "faults": sum(len(each["faults"]) for each in formats.values()),
    }


def _kills(programs: Mapping[str, Any]) -> Values:
    return {"kills": sum(each["kills"] for each in programs.values()), "programs": len(programs)}


def _images(record: Mapping[str, Any]) -> Values:
    images, classes = record["run"]["images"], record["run"]["classes"]
    chunks = sorted(int(first) for first in record["logits"])
    if chunks != list(range(0, images, record["run"]["chunk"])):
        raise ValueError(f"all {images} images must be compared")
    return {"equal": images * classes, "logits": images * classes, "images": images}


def _equivalence(record: Mapping[str, Any]) -> Values:
    shapes, blocks = record["paired"], record["from the start"]
    paired = [s for s in shapes if s["control"] < s["proven"] == s["pairs"]]
    equal = [block for block in blocks if block["proven"] and not block["control"]]
    return {
        "equal": len(paired) + len(equal),
        "netlists": len(shapes) + len(blocks),
    }


SOURCES = (
    Source("proofs.json", "cosim.prove --json docs/results/proofs.json",
           "proofs, each with a seeded fault that it refutes",
           _proofs, "{hold} of {proofs} hold"),
    Source("equivalence.json", "cosim.equivalence --json docs/results/equivalence.json",
           "Artix-7 netlists of shift modules, small tiles and their parts = RTL, without bound",
           _equivalence, "{equal} of {netlists} proven"),
    Source("all_images.json",
           "cosim.all_images --intnet model/zoo/psp_64_4_int8 --out docs/results/all_images.json",
           "psp_64_4's RTL = golden executor: logits of the whole CIFAR-10 test set",
           _images, "{equal:,} of {logits:,} equal, {images:,} images"),
    Source("mutation.json", "scripts.mutate --update",
           "single faults seeded in the RTL of shift module, tile and accelerator",
           _faults, "{caught} of {faults} caught, {percent:.1f} %; {none} proven invisible; "
           "{missed} missed"),
    Source("mutation_python.json", "scripts.mutate_python --update",
           "single faults seeded in `frames.py`, `golden.py`, `mapping.py`",
           _faults, "{caught} of {faults} caught, {percent:.1f} %; {none} change nothing; "
           "{missed} missed"),
    Source("coverage.json", "scripts.rtl_coverage --update",
           "bits of the RTL that rise and fall, and lines that run, in simulation",
           _rtl_coverage, "{moved:,} of {bits:,} bits that are not constant, {percent:.2f} %; "
           "{run:,} of {lines:,} lines, in {designs} designs", _unexplained),
    Source("line_coverage.json", "make coverage", "lines of Python that the fast tests run",
           _lines, "{percent:.1f} % of {lines:,}"),
    Source("fuzz.json", "scripts.fuzz --update",
           "hostile input: damaged files, bytes and command lines",
           _hostile, "{cases:,} cases of {formats} formats, {faults} faults"),
    Source("kills.json", "scripts.kills --update", "kill -9 while files are written",
           _kills, "{kills:,} in {programs} programs; no file lost or half-written"),
)  # fmt: skip


def figures(folder: Path) -> tuple[list[Figure], list[Source]]:
    """Read the figures of the files that are there; return the sources of the others, too.

    Raises
    ------
    ValueError
        If a file holds something else than its command writes.
    """
    found, missing = [], []
    for source in SOURCES:
        file = folder / source.file
        if not file.exists():
            missing.append(source)
            continue
        try:
            values = source.read(json.loads(file.read_text(encoding="utf-8")))
            first, second, *_ = values.values()
            shown = source.show.format(**values, percent=100 * first / second)
            shown += source.rest(values)
        except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise ValueError(f"{file.name} must be of {source.command}: {error!r}") from None
        found.append(Figure(source.file, source.command, source.what, values, shown))
    return found, missing


def table(found: Sequence[Figure]) -> str:
    """Return the figures in Markdown."""
    rows = ["| counted | result | by |", "|---|---|---|"]
    for figure in found:
        command = figure.command.split(" --")[0]
        rows.append(f"| {figure.what} | **{figure.shown}** | `{command}` |")
    return "\n".join(rows)


def stored() -> list[Figure]:
    """Read the figures that were stored."""
    data = json.loads(RESULTS.read_text(encoding="utf-8"))
    return [Figure(**figure) for figure in data["figures"]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Show what the checks have found.")
    parser.add_argument(
        "--update", action="store_true", help="store the figures; write the README's table"
    )
    options = parser.parse_args(arguments)
    try:
        found, missing = figures(RESULTS.parent)
    except ValueError as error:
        cli.bad_input(PROGRAM, error)
    print(table(found))
    if options.update:
        data = {"format": FORMAT, "figures": [dataclasses.asdict(figure) for figure in found]}
        text = json.dumps(data, indent=1, ensure_ascii=False)
        disk.replace(RESULTS, (text + "\n").encode())
        insert(README, "trust", table(found))
    for source in missing:
        print(f"{PROGRAM}: docs/results/{source.file} is missing: {source.command} makes it",
              file=sys.stderr)  # fmt: skip
    return int(bool(missing))


if __name__ == "__main__":
    cli.run(main)
