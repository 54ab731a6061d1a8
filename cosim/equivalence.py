# SPDX-License-Identifier: Apache-2.0
"""Proof that the synthesised netlist equals the RTL: ``python -m cosim.equivalence``.

Yosys maps the shift module to Artix-7 cells, gives the cells their simulation models, pairs the
flip-flops of both sides by name and proves every pair and every output equal by induction: for all
inputs, from any state that is alike on both sides, without bound. The negative control flips one
bit of one LUT, which must leave a pair unproven. `compare` serves other netlists as well
(``scripts.size_liberty``).

Of the tile and its parts flip-flops cannot be paired by name: `cosim.equivalence_start`.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from amaranth.lib import wiring

from fpga import yosys
from hw import cli, disk, verilog
from hw.params import ShiftParams
from hw.shift import ShiftModule

__all__ = [
    "CELLS", "SHAPES", "TOP", "Equivalence", "both_sides", "compare", "flip", "prove", "synthesise",
]  # fmt: skip

PROGRAM = "python -m cosim.equivalence"
TOP = "design"
CELLS = "read_verilog +/xilinx/cells_sim.v"
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
    """Synthesise the shift module for Artix-7 and compare it with its RTL.

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
        synthesise(ShiftModule(params=params), folder, fault)
        return compare(folder, CELLS)


def compare(folder: Path, models: str, *, damage: Sequence[str] = ()) -> Equivalence:
    """Compare ``rtl.v`` with ``netlist.v`` of a folder, both with the top module `TOP`.

    Parameters
    ----------
    folder : Path
    models : str
        Command that reads the simulation models of the netlist's cells.
    damage : sequence of str
        Negative control: commands that change the netlist.

    Raises
    ------
    fpga.yosys.YosysError
        If a step fails for another reason than that the sides differ.
    """
    pairs = [
        "equiv_make gold gate both",
        "hierarchy -top both",
        "opt_clean",
        "equiv_simple -undef",
        "equiv_induct -undef",
        "equiv_status",
    ]
    output = both_sides(folder, [*damage, models], pairs)
    status = re.search(r"Of those cells (\d+) are proven and (\d+) are unproven", output)
    if not status:
        raise yosys.YosysError("equiv_status found no pairs to compare")
    proven, unproven = int(status[1]), int(status[2])
    return Equivalence(proven + unproven, proven)


def synthesise(component: wiring.Component, folder: Path, fault: str | None) -> None:
    """Write ``rtl.v`` and ``netlist.v``, of Artix-7 cells, with or without a fault."""
    (folder / "rtl.v").write_text(verilog.emit(component, TOP), encoding="utf-8")
    yosys.run(
        ["read_verilog rtl.v", *yosys.synthesis(TOP), "write_verilog -noattr netlist.v"], folder
    )
    if fault is not None:
        netlist = (folder / "netlist.v").read_text(encoding="utf-8")
        (folder / "netlist.v").write_text(flip(netlist, fault), encoding="utf-8")


def both_sides(folder: Path, models: Sequence[str], commands: Sequence[str]) -> str:
    """Run commands on the RTL as ``gold`` and the netlist as ``gate``; returns what they say."""
    prepare = [
        f"hierarchy -top {TOP}", "proc", "flatten", "memory -nomap", "memory_map", "async2sync",
        "opt_clean",
    ]  # fmt: skip
    return yosys.run(
        [
            "read_verilog netlist.v",
            *models,
            *prepare,
            f"rename {TOP} gate",
            "design -stash netlist",
            "read_verilog rtl.v",
            *prepare,
            f"rename {TOP} gold",
            "design -import netlist -as gate gate",
            *commands,
        ],
        folder,
    )


def _named(params: ShiftParams) -> str:
    return f"shift module, {params.name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    from cosim import equivalence_start  # it uses what is above

    parser = cli.Parser(PROGRAM, "Prove that synthesised netlists equal their RTL.")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the results of all here too"
    )
    parser.add_argument("--only", metavar="NAME", default="*", help="a name, or a pattern: 'tile*'")
    options = parser.parse_args(arguments)
    if options.json is not None:
        if options.only != "*":
            parser.error("--json must come without --only: what it writes is of all netlists")
        try:
            disk.check_file(options.json)
        except disk.OutputError as error:
            cli.bad_input(PROGRAM, error)
    chosen_shapes = [each for each in SHAPES if fnmatch.fnmatchcase(_named(each), options.only)]
    chosen_blocks = [
        each for each in equivalence_start.BLOCKS if fnmatch.fnmatchcase(each.name, options.only)
    ]
    if not chosen_shapes and not chosen_blocks:
        names = [*map(_named, SHAPES), *(block.name for block in equivalence_start.BLOCKS)]
        parser.error(f"--only must match one of {'; '.join(names)}: not {options.only!r}")
    good = True
    shapes, blocks = [], []
    try:
        for params in chosen_shapes:
            sound, broken = prove(params), prove(params, fault=FAULT)
            good = good and sound.holds and not broken.holds
            shapes.append(
                {"shape": params.name, **dataclasses.asdict(sound), "control": broken.proven}
            )
            print(
                f"netlist = RTL, {_named(params)}: {sound.proven} of {sound.pairs} points proven "
                f"equal; a bit of {FAULT}'s LUT flipped: {broken.proven} of {broken.pairs}",
                flush=True,
            )
        for block in chosen_blocks:
            equal = equivalence_start.prove(block)
            faulty = equivalence_start.prove(block, broken=True)
            good = good and equal.proven and not faulty.proven
            blocks.append(
                {"block": block.name, **dataclasses.asdict(equal), "control": faulty.proven}
            )
            print(
                f"netlist = RTL, {block.name}: {'proven' if equal.proven else 'NOT PROVEN'}, "
                f"{equal.registers} registers of both; a bit of {block.fault}'s LUT flipped: "
                f"{'NOT NOTICED' if faulty.proven else 'noticed'}",
                flush=True,
            )
    except yosys.YosysError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    if options.json is not None:
        text = json.dumps(
            {"paired": shapes, "from the start": blocks}, indent=1, ensure_ascii=False
        )
        disk.write_file(options.json, f"{text}\n".encode())
    return 0 if good else 1


if __name__ == "__main__":
    cli.run(main)
