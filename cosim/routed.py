# SPDX-License-Identifier: Apache-2.0
"""The routed design as a netlist of cells again: nextpnr's ``--write``, tables from the bits.

nextpnr renames cells and pins to those of the chip, and tells what they were. LUTs are rebuilt as
what they have become, two outputs on six pins of a slice; their tables, and those of block RAMs,
are taken from elsewhere, as the chip is configured: `fpga.bits.asked` has those of a FASM,
`fpga.bits.contents` those read back from a bitstream.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cosim.netlist import Cell, Net, Netlist, NetlistError, literal
from fpga.database import Database

__all__ = ["from_nextpnr"]

_BEL = re.compile(r"X(\d+)Y(\d+)/(\w+?)_X(\d)Y(\d)\.(\w+)")
_LUT = re.compile(r"([A-D])([56])LUT")
_CONSTANTS = {"PSEUDO_GND": "0", "PSEUDO_VCC": "1"}
_LEFT_OUT = {
    "BUFGCTRL": [("I1", 0)],
    "RAMB36E1": [("WEBWE", index) for index in range(4, 8)],
}
"""Pins that nextpnr does not tell of unless they are used."""

_Cells = Mapping[str, Mapping[str, Any]]


def from_nextpnr(
    netlist: Mapping[str, Any], tables: Mapping[str, int], database: Database
) -> Netlist:
    """Return a routed design.

    Parameters
    ----------
    netlist : mapping
        What nextpnr-himbaechel-xilinx 0.11 writes.
    tables : mapping of str to int
        Contents of LUTs and block RAMs, by feature of the FASM; those left out are 0.
    database : Database
        The part's: which tile lies where.

    Raises
    ------
    NetlistError
        If it is not what nextpnr writes, or has an input that is connected to nothing.
    """
    try:
        [(name, module)] = netlist["modules"].items()
        return _Routed(module, tables, database).netlist(name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NetlistError(f"a routed design must be as nextpnr 0.11 writes it: {error}") from error


class _Routed:
    """A module of nextpnr's, being rebuilt."""

    def __init__(
        self, module: Mapping[str, Any], tables: Mapping[str, int], database: Database
    ) -> None:
        self._module = module
        self._tables = tables
        self._database = database
        cells: _Cells = module["cells"]
        used = [
            net for cell in cells.values() for nets in cell["connections"].values() for net in nets
        ]
        self._free = itertools.count(max(used) + 1)  # nets for outputs that drive none
        self._constants = {
            net: _CONSTANTS[cell["type"]]
            for cell in cells.values()
            if cell["type"] in _CONSTANTS
            for net in cell["connections"]["Y"]
        }

    def netlist(self, name: str) -> Netlist:
        ports = tuple(
            (port["direction"], key, port["bits"]) for key, port in self._module["ports"].items()
        )
        found = dict(self._luts())
        for key, cell in self._module["cells"].items():
            if cell["type"] not in ("PAD", "SLICE_LUTX", *_CONSTANTS):
                found[key] = self._cell(key, cell)
        return Netlist(name, ports, found)

    def _net(self, nets: Sequence[int], unconnected: Net) -> Net:
        if not nets:
            return unconnected
        [net] = nets
        return self._constants.get(net, net)

    def _luts(self) -> Iterator[tuple[str, Cell]]:
        """Yield the LUTs by the feature that configures them; a LUT5 and a LUT6 may share pins."""
        pins: dict[str, dict[str, Net]] = {}
        for cell in self._module["cells"].values():
            if cell["type"] != "SLICE_LUTX":
                continue
            tile, site, bel = self._place(cell)
            found = _LUT.fullmatch(bel)
            if found is None:
                raise ValueError(f"a LUT at {bel}")
            mine = pins.setdefault(f"{tile}.{site}.{found[1]}LUT.INIT", {})
            for pin, nets in cell["connections"].items():
                if nets and mine.setdefault(pin, self._net(nets, "1")) != self._net(nets, "1"):
                    raise ValueError(f"two nets at {tile}.{site}.{bel}.{pin}")
        for feature, mine in pins.items():
            # A pin that nothing drives is high. The lower half of the table is O5's.
            inputs = [mine.get(f"A{number}", "1") for number in range(1, 7)]
            table = self._tables.get(feature, 0)
            for output, size in (("O5", 5), ("O6", 6)):
                if output in mine:
                    yield f"{feature}.{output}", _lut(table, inputs[:size], mine[output])

    def _cell(self, key: str, cell: Mapping[str, Any]) -> Cell:
        """Return a cell as it was before placement, with the tables that it has got."""
        attributes = cell["attributes"]
        kind = attributes["X_ORIG_TYPE"]
        pins: dict[str, dict[int, Net]] = {}
        for pin, nets in cell["connections"].items():
            name, _, index = attributes.get(f"X_ORIG_PORT_{pin}", "").rstrip("]").partition("[")
            output = cell["port_directions"][pin] == "output"
            if not name and self._net(nets, "0") not in ("0", "1"):
                raise ValueError(f"a pin {key}.{pin} that no cell had")
            if not name:
                continue
            if not nets and not output and kind != "CARRY4":
                raise ValueError(f"nothing at {key}.{pin}")
            net = self._net(nets, next(self._free) if output else "0")
            if pins.setdefault(name, {}).setdefault(int(index or 0), net) != net:
                raise ValueError(f"two nets at {key}.{name}[{index}]")
        parameters = {
            name: literal(value)
            for name, value in cell["parameters"].items()
            if not re.fullmatch(r"INITP?_[0-9A-F]{2}", name)
        }
        for name, index in _LEFT_OUT.get(kind, ()):
            pins.setdefault(name, {}).setdefault(index, "0")
        if kind.startswith("RAMB"):
            parameters |= self._contents(cell)
        return Cell(kind, parameters, {name: _filled(bits) for name, bits in pins.items()})

    def _contents(self, cell: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Yield the tables of a block RAM; a RAMB36's bits lie by turns in its two halves."""
        tile, site, _ = self._place(cell)
        halves = [site] if site.startswith("RAMB18") else ["RAMB18_Y0", "RAMB18_Y1"]
        for prefix, count in (("INITP", 8), ("INIT", 64)):
            rows = [
                [
                    f"{self._tables.get(f'{tile}.{half}.{prefix}_{row:02X}', 0):0256b}"[::-1]
                    for row in range(count)
                ]
                for half in halves
            ]
            columns = ["".join(half) for half in rows]
            bits = "".join("".join(pair) for pair in zip(*columns, strict=True))
            for row in range(count * len(halves)):
                yield f"{prefix}_{row:02X}", f"256'b{bits[256 * row : 256 * (row + 1)][::-1]}"

    def _place(self, cell: Mapping[str, Any]) -> tuple[str, str, str]:
        """Return tile, site and bel of a cell, as the features of a FASM name them."""
        found = _BEL.fullmatch(cell["attributes"]["NEXTPNR_BEL"])
        if found is None:
            raise ValueError(f"a place {cell['attributes']['NEXTPNR_BEL']}")
        column, row, site, x, y, bel = found.groups()
        tile, sites = self._database.tile_at(int(column), int(row))
        if site == "SLICE":
            kinds = [sites[each] for each in sorted(sites, key=lambda n: int(n[7:].split("Y")[0]))]
            return tile, f"{kinds[int(x)]}_X{x}", bel
        return tile, f"{site}_Y{y}", bel


def _lut(table: int, inputs: Sequence[Net], output: Net) -> Cell:
    """Return a LUT with those pins that its table depends on.

    The other pins may carry what the other output of the same LUT needs, which may be this one: as
    pins of a cell they would close a loop.
    """
    # Constants first: they leave the half of the table that is this output's.
    fixed = sum(1 << number for number, net in enumerate(inputs) if net == "1")
    free = [(1 << number, net) for number, net in enumerate(inputs) if net not in ("0", "1")]
    places = [fixed]
    for place, _ in free:
        places += [place + other for other in places]
    bits = [table >> place & 1 for place in places]
    pins: list[Net] = []
    for _, net in free:
        step = 1 << len(pins)
        low = [bit for index, bit in enumerate(bits) if not index & step]
        high = [bit for index, bit in enumerate(bits) if index & step]
        if low == high:
            bits = low
        else:
            pins.append(net)
    if not pins:
        pins, bits = ["0"], bits * 2
    init = f"{len(bits)}'b" + "".join(map(str, reversed(bits)))
    connections = {f"I{number}": [net] for number, net in enumerate(pins)}
    return Cell(f"LUT{len(pins)}", {"INIT": init}, {**connections, "O": [output]})


def _filled(bits: Mapping[int, Net]) -> list[Net]:
    return [bits.get(index, "x") for index in range(max(bits) + 1)]
