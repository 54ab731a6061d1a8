# SPDX-License-Identifier: Apache-2.0
"""Size of the shift module, beside the paper's and beside a line-buffer version.

With two mappings: for the least delay (Yosys' default), and for a 5 ns clock (the AC701's 200 MHz).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from amaranth.lib import wiring
from rich.progress import track

from hw.params import ShiftParams
from hw.shift import ShiftedReader, ShiftModule
from scripts import netlist
from scripts.line_buffer import LineBufferShift

__all__ = ["compare", "measure", "measured", "table"]

SHAPES = ((4, 4), (8, 8), (16, 16), (32, 32), (64, 64), (28, 28), (7, 14))
MAPPINGS = {"least delay": None, "5 ns": 5000}
PAPER = {"lut": 102, "ff": 23, "io": 33}
"""DATE 2024, section V-C: the 16×16 module on the Artix-7 of an AC701."""

TOLERANCE = {"lut": 2, "ff": 0, "carry4": 0, "levels": 1}
"""What another release of the same Yosys may change without anyone having to look."""
LIMITS = {"16x16x8": {"lut": 32, "ff": 16, "carry4": 0}, "other": {"lut": 48}}
"""What the module must never exceed, with either mapping."""


def measured(
    component: wiring.Component, *, delay_ps: int | None, srl: bool = False
) -> dict[str, int]:
    """Synthesise a component without memories; returns the figures of `TOLERANCE`."""
    modules = netlist.synthesise(component, delay_ps=delay_ps, srl=srl)
    size = netlist.count(modules)
    if size.ramb36 or size.ramb18 or size.dsp:
        raise netlist.SynthesisError(f"a shift must be LUTs and flip-flops only, not {size}")
    return {
        "lut": size.lut,
        "ff": size.ff,
        "carry4": size.carry4,
        "levels": netlist.levels(modules[netlist.TOP]),
    }


def measure(shapes: Sequence[tuple[int, int]] = SHAPES) -> dict[str, Any]:
    """Synthesise every shape with every mapping, and the line buffer at 16×16×8."""
    jobs = [(shape, mapping) for shape in shapes for mapping in MAPPINGS]
    sizes: dict[str, dict[str, Any]] = {}
    for (height, width), mapping in track(
        jobs, description="shift", disable=not sys.stderr.isatty()
    ):
        module = ShiftModule(params=ShiftParams(height=height, width=width, bits=8))
        size = measured(module, delay_ps=MAPPINGS[mapping])
        sizes.setdefault(f"{height}x{width}x8", {})[mapping] = size
    square = ShiftParams(height=16, width=16, bits=8)
    buffer = LineBufferShift(params=square)
    return {
        "tolerance": TOLERANCE,
        "limits": LIMITS,
        "paper": {"16x16x8": PAPER},
        "shift_module": sizes,
        "shifted_reader": {
            "16x16x8": {
                mapping: measured(ShiftedReader(params=square), delay_ps=delay_ps)
                for mapping, delay_ps in MAPPINGS.items()
            }
        },
        "line_buffer": {
            "16x16x8": {
                "SRL": measured(buffer, delay_ps=None, srl=True),
                "flip-flops": measured(buffer, delay_ps=None),
            }
        },
    }


def compare(found: dict[str, Any], baseline: dict[str, Any]) -> list[str]:
    """Return a line for every figure that is missing, outside its tolerance or above its limit."""
    lines = []
    for block in ("shift_module", "shifted_reader", "line_buffer"):
        for shape in sorted(found[block].keys() | baseline[block].keys()):
            new = found[block].get(shape, {})
            old = baseline[block].get(shape, {})
            for mapping in sorted(new.keys() | old.keys()):
                if mapping not in new or mapping not in old:
                    lines.append(f"{block} {shape} {mapping}: on one side only")
                    continue
                for key, tolerance in baseline["tolerance"].items():
                    was, now = old[mapping][key], new[mapping][key]
                    if abs(now - was) > tolerance:
                        lines.append(f"{block} {shape} {mapping}: {key} {now}, stored {was}")
    for shape, sizes in found["shift_module"].items():
        for key, limit in baseline["limits"].get(shape, baseline["limits"]["other"]).items():
            lines += [
                f"shift_module {shape} {mapping}: {key} {size[key]}, at most {limit}"
                for mapping, size in sizes.items()
                if size[key] > limit
            ]
    return lines


def table(results: dict[str, Any]) -> str:
    """Return the README's table, in Markdown."""
    fast, slow = MAPPINGS
    rows = [
        "| map, 8 bits | LUT, FF, levels: least delay | LUT, FF, levels: 5 ns clock |",
        "|---|---|---|",
    ]

    def cell(size: dict[str, int], mark: str = "") -> str:
        carry = f" + {size['carry4']} CARRY4" if size["carry4"] else ""
        return f"{mark}{size['lut']}{mark}{carry}, {mark}{size['ff']}{mark}, {size['levels']}"

    for shape, sizes in results["shift_module"].items():
        height, width, _ = shape.split("x")
        mark = "**" if shape in results["paper"] else ""
        rows.append(f"| {height}×{width} | {cell(sizes[fast], mark)} | {cell(sizes[slow], mark)} |")
    paper = results["paper"]["16x16x8"]
    rows.append(f"| 16×16, the paper | {paper['lut']}, {paper['ff']}, – | |")
    reader = results["shifted_reader"]["16x16x8"]
    rows.append(f"| 16×16, `ShiftedReader` | {cell(reader[fast])} | {cell(reader[slow])} |")
    for kind, size in results["line_buffer"]["16x16x8"].items():
        rows.append(f"| 16×16, line buffer in {kind} | {cell(size)} | |")
    return "\n".join(rows)
