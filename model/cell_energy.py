# SPDX-License-Identifier: Apache-2.0
"""What reading weights costs, by the pairs of bits that cells of two bits hold.

A cell that holds 11 takes 19 times the energy of one that holds 00, so that which numbers a
network stores, and how they are encoded, decides what its crossbars take. Energies are those of
the published table; each cell counts as read once, whatever its input: activity is not in it.
Conversions are kept apart.

Source: F. Karimzadeh, "Twofold Sparsity", hardware co-design, table of energy. A leaf.
"""

from __future__ import annotations

import dataclasses
import reprlib
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from hw.params import ParameterError, check_integer
from hw.row_masks import row_masks
from model import golden
from model.intnet import Crossbar, IntNet

__all__ = [
    "ADC_PJ", "CELL_BITS", "CELL_PJ", "Encoding", "LayerEnergy", "Skip", "best_zero_point",
    "driven_weights", "network_energy", "pair_counts", "weight_energy",
]  # fmt: skip

CELL_BITS = 2
CELL_PJ = (0.079, 0.36, 0.73, 1.49)
"""Of a read, by what the cell holds: 00, 01, 10, 11."""
ADC_PJ = 0.208
"""Of a cell's conversion."""

Encoding = Literal["offset", "twos_complement", "differential"]
"""A weight q as U = q + Z; as q modulo 2^bits; as max(q, 0) in one column, max(−q, 0) in another.

`model.executor` and the RTL know the first one only: the others are here to be compared with.
"""
Skip = Literal["none", "rows", "masked"]
"""What is not read: nothing; rows that a page's register gates, so whole pages; masked weights."""


def _checked(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ParameterError(
            f"{name} must be one of {', '.join(choices)}, not {reprlib.repr(value)}"
        )


def _codes(encoding: Encoding, bits: int) -> npt.NDArray[np.int64]:
    """Return what is stored for each weight, [numbers, 2^bits], as `weight_energy` orders them."""
    _checked("encoding", encoding, get_args(Encoding))
    check_integer("bits", bits, 1, 8)
    places = np.arange(1 << bits)
    q = places - (1 << bits - 1)
    if encoding == "offset":
        return places[None]
    if encoding == "twos_complement":
        return (q & (1 << bits) - 1)[None]
    return np.stack([np.maximum(q, 0), np.maximum(-q, 0)])


def _pairs(encoding: Encoding, bits: int) -> npt.NDArray[np.int64]:
    """Return how many cells of each weight hold each pattern, [2^bits, 4]."""
    codes = _codes(encoding, bits)
    cells = codes[..., None] >> np.arange(0, bits, CELL_BITS) & (1 << CELL_BITS) - 1
    return np.stack([(cells == each).sum((0, 2)) for each in range(1 << CELL_BITS)], 1)


def weight_energy(encoding: Encoding = "offset", bits: int = 8) -> npt.NDArray[np.float64]:
    """Return what a read of each weight's cells takes, in pJ: float64 [2^bits].

    Entry i belongs to the weight i − Z, where Z is the zero point of ``offset``, and 2^(bits−1) in
    the other encodings.

    Parameters
    ----------
    encoding : Encoding
    bits : int
        Of a weight, 1…8.

    Raises
    ------
    ParameterError
        If one is not known, or out of its range.
    """
    found: npt.NDArray[np.float64] = _pairs(encoding, bits) @ np.array(CELL_PJ)
    return found


def pair_counts(
    places: npt.NDArray[np.integer], encoding: Encoding = "offset", bits: int = 8
) -> npt.NDArray[np.int64]:
    """Return how many cells hold 00, 01, 10 and 11: int64 [4].

    Parameters
    ----------
    places : numpy.ndarray
        Weights plus the zero point that `weight_energy` names, of any shape: of ``offset``, U.
    encoding, bits
        As `weight_energy` takes them.
    """
    counts = np.bincount(places.ravel(), minlength=1 << bits)
    found: npt.NDArray[np.int64] = counts @ _pairs(encoding, bits)
    return found


def best_zero_point(
    weights: npt.NDArray[np.integer], bits: int = 8, *, clipped: float = 0.0
) -> int:
    """Return the zero point of least energy, 0…2^(bits−1).

    The periphery takes Z·ΣQ away in any case, so that another Z costs nothing; with converters
    that lose nothing it changes no sum either. Weights that do not fit are clipped.

    Parameters
    ----------
    weights : numpy.ndarray
        q, integers of any shape.
    bits : int
        Of a stored weight, 1…8.
    clipped : float
        Share of the weights that may be clipped: 0 changes none.

    Raises
    ------
    ParameterError
        If no zero point clips so few.
    """
    table = weight_energy("offset", bits)
    top = (1 << bits) - 1
    energies = {}
    for zero_point in range((1 << bits - 1) + 1):
        places = weights + zero_point
        stored = places.clip(0, top)
        if (stored != places).mean() <= clipped:
            energies[zero_point] = float(table[stored].mean())
    if not energies:
        raise ParameterError(
            f"weights must fit in {bits} bits, not reach from {weights.min()} to {weights.max()}"
        )
    return min(energies, key=energies.__getitem__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerEnergy:
    """What is read of a layer's cells, each once.

    Parameters
    ----------
    name : str
    weights : int
        All of the layer.
    read : int
        Those that are not skipped.
    pairs : tuple of int
        Cells that are read and hold 00, 01, 10, 11.
    """

    name: str
    weights: int
    read: int
    pairs: tuple[int, ...]

    @property
    def cell_pj(self) -> float:
        """Energy of the cells, pJ."""
        return float(np.dot(self.pairs, CELL_PJ))

    @property
    def adc_pj(self) -> float:
        """Energy of the conversions, pJ: one a cell that is read, as the table counts."""
        return ADC_PJ * sum(self.pairs)


def network_energy(
    net: IntNet, *, encoding: Encoding = "offset", skip: Skip = "none", columns: int = 64
) -> tuple[LayerEnergy, ...]:
    """Return what is read of each crossbar layer of an integer network.

    Parameters
    ----------
    net : IntNet
        With cells of two bits.
    encoding : Encoding
    skip : Skip
        ``rows`` gates what `hw.row_masks` finds in pages of the network's ``array_rows``: nothing
        if an ADC of the network may saturate.
    columns : int
        Of a crossbar: a page has as many outputs as it has whole weights.

    Raises
    ------
    ParameterError
        If cells have other than two bits, or a weight does not fit in the encoding.
    """
    _checked("skip", skip, get_args(Skip))
    check_integer("columns", columns, 1, 4096)
    if net.cell_bits != CELL_BITS:
        raise ParameterError(f"cell_bits must be {CELL_BITS}, not {net.cell_bits}")
    found = []
    crossbars = [layer for layer in net.layers if isinstance(layer, Crossbar)]
    lossless = golden.is_lossless(net.array_rows, net.cell_bits, net.adc_bits)
    for number, layer in enumerate(crossbars):
        read = np.ones(layer.weights.shape, np.bool_)
        if skip == "masked":
            read = layer.weights != layer.zero_point
        elif skip == "rows" and lossless:
            outputs = max(1, columns // -(-layer.weight_bits // CELL_BITS))
            read = driven_weights(
                layer.weights, layer.zero_point, layer=number, rows=net.array_rows, outputs=outputs
            )
        places = layer.weights.astype(np.int64)
        if encoding != "offset":
            half = 1 << layer.weight_bits - 1
            places += half - layer.zero_point
            if places.min() < 0 or places.max() >= 2 * half:
                raise ParameterError(
                    f"weights of {layer.name} must be from {-half} to {half - 1} for {encoding}, "
                    f"not from {places.min() - half} to {places.max() - half}"
                )
        found.append(
            LayerEnergy(
                name=layer.name,
                weights=read.size,
                read=int(read.sum()),
                pairs=tuple(map(int, pair_counts(places[read], encoding, layer.weight_bits))),
            )
        )
    return tuple(found)


def driven_weights(
    weights: npt.NDArray[np.uint8], zero_point: int, *, layer: int, rows: int, outputs: int
) -> npt.NDArray[np.bool_]:
    """Return which weights lie in rows that are driven for their page: bool [rows, outputs].

    Parameters as for `hw.row_masks.row_masks`.
    """
    driven = np.ones(weights.shape, np.bool_)
    masks = row_masks(weights, zero_point, layer=layer, rows=rows, outputs=outputs)
    for tile, groups in enumerate(masks):
        for group, mask in enumerate(groups):
            if mask is not None:
                page = driven[tile * rows :, group * outputs : (group + 1) * outputs][:rows]
                page &= mask.kept()[:, None]
    return driven
