# SPDX-License-Identifier: Apache-2.0
"""Command line of ``python -m fpga.host``."""

from __future__ import annotations

import argparse
from pathlib import Path

from hw import cli
from hw.params import Direction
from model import cifar

__all__ = ["PROGRAM", "parser"]

PROGRAM = "python -m fpga.host"
BAUD = 1_000_000


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(PROGRAM, "Talk to a design on a board, or to a simulated one.")
    command.add_argument("--port", required=True, metavar="PORT", help="serial port of the device")
    command.add_argument(
        "--baud", type=cli.integer("baud", 300, 12_000_000), default=BAUD, metavar="BIT/S",
        help="rate of the line",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    commands = command.add_subparsers(dest="command", required=True, parser_class=_Subparser)
    commands.add_parser(
        "info", description="Say what the device is.", help="Say what the device is."
    )
    commands.add_parser(
        "counters", description="Read the device's registers.", help="Read the device's registers."
    )
    shift = commands.add_parser(
        "shift",
        description="Shift a map by one pixel (design shift).",
        help="Shift a map by one pixel (design shift).",
    )
    shift.add_argument(
        "--direction", required=True, type=str.upper,
        choices=[direction.name for direction in Direction.moving()],
        help="where the content moves",
    )  # fmt: skip
    shift.add_argument(
        "--map", type=Path, metavar="FILE", help="pixels: a line a row (default: random ones)"
    )
    _add_seed(shift)
    load = commands.add_parser(
        "load",
        description="Load a network's weights, tables and parameters.",
        help="Load a network's weights, tables and parameters.",
    )
    _add_intnet(load, required=True)
    classify = commands.add_parser(
        "classify",
        description="Classify pictures (design accelerator).",
        help="Classify pictures (design accelerator).",
    )
    classify.add_argument("pictures", type=Path, nargs="*", metavar="FILE", help="PNG, JPEG, WebP")
    _add_intnet(classify, required=True)
    classify.add_argument("--dataset", choices=tuple(cifar.CIFAR), help="test images of a data set")
    _add_images(classify)
    classify.add_argument(
        "--data", type=Path, default=Path("data"), metavar="DIR", help="data sets"
    )
    classify.add_argument(
        "--check", action="store_true", help="compare with the integer executor, and the cycles"
    )
    selftest = commands.add_parser(
        "selftest",
        description="Compare the device with the integer reference.",
        help="Compare the device with the integer reference.",
    )
    _add_intnet(selftest, required=False)
    _add_images(selftest)
    _add_seed(selftest)
    return command


class _Subparser(cli.Parser):
    """A `cli.Parser` that takes the program's name as argparse hands it down."""

    def __init__(self, *, prog: str, description: str, **options: object) -> None:
        super().__init__(prog, description, **options)


def _add_seed(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--seed", type=cli.integer("seed", 0, 2**63 - 1), default=0, metavar="N",
        help="of random maps",
    )  # fmt: skip


def _add_intnet(command: argparse.ArgumentParser, *, required: bool) -> None:
    command.add_argument(
        "--intnet", type=Path, required=required, metavar="DIR",
        default=None if required else argparse.SUPPRESS, help="folder of the integer network",
    )  # fmt: skip


def _add_images(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--images", type=cli.integer("images", 1, 10_000), default=4, metavar="N",
        help="how many test images",
    )  # fmt: skip
