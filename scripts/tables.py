# SPDX-License-Identifier: Apache-2.0
"""Write measured tables into documents, between ``<!-- name -->`` and ``<!-- /name -->``.

``python -m scripts.tables build/proofs.json`` does so for the proofs, from what
``python -m cosim.prove --json build/proofs.json`` wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hw import cli, disk

__all__ = ["insert", "proofs_table"]

PROGRAM = "python -m scripts.tables"
ROOT = Path(__file__).parent.parent
VERIFICATION = ROOT / "docs/verification.md"


def insert(document: Path, name: str, table: str) -> None:
    """Replace what stands between a document's two marks.

    Raises
    ------
    ValueError
        If the marks are not there exactly once.
    """
    text = document.read_text(encoding="utf-8")
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    text, count = re.subn(
        pattern, lambda marks: f"{marks[1]}{table}\n{marks[2]}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{document.name} must have the marks of {name} once, not {count} times")
    disk.replace(document, text.encode())


def proofs_table(proofs: Sequence[dict[str, Any]]) -> str:
    """Return the table of proofs in Markdown; the 49 bounded runs share one row."""
    runs = [proof for proof in proofs if proof["name"].startswith("shift-run-")]
    rows = [
        "| proof | claim | method | s | seeded fault | control |",
        "|---|---|---|---|---|---|",
    ]
    for proof in proofs:
        if proof not in runs:
            rows.append(
                f"| {proof['name']} | {proof['claim']} | {proof['method']} | "
                f"{proof['seconds']:.0f} | `{proof['fault']}` | {proof['control']} |"
            )
    if runs:
        total = sum(proof["seconds"] for proof in runs)
        rows.append(
            f"| shift-run, {len(runs)} shapes 2…8 × 2…8 | {runs[0]['claim']} | BMC depth H·W + 2 | "
            f"{total:.0f} | one each | "
            f"{sum(proof['control'].startswith('refuted') for proof in runs)} refuted (BMC) |"
        )
    held = sum(proof["passed"] for proof in proofs)
    return f"{held} of {len(proofs)} proofs hold, with their controls refuted.\n\n" + "\n".join(
        rows
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Write the table of proofs into docs/verification.md.")
    parser.add_argument("proofs", type=Path, metavar="FILE", help="what cosim.prove --json wrote")
    options = parser.parse_args(arguments)
    try:
        proofs = json.loads(options.proofs.read_text(encoding="utf-8"))
        table = proofs_table(proofs)
    except (OSError, ValueError, KeyError, TypeError) as error:
        cli.bad_input(PROGRAM, f"{options.proofs} must be a result of cosim.prove: {error}")
    insert(VERIFICATION, "proofs", table)
    return 0


if __name__ == "__main__":
    cli.run(main)
