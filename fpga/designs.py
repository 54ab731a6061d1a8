# SPDX-License-Identifier: Apache-2.0
"""The designs that become bitstreams: Verilog of the top, and its constraints."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from amaranth.lib import wiring

from fpga.accelerator_design import AcceleratorDesign
from fpga.boards import Board, Pin, xdc
from fpga.bus import Design
from fpga.shift_design import ShiftDesign
from fpga.top import Top
from hw import budget, verilog
from hw.image import build
from hw.params import ParameterError, ShiftParams
from hw.product import ports_of
from hw.shift import ShiftModule
from model import intnet

__all__ = ["DESIGNS", "TOP", "check_memory", "design_of", "divisor", "sources"]

TOP = "top"
"""Verilog name of the top."""

DESIGNS = ("shift", "accelerator", "module")
"""``shift``: the shift module with a map, behind the host link. ``accelerator``: a whole network,
likewise. ``module``: the bare shift module with its ports on pins, to be placed and measured; no
board has such wires, and it gets no bitstream."""

_FASTEST = {"accelerator": 100_000_000}
"""Clocks in Hz that designs are made for; the others take that of any board."""

_CLOCK_NET = "device.clk"
"""What nextpnr calls the clock behind the buffer that divides it."""

_SHIFT = ShiftParams(height=16, width=16, bits=8)
"""The paper's."""


def divisor(name: str, board: Board) -> int:
    """Return by how much a board's clock is divided for a design."""
    return -(-board.clock_hz // _FASTEST.get(name, board.clock_hz))


def sources(name: str, board: Board, net: Path | None, database: Path) -> dict[str, str]:
    """Return a design's ``top.v`` and ``top.xdc``.

    Parameters
    ----------
    name : str
        One of DESIGNS.
    board : Board
    net : Path, optional
        The accelerator's integer network.
    database : Path
        prjxray's, for the pins of ``module``.

    Raises
    ------
    ParameterError
        If the network is none, or the board is none for the design.
    """
    divide = divisor(name, board)
    if name == "module":
        component: wiring.Component = ShiftModule(params=_SHIFT)
        ports = _any_pins(component, board, database)
        clock = "clk"
    else:
        if net:
            check_memory(net, board)
        component = _top(design_of(net), board, divide)
        ports = list(board.ports())
        clock = board.clock_ports[0]
    return {
        "top.v": verilog.emit(component, TOP),
        "top.xdc": xdc(ports, clock=clock, clock_hz=board.clock_hz, divided={_CLOCK_NET: divide}),
    }


def design_of(folder: Path | None) -> Design:
    """Return what is behind the host link: the accelerator of a network, or the shift module.

    Raises
    ------
    ParameterError
        If the folder holds no integer network that the accelerator can run.
    """
    if folder is None:
        return ShiftDesign(params=_SHIFT)
    net = intnet.read(folder)
    return AcceleratorDesign(build(net), network=net.name, sha256=intnet.digest(net))


def check_memory(folder: Path, board: Board) -> None:
    """Refuse a network whose accelerator has more memory than a board.

    Raises
    ------
    ParameterError
        If it does not fit, or the folder holds no integer network that the accelerator can run.
    """
    net = intnet.read(folder)
    memory = budget.boards(build(net).params)[board.name]
    if not memory["fits"]:
        raise ParameterError(
            f"a network must fit the {memory['block_rams']} block RAMs of {board.name}, "
            f"not need {memory['needed']} as {net.name} does"
        )


def _top(design: Design, board: Board, divide: int) -> Top:
    return Top(
        design,
        clock_hz=board.clock_hz // divide,
        divide=divide,
        differential=len(board.clock) == 2,
        reset_active_low=board.reset_active_low,
        leds=len(board.leds),
    )


def _any_pins(component: wiring.Component, board: Board, database: Path) -> list[tuple[str, Pin]]:
    """Give each bit of a component's ports a pin, those of the first bank that has enough."""
    bits = ["rst"]
    for port in ports_of(component.signature):
        name, width = port["name"], port["width"]
        bits += [name] if width == 1 else [f"{name}[{index}]" for index in range(width)]
    banks: dict[str, list[dict[str, str]]] = {}
    with (database / board.part / "package_pins.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if "IOB33" in row["tile"]:
                banks.setdefault(row["bank"], []).append(row)
    for _, rows in sorted(banks.items()):
        # IO_L12P_T1_MRCC_35: the positive pin of a pair that reaches the clock buffers.
        clocks = [row["pin"] for row in rows if re.search(r"P_.*MRCC", row["pin_function"])]
        others = [row["pin"] for row in rows if row["pin"] not in clocks]
        if clocks and len(others) >= len(bits):
            pins = zip(["clk", *bits], [clocks[0], *others], strict=False)
            return [(bit, Pin(pin, "LVCMOS33")) for bit, pin in pins]
    raise ParameterError(f"a bank must have pins for {len(bits) + 1} ports, not so on {board.name}")
