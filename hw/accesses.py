# SPDX-License-Identifier: Apache-2.0
"""Words of feature maps that an image reads and writes, and what of them the shift costs.

A leaf, like `hw.timing`. The pooled map is not counted, and reads outside a map are.
"""

from __future__ import annotations

import dataclasses

from hw import timing
from hw.accelerator_params import AcceleratorParams

__all__ = ["Accesses", "accelerator_accesses", "paper_accesses"]


@dataclasses.dataclass(frozen=True)
class Accesses:
    """What an image takes.

    Parameters
    ----------
    shift_cycles : int
        Cycles in which maps are shifted and nothing else is done.
    reads, writes : int
        Words read from, and written into, buffers: by layers and by shifts.
    """

    shift_cycles: int
    reads: int
    writes: int


def accelerator_accesses(params: AcceleratorParams) -> Accesses:
    """Return what an image takes in the accelerator, in its own mode.

    A layer reads each of its operands once a pixel and row, and writes each element of its output
    once. A pass that shifts in place reads and writes each element of each moved channel.
    """
    reads = writes = 0
    for layer in params.layers[:-1]:  # the head reads the pooled map and writes logits
        fetched = len(layer.operands) * layer.rows * layer.crossbars
        reads += (fetched + params.channels * (layer.add is not None)) * params.shift.pixels
        maps = (layer.out is not None) + (layer.second is not None)
        writes += maps * params.channels * params.shift.pixels
    moved = sum(_passes(params)) * sum(params.moved) * params.shift.pixels
    cycles = sum(timing.pass_cycles(params, layer) for layer in params.layers)
    return Accesses(shift_cycles=cycles, reads=reads + moved, writes=writes + moved)


def paper_accesses(params: AcceleratorParams) -> Accesses:
    """Return what an image of a network that shifts in place takes with the paper's shift module.

    A pass of H·W cycles a moved channel, one channel after the other, each with one read and one
    write (DATE 2024, section IV-A); no overhead.
    """
    own = accelerator_accesses(params)
    cycles = sum(_passes(params)) * sum(params.moved) * params.shift.pixels
    return dataclasses.replace(own, shift_cycles=cycles)


def _passes(params: AcceleratorParams) -> list[bool]:
    return [layer.shift_first is not None for layer in params.layers]
