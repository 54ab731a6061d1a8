# SPDX-License-Identifier: Apache-2.0
"""Mutation check: single faults in the RTL; checks must catch them: ``python -m scripts.mutate``.

Yosys chooses the faults: a bit of a cell's port stuck, inverted, or made to depend on another
signal. What is done with them is the design's affair: ``scripts.mutate_shift`` for the shift
module, ``scripts.mutate_accelerator`` for the accelerator with its tile.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cosim import simulators
from cosim.runner import BuildError
from fpga import yosys
from hw import cli
from scripts.tables import ROOT, VERIFICATION, insert

__all__ = ["LINT", "SEED", "Fault", "Verdict", "list_faults", "listing", "main", "stored", "table"]

PROGRAM = "python -m scripts.mutate"
RESULTS = ROOT / "docs/results/mutation.json"
SEED = 1
OUTCOMES = ("caught", "invisible", "missed")

LINT = "".join(
    f"/* verilator lint_off {rule} */\n" for rule in ("CASEOVERLAP", "UNOPTFLAT", "WIDTHTRUNC")
)
"""A bit that a fault ties to another of the same port looks like a loop, but is none; and Yosys
shifts in all bits even where it has found that few of them are used."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a fault: caught or proven invisible (by what), or missed, which is neither."""

    design: str
    block: str
    fault: str
    outcome: str
    by: str


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault of a block, as the command that makes Yosys seed it."""

    block: str
    command: str

    @property
    def cell(self) -> str:
        """Yosys' name of the cell that is faulty."""
        return self._option("cell")

    @property
    def text(self) -> str:
        """What is wrong, for people: how, the bit of the cell's port, the cell."""
        by = f" by bit {self._option('ctrlbit')}" if "-ctrlbit" in self.command else ""
        cell = re.sub(r"\$?sound\.v:\d+", "", self.cell.removeprefix("$flatten")).replace("\\", "")
        port = f"{self._option('port')}[{self._option('portbit')}]"
        return f"{self._option('mode')}{by}, {port} of {cell}"

    def _option(self, name: str) -> str:
        found = re.search(rf" -{name} (\S+)", self.command)
        return found[1] if found else ""


def list_faults(
    commands: Sequence[str], folder: Path, count: int, cells: Mapping[str, str]
) -> list[Fault]:
    """Return ``count`` different faults of each block, none of a clock; the same each time.

    Parameters
    ----------
    commands : sequence of str
        What makes Yosys read the design, in ``folder``.
    folder : Path
    count : int
    cells : mapping of str to str
        Yosys' selection of a block's cells, by the block's name.
    """
    asked = dict.fromkeys(cells, count)
    while True:
        lists = [
            f"mutate -list {asked[block]} -seed {SEED} -o {block}.txt {chosen}"
            for block, chosen in cells.items()
        ]
        yosys.run([*commands, *lists], folder)
        texts = {block: (folder / f"{block}.txt").read_text(encoding="utf-8") for block in cells}
        listed = {
            block: [line for line in text.splitlines() if line.startswith("mutate ")]
            for block, text in texts.items()
        }
        found = {
            block: [line for line in lines if not re.search(r" -port \w*CLK ", line)][:count]
            for block, lines in listed.items()
        }
        short = [b for b in cells if len(found[b]) < count and len(listed[b]) == asked[b]]
        if not short:
            break
        asked |= {block: asked[block] + count for block in short}
    return [
        Fault(block, re.sub(r" -(src|wire|wirebit) \S+", "", line))
        for block, lines in found.items()
        for line in lines
    ]


def table(verdicts: Sequence[Verdict]) -> str:
    """Return in Markdown how many faults of each block were caught by what."""
    rows = [
        "| design | block | faults | caught by | invisible | missed |",
        "|---|---|---|---|---|---|",
    ]
    for design, block in dict.fromkeys((v.design, v.block) for v in verdicts):
        own = [v for v in verdicts if (v.design, v.block) == (design, block)]
        by = collections.Counter(v.by for v in own if v.outcome == "caught").most_common()
        outcomes = collections.Counter(v.outcome for v in own)
        rows.append(
            f"| {design} | {block} | {len(own)} | {', '.join(f'{name} {n}' for name, n in by)} | "
            f"{outcomes['invisible']} | {outcomes['missed']} |"
        )
    return "\n".join(rows)


def listing(verdicts: Sequence[Verdict]) -> str:
    """Return in Markdown every fault, with what became of it."""
    rows = ["| design | block | fault | outcome | by |", "|---|---|---|---|---|"]
    for v in verdicts:
        rows.append(f"| {v.design} | {v.block} | `{v.fault}` | {v.outcome} | {v.by} |")
    return "\n".join(rows)


def stored() -> list[Verdict]:
    """Read the verdicts that were stored."""
    return [Verdict(**each) for each in json.loads(RESULTS.read_text(encoding="utf-8"))]


def update(verdicts: Sequence[Verdict]) -> None:
    """Store the verdicts, with what is stored of other designs; write the tables of all of them.

    By design: the order in which they were judged leaves no trace.
    """
    designs = {verdict.design for verdict in verdicts}
    kept = [each for each in stored() if each.design not in designs] if RESULTS.exists() else []
    every = sorted([*kept, *verdicts], key=lambda verdict: verdict.design)
    text = json.dumps([dataclasses.asdict(each) for each in every], indent=1, ensure_ascii=False)
    cli.replace(RESULTS, f"{text}\n".encode())
    insert(VERIFICATION, "mutants", table(every))
    insert(VERIFICATION, "faults", listing(every))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    from scripts import mutate_accelerator, mutate_shift  # they use what is above

    designs = {"shift": mutate_shift.check, "accelerator": mutate_accelerator.check}
    parser = cli.Parser(PROGRAM, "Seed single faults in the RTL; none may be missed.")
    parser.add_argument("--design", choices=designs, help="only that one")
    parser.add_argument("--count", type=cli.integer("count", 1, 1000), metavar="COUNT",
                        help="faults: a shape, or a block of an accelerator")  # fmt: skip
    parser.add_argument("--jobs", type=cli.integer("jobs", 1, 256), default=2, metavar="COUNT",
                        help="simulations at a time")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print every verdict as JSON")
    parser.add_argument(
        "--update", action="store_true", help="store the verdicts; write docs/verification.md"
    )
    options = parser.parse_args(arguments)
    reason = simulators.missing("verilator")
    if reason:
        cli.bad_input(PROGRAM, reason)
    chosen = {options.design: designs[options.design]} if options.design else designs
    counts = {"count": options.count} if options.count else {}
    try:
        verdicts = [v for check in chosen.values() for v in check(jobs=options.jobs, **counts)]
    except (yosys.YosysError, BuildError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    if options.update:
        update(verdicts)
    tally = collections.Counter(verdict.outcome for verdict in verdicts)
    if options.json:
        print(json.dumps([dataclasses.asdict(verdict) for verdict in verdicts], indent=2))
    else:
        for verdict in verdicts:
            if verdict.outcome != "caught":
                print(f"{verdict.outcome:<10} {verdict.design} {verdict.block} {verdict.fault}")
        print(table(verdicts))
        print(f"{len(verdicts)} faults: " + ", ".join(f"{tally[o]} {o}" for o in OUTCOMES))
    return 1 if tally["missed"] else 0


if __name__ == "__main__":
    cli.run(main)
