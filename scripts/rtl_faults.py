# SPDX-License-Identifier: Apache-2.0
"""Single faults of RTL, as Yosys chooses and seeds them.

A bit of a cell's port is stuck, inverted, or made to depend on another signal.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fpga import yosys

__all__ = ["LINT", "SEED", "Fault", "list_faults"]

SEED = 1

LINT = "".join(
    f"/* verilator lint_off {rule} */\n" for rule in ("CASEOVERLAP", "UNOPTFLAT", "WIDTHTRUNC")
)
"""A bit that a fault ties to another of the same port looks like a loop, but is none; and Yosys
shifts in all bits even where it has found that few of them are used."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault of a block, as the command that makes Yosys seed it."""

    block: str
    command: str

    @property
    def cell(self) -> str:
        """Yosys' name of the cell that is faulty."""
        return self._option("cell")

    @property
    def text(self) -> str:
        """What is wrong, for people: how, the bit of the cell's port, the cell."""
        by = f" by bit {self._option('ctrlbit')}" if "-ctrlbit" in self.command else ""
        cell = re.sub(r"\$?sound\.v:\d+", "", self.cell.removeprefix("$flatten")).replace("\\", "")
        port = f"{self._option('port')}[{self._option('portbit')}]"
        return f"{self._option('mode')}{by}, {port} of {cell}"

    def _option(self, name: str) -> str:
        found = re.search(rf" -{name} (\S+)", self.command)
        return found[1] if found else ""


def list_faults(
    commands: Sequence[str], folder: Path, count: int, cells: Mapping[str, str]
) -> list[Fault]:
    """Return ``count`` different faults of each block, none of a clock; the same each time.

    Parameters
    ----------
    commands : sequence of str
        What makes Yosys read the design, in ``folder``.
    folder : Path
    count : int
    cells : mapping of str to str
        Yosys' selection of a block's cells, by the block's name.
    """
    asked = dict.fromkeys(cells, count)
    while True:
        lists = [
            f"mutate -list {asked[block]} -seed {SEED} -o {block}.txt {chosen}"
            for block, chosen in cells.items()
        ]
        yosys.run([*commands, *lists], folder)
        texts = {block: (folder / f"{block}.txt").read_text(encoding="utf-8") for block in cells}
        listed = {
            block: [line for line in text.splitlines() if line.startswith("mutate ")]
            for block, text in texts.items()
        }
        found = {
            block: [line for line in lines if not re.search(r" -port \w*CLK ", line)][:count]
            for block, lines in listed.items()
        }
        short = [b for b in cells if len(found[b]) < count and len(listed[b]) == asked[b]]
        if not short:
            break
        asked |= {block: asked[block] + count for block in short}
    return [
        Fault(block, re.sub(r" -(src|wire|wirebit) \S+", "", line))
        for block, lines in found.items()
        for line in lines
    ]
