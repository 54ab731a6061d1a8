# SPDX-License-Identifier: Apache-2.0
"""Which rows of each page must be driven: masks that a shift register makes again.

Nothing about masks is stored with a network. A masked weight is U = Z, counts nothing, and so may
be gated; the mask of a page is the shortest run of its register (`hw.lfsr_params`) that keeps all
rows with any other weight. Of a network that was trained with such masks that is the mask of its
training, or less; of any other network, nearly always all rows.

A leaf: NumPy and the integer network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hw.lfsr_params import MIN_POSITIONS, LfsrMask, page_seed
from hw.tile_params import LIMITS
from model.golden import is_lossless
from model.intnet import Crossbar, IntNet

__all__ = ["Masks", "gates", "row_masks"]

Masks = tuple[tuple[LfsrMask, ...], ...]
"""Masks of a layer, [column groups][crossbars in use]."""


def gates(net: IntNet, layers: Sequence[Crossbar], outputs: int) -> list[Masks]:
    """Return the masks of each layer; empty ones if no row of a stored page can be gated.

    A row that is gated adds neither its cells, U = Z, nor its Z·Q. That is as good as adding both
    only as long as no ADC saturates: otherwise nothing is gated. Where some row is, all layers have
    masks.

    Parameters
    ----------
    net : IntNet
    layers : sequence of Crossbar
        All of them, in their order.
    outputs : int
        Of a page.
    """
    none: list[Masks] = [()] * len(layers)
    groups = max(-(-layer.outputs // outputs) for layer in layers)
    rows = min(net.array_rows, *(layer.rows for layer in layers))
    saturates = not is_lossless(net.array_rows, net.cell_bits, net.adc_bits)
    if saturates or groups > LIMITS["masks"][1] or rows < MIN_POSITIONS:
        return none
    found: list[Masks] = []
    for number, layer in enumerate(layers):
        tiles = row_masks(
            layer.weights, layer.zero_point, layer=number, rows=net.array_rows, outputs=outputs
        )
        masks = [[mask for mask in tile if mask is not None] for tile in tiles]
        found.append(tuple(zip(*masks, strict=True)))
    gated = any(
        0 < mask.count < mask.positions for masks in found for group in masks for mask in group
    )
    return found if gated else none


def row_masks(
    weights: npt.NDArray[np.uint8], zero_point: int, *, layer: int, rows: int, outputs: int
) -> tuple[tuple[LfsrMask | None, ...], ...]:
    """Return the mask of each page of a layer, [row tiles][column groups].

    Parameters
    ----------
    weights : numpy.ndarray
        U, uint8 [rows of the layer, outputs of the layer].
    zero_point : int
        Z.
    layer : int
        Number of the layer among the network's crossbar layers, from 0.
    rows, outputs : int
        Of a page.

    Returns
    -------
    tuple of tuple
        ``count`` 0 where no weight of a page counts; None where a page has too few rows for a
        register: all are kept.
    """
    used = weights != zero_point
    found = []
    for tile, first in enumerate(range(0, len(used), rows)):
        groups = []
        for group, start in enumerate(range(0, used.shape[1], outputs)):
            driven = used[first : first + rows, start : start + outputs].any(1)
            groups.append(_least(driven, page_seed(len(driven), layer, tile, group)))
        found.append(tuple(groups))
    return tuple(found)


def _least(driven: npt.NDArray[np.bool_], seed: int) -> LfsrMask | None:
    """Return the mask of least count that keeps all rows that are driven."""
    if len(driven) < MIN_POSITIONS:
        return None
    order = LfsrMask(positions=len(driven), count=0, seed=seed).order()
    count = int(np.flatnonzero(driven[order])[-1]) + 1 if driven.any() else 0
    return LfsrMask(positions=len(driven), count=count, seed=seed)
