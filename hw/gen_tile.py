# SPDX-License-Identifier: Apache-2.0
"""Command line of the crossbar tile: ``python -m hw.gen tile``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data, wiring

from hw import cli, disk, timing
from hw.crossbar import MACRO, crossbar_members
from hw.mask import mask_layout
from hw.params import ParameterError
from hw.product import Product, add_output, deliver, ports_of
from hw.tile import Tile
from hw.tile_axis import AxisTile
from hw.tile_params import LIMITS, TileParams

__all__ = ["main", "tile_product"]

PROGRAM = "python -m hw.gen tile"

OPTIONS = {
    "rows": ("COUNT", "wordlines of a crossbar"),
    "columns": ("COUNT", "bitlines of a crossbar"),
    "cell_bits": ("BITS", "bits of a cell"),
    "weight_bits": ("BITS", "bits of a weight, stored in adjacent cells"),
    "act_bits": ("BITS", "bits of an activation, driven one after the other"),
    "adc_bits": ("BITS", "bits of an ADC, which saturates"),
    "columns_per_adc": ("COUNT", "columns that share an ADC"),
    "pages": ("COUNT", "crossbars' worth of cells that one stores"),
    "crossbars": ("COUNT", "crossbars side by side, whose sums are added"),
    "passes": ("COUNT", "commands whose sums may be added up"),
    "tables": ("COUNT", "non-linearities that are stored"),
    "stream_bits": ("BITS", "bits of an output"),
    "masks": ("COUNT", "masks of rows, one a command of a vector; 0: all rows are driven"),
}


def tile_product(
    params: TileParams, *, analog: bool = False, wrapper: str | None = None
) -> Product:
    """Return the tile as a product, with black boxes for analog macros if wanted.

    Parameters
    ----------
    params : TileParams
    analog : bool
        Black boxes in place of the digital stand-in.
    wrapper : {"axis"}, optional
        The tile behind AXI4-Streams.
    """
    component: Tile | AxisTile
    masks = list(_fields(mask_layout(params))) if params.masks else None
    if wrapper == "axis":
        module, component = "tile_axis", AxisTile(params=params, analog=analog)
        streams = {name: list(_fields(layout)) for name, layout in component.layouts.items()}
        masks = None  # one of the streams
    else:
        module, component = "tile", Tile(params=params, analog=analog)
        streams = streams_of(component)
    derived = ("cells", "adcs", "units", "outputs", "max_code", "code_bits", "sum_bits")
    formulas = {
        "lead": timing.LEAD,
        "page": timing.PAGE,
        "page that no crossbar stores": timing.ABSENT_PAGE,
        "pace": timing.PACE,
        "period": timing.PERIOD,
    }
    return Product(
        module=module,
        folder=f"{module}_{params.name}" + ("_analog" if analog else ""),
        component=component,
        parameters=dataclasses.asdict(params) | {"analog": analog},
        facts={
            "derived": {name: getattr(params, name) for name in derived},
            "streams": streams,
            "masks": masks,
            "macro": _macro(params) if analog else None,
            "formulas": {name: str(formula) for name, formula in formulas.items()},
        },
        cycles={
            "vectors back to back": str(timing.TILE),
            "one vector, one page": timing.tile_cycles(params),
            "one page": timing.page_cycles(params),
        },
        files={f"{MACRO}.v": macro_declaration(params)} if analog else {},
    )


def streams_of(component: wiring.Component) -> dict[str, list[dict[str, Any]]]:
    """Return the fields of each stream's payload: name, offset, width, signed, count."""
    streams = {}
    for name, member in component.signature.members.items():
        if member.is_signature:
            layout = member.signature.members["payload"].shape
            streams[name] = list(_fields(layout))
    return streams


def _fields(
    layout: data.StructLayout, prefix: str = "", offset: int = 0
) -> Iterator[dict[str, Any]]:
    """Yield fields with their places; those of a structure within have its name before theirs."""
    for name, field in layout:
        shape = field.shape
        if isinstance(shape, data.StructLayout):
            yield from _fields(shape, f"{prefix}{name}.", offset + field.offset)
        elif isinstance(shape, data.ArrayLayout) and isinstance(
            shape.elem_shape, data.StructLayout
        ):
            for index in range(shape.length):
                first = offset + field.offset + index * shape.elem_shape.size
                yield from _fields(shape.elem_shape, f"{prefix}{name}[{index}].", first)
        else:
            yield _field(prefix + name, offset, field)


def _field(name: str, offset: int, field: data.Field) -> dict[str, Any]:
    shape, count = field.shape, 1
    if isinstance(shape, data.ArrayLayout):
        shape, count = shape.elem_shape, shape.length
    scalar = Shape.cast(shape)
    return {
        "name": name,
        "offset": offset + field.offset,
        "width": scalar.width,
        "signed": scalar.signed,
        "count": count,
    }


def _macro(params: TileParams) -> dict[str, Any]:
    clock = {"name": "clk", "direction": "input", "width": 1, "signed": False}
    return {
        "module": MACRO,
        "file": f"{MACRO}.v",
        "ports": [clock, *ports_of(wiring.Signature(crossbar_members(params)))],
        "cycles from sample to codes": timing.CROSSBAR_LATENCY,
    }


def macro_declaration(params: TileParams) -> str:
    """Return the Verilog that declares the analog macro's ports, and nothing behind them."""
    ports = [
        f"  {port['direction']} wire [{port['width'] - 1}:0] {port['name']}"
        for port in _macro(params)["ports"]
    ]
    return (
        "// Ports of the analog macro; the macro itself takes this file's place.\n"
        f"(* blackbox *)\nmodule {MACRO}(\n" + ",\n".join(ports) + "\n);\nendmodule\n"
    )


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(
        PROGRAM, "Generate the crossbar tile: Verilog, and a JSON that describes it."
    )
    for field in dataclasses.fields(TileParams):
        metavar, meaning = OPTIONS[field.name]
        command.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=cli.integer(field.name, *LIMITS[field.name]),
            metavar=metavar,
            default=field.default,
            help=meaning,
        )
    command.add_argument(
        "--macro",
        choices=["stand-in", "black-box"],
        default="stand-in",
        help="digital crossbars in block RAM, or the ports of an analog macro",
    )
    command.add_argument(
        "--wrapper",
        choices=["axis"],
        default=None,
        help="put the tile behind AXI4-Streams",
    )
    add_output(command, "build/tile_ and the shape")
    return command


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    options = vars(parser().parse_args(arguments))
    try:
        params = TileParams(**{name: options[name] for name in OPTIONS})
        analog = options["macro"] == "black-box"
        product = tile_product(params, analog=analog, wrapper=options["wrapper"])
        deliver(product, options.get("out"), as_json=options["json"])
    except (ParameterError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    return 0
