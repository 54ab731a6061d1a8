# SPDX-License-Identifier: Apache-2.0
"""Verilog of a component, as it is handed over and as it is simulated."""

from __future__ import annotations

import re

from amaranth.back import verilog
from amaranth.lib import wiring

from hw.cli import ToolError

__all__ = ["emit"]

ZEROS = re.compile(
    r"  initial begin\n"
    r"    (?P<name>\\\S+ |\w+)\[0\] = (?P<zero>\d+'[dh]0+);\n"
    r"(?P<more>(?:    (?P=name)\[\d+\] = (?P=zero);\n)+)"
    r"  end\n"
)


def emit(component: wiring.Component, name: str) -> str:
    """Return a component's Verilog, the modules below it included.

    Without source attributes, so that no path of this machine is in it; and with a loop where
    Amaranth writes a line for every word of a memory that starts as 0.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Verilog name of its module; those below it are called ``name.path``.

    Raises
    ------
    ToolError
        If Yosys, which writes it, is missing or fails.
    """
    try:
        text: str = verilog.convert(component, name=name, emit_src=False)
    except verilog.YosysError as error:
        raise ToolError(f"Yosys must write {name}: {error}") from None
    return ZEROS.sub(_loop, text)


def _loop(found: re.Match[str]) -> str:
    memory, zero = found["name"], found["zero"]
    words = 1 + found["more"].count("\n")
    block = (
        f"{memory.rstrip()}_zeros{' ' * memory.endswith(' ')}"  # an escaped name ends in a space
    )
    return (
        f"  initial begin : {block}\n"
        f"    integer word;\n"
        f"    for (word = 0; word < {words}; word = word + 1)\n"
        f"      {memory}[word] = {zero};\n"
        f"  end\n"
    )
