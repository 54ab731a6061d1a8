# SPDX-License-Identifier: Apache-2.0
"""Command line: Verilog of the shift IP, the tile or the accelerator, and a JSON about it.

``python -m hw.gen --fmap 16`` writes ``build/shift_16x16x8/shift_module.v`` and ``.json``;
``python -m hw.gen tile`` is `hw.gen_tile`, ``python -m hw.gen accelerator`` `hw.gen_accelerator`.
The JSON tells what Verilog loses: each port's width and direction, the parameters, the cycles. The
same arguments give the same bytes in any folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from hw import cli, disk, gen_accelerator, gen_tile, timing
from hw.params import (
    CHANNEL_DIVIDER,
    MAX_BITS,
    MAX_CHANNELS,
    MAX_SIDE,
    ArrayParams,
    Direction,
    ParameterError,
    ShiftParams,
)
from hw.product import Product, add_output, deliver
from hw.shift import ShiftArray, ShiftedReader, ShiftModule
from hw.stream import AxisShift

__all__ = ["main", "shift_product"]

PROGRAM = "python -m hw.gen"


def shift_product(
    params: ShiftParams,
    *,
    wrapper: str | None = None,
    channels: int | None = None,
    reader: bool = False,
) -> Product:
    """Choose the block: the bare module, or one of the blocks built around it.

    Parameters
    ----------
    params : ShiftParams
        Shape of a channel.
    wrapper : {"axis"}, optional
        The module behind AXI4-Stream.
    channels : int, optional
        The array of eight lanes, for a feature map of this many channels.
    reader : bool
        The reader that moves no data.
    """
    parameters = dataclasses.asdict(params)
    facts = {"directions": {direction.name: int(direction) for direction in Direction.moving()}}
    if wrapper == "axis":
        return Product(
            "shift_axis",
            f"shift_axis_{params.name}",
            AxisShift(params=params),
            parameters,
            facts,
            {"maps back to back": str(timing.AXIS), "one map": timing.axis_cycles(params)},
        )
    if channels is not None:
        array = ArrayParams(shift=params, channels=channels)
        return Product(
            "shift_array",
            f"shift_array_{array.name}",
            ShiftArray(params=array),
            parameters | {"channels": channels, "group": array.group, "bank_depth": array.depth},
            facts,
            {"blocks back to back": str(timing.ARRAY), "one block": timing.array_cycles(array)},
        )
    if reader:
        return Product(
            "shifted_reader",
            f"shifted_reader_{params.name}",
            ShiftedReader(params=params),
            parameters,
            {"directions": {direction.name: int(direction) for direction in Direction}},
            {"more than a plain read": timing.reader_cycles()},
        )
    return Product(
        "shift_module",
        f"shift_{params.name}",
        ShiftModule(params=params),
        parameters,
        facts,
        {"channels back to back": str(timing.SHIFT), "one channel": timing.shift_cycles(params)},
    )


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(
        PROGRAM,
        "Generate the shift IP: Verilog, and a JSON that describes it. "
        f"The crossbar tile: {gen_tile.PROGRAM} --help; "
        f"a whole network: {gen_accelerator.PROGRAM} --help.",
    )
    side = cli.integer("side", 2, MAX_SIDE)
    command.add_argument(
        "--fmap",
        type=side,
        metavar="PIXELS",
        default=argparse.SUPPRESS,
        help="height and width of a square feature map (default: 16)",
    )
    command.add_argument(
        "--height",
        type=cli.integer("height", 2, MAX_SIDE),
        metavar="PIXELS",
        default=argparse.SUPPRESS,
        help="rows, where not --fmap",
    )
    command.add_argument(
        "--width",
        type=cli.integer("width", 2, MAX_SIDE),
        metavar="PIXELS",
        default=argparse.SUPPRESS,
        help="columns, where not --fmap",
    )
    command.add_argument(
        "--bits",
        type=cli.integer("bits", 1, MAX_BITS),
        metavar="BITS",
        default=8,
        help="width of a pixel",
    )
    block = command.add_mutually_exclusive_group()
    block.add_argument(
        "--wrapper",
        choices=["axis"],
        default=argparse.SUPPRESS,
        help="put the module behind AXI4-Stream",
    )
    block.add_argument(
        "--array",
        action="store_true",
        default=argparse.SUPPRESS,
        help="a whole shift block: eight lanes with their memory banks",
    )
    block.add_argument(
        "--reader",
        action="store_true",
        default=argparse.SUPPRESS,
        help="the reader that moves no data",
    )
    command.add_argument(
        "--channels",
        metavar="COUNT",
        default=argparse.SUPPRESS,
        type=cli.integer("channels", CHANNEL_DIVIDER, MAX_CHANNELS),
        help="with --array: channels of the feature map (default: 128)",
    )
    add_output(command, "build/ and the block's name and shape")
    return command


def chosen_product(options: dict[str, Any]) -> Product:
    """Return the block that parsed options ask for.

    Raises
    ------
    ParameterError
        If options contradict each other.
    """
    if "fmap" in options and ("height" in options or "width" in options):
        raise ParameterError("--fmap sets both sides: give either it or --height and --width")
    if "channels" in options and "array" not in options:
        raise ParameterError("--channels needs --array: only the array stores several channels")
    fmap = options.get("fmap", 16)
    return shift_product(
        ShiftParams(
            height=options.get("height", fmap),
            width=options.get("width", fmap),
            bits=options["bits"],
        ),
        wrapper=options.get("wrapper"),
        channels=options.get("channels", 128) if "array" in options else None,
        reader="reader" in options,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == "tile":
        return gen_tile.main(arguments[1:])
    if arguments and arguments[0] == "accelerator":
        return gen_accelerator.main(arguments[1:])
    command = parser()
    if arguments and not arguments[0].startswith("-"):
        command.error(
            "what to generate must be tile or accelerator, or left out for the shift IP, "
            f"not {arguments[0]!r}"
        )
    options = vars(command.parse_args(arguments))
    try:
        deliver(chosen_product(options), options.get("out"), as_json=options["json"])
    except (ParameterError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    return 0


if __name__ == "__main__":
    cli.run(main)
