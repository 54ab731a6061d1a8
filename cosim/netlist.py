# SPDX-License-Identifier: Apache-2.0
"""Netlists of Artix-7 cells: read from Yosys's JSON, written as Verilog, with seeded faults."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cosim import cells

__all__ = ["Cell", "Net", "Netlist", "NetlistError", "from_yosys"]

Net = int | str
"""A net's number, or a constant: ``"0"``, ``"1"``, ``"x"``."""


class NetlistError(Exception):
    """A netlist is not what its tool writes, or has not the cell that a fault is to change."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell: parameters are Verilog literals, pins lists of nets, the lowest bit first."""

    kind: str
    parameters: Mapping[str, str]
    pins: Mapping[str, Sequence[Net]]


@dataclasses.dataclass(frozen=True)
class Netlist:
    """A flat netlist.

    Parameters
    ----------
    name : str
        Of the module.
    ports : tuple of (str, str, sequence of nets)
        ``input`` or ``output``, name, bits from the lowest.
    cells : mapping of str to Cell
        By name.
    """

    name: str
    ports: tuple[tuple[str, str, Sequence[Net]], ...]
    cells: Mapping[str, Cell]

    def verilog(self) -> str:
        """Return the module; each net is a wire of one bit, which simulators like best."""
        nets = {bit for _, _, bits in self.ports for bit in bits if isinstance(bit, int)}
        for cell in self.cells.values():
            nets.update(bit for bits in cell.pins.values() for bit in bits if isinstance(bit, int))
        ports = (f"{kind} [{len(bits) - 1}:0] {name}" for kind, name, bits in self.ports)
        lines = [f"module {self.name}(", ",\n".join(f"  {port}" for port in ports), ");"]
        lines += [f"  wire n{net};" for net in sorted(nets)]
        for kind, name, bits in self.ports:
            inside, outside = _vector(bits), name
            if kind == "output":
                inside, outside = outside, inside
            lines.append(f"  assign {inside} = {outside};")
        for number, cell in enumerate(self.cells.values()):
            parameters = ", ".join(f".{name}({value})" for name, value in cell.parameters.items())
            pins = ", ".join(f".{name}({_vector(bits)})" for name, bits in cell.pins.items())
            lines.append(f"  {cell.kind} #({parameters}) c{number} ({pins});")
        return "\n".join([*lines, "endmodule\n"])

    def models(self) -> str:
        """Return the Verilog of the cells.

        Raises
        ------
        cells.CellError
            If one has no model.
        """
        return cells.models({cell.kind for cell in self.cells.values()})

    def passing(self, source: Net, target: Net) -> tuple[str, int]:
        """Find where a LUT lets a bit through: its name, and the entry for a 1.

        Of several such entries, the one with the fewest ones at the other inputs.

        Parameters
        ----------
        source, target : Net
            At an input and at the output of the LUT.

        Raises
        ------
        NetlistError
            If there is no such LUT.
        """
        for name, cell in self.cells.items():
            if not cell.kind.startswith("LUT") or list(cell.pins["O"]) != [target]:
                continue
            table = cell.parameters["INIT"].partition("'b")[2][::-1]
            inputs = [cell.pins[f"I{number}"][0] for number in range(len(cell.pins) - 1)]
            step = 1 << inputs.index(source) if source in inputs else 0
            entries = [
                index
                for index, bit in enumerate(table)
                if index & step and bit == "1" and table[index ^ step] == "0"
            ]
            if entries:
                return name, min(entries, key=int.bit_count)
        raise NetlistError(f"{self.name} must have a LUT from net {source} to net {target}")

    def flip(self, cell: str, parameter: str, bit: int) -> Netlist:
        """Return the netlist with one bit of a table flipped: a negative control.

        Raises
        ------
        NetlistError
            If there is no such bit, or it is unknown.
        """
        old = self.cells.get(cell)
        size, _, bits = (old.parameters.get(parameter, "") if old else "").partition("'b")
        if old is None or not 0 <= bit < len(bits) or bits[-1 - bit] not in "01":
            raise NetlistError(f"{self.name} must have bit {bit} of {parameter} in {cell}")
        place = len(bits) - 1 - bit
        flipped = bits[:place] + str(1 - int(bits[place])) + bits[place + 1 :]
        parameters = {**old.parameters, parameter: f"{size}'b{flipped}"}
        new = dataclasses.replace(old, parameters=parameters)
        return dataclasses.replace(self, cells={**self.cells, cell: new})


def literal(value: str) -> str:
    """Return a parameter of a JSON netlist in Verilog: bits, or else text."""
    if re.fullmatch("[01xz]+", value):
        return f"{len(value)}'b{value}"
    return f'"{value.rstrip(" ")}"'  # text that looks like bits ends in a space


def from_yosys(netlist: Mapping[str, Any], name: str) -> Netlist:
    """Return a module of Yosys's JSON.

    Raises
    ------
    NetlistError
        If it is not there, or not such JSON.
    """
    try:
        module = netlist["modules"][name]
        ports = tuple(
            (port["direction"], key, port["bits"]) for key, port in module["ports"].items()
        )
        found = {
            key: Cell(
                cell["type"],
                {each: literal(value) for each, value in cell["parameters"].items()},
                cell["connections"],
            )
            for key, cell in module["cells"].items()
            if not cell["type"].startswith("$")
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise NetlistError(f"the netlist must be Yosys's, with a module {name}") from error
    return Netlist(name, ports, found)


def _vector(bits: Sequence[Net]) -> str:
    """Return nets in Verilog, in the order of a number's digits."""
    return "{" + ", ".join(_net(bit) for bit in reversed(bits)) + "}"


def _net(net: Net) -> str:
    return f"n{net}" if isinstance(net, int) else f"1'b{net}"
