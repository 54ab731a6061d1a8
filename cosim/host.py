# SPDX-License-Identifier: Apache-2.0
"""What a host of the accelerator is given in cocotb: the parameters of `cosim.body_accelerator`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from cosim.design import Block
from hw import timing
from hw.accelerator_params import AcceleratorParams
from hw.image import Image, patches
from hw.load import beats
from model import executor
from model.intnet import IntNet

__all__ = ["host_parameters"]


def host_parameters(
    net: IntNet, image: Image, block: Block, pixels: npt.NDArray[np.uint8]
) -> dict[str, Any]:
    """Return what the host does, and what must come out.

    Parameters
    ----------
    net : IntNet
    image : Image
        Built of the network.
    block : Block
        The accelerator's, under any name.
    pixels : numpy.ndarray
        Images, uint8 [N, C, H, W].
    """
    params = image.params
    names = [name for kind, name, _ in block.ports if kind == "input" and name.startswith("host_")]
    widths = {name: bits for _, name, bits in block.ports}
    return {
        "block": block.name,
        "seed": 1,
        "contents": beats(image),
        "widths": {name: widths[name] for name in ("start", "logit", *names)},
        "layers": [
            timing.layer_cycles(params, layer) + timing.pass_cycles(params, layer)
            for layer in params.layers
        ],
        "buffer": params.layers[0].operands[0].buffer,
        "images": [
            {"words": _words(params, picture), "logits": [int(v) & 0xFFFFFFFF for v in row]}
            for picture, row in zip(pixels, executor.run(net, pixels), strict=True)
        ],
    }


def _words(params: AcceleratorParams, picture: npt.NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    """Return bank, address and value of each element of an image."""
    shift, words = params.shift, []
    for (channel, row, column), value in np.ndenumerate(patches(params, picture)):
        bank, at = divmod(channel, params.tile.rows)
        address = at << shift.addr_bits | shift.address(row, column)
        words.append((bank, address, int(value) % (1 << shift.bits)))
    return words
