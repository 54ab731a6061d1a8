# SPDX-License-Identifier: Apache-2.0
"""Bits of a design's signals that are constant: what Yosys folds, no simulation can move."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from cosim.design import Block
from fpga import yosys

__all__ = ["constants"]

FOLD = ["memory_collect", "opt -full", "techmap", "opt -full"]


def constants(block: Block) -> set[str]:
    """Return the bits of a block that Yosys proves constant, as ``module.signal[bit]``.

    A signal of one bit has no index. Registers are constant if nothing but their initial value
    ever comes into them; tables are logic here, and contents of memories anything.

    Raises
    ------
    fpga.yosys.YosysError
        If Yosys does not read the block.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dut.v").write_text(block.text, encoding="utf-8")
        commands = [
            "read_verilog dut.v",
            f"hierarchy -top {block.name}",
            "proc -norom",
            "flatten",
            "design -save flat",
            *FOLD,
            "write_json used.json",
            "design -load flat",
            "setattr -set keep 1 w:*",  # also what nothing uses; but then registers stay
            *FOLD,
            "write_json all.json",
        ]
        yosys.run(commands, folder)
        return {
            bit
            for file in ("used.json", "all.json")
            for bit in _fixed((folder / file).read_text(encoding="utf-8"), block.name)
        }


def _fixed(netlist: str, top: str) -> set[str]:
    """Return the bits of a netlist in JSON that are 0 or 1; what has no driver is neither."""
    found = set()
    for signal, net in json.loads(netlist)["modules"][top]["netnames"].items():
        bits = net["bits"]
        for place, bit in enumerate(bits, net.get("offset", 0)):
            if bit in ("0", "1"):
                found.add(f"{signal}[{place}]" if len(bits) > 1 else signal)
    return found
