# SPDX-License-Identifier: Apache-2.0
"""CMOS nodes, and the constants of the chip's components at the one that they were fitted at.

A constant holds at `REFERENCE_NM`; what it does at other nodes follows from rules, each with a
scale of its own (`Node`). Supply voltages: the nominal ones of the predictive technology models,
planar down to 22 nm (PTM, Zhao and Cao, IEEE TED 53(11), 2006; ptm.asu.edu) and FinFETs below
(PTM-MG, Sinha et al., DAC 2012); between nodes by interpolation over the logarithm of the node.
They are assumed: written down as generally known, not read off the models' files. They scale logic,
wires and leakage at other nodes than 22 nm; what is fitted fixes only the one of 32 nm. A leaf.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import tomllib
from pathlib import Path
from typing import Any

__all__ = [
    "CONSTANTS_FILE",
    "GATE_INPUT_AREA",
    "REFERENCE_NM",
    "SUPPLY_V",
    "Constants",
    "Node",
    "load_constants",
]

REFERENCE_NM = 22.0
"""Node at which constants are given."""

SUPPLY_V = {
    130.0: 1.3, 90.0: 1.2, 65.0: 1.1, 45.0: 1.0, 32.0: 0.9, 22.0: 0.8,
    14.0: 0.8, 10.0: 0.75, 7.0: 0.7,
}  # fmt: skip
"""Nominal supply in volt by node in nm, PTM and PTM-MG, assumed; outside of these, the nearest."""

GATE_INPUT_AREA = 0.19e-6 * 1.4e-6 * (22 / 45) ** 2
"""One input of a gate in m² at 22 nm: a site of the Nangate 45 nm Open Cell Library, 131 F²."""

CONSTANTS_FILE = Path(__file__).parent / "constants.toml"


def _constant(unit: str, about: str) -> Any:
    return dataclasses.field(metadata={"unit": unit, "about": about})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Constants:
    """What the terms of `model.cost.components` are multiplied with, at 22 nm.

    Values, and how each came about, are in ``constants.toml``, written by `scripts.fit_cost`. Unit
    and meaning are with each field.
    """

    clock_base: float = _constant("s", "delay of a conversion, apart from the following")
    clock_stage: float = _constant("s", "delay a doubling of an array's comparators")
    clock_row: float = _constant("s", "delay a row of an array: load of the bitline")
    delay_exponent: float = _constant("1", "of the node, in delays")
    cell_area: float = _constant("m^2", "one cell with its access transistor")
    comparator_area: float = _constant("m^2", "one comparator of an ADC, of levels − 1")
    shift_add_area: float = _constant("m^2", "one bit of an ADC's shift-adders")
    tree_area: float = _constant("m^2", "an ADC's share of adder trees over many rows of arrays")
    line_area: float = _constant("m^2", "drivers and switches of one row or column of an array")
    tile_buffer_area: float = _constant("m^2", "buffers of a tile: one row of cells")
    global_buffer_area: float = _constant("m^2", "one bit of the largest map")
    root_area: float = _constant("m", "width of a level's wires along a side of the tree of tiles")
    tree_wire_area: float = _constant("m", "width of the wires of the tree of tiles")
    local_wire_area: float = _constant("m", "width of a wire in a tile")
    global_cycles: float = _constant(
        "1", "cycles an output's bit, leaf and level of the tree: global buffer"
    )
    tile_cycles: float = _constant("1", "cycles an output's bit: output buffer of a tile")
    pe_cycles: float = _constant("1", "cycles a bit of each row of an array: input buffer of a PE")
    tile_bus_cycles: float = _constant("1", "cycles an output's bit over a bus as wide as a tile")
    pe_bus_cycles: float = _constant("1", "cycles a bit over an array's bus, past each array")
    read_energy: float = _constant("J", "sensed current of a driven row, mean cell, one read")
    comparator_energy: float = _constant("J", "one code of an ADC, a conversion")
    column_energy: float = _constant("J", "one cell of the columns that share an ADC, a conversion")
    shift_add_energy: float = _constant("J", "one bit of an ADC's shift-adders, a conversion")
    row_energy: float = _constant("J", "one row of an array, switched for one column step")
    global_buffer_energy: float = _constant("J", "a bit of a map, read or written")
    tile_buffer_energy: float = _constant("J", "a bit that enters or leaves a tile")
    tree_wire_energy: float = _constant("J/m", "a bit over the tree of tiles")
    local_wire_energy: float = _constant("J/m", "a bit of a vector past the arrays of a PE")
    logic_leakage: float = _constant("W/m^2", "accumulation")
    wire_leakage: float = _constant("W/m^2", "repeaters of the interconnect")
    other_leakage: float = _constant("W/m^2", "ADCs, drivers and buffers")


@dataclasses.dataclass(frozen=True)
class Node:
    """What changes with the node, relative to `REFERENCE_NM`.

    Parameters
    ----------
    nm : float
        The node F.
    delay_exponent : float
        Of F in delays.
    """

    nm: float
    delay_exponent: float

    @property
    def shrink(self) -> float:
        """F over that of the reference."""
        return self.nm / REFERENCE_NM

    @property
    def supply(self) -> float:
        """Supply over that of the reference."""
        return _supply(self.nm) / SUPPLY_V[REFERENCE_NM]

    @property
    def area(self) -> float:
        """Scale of areas: F²."""
        return self.shrink**2

    @property
    def delay(self) -> float:
        """Scale of delays: F to a fitted exponent."""
        return float(self.shrink**self.delay_exponent)

    @property
    def logic_energy(self) -> float:
        """Scale of an action of logic: F·V², a capacitance that follows F."""
        return self.shrink * self.supply**2

    @property
    def sense_energy(self) -> float:
        """Scale of a conversion: F, a capacitance charged to the read voltage."""
        return self.shrink

    @property
    def wire_energy(self) -> float:
        """Scale of energy a length: V², since a wire's capacitance a length stays."""
        return self.supply**2

    @property
    def leakage(self) -> float:
        """Scale of leakage a relative area: F·V, a constant current a transistor width."""
        return self.shrink * self.supply / self.area


def _supply(nm: float) -> float:
    nodes = sorted(SUPPLY_V)
    nm = min(max(nm, nodes[0]), nodes[-1])
    above = next(node for node in nodes if node >= nm)
    below = max(node for node in nodes if node <= nm)
    if above == below:
        return SUPPLY_V[above]
    share = math.log(nm / below) / math.log(above / below)
    return SUPPLY_V[below] + share * (SUPPLY_V[above] - SUPPLY_V[below])


@functools.cache
def load_constants() -> Constants:
    """Return the constants of ``constants.toml``."""
    stored = tomllib.loads(CONSTANTS_FILE.read_text("utf-8"))
    names = [field.name for field in dataclasses.fields(Constants)]
    return Constants(**{name: stored[name]["value"] for name in names})
