# SPDX-License-Identifier: Apache-2.0
"""Mutation check: single faults in the RTL; checks must catch them: ``python -m scripts.mutate``.

The faults are those of `scripts.rtl_faults`; what is done with them is the design's affair:
`scripts.mutate_shift` for the shift module, `scripts.mutate_accelerator` for the accelerator with
its tile.
"""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Sequence

from cosim import simulators
from cosim.runner import BuildError
from fpga import yosys
from hw import cli
from scripts import mutate_accelerator, mutate_shift
from scripts.tables import ROOT, VERIFICATION, insert
from scripts.verdicts import Verdict, read_verdicts, write_verdicts

__all__ = ["listing", "main", "stored", "table"]

PROGRAM = "python -m scripts.mutate"
RESULTS = ROOT / "docs/results/mutation.json"
OUTCOMES = ("caught", "invisible", "missed")


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
    return read_verdicts(RESULTS)


def update(verdicts: Sequence[Verdict]) -> None:
    """Store the verdicts, with what is stored of other designs; write the tables of all of them.

    By design: the order in which they were judged leaves no trace.
    """
    designs = {verdict.design for verdict in verdicts}
    kept = [each for each in stored() if each.design not in designs]
    every = sorted([*kept, *verdicts], key=lambda verdict: verdict.design)
    write_verdicts(RESULTS, every)
    insert(VERIFICATION, "mutants", table(every))
    insert(VERIFICATION, "faults", listing(every))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
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
        return cli.failed(PROGRAM, error)
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
