# SPDX-License-Identifier: Apache-2.0
"""Proof that the synthesised netlist equals the RTL: ``python -m cosim.equivalence``.

Yosys maps the shift module to Artix-7 cells, gives the cells their simulation models, pairs the
flip-flops of both sides by name and proves every pair and every output equal by induction: for all
inputs, without bound. The negative control flips one bit of one LUT, which must leave a pair
unproven.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fpga import yosys
from hw import cli, verilog
from hw.params import ShiftParams
from hw.shift import ShiftModule

__all__ = ["SHAPES", "Equivalence", "flip", "prove"]

PROGRAM = "python -m cosim.equivalence"
SHAPES = tuple(
    ShiftParams(height=height, width=width, bits=8)
    for height, width in ((16, 16), (7, 14), (12, 12), (28, 28))
)

FAULT = "mem_wdata[0]"
"""Net whose LUT the control breaks: every input of it can occur, so any flip can be seen."""


@dataclasses.dataclass(frozen=True)
class Equivalence:
    """Pairs of points on both sides that had to be equal, and those of them proven so."""

    pairs: int
    proven: int

    @property
    def holds(self) -> bool:
        """Whether the two sides are equal."""
        return 0 < self.pairs == self.proven


def flip(netlist: str, output: str) -> str:
    """Flip the first bit in the truth table of the LUT that drives a net.

    Raises
    ------
    ValueError
        If no LUT, or more than one, drives it.
    """
    pattern = rf"\.INIT\((\d+)'([hd])([0-9a-f]+)\)(?=[^;]*\.O\({re.escape(output)}\))"
    [table] = re.finditer(pattern, netlist)
    value = int(table[3], 16 if table[2] == "h" else 10) ^ 1
    return f"{netlist[: table.start()]}.INIT({table[1]}'h{value:x}){netlist[table.end() :]}"


def prove(params: ShiftParams, *, fault: str | None = None) -> Equivalence:
    """Synthesise the shift module and compare it with its RTL.

    Parameters
    ----------
    params : ShiftParams
    fault : str, optional
        Negative control: flip a bit of the LUT that drives this net of the netlist.

    Raises
    ------
    fpga.yosys.YosysError
        If a step fails for another reason than that the sides differ.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = verilog.emit(ShiftModule(params=params), "design")
        (folder / "rtl.v").write_text(text, encoding="utf-8")
        yosys.run(
            ["read_verilog rtl.v", *yosys.synthesis("design"), "write_verilog -noattr netlist.v"],
            folder,
        )
        if fault is not None:
            netlist = (folder / "netlist.v").read_text(encoding="utf-8")
            (folder / "netlist.v").write_text(flip(netlist, fault), encoding="utf-8")
        prepare = ["hierarchy -top design", "proc", "flatten", "async2sync", "opt_clean"]
        output = yosys.run(
            [
                "read_verilog netlist.v",
                "read_verilog +/xilinx/cells_sim.v",
                *prepare,
                "rename design gate",
                "design -stash netlist",
                "read_verilog rtl.v",
                *prepare,
                "rename design gold",
                "design -import netlist -as gate gate",
                "equiv_make gold gate both",
                "hierarchy -top both",
                "opt_clean",
                "equiv_simple -undef",
                "equiv_induct -undef",
                "equiv_status",
            ],
            folder,
        )
    status = re.search(r"Of those cells (\d+) are proven and (\d+) are unproven", output)
    if not status:
        raise yosys.YosysError("equiv_status found no pairs to compare")
    proven, unproven = int(status[1]), int(status[2])
    return Equivalence(proven + unproven, proven)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Prove that the synthesised shift module equals its RTL.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here too")
    options = parser.parse_args(arguments)
    good = True
    results = []
    for params in SHAPES:
        try:
            sound = prove(params)
            broken = prove(params, fault=FAULT)
        except yosys.YosysError as error:
            print(f"{PROGRAM}: {params.name}: {error}", file=sys.stderr)
            return 1
        good = good and sound.holds and not broken.holds
        results.append(
            {"shape": params.name, **dataclasses.asdict(sound), "control": broken.proven}
        )
        print(
            f"netlist = RTL, {params.name}: {sound.proven} of {sound.pairs} points proven equal; "
            f"a bit of {FAULT}'s LUT flipped: {broken.proven} of {broken.pairs}"
        )
    if options.json is not None:
        cli.replace(options.json, (json.dumps(results, indent=1) + "\n").encode())
    return 0 if good else 1


if __name__ == "__main__":
    cli.run(main)
