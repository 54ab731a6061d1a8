# SPDX-License-Identifier: Apache-2.0
"""Command line of ``python -m fpga.host``."""

from __future__ import annotations

import argparse
from pathlib import Path

from hw import cli
from hw.params import Direction
from model import cifar

__all__ = ["DATA", "IMAGES", "PROGRAM", "SEED", "parser"]

PROGRAM = "python -m fpga.host"
BAUD = 1_000_000
DATA, IMAGES, SEED = Path("data"), 4, 0
"""What is taken unless told otherwise."""

_JSON = "print the result as JSON"
_COUNTERS = (
    " `cycles` are those of the last run, `runs` those since the reset; `loaded` is the CRC-32 of "
    "what `load` has written, 0 after any other command but `info` and `counters`."
)


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(PROGRAM, "Talk to a design on a board, or to a simulated one.")
    command.add_argument("--port", required=True, metavar="PORT", help="serial port of the device")
    command.add_argument(
        "--baud", type=cli.integer("baud", 300, 12_000_000), default=BAUD, metavar="BIT/S",
        help="rate of the line",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help=_JSON)
    # Taken before the subcommand and after it.
    common = _Subparser(prog=PROGRAM, description="", add_help=False)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=_JSON)
    commands = command.add_subparsers(dest="command", required=True, parser_class=_Subparser)

    def add(name: str, does: str, more: str = "") -> cli.Parser:
        return commands.add_parser(name, description=does + more, help=does, parents=[common])

    add("info", "Say what the device is.")
    add("counters", "Read the device's registers.", _COUNTERS)
    shift = add("shift", "Shift a map by one pixel (design shift).")
    shift.add_argument(
        "--direction", required=True, type=str.upper,
        choices=[direction.name for direction in Direction.moving()],
        help="where the content moves",
    )  # fmt: skip
    shift.add_argument(
        "--map", type=Path, metavar="FILE", help="pixels: a line a row (default: random ones)"
    )
    _add_seed(shift)
    load = add("load", "Load a network's weights, tables and parameters.")
    _add_intnet(load)
    classify = add("classify", "Classify pictures (design accelerator).")
    classify.add_argument("pictures", type=Path, nargs="*", metavar="FILE", help="PNG, JPEG, WebP")
    _add_intnet(classify)
    classify.add_argument("--dataset", choices=tuple(cifar.CIFAR), help="test images of a data set")
    _add_images(classify)
    classify.add_argument(
        "--data", type=Path, default=argparse.SUPPRESS, metavar="DIR",
        help=f"folder of data sets (default: {DATA})",
    )  # fmt: skip
    classify.add_argument(
        "--check", action="store_true", help="compare with the integer executor, and the cycles"
    )
    selftest = add("selftest", "Compare the device with the integer reference.")
    _add_intnet(selftest)
    _add_images(selftest)
    _add_seed(selftest)
    return command


class _Subparser(cli.Parser):
    """A `cli.Parser` that takes the program's name as argparse hands it down."""

    def __init__(self, *, prog: str, description: str, **options: object) -> None:
        super().__init__(prog, description, **options)


def _add_seed(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--seed", type=cli.integer("seed", 0, 2**63 - 1), default=argparse.SUPPRESS, metavar="N",
        help=f"of random maps (default: {SEED})",
    )  # fmt: skip


def _add_intnet(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--intnet", metavar="NAME", default=argparse.SUPPRESS,
        help="the integer network: of the zoo, or a folder (default: the one of the zoo that the "
        "device runs)",
    )  # fmt: skip


def _add_images(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--images", type=cli.integer("images", 1, 10_000), default=argparse.SUPPRESS, metavar="N",
        help=f"how many test images (default: {IMAGES})",
    )  # fmt: skip
