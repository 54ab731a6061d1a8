# SPDX-License-Identifier: Apache-2.0
"""Runs the formal proofs: ``python -m cosim.prove``; ``--help`` lists the options.

Each proof of ``cosim.properties`` counts only if three things come out: the claim holds, its
harness does something (every cover is reached), and with a seeded fault in the hardware the very
same check ends in a counterexample. An error, a timeout or an undecided solver is none of these.
Exit code: 0 if every proof counts, 1 if one does not, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import fnmatch
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cosim.proof import Proof
from cosim.properties import PROOFS
from cosim.solve import Outcome, prove
from hw import cli, disk

__all__ = ["main"]

PROGRAM = "python -m cosim.prove"


def _table(outcomes: Sequence[Outcome], seconds: float) -> Table:
    """Lay the outcomes out for people."""
    table = Table(title=f"{len(outcomes)} proof{'s' * (len(outcomes) > 1)} in {seconds:.0f} s")
    for heading in ("proof", "property", "method", "s", "result", "covers", "fault", "control"):
        table.add_column(heading, justify="right" if heading == "s" else "left")
    for outcome in outcomes:
        proof = outcome.proof
        table.add_row(
            proof.name,
            proof.claim,
            proof.method,
            f"{outcome.seconds:.1f}",
            outcome.claim,
            outcome.covers,
            str(proof.fault),
            outcome.control,
            style=None if outcome.passed else "bold red",
        )
    return table


def _arguments(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[Proof]]:
    parser = cli.Parser(PROGRAM, "Run the formal proofs, each with its control.")
    parser.add_argument("--quick", action="store_true", help="a subset, in under 40 s")
    parser.add_argument(
        "--jobs",
        type=cli.integer("jobs", 1, 256),
        default=os.cpu_count() or 1,
        metavar="COUNT",
        help="proofs at a time",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="write the results here too",
    )
    parser.add_argument(
        "--only", metavar="NAME", default="*", help="a name, or a pattern: 'shift-run-*'"
    )
    arguments = parser.parse_args(argv)
    proofs = [
        proof
        for proof in PROOFS
        if (proof.quick or not arguments.quick) and fnmatch.fnmatchcase(proof.name, arguments.only)
    ]
    if not proofs:
        parser.error(f"no proof is called {arguments.only}")
    if "json" in arguments:
        try:
            disk.check_file(arguments.json)
        except disk.OutputError as error:
            cli.bad_input(PROGRAM, error)
    return arguments, proofs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the proofs that the command line selects; return the exit code."""
    arguments, proofs = _arguments(argv)
    progress = Console(stderr=True)
    began = time.monotonic()
    outcomes: dict[Proof, Outcome] = {}
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        tasks = [pool.submit(prove, proof, stop=stop) for proof in proofs]
        try:
            for done in concurrent.futures.as_completed(tasks):
                outcome = done.result()
                outcomes[outcome.proof] = outcome
                state = "ok" if outcome.passed else "FAILED"
                progress.print(f"{len(outcomes)}/{len(proofs)} {outcome.proof.name}: {state}")
        finally:
            stop.set()  # Ctrl-C: what runs ends, and what waits does not begin
            pool.shutdown(cancel_futures=True)
    ordered = [outcomes[proof] for proof in proofs]
    Console(width=None if sys.stdout.isatty() else 200).print(
        _table(ordered, time.monotonic() - began)
    )
    if "json" in arguments:
        text = json.dumps([outcome.as_dict() for outcome in ordered], indent=2, ensure_ascii=False)
        disk.write_file(arguments.json, f"{text}\n".encode())
    return 0 if all(outcome.passed for outcome in ordered) else 1


if __name__ == "__main__":
    cli.run(main)
