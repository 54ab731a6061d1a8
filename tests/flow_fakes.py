# SPDX-License-Identifier: Apache-2.0
"""The whole flow with tools that pretend, one design of one frame."""

import json

import numpy as np

from fpga import flow
from fpga import steps as recipe
from fpga.boards import BOARDS
from fpga.frames import Frames
from fpga.toolchain import Toolchain


def script(file, body):
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


CELLS = {
    "ram": {
        "type": "RAMB36E1",
        "parameters": {"READ_WIDTH_A": f"{9:b}"},
        "connections": {"DIPADIP": ["0"], "DIPBDIP": ["0"]},
    },
    "ff": {"type": "FDRE"},
}
HALVES = "".join(
    f"BRAM_L_X6Y0.{name}\n"
    for name in ("BRAM_FIFO36_A.B", "RAMB18_Y0.READ_WIDTH_A_4", "RAMB18_Y1.READ_WIDTH_A_4")
)
HEADER = (
    bytes.fromhex("0009 0ff0 0ff0 0ff0 0ff0 0000 01")
    + b"a\0\x0btop.frames\0b\0\x05part\0c\0\x0b2026/11/22\0d\0\x0906:04:56\0e"
)
BITS = "bit_00000000_000_00\nbit_00000000_050_12\nbit_00000000_100_31\n"


class Fakes:
    """Tools, and what the Python stages would do, as a build may find them."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.cells = folder, dict(CELLS)
        self.part = folder / "database" / BOARDS["arty_a7_35t"].part
        self.part.mkdir(parents=True)
        (self.part / "part.yaml").write_text("part")
        self.fmax, self.fasm, self.bits = 150.0, HALVES, BITS
        self.assembled = []
        self.write()
        monkeypatch.setattr(flow, "find", self.find)
        monkeypatch.setattr(flow, "install", self.find)
        monkeypatch.setattr(recipe, "sources", lambda *_: {"top.v": "module", "top.xdc": "pins"})
        monkeypatch.setattr(recipe.yosys, "run", self.yosys)
        monkeypatch.setattr(recipe, "assemble", self.assemble)

    def write(self, **bodies):
        """Write the tools, some with another body."""
        timing = {"fmax": {"clk": {"achieved": self.fmax, "constraint": 100}}}
        routed = {"modules": {"top": {"cells": {}}}}
        data = {"timing": json.dumps(timing), "routed": json.dumps(routed)}
        data |= {"fasm": self.fasm, "bits": self.bits}
        for name, text in data.items():
            (self.folder / name).write_text(text)
        (self.folder / "header").write_bytes(HEADER)
        here = self.folder
        nextpnr = f"cp {here}/timing timing.json; cp {here}/routed routed.json; cat {here}/fasm"
        script(here / "nextpnr", bodies.get("nextpnr", nextpnr))
        script(
            here / "frames2bit", bodies.get("frames2bit", f"cat {here}/header top.frames > top.bit")
        )
        script(here / "bitread", bodies.get("bitread", f"cp {here}/bits top.bits"))

    def find(self):
        tools = (self.folder / name for name in ("nextpnr", "frames2bit", "bitread", "database"))
        return Toolchain(*tools)

    def yosys(self, commands, folder, *, log):
        (folder / log).write_text("synthesised")
        netlist = {"modules": {"top": {"cells": self.cells}}}
        (folder / "netlist.json").write_text(json.dumps(netlist))

    def assemble(self, fasm, database, part, *, file):
        self.assembled.append(fasm)
        words = np.zeros((1, 101), np.uint32)
        words[0, 0], words[0, 100] = 1, 1 << 31
        return Frames(np.zeros(1, np.uint32), words)
