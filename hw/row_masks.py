# SPDX-License-Identifier: Apache-2.0
"""Which rows of each page must be driven: masks that a shift register makes again.

Nothing about masks is stored with a network. A masked weight is U = Z, counts nothing, and so may
be gated; the mask of a page is the shortest run of its register (`hw.lfsr_params`) that keeps all
rows with any other weight. Of a network that was trained with such masks that is the mask of its
training, or less; of any other network, nearly always all rows.

A leaf: NumPy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hw.lfsr_params import MIN_POSITIONS, LfsrMask, page_seed

__all__ = ["row_masks"]


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
