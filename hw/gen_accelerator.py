# SPDX-License-Identifier: Apache-2.0
"""Command line of the accelerator: ``python -m hw.gen accelerator --intnet DIR``."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hw import budget, cli, disk, timing
from hw.accelerator import Accelerator
from hw.accelerator_params import SHIFT_MODES, AcceleratorParams
from hw.gen_tile import OPTIONS, streams_of
from hw.image import build
from hw.load import beats, contents, payloads
from hw.params import ParameterError
from hw.product import Product, add_output, deliver
from hw.tile_params import LIMITS, TileParams
from model import intnet
from model.intnet import IntNet

__all__ = ["accelerator_product", "main"]

PROGRAM = "python -m hw.gen accelerator"

SIZES = ("columns", "columns_per_adc")


def accelerator_product(net: IntNet, *, columns: int, columns_per_adc: int, mode: str) -> Product:
    """Return the accelerator of a network as a product, with its memory images.

    Its memories hold them from the start.

    Raises
    ------
    ParameterError
        If the network does not fit.
    """
    image = build(net, columns=columns, columns_per_adc=columns_per_adc, mode=mode)
    params = image.params
    digest = intnet.digest(net)
    component = Accelerator(params=params, digest=int(digest, 16), contents=contents(image))
    files = {}
    for stream, values in beats(image).items():
        digits = -(-payloads(params)[stream].size // 4)
        if values:
            files[f"{stream}.hex"] = "".join(f"{value:0{digits}x}\n" for value in values)
    return Product(
        module="accelerator",
        folder=f"accelerator_{net.name}_{mode}",
        component=component,
        parameters=dataclasses.asdict(params),
        facts={
            "intnet": {"name": net.name, "sha256": digest},
            "streams": streams_of(component),
            "images": {
                name: {
                    "beats": text.count("\n"),
                    "sha256": hashlib.sha256(text.encode()).hexdigest(),
                }
                for name, text in files.items()
            },
            "pages": _pages(params),
            "memory": {
                "half_block_rams": {
                    name: dataclasses.asdict(store) for name, store in budget.stores(params).items()
                },
                "boards": budget.boards(params),
            },
            "rows": _rows(params),
            "layer cycles": {
                layer.name: timing.layer_cycles(params, layer) for layer in params.layers
            },
            "pass cycles": {
                layer.name: timing.pass_cycles(params, layer)
                for layer in params.layers
                if layer.shift_first is not None
            },
        },
        cycles={
            "an image": timing.accelerator_cycles(params),
            "bound": timing.accelerator_bound(params),
        },
        files=files,
    )


def _rows(params: AcceleratorParams) -> dict[str, int | float]:
    """Return the rows of all stored pages, and how many of them masks gate."""
    stored = kept = 0
    for layer in params.layers:
        for group, pages in enumerate(layer.pages):
            for crossbar, page in enumerate(pages):
                if page is not None:
                    stored += layer.rows
                    kept += layer.masks[group][crossbar].count if layer.masks else layer.rows
    share = round(1 - kept / stored, 4) if stored else 0.0
    return {"stored": stored, "gated": stored - kept, "share gated": share}


def _pages(params: AcceleratorParams) -> dict[str, Any]:
    """Return how many pages are stored, and how many are not, since they add nothing."""
    layers = {
        layer.name: {
            "stored": layer.stored,
            "absent": layer.groups * layer.crossbars - layer.stored,
        }
        for layer in params.layers
    }
    sums = {key: sum(each[key] for each in layers.values()) for key in ("stored", "absent")}
    return sums | {"layers": layers}


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(
        PROGRAM,
        "Generate the accelerator of an integer network: Verilog, memory images, and a JSON that "
        "describes them.",
    )
    command.add_argument(
        "--intnet", type=Path, required=True, metavar="DIR", help="folder of an integer network"
    )
    command.add_argument(
        "--shift", choices=SHIFT_MODES, default="fused", help="shift as read, or by passes"
    )
    for name in SIZES:
        metavar, meaning = OPTIONS[name]
        command.add_argument(
            f"--{name.replace('_', '-')}",
            type=cli.integer(name, *LIMITS[name]),
            metavar=metavar,
            default=getattr(TileParams, name),
            help=meaning,
        )
    add_output(command, "build/accelerator_ and the network's name and shift")
    return command


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    options = vars(parser().parse_args(arguments))
    try:
        product = accelerator_product(
            intnet.read(options["intnet"]),
            mode=options["shift"],
            **{name: options[name] for name in SIZES},
        )
        deliver(product, options.get("out"), as_json=options["json"])
    except (ParameterError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    if not options["json"]:
        for board, use in product.facts["memory"]["boards"].items():
            print(f"{board}: {use['needed']} of {use['block_rams']} block RAMs")
    return 0
