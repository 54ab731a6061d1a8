# SPDX-License-Identifier: Apache-2.0
"""Toggle and line coverage of the accelerator's RTL: ``python -m scripts.rtl_coverage``.

Verilator counts how often each line ran and each bit rose and fell, while the five networks of
``SP, in place`` on which faults are seeded run on their images (`scripts.mutate_networks`). A bit
counts if it did both. What nothing moves is listed by name, with the reason why it may stay where
it is; one without a reason makes the command fail.

Names that Amaranth derives of others (fields, copies) are not counted again, nor is the clock.
"""

from __future__ import annotations

import collections
import json
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cosim import fast
from cosim.design import Block, emit_block
from cosim.run import check_in_one_go, rtl
from hw import cli
from hw.accelerator import Accelerator
from hw.image import Image
from model import agreement
from scripts.mutate_accelerator import COUNTER_BITS
from scripts.mutate_networks import DESIGNS, Case
from scripts.tables import VERIFICATION, insert

__all__ = ["Point", "read", "report", "run", "table"]

PROGRAM = "python -m scripts.rtl_coverage"
DESIGN = "SP, in place"
RESULT = VERIFICATION.parent / "results/coverage.json"
TOP = "accelerator"

Point = tuple[str, str, str]
"""Kind (``bit`` or ``line``), module, and name of the bit with its edge, or number of the line."""

REASONS: tuple[tuple[str, str, str], ...] = (
    ("always ready or valid", r"", r"\w*ready|\w*__valid|read__en|moves|w_rdy"),
    ("a constant: the digest, what is left of a table of counts", r"", r"digest|table_\d+"),
    ("one bank, of one block RAM", r"", r"host_bank|block_[ab]"),
    ("maps are shifted in place, not as they are read", r"fetch.*", r"direction|outside"),
    ("all layers agree on it", r"",
     r"entry|coming|commands__payload|group|flight_\d|sample|absent"),
    ("highest of addresses that are no power of two", r"",
     r"addr|shift_addr|write__addr"),
    ("no layer adds an operand", r"", r"add_addr"),
    ("the pooled map is smaller than a buffer", r"", r"pooled"),
    ("parameters of which no network has all bits", r"",
     r"(affines|channels|entries|load)__payload|fraction_bits|write__data"),
    ("a sum's lowest bits: whole multiples of its weight", r"tile\.shift_add",
     r"(old|weighted)_\d|operand|bits"),
    ("counts ADCs, an even number at a time", r"", r"conversions"),
    ("the queue is never full in an accelerator", r"tile\.queue", r"inner_level"),
)  # fmt: skip
"""Why a bit need not move: reason, module, signal; both as patterns, an empty one for any."""

LINES: tuple[tuple[str, str], ...] = (
    (r"^\d'h\d:", "buffers that the schedule does not use there"),
    (r"entry\[\d\] \?|12'hffc|outside \?|column;|row;", "maps are shifted in place"),
    (r"commands__payload\[\d+\] \?|sample\$\d \[\d+\] \?", "the one crossbar is always in use"),
    (r"if \(moves\)", "outputs never wait in an accelerator"),
    (r"11'h[16]\w\w", "SP adds no operand that could overflow"),
)
"""Why a line need not run: a pattern for its text, and the reason."""

_RECORD = re.compile(r"^C '(.*)' (\d+)$", re.MULTILINE)
_ARTEFACT = "dump_module"  # Yosys' way to say that a process depends on something


def read(text: str) -> dict[Point, int]:
    """Read what Verilator has counted: of each point of the modules, how often it was met.

    Raises
    ------
    ValueError
        If there is none.
    """
    found: collections.Counter[Point] = collections.Counter()
    for record, count in _RECORD.findall(text):
        fields = dict(part.split("\x02", 1) for part in record.split("\x01")[1:])
        module = fields["h"].removeprefix("dut.").removeprefix(TOP).removeprefix(".")
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


def run(library: Path, cases: Sequence[Case]) -> dict[Point, int]:
    """Run the networks, which must be right; return what was met in all of them together."""
    total: collections.Counter[Point] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases):
            print(f"network {number + 1} of {len(cases)}", file=sys.stderr)
            file = Path(folder, f"{number}.dat")
            with fast.Model(library, case.image) as model:
                _exercise(model, case)
                model.coverage(file)
            total.update(read(file.read_text(encoding="utf-8")))
    return dict(total)


def _exercise(model: fast.Model, case: Case) -> None:
    """Layer by layer and in one go, and the host's accesses to every buffer."""
    image: Image = case.image
    model.fill(-1)
    for buffer in range(len(image.params.buffers)):
        model.get_map(buffer)
    agreement.agree(case.net, case.pixels, [rtl(case.net, image, model)])
    check_in_one_go(case.net, image, model, case.pixels[-1], counter_bits=COUNTER_BITS)


def report(points: Mapping[Point, int], verilog: str) -> dict[str, Any]:
    """Return what is covered of each module, and what is not, with its reason or without one."""
    text = verilog.splitlines()
    blocks: dict[str, dict[str, int]] = {}
    missing: dict[str, list[str]] = {}
    edges: dict[tuple[str, str], list[int]] = {}
    for (kind, module, name), count in points.items():
        if kind == "bit":
            edges.setdefault((module, name.rpartition(":")[0]), []).append(count)
            continue
        line = text[int(name.split()[0]) - 1].strip()
        if _ARTEFACT not in line:
            reason = next((why for pattern, why in LINES if re.search(pattern, line)), "")
            _count(blocks, missing, "lines", module, line, count > 0, reason)
    for (module, bit), counts in edges.items():
        signal = bit.partition("[")[0]
        reason = next(
            (why for why, place, pattern in REASONS
             if re.fullmatch(place or ".*", module) and re.fullmatch(pattern, signal)), "",
        )  # fmt: skip
        _count(blocks, missing, "bits", module, bit, min(counts) > 0, reason)
    return {
        "blocks": dict(sorted(blocks.items())),
        "not moved, by reason": {why: sorted(names) for why, names in sorted(missing.items())},
    }


def _count(
    blocks: dict[str, dict[str, int]], missing: dict[str, list[str]], kind: str, module: str,
    name: str, met: bool, reason: str,
) -> None:  # fmt: skip
    """Count a point of a module; note it if nothing met it."""
    block = blocks.setdefault(module or TOP, {"bits": 0, "moved": 0, "lines": 0, "run": 0})
    block[kind] += 1
    block["moved" if kind == "bits" else "run"] += met
    if not met:
        missing.setdefault(reason, []).append(f"{module or TOP}: {name}")


def table(result: Mapping[str, Any]) -> str:
    """Return the table for ``docs/verification.md``."""
    rows = ["| module | bits | moved | lines | run |", "|---|---|---|---|---|"]
    blocks = result["blocks"]
    total = {key: sum(block[key] for block in blocks.values()) for key in blocks[TOP]}
    for name, block in [*blocks.items(), ("**all**", total)]:
        shown = name if name.startswith("**") else f"`{name}`"
        rows.append(f"| {shown} | " + " | ".join(str(block[key]) for key in total) + " |")
    rows += ["", "| not moved, because | |", "|---|---|"]
    rows += [f"| {why} | {len(n)} |" for why, n in result["not moved, by reason"].items()]
    return "\n".join(rows)


def _block(case: Case) -> Block:
    return emit_block(Accelerator(params=case.image.params, counter_bits=COUNTER_BITS), TOP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Measure toggle and line coverage of the accelerator's RTL.")
    parser.add_argument("--json", action="store_true", help="print the whole result")
    parser.add_argument("--update", action="store_true", help="store it, and the table")
    options = parser.parse_args(arguments)
    cases = DESIGNS[DESIGN]()
    block = _block(cases[0])
    result = report(run(fast.build(block, coverage=True), cases), block.text)
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text if options.json else table(result))
    if options.update:
        cli.replace(RESULT, f"{text}\n".encode())
        insert(VERIFICATION, "coverage", table(result))
    unexplained = result["not moved, by reason"].get("", [])
    for name in unexplained:
        print(f"{PROGRAM}: not moved, and no reason is known: {name}", file=sys.stderr)
    return 1 if unexplained else 0


if __name__ == "__main__":
    cli.run(main)
