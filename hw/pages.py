# SPDX-License-Identifier: Apache-2.0
"""Which pages of a network crossbars store, and under which number.

A page is array_rows rows of a column group. One whose weights are all U = Z adds Σ U·Q − Z·ΣQ = 0,
so it is neither stored nor visited; unless an ADC could saturate on it: then it adds something, and
is a page like any other. A leaf: the integer network, no RTL.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.intnet import Crossbar, IntNet

__all__ = ["Pages", "counted", "place"]

Pages = tuple[tuple[int | None, ...], ...]
"""Page [column groups][crossbars] of a layer; None where none is stored."""


def place(net: IntNet, layers: Sequence[Crossbar], outputs: int) -> list[Pages]:
    """Return where the pages of each layer are.

    Where all are stored, a page has the number of its column group, the same in all crossbars.
    Otherwise each crossbar counts its own: no page of any is left empty between them.

    Parameters
    ----------
    net : IntNet
    layers : sequence of Crossbar
    outputs : int
        Of a page.
    """
    every = [counted(net, layer, outputs) for layer in layers]
    if all(counts.all() for counts in every):
        firsts = np.cumsum([0, *map(len, every)]).tolist()
        return [
            tuple((first + number,) * counts.shape[1] for number in range(len(counts)))
            for first, counts in zip(firsts, every, strict=False)
        ]
    numbers = [itertools.count() for _ in range(max(counts.shape[1] for counts in every))]
    return [
        tuple(
            tuple(next(own) if counts else None for own, counts in zip(numbers, row, strict=False))
            for row in layer.tolist()
        )
        for layer in every
    ]


def counted(net: IntNet, layer: Crossbar, outputs: int) -> npt.NDArray[np.bool_]:
    """Return which pages of a layer can add anything: bool [column groups, crossbars].

    Parameters
    ----------
    net : IntNet
    layer : Crossbar
    outputs : int
        Of a page.
    """
    used = layer.weights != layer.zero_point
    rows, groups = net.array_rows, range(0, layer.outputs, outputs)
    tiles = range(0, layer.rows, rows)
    digit = _largest_digit(layer.zero_point, net.cell_bits)
    saturates = min(rows, layer.rows) * digit > (1 << net.adc_bits) - 1
    return np.array(
        [
            [saturates or used[tile : tile + rows, g : g + outputs].any() for tile in tiles]
            for g in groups
        ]
    )


def _largest_digit(zero_point: int, cell_bits: int) -> int:
    """Return the largest cell of a weight that is Z."""
    digits = [zero_point >> place & ((1 << cell_bits) - 1) for place in range(0, 8, cell_bits)]
    return max(digits)
