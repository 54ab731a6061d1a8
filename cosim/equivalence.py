# SPDX-License-Identifier: Apache-2.0
"""Proof that the synthesised netlist equals the RTL: ``python -m cosim.equivalence``.

Yosys maps the shift module to Artix-7 cells, gives the cells their simulation models, pairs the
flip-flops of both sides by name and proves every pair and every output equal by induction: for all
inputs, without bound. The negative control flips one bit of one LUT, which must leave a pair
unproven. `compare` serves other netlists as well (``scripts.size_liberty``).

The flip-flops of a tile's drivers cannot be paired so, and both sides are compared from reset on,
for `CYCLES` cycles and all inputs, by a bounded miter; its control is the same.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from amaranth.lib import wiring

from fpga import yosys
from hw import cli, verilog
from hw.dac import WordlineDriver
from hw.params import ShiftParams
from hw.shift import ShiftModule
from hw.tile_params import TileParams

__all__ = ["DRIVER", "SHAPES", "TOP", "Equivalence", "compare", "equal_from_reset", "flip", "prove"]

PROGRAM = "python -m cosim.equivalence"
TOP = "design"
CELLS = "read_verilog +/xilinx/cells_sim.v"
SHAPES = tuple(
    ShiftParams(height=height, width=width, bits=8)
    for height, width in ((16, 16), (7, 14), (12, 12), (28, 28))
)

FAULT = "mem_wdata[0]"
"""Net whose LUT the control breaks: every input of it can occur, so any flip can be seen."""

DRIVER = TileParams(
    rows=3, columns=4, columns_per_adc=2, cell_bits=2, weight_bits=2, act_bits=2, pages=2,
    tables=1, stream_bits=2,
)  # fmt: skip
"""Of the drivers that are compared: in `CYCLES` cycles a vector is loaded, driven and released."""

CYCLES = 8
DRIVER_FAULT = "activations__ready"


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
        _synthesise(ShiftModule(params=params), folder, fault)
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
    output = _run(folder, [*damage, models], pairs)
    status = re.search(r"Of those cells (\d+) are proven and (\d+) are unproven", output)
    if not status:
        raise yosys.YosysError("equiv_status found no pairs to compare")
    proven, unproven = int(status[1]), int(status[2])
    return Equivalence(proven + unproven, proven)


def equal_from_reset(params: TileParams, *, fault: str | None = None) -> bool:
    """Synthesise a tile's drivers and compare all outputs with the RTL's, `CYCLES` from reset on.

    Parameters
    ----------
    params : TileParams
    fault : str, optional
        As for `prove`.

    Raises
    ------
    fpga.yosys.YosysError
        If a step fails for another reason than that the sides differ.
    """
    miter = [
        "miter -equiv -flatten gold gate miter",
        "hierarchy -top miter",
        f"sat -seq {CYCLES} -prove-skip 1 -set-init-zero -set-at 1 in_rst 1 -prove trigger 0",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _synthesise(WordlineDriver(params=params), folder, fault)
        output = _run(folder, [CELLS], miter)
    found = re.search(r"SAT proof finished - (no )?model found", output)
    if not found:
        raise yosys.YosysError("sat came to no result")
    return found[1] is not None


def _synthesise(component: wiring.Component, folder: Path, fault: str | None) -> None:
    """Write ``rtl.v`` and ``netlist.v``, of Artix-7 cells, with or without a fault."""
    (folder / "rtl.v").write_text(verilog.emit(component, TOP), encoding="utf-8")
    yosys.run(
        ["read_verilog rtl.v", *yosys.synthesis(TOP), "write_verilog -noattr netlist.v"], folder
    )
    if fault is not None:
        netlist = (folder / "netlist.v").read_text(encoding="utf-8")
        (folder / "netlist.v").write_text(flip(netlist, fault), encoding="utf-8")


def _run(folder: Path, models: Sequence[str], commands: Sequence[str]) -> str:
    """Run commands on the RTL as ``gold`` and the netlist as ``gate``; returns what they say."""
    prepare = [f"hierarchy -top {TOP}", "proc", "flatten", "async2sync", "opt_clean"]
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
    try:
        equal = equal_from_reset(DRIVER)
        noticed = not equal_from_reset(DRIVER, fault=DRIVER_FAULT)
    except yosys.YosysError as error:
        print(f"{PROGRAM}: drivers {DRIVER.name}: {error}", file=sys.stderr)
        return 1
    print(
        f"netlist = RTL, drivers {DRIVER.name}, {CYCLES} cycles from reset: "
        f"{'equal' if equal else 'DIFFERENT'}; a bit of {DRIVER_FAULT}'s LUT flipped: "
        f"{'noticed' if noticed else 'NOT NOTICED'}"
    )
    if options.json is not None:
        cli.replace(options.json, (json.dumps(results, indent=1) + "\n").encode())
    return 0 if good and equal and noticed else 1


if __name__ == "__main__":
    cli.run(main)
