# SPDX-License-Identifier: Apache-2.0
"""The accelerator's synthesised netlist runs an image, against the golden executor.

Its memories hold the network from the start, as those of a board do: nothing is loaded.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cosim import fast, run
from cosim.design import Block
from cosim.netlist import Netlist, NetlistError, from_yosys
from fpga import yosys
from hw import verilog
from hw.accelerator import Accelerator
from hw.image import Image
from hw.load import contents
from model import agreement
from model.intnet import IntNet

__all__ = ["check", "faulty", "mapped"]

TOP = "accelerator"
CELLS = "tile.crossbar_0.lane_0.0.0"
"""Block RAM with the first cells of the first page."""


def mapped(image: Image) -> Netlist:
    """Return the accelerator of an image as Yosys maps it.

    Raises
    ------
    yosys.YosysError
        If it fails.
    """
    component = Accelerator(params=image.params, contents=contents(image))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rtl.v").write_text(verilog.emit(component, TOP), encoding="utf-8")
        mapping = yosys.synthesis(TOP)
        yosys.run(["read_verilog rtl.v", *mapping, "write_json netlist.json"], folder)
        return from_yosys(json.loads((folder / "netlist.json").read_text("utf-8")), TOP)


def check(net: IntNet, image: Image, netlist: Netlist, pixels: npt.NDArray[np.uint8]) -> int:
    """Run an image layer by layer, then without a stop; return how many values were compared.

    Parameters
    ----------
    net : IntNet
    image : Image
        Built of the network.
    netlist : Netlist
        Of the image.
    pixels : numpy.ndarray
        The image, uint8 [C, H, W].

    Raises
    ------
    agreement.MismatchError
        Naming the first map, count of cycles, counter or logits that are not as they must be.
    """
    library = fast.build(Block(TOP, netlist.verilog() + netlist.models(), ()), optimise="-O0")
    with fast.Model(library, image, load=False) as model:
        compared = agreement.agree(net, pixels[None], [run.rtl(net, image, model)])
        run.check_in_one_go(net, image, model, pixels)
    return compared["RTL"]


def faulty(netlist: Netlist) -> Iterator[tuple[str, Netlist]]:
    """Yield what has been flipped, and the netlist with it."""
    lut = _parity(netlist)
    yield f"bit 0 of the LUT {lut}", netlist.flip(lut, "INIT", 0)
    yield f"bit 0 of the block RAM {CELLS}", netlist.flip(CELLS, "INIT_00", 0)


def _parity(netlist: Netlist) -> str:
    """Return the first LUT that is a parity of its inputs: it adds, and they are often all 0."""
    for name, cell in netlist.cells.items():
        table = cell.parameters.get("INIT", "").partition("'b")[2][::-1]
        if re.fullmatch("LUT[3-6]", cell.kind) and all(
            bit == str(entry.bit_count() % 2) for entry, bit in enumerate(table)
        ):
            return name
    raise NetlistError(f"{netlist.name} must have a LUT that is a parity, for a fault")
