# SPDX-License-Identifier: Apache-2.0
"""Toggle and line coverage of the RTL: ``python -m scripts.rtl_coverage``.

Verilator counts how often each line ran and each bit rose and fell, while the designs of
`scripts.rtl_coverage_designs` are simulated. A bit counts if it did both. Of bits that Yosys proves
constant nothing is expected. What else nothing moves is listed by name, with the reason why it may
stay where it is; one without a reason makes the command fail, as does a reason that nothing needs.
What a signal passes through within a cycle is counted, too, where Verilator lets it.

Names that Amaranth derives of others (fields, copies) are not counted again, nor is the clock.
"""

from __future__ import annotations

import collections
import json
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cosim.runner import BuildError, SimulationError
from fpga import yosys
from hw import cli, disk
from scripts.rtl_constants import constants
from scripts.rtl_coverage_designs import DESIGNS, Measured
from scripts.rtl_coverage_reasons import Reasons
from scripts.tables import VERIFICATION, insert

__all__ = ["Point", "measure", "read", "report", "table"]

PROGRAM = "python -m scripts.rtl_coverage"
RESULT = VERIFICATION.parent / "results/coverage.json"

Point = tuple[str, str, str]
"""Kind (``bit`` or ``line``), module, and name of the bit with its edge, or number of the line."""

_RECORD = re.compile(r"^C '(.*)' (\d+)$", re.MULTILINE)
_ARTEFACT = "dump_module"  # Yosys' way to say that a process depends on something


def read(text: str, top: str) -> dict[Point, int]:
    """Read what Verilator has counted: of each point of a design, how often it was met.

    Modules are named from ``top`` down, which itself has no name.

    Raises
    ------
    ValueError
        If there is none.
    """
    found: collections.Counter[Point] = collections.Counter()
    for record, count in _RECORD.findall(text):
        fields = dict(part.split("\x02", 1) for part in record.split("\x01")[1:])
        place = re.fullmatch(rf"(?:.*\.)?{top}(?:\.(.*))?", fields["h"])
        if place is None:
            continue
        module = place[1] or ""
        if fields["page"].startswith("v_toggle"):
            name = _decoded(fields["o"])
            if not re.match(r"clk:|.*[$.].*|.*\].*\]", name):
                found["bit", module, name] += int(count)
        else:
            found["line", module, f"{fields['l']} {fields['o']}"] += int(count)
    if not found:
        raise ValueError("coverage must have a point at least, not none")
    return dict(found)


def _decoded(name: str) -> str:
    """Return a name as it is in Verilog, without Verilator's codes for characters."""
    name = name.replace("___05F", "__")
    return re.sub(r"__0([0-9a-fA-F]{2})", lambda code: chr(int(code[1], 16)), name)


def measure(design: Measured) -> dict[str, Any]:
    """Run a design; return its `report`."""
    block = design.block()
    points: collections.Counter[Point] = collections.Counter()
    for text in design.run(block):
        points.update(read(text, block.name))
    return report(points, block.name, block.text, constants(block), design.reasons)


def report(
    points: Mapping[Point, int],
    top: str,
    verilog: str,
    constant: Collection[str],
    reasons: Reasons,
) -> dict[str, Any]:
    """Return what is covered of each module, and what is not, with its reason or without one.

    Raises
    ------
    ValueError
        If nothing needs a reason.
    """
    text = verilog.splitlines()
    blocks: dict[str, dict[str, int]] = {}
    still: dict[str, list[str]] = {}
    edges: dict[tuple[str, str], list[int]] = {}

    def count(kind: str, module: str, name: str, met: bool) -> None:
        block = blocks.setdefault(module or top, dict.fromkeys(_COLUMNS, 0))
        block[kind] += 1
        block["moved" if kind == "bits" else "run"] += met
        if not met:
            name = f"{module or top}: {name}"
            why = (why for why, pattern in reasons if re.fullmatch(pattern, name))
            still.setdefault(next(why, ""), []).append(name)

    for (kind, module, name), times in points.items():
        if kind == "bit":
            edges.setdefault((module, name.rpartition(":")[0]), []).append(times)
        elif _ARTEFACT not in (line := text[int(name.split()[0]) - 1].strip()):
            count("lines", module, line, times > 0)
    for (module, bit), counts in edges.items():
        if (f"{module}.{bit}" if module else bit) not in constant:
            count("bits", module, bit, min(counts) > 0)
        else:
            blocks.setdefault(module or top, dict.fromkeys(_COLUMNS, 0))["constant"] += 1
    idle = [why for why, _ in reasons if why not in still]
    if idle:
        raise ValueError(f"a reason must be needed, as is not: {idle[0]}")
    return {
        "blocks": dict(sorted(blocks.items())),
        "not moved, by reason": {why: sorted(names) for why, names in sorted(still.items())},
    }


_COLUMNS = ("constant", "bits", "moved", "lines", "run")


def table(results: Mapping[str, Any]) -> str:
    """Return the tables for ``docs/verification.md``."""
    rows = [
        "| design | module | constant | bits | moved | lines | run |",
        "|---|---|---|---|---|---|---|",
    ]
    still = ["", "| design | not moved, because | |", "|---|---|---|"]
    for design, result in results.items():
        blocks = result["blocks"]
        total = {key: sum(block[key] for block in blocks.values()) for key in _COLUMNS}
        for name, block in [("**all**", total), *blocks.items()]:
            shown = name if name.startswith("**") else f"`{name}`"
            cells = " | ".join(str(block[key]) for key in _COLUMNS)
            rows.append(f"| {design} | {shown} | {cells} |")
        for why, names in result["not moved, by reason"].items():
            still.append(f"| {design} | {why} | {len(names)} |")
    return "\n".join(rows + still)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Measure toggle and line coverage of the RTL.")
    parser.add_argument("--design", choices=DESIGNS, help="only that one")
    parser.add_argument("--json", action="store_true", help="print the whole result")
    parser.add_argument("--update", action="store_true", help="store it, and the tables")
    options = parser.parse_args(arguments)
    if options.update and options.design:
        cli.bad_input(PROGRAM, "--update must be of all designs, not of one")
    results: dict[str, Any] = {}
    for name in [options.design] if options.design else DESIGNS:
        try:
            results[name] = measure(DESIGNS[name])
        except (BuildError, SimulationError, yosys.YosysError, ValueError) as error:
            return cli.failed(PROGRAM, f"{name}: {error}")
    text = json.dumps(results, indent=1, ensure_ascii=False)
    print(text if options.json else table(results))
    if options.update:
        disk.replace(RESULT, f"{text}\n".encode())
        insert(VERIFICATION, "coverage", table(results))
    unexplained = [
        f"{name}, {point}"
        for name, result in results.items()
        for point in result["not moved, by reason"].get("", [])
    ]
    for point in unexplained:
        print(f"{PROGRAM}: not moved, and no reason is known: {point}", file=sys.stderr)
    return 1 if unexplained else 0


if __name__ == "__main__":
    cli.run(main)
