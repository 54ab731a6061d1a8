# SPDX-License-Identifier: Apache-2.0
"""Size of blocks without memories in standard cells: ``python -m scripts.size --liberty FILE``.

Yosys and ABC map them to the cells of a Liberty file; areas are that file's, by the project's own
sum over the cells, and a gate equivalent is its smallest two-input NAND. Each netlist is proven
equal to the RTL by induction over paired flip-flops, and one inverted cell must leave a pair
unproven.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from amaranth.lib import wiring
from rich.progress import track

from cosim import equivalence
from cosim.equivalence import TOP
from fpga import yosys
from hw import verilog
from hw.params import ParameterError, ShiftParams
from hw.shift import ShiftedReader, ShiftModule
from scripts.line_buffer import LineBufferShift
from scripts.netlist import Modules, SynthesisError
from scripts.size_shift import SHAPES

__all__ = ["Library", "faults", "measure", "read", "size", "table"]

MAX_BYTES = 1 << 28
"""A quarter of a gigabyte: the largest libraries of open processes have a tenth of it."""

FILE = "cells.lib"
MODELS = f"read_liberty -ignore_miss_func {FILE}"

GATES: dict[str, Callable[..., bool]] = {
    "$_NOT_": lambda a: not a,
    "$_BUF_": lambda a: a,
    "$_AND_": lambda a, b: a and b,
    "$_NAND_": lambda a, b: not (a and b),
    "$_OR_": lambda a, b: a or b,
    "$_NOR_": lambda a, b: not (a or b),
    "$_XOR_": lambda a, b: a != b,
    "$_XNOR_": lambda a, b: a == b,
    "$_ANDNOT_": lambda a, b: a and not b,
    "$_ORNOT_": lambda a, b: a or not b,
}
"""What Yosys makes of a cell's function."""

NAND = [True, True, True, False]


@dataclasses.dataclass(frozen=True)
class Library:
    """A Liberty file that can be mapped to.

    Parameters
    ----------
    content : bytes
    areas : mapping of str to float
        Area of each cell, µm².
    flip_flops : frozenset of str
        Cells that hold a bit.
    outputs : mapping of str to frozenset of str
        Output pins of each cell.
    nand : str
        The smallest two-input NAND: one gate equivalent.
    """

    content: bytes
    areas: Mapping[str, float]
    flip_flops: frozenset[str]
    outputs: Mapping[str, frozenset[str]]
    nand: str


def read(file: Path) -> Library:
    """Read a Liberty file.

    Raises
    ------
    ParameterError
        If it cannot be read, is none, or lacks areas, a two-input NAND or a D flip-flop.
    """
    try:
        with open(file, "rb") as handle:
            content = handle.read(MAX_BYTES + 1)
    except OSError as error:
        raise ParameterError(f"the library must be readable: {file}: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise ParameterError(f"a library must have at most {MAX_BYTES} bytes, not {file}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / FILE).write_bytes(content)
        try:
            yosys.run([MODELS, "write_json cells.json"], folder)
        except yosys.YosysError as error:
            raise ParameterError(f"a library must be in Liberty, not {file}: {error}") from None
        cells: Modules = json.loads((folder / "cells.json").read_text("utf-8"))["modules"]
    areas = {name: _area(cell) for name, cell in cells.items()}
    nands = [name for name, cell in cells.items() if areas[name] > 0 and _truth(cell) == NAND]
    if not nands:
        raise ParameterError(f"a library must have a two-input NAND with an area, not {file}")
    kinds = {
        name: {gate["type"] for gate in cell["cells"].values()} for name, cell in cells.items()
    }
    if not any(kind & {"$_DFF_P_", "$_DFF_N_"} for kind in kinds.values()):
        raise ParameterError(f"a library must have a D flip-flop, not {file}")
    holding = {name for name, kind in kinds.items() if any("DFF" in gate for gate in kind)}
    outputs = {
        name: frozenset(pin for pin, port in cell["ports"].items() if port["direction"] == "output")
        for name, cell in cells.items()
    }
    nand = min(nands, key=lambda name: (areas[name], name))
    return Library(content, areas, frozenset(holding), outputs, nand)


def _area(cell: Mapping[str, Any]) -> float:
    try:
        return float(cell["attributes"]["area"])
    except (KeyError, ValueError):
        return 0.0


def _truth(cell: Mapping[str, Any]) -> list[bool] | None:
    """Return the truth table of a cell with two inputs and one output, None of any other."""
    ports = cell["ports"].values()
    inputs = [port["bits"][0] for port in ports if port["direction"] == "input"]
    outputs = [port["bits"][0] for port in ports if port["direction"] == "output"]
    gates = [(gate["type"], gate["connections"]) for gate in cell["cells"].values()]
    if (len(inputs), len(outputs)) != (2, 1) or any(kind not in GATES for kind, _ in gates):
        return None
    table = []
    for values in itertools.product((False, True), repeat=2):
        nets: dict[Any, bool] = dict(zip(inputs, values, strict=True))
        for _ in gates:  # in no order: as many rounds as there may be levels
            for kind, pins in gates:
                given = [pins[pin][0] for pin in ("A", "B") if pin in pins]
                if all(net in nets for net in given):
                    nets[pins["Y"][0]] = bool(GATES[kind](*(nets[net] for net in given)))
        if outputs[0] not in nets:
            return None
        table.append(nets[outputs[0]])
    return table


def size(component: wiring.Component, library: Library) -> dict[str, Any]:
    """Map a component, add up its cells, and compare it with its RTL.

    Returns
    -------
    dict
        ``cells``, ``flip_flops``, ``area_um2``, ``gate_equivalents``; ``pairs`` that had to be
        equal, ``proven`` of them, and ``control``, those still proven with a cell inverted.

    Raises
    ------
    SynthesisError
        If a cell of the netlist is not the library's.
    yosys.YosysError
        If Yosys fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / FILE).write_bytes(library.content)
        (folder / "rtl.v").write_text(verilog.emit(component, TOP), encoding="utf-8")
        yosys.run(
            [
                "read_verilog rtl.v",
                # FSMs as they are: flip-flops of another encoding have no pairs.
                f"synth -nofsm -noabc -flatten -top {TOP}",
                f"dfflibmap -liberty {FILE}",
                f"abc -liberty {FILE}",
                "opt_clean -purge",
                "rename -enumerate -pattern cell_%",
                "write_verilog -noattr netlist.v",
                "write_json netlist.json",
            ],
            folder,
        )
        netlist = json.loads((folder / "netlist.json").read_text("utf-8"))["modules"][TOP]
        cells = [cell["type"] for cell in netlist["cells"].values()]
        foreign = sorted(set(cells) - library.areas.keys())
        if foreign:
            raise SynthesisError(f"all cells must be the library's, not {', '.join(foreign)}")
        sound = equivalence.compare(folder, MODELS)
        broken = equivalence.compare(folder, MODELS, damage=[_inversion(netlist, library)])
    area = sum(library.areas[kind] for kind in cells)
    return {
        "cells": len(cells),
        "flip_flops": sum(kind in library.flip_flops for kind in cells),
        "area_um2": round(area, 3),
        "gate_equivalents": round(area / library.areas[library.nand], 1),
        "pairs": sound.pairs,
        "proven": sound.proven,
        "control": broken.proven,
    }


def _inversion(netlist: Mapping[str, Any], library: Library) -> str:
    """Return the command that inverts the cell behind the first output that a cell drives."""
    drivers = {
        nets[0]: (name, port)
        for name, cell in netlist["cells"].items()
        for port, nets in cell["connections"].items()
        if port in library.outputs[cell["type"]]
    }
    for port in netlist["ports"].values():
        for net in port["bits"]:
            if port["direction"] == "output" and net in drivers:
                name, pin = drivers[net]
                return f"mutate -mode inv -module {TOP} -cell {name} -port {pin} -portbit 0"
    raise SynthesisError("some output must be a cell's")


def _blocks() -> Iterator[tuple[str, wiring.Component]]:
    for height, width in SHAPES:
        params = ShiftParams(height=height, width=width, bits=8)
        yield f"shift module, {height}×{width}", ShiftModule(params=params)
    square = ShiftParams(height=16, width=16, bits=8)
    yield "`ShiftedReader`, 16×16", ShiftedReader(params=square)
    yield "line buffer in flip-flops, 16×16", LineBufferShift(params=square)


def measure(library: Library) -> dict[str, dict[str, Any]]:
    """Return `size` of each block by its name."""
    blocks = track(
        _blocks(),
        total=len(SHAPES) + 2,
        description="cells",
        disable=not sys.stderr.isatty(),
    )
    return {name: size(block, library) for name, block in blocks}


def faults(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each block whose netlist, or whose control, is not as it must be."""
    return [
        f"{name}: {found['proven']} of {found['pairs']} points proven equal, "
        f"{found['control']} with a cell inverted"
        for name, found in results.items()
        if not found["control"] < found["proven"] == found["pairs"]
    ]


def table(results: Mapping[str, Mapping[str, Any]], library: Library) -> str:
    """Return the table, in Markdown."""
    unit = library.areas[library.nand]
    rows = [
        "| 8 bits | cells | flip-flops | µm² | gate equivalents | points proven equal |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {name} | {found['cells']} | {found['flip_flops']} | {found['area_um2']:,.1f} | "
        f"{found['gate_equivalents']:,.1f} | {found['proven']} of {found['pairs']} |"
        for name, found in results.items()
    ]
    return "\n".join([*rows, "", f"A gate equivalent is {library.nand}: {unit:g} µm²."])
