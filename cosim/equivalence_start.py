# SPDX-License-Identifier: Apache-2.0
"""Proof that a netlist equals its RTL from its first cycle on, where flip-flops cannot be paired.

Synthesis may name a register after another signal that carries the same bit; one that has no pair
is enough to leave all unproven that depends on it. So nothing is paired by name here: both sides
run in a miter, whose output says that some output differs. ABC looks for signals that always equal
each other, proves all of them at once by induction and merges them (signal correspondence). The two
sides are equal if constant 0 is left of the miter.

All inputs are free in each cycle, ``rst`` as well. Registers begin with their initial values; those
that have none, and such memories, with 0. ABC is the one in Yosys, which keeps quiet about what it
says: what it has proven is read from the miter that it leaves.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

from amaranth.lib import wiring

from cosim.equivalence import CELLS, both_sides, synthesise
from cosim.properties_control import small_accelerator
from fpga import yosys
from hw.dac import WordlineDriver
from hw.fetch import Fetch
from hw.params import ShiftParams
from hw.requant import Requant
from hw.sequencer import Sequencer
from hw.shift_add import ShiftAdd
from hw.tile import Tile
from hw.tile_params import TileParams

__all__ = ["BLOCKS", "Block", "Equality", "compare", "prove"]

MITER = [
    "setundef -init -zero",
    "miter -equiv -flatten gold gate miter",
    "hierarchy -top miter",
    "opt -full",
    "techmap",
    "dffunmap",
    "opt_clean",
    "aigmap",
    "clean",
    "write_aiger -zinit miter.aig",
]
"""From both sides to an AIGER file with one output, 1 where they differ."""

PROOF = "backup\nread_aiger miter.aig\nscorr\nwrite_aiger left.aig\nrestore\nmap\n"
"""What ABC does; it must end with what Yosys gave it, which is nothing but an AND."""

SMALL = TileParams(
    rows=3, columns=4, columns_per_adc=2, cell_bits=2, weight_bits=2, act_bits=2, pages=2,
    tables=1, stream_bits=2,
)  # fmt: skip
MIDDLE = TileParams(rows=16)
USUAL = TileParams(tables=1, act_bits=4)  # a table of eight bits would be a block RAM
ACCELERATOR = small_accelerator(ShiftParams(height=3, width=5, bits=4))


@dataclasses.dataclass(frozen=True)
class Equality:
    """Whether both sides are proven equal; ``registers`` of both were to be related."""

    registers: int
    proven: bool


@dataclasses.dataclass(frozen=True)
class Block:
    """What is proven equal to its netlist.

    Parameters
    ----------
    name : str
    make : callable
        Returns the component.
    fault : str
        Negative control: the net whose LUT has one bit flipped.
    """

    name: str
    make: Callable[[], wiring.Component]
    fault: str


BLOCKS = (
    Block("drivers, 3 rows", lambda: WordlineDriver(params=SMALL), "activations__ready"),
    Block("drivers, 16 rows, 8 bits", lambda: WordlineDriver(params=MIDDLE), "activations__ready"),
    Block("shift and add, 64×64, 8 bits", lambda: ShiftAdd(params=TileParams()), "sums[0]"),
    Block("requantisation, table of 4 bits", lambda: Requant(params=USUAL), "sums__ready"),
    Block("tile, 3×4", lambda: Tile(params=SMALL), "commands__ready"),
    Block(
        "tile, 3×4, two crossbars, two passes",
        lambda: Tile(params=dataclasses.replace(SMALL, crossbars=2, passes=2, act_bits=3)),
        "channels__ready",
    ),
    Block(
        "tile, 3×4, masks, skips",
        lambda: Tile(params=dataclasses.replace(SMALL, masks=2), skips=True),
        "activations__ready",
    ),
    Block("sequencer, five layers", lambda: Sequencer(params=ACCELERATOR), "commands__payload[0]"),
    Block("fetch, five layers", lambda: Fetch(params=ACCELERATOR), "a_addr[3]"),
)


def prove(block: Block, *, broken: bool = False) -> Equality:
    """Synthesise a block for Artix-7 and compare it with its RTL.

    Parameters
    ----------
    block : Block
    broken : bool
        With its fault.

    Raises
    ------
    fpga.yosys.YosysError
        If a step fails for another reason than that the sides differ.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthesise(block.make(), folder, block.fault if broken else None)
        return compare(folder, CELLS)


def compare(folder: Path, models: str) -> Equality:
    """Compare ``rtl.v`` with ``netlist.v`` of a folder; see `cosim.equivalence.compare`.

    Raises
    ------
    fpga.yosys.YosysError
        If Yosys or ABC does not come to an end.
    """
    both_sides(folder, [models], MITER)
    (folder / "proof.abc").write_text(PROOF, encoding="ascii")
    (folder / "and.v").write_text(
        "module and_gate(input a, b, output y); assign y = a & b; endmodule\n", encoding="ascii"
    )
    yosys.run(["read_verilog and.v", "techmap", "abc -script proof.abc"], folder)
    try:
        before, after = ((folder / f"{name}.aig").read_bytes() for name in ("miter", "left"))
    except FileNotFoundError:
        raise yosys.YosysError("ABC left no miter") from None
    return Equality(_registers(before), _output(after) == b"0")


def _registers(aiger: bytes) -> int:
    """Return how many registers a binary AIGER file has."""
    return int(aiger.split(b"\n", 1)[0].split()[3])


def _output(aiger: bytes) -> bytes:
    """Return the literal of a binary AIGER file's one output; 0 is constant 0.

    Raises
    ------
    fpga.yosys.YosysError
        If there is another number of them.
    """
    lines = aiger.split(b"\n", _registers(aiger) + 2)
    if lines[0].split()[4] != b"1":
        raise yosys.YosysError(f"a miter must have one output, not {lines[0]!r}")
    return lines[1 + _registers(aiger)]
