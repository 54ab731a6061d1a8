# SPDX-License-Identifier: Apache-2.0
"""What is simulated: several emitted blocks, side by side in one Verilog file.

A simulator takes seconds to build and milliseconds to run, so one build holds all shapes of a
block, and its seeded faults too. Each block has its own clock; those that a run does not use stand
still and cost nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from amaranth.lib import wiring

from hw import verilog
from hw.product import ports_of

__all__ = ["TOP", "Block", "Design", "DesignError", "bundle", "emit_block"]

TOP = "bench"
"""Verilog name of the module around the blocks."""


class DesignError(ValueError):
    """A design cannot be put together; the message states the rule, then the value."""


@dataclasses.dataclass(frozen=True)
class Block:
    """One emitted block.

    Parameters
    ----------
    name : str
        Verilog name of the module, and of its instance.
    text : str
        Verilog, the modules below it included.
    ports : tuple of (str, str, int)
        ``input`` or ``output``, name, bits; ``clk`` and ``rst`` among them.
    """

    name: str
    text: str
    ports: tuple[tuple[str, str, int], ...]

    def with_fault(self, name: str, old: str, new: str) -> Block:
        """Return the block under another name, with one text replaced wherever it occurs.

        A negative control: what checks the block must fail on it.

        Raises
        ------
        DesignError
            If ``old`` does not occur: the Verilog has changed, and the fault must follow.
        """
        if old not in self.text:
            raise DesignError(f"a fault must replace text that occurs in {self.name}, not {old!r}")
        faulty = self.text.replace(old, new)
        # The names of the modules below begin with that of the block: no two blocks may share one.
        renamed = faulty.replace(f"module {self.name}(", f"module {name}(")
        renamed = renamed.replace(f"\\{self.name}.", f"\\{name}.")
        if faulty == self.text or renamed == faulty:
            raise DesignError(
                f"a fault must change {self.name} and its name, not {old!r} to {new!r}"
            )
        return Block(name, renamed, self.ports)


@dataclasses.dataclass(frozen=True)
class Design:
    """A Verilog file to simulate: a name for its folder, the top module, the text."""

    name: str
    top: str
    text: str


def emit_block(component: wiring.Component, name: str) -> Block:
    """Emit a component under the module name ``name``."""
    text = verilog.emit(component, name)
    ports = [("input", "clk", 1), ("input", "rst", 1)]
    for port in ports_of(component.signature):
        ports.append((port["direction"], port["name"], port["width"]))
    return Block(name, text, tuple(ports))


def bundle(name: str, blocks: Iterable[Block]) -> Design:
    """Put blocks side by side in a module ``bench`` with the ports ``<block>__<port>``.

    Raises
    ------
    DesignError
        If there is no block, or two have the same name.
    """
    blocks = list(blocks)
    names = [block.name for block in blocks]
    if not blocks or len(set(names)) != len(names):
        raise DesignError(f"a design must have blocks with different names, not {names}")
    ports, instances = [], []
    for block in blocks:
        connections = []
        for kind, port, width in block.ports:
            ports.append(f"  {kind} wire [{width - 1}:0] {block.name}__{port}")
            connections.append(f".{port}({block.name}__{port})")
        instances.append(f"  {block.name} {block.name} ({', '.join(connections)});")
    top = "module {}(\n{}\n);\n{}\nendmodule\n".format(TOP, ",\n".join(ports), "\n".join(instances))
    return Design(name, TOP, "\n".join([*(block.text for block in blocks), top]))
