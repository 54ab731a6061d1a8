# SPDX-License-Identifier: Apache-2.0
"""Artix-7 netlists as Yosys maps them, before packing: their cells, counted, and their levels."""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from fpga import yosys
from fpga.netlist_guard import Modules, ram_fault
from hw import verilog

__all__ = ["TOP", "Modules", "Size", "SynthesisError", "count", "levels", "synthesise"]

TOP = "design"
"""Verilog name of the component; modules below it are called by their path: design.tile.requant."""

COUNTED = {
    "lut": r"LUT[1-6]|INV|SRL\w+",
    "ff": r"FD[CPRS]E",
    "carry4": r"CARRY4",
    "ramb36": r"RAMB36E1",
    "ramb18": r"RAMB18E1",
    "dsp": r"DSP48E1",
}
PRIMITIVE = re.compile("|".join([*COUNTED.values(), r"MUXF[78]"]))
STARTS = re.compile(r"FD|SRL|RAMB|DSP")
"""Cells whose outputs begin a path anew."""


class SynthesisError(Exception):
    """A netlist holds what it must not, or what nobody here knows how to count."""


@dataclasses.dataclass(frozen=True)
class Size:
    """Cells of a netlist: LUT1–6 with INV and shift-register LUTs, flip-flops, the rest by name."""

    lut: int = 0
    ff: int = 0
    carry4: int = 0
    ramb36: int = 0
    ramb18: int = 0
    dsp: int = 0

    def __add__(self, other: Size) -> Size:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Size(*(one + two for one, two in pairs))


def synthesise(
    component: wiring.Component,
    *,
    delay_ps: int | None = None,
    srl: bool = False,
    flatten: bool = True,
) -> Modules:
    """Map a component to Artix-7 cells.

    Parameters
    ----------
    component : wiring.Component
    delay_ps : int, optional
        Clock period for which abc9 maps; None asks for the least delay.
    srl : bool
        Allow shift-register LUTs (the line buffer needs them; counted as LUTs).
    flatten : bool
        Otherwise each module is mapped by itself.

    Raises
    ------
    yosys.YosysError
        If Yosys fails; also if there is a multiplication or division by anything but a power
        of two.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "design.v").write_text(verilog.emit(component, TOP), encoding="utf-8")
        yosys.run(
            [
                "read_verilog design.v",
                f"hierarchy -top {TOP}",
                "proc",
                "opt_expr",
                "select -assert-none t:$mul t:$macc t:$div t:$mod t:$pow",
                *yosys.synthesis(TOP, delay_ps=delay_ps, srl=srl, flatten=flatten),
                "write_json netlist.json",
            ],
            Path(folder),
        )
        netlist: dict[str, Modules] = json.loads(Path(folder, "netlist.json").read_text("utf-8"))
    return netlist["modules"]


def count(modules: Modules, name: str = TOP, *, below: bool = True) -> Size:
    """Count the cells of a module, and of the modules below it unless told not to.

    Raises
    ------
    SynthesisError
        If a cell is neither known nor a module, or a block RAM is used in a way that the open
        tools behind Yosys get wrong.
    """
    size = Size()
    unknown = set()
    for path, cell in modules[name]["cells"].items():
        kind = cell["type"]
        if PRIMITIVE.fullmatch(kind):
            if fault := ram_fault(path, cell):
                raise SynthesisError(fault)
            size += Size(**{key: 1 for key, cells in COUNTED.items() if re.fullmatch(cells, kind)})
        elif kind.startswith(f"{TOP}."):
            size += count(modules, kind) if below else Size()
        elif not kind.startswith("$"):
            unknown.add(kind)
    if unknown:
        raise SynthesisError(
            f"cells that the size table does not know: {', '.join(sorted(unknown))}"
        )
    return size


def levels(module: dict[str, Any]) -> int:
    """Longest chain of combinational cells in a flat module; the netlist has no loops."""
    driver = {}
    for cell in module["cells"].values():
        if not cell["type"].startswith("$") and not STARTS.match(cell["type"]):
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
