# SPDX-License-Identifier: Apache-2.0
"""What the energy of a crossbar layer depends on: its cells, and the bits of its activations.

A weight is stored as an unsigned number U (the zero point is taken off later), cut into cells of
``cell_bits``, the least significant first. Activations are applied bit plane by bit plane: a row is
driven in a plane if that bit of its two's complement is 1. A leaf.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hw.params import check_integer
from model import executor, fast_executor, golden
from model.cell_energy import driven_weights
from model.images import zoo_images
from model.intnet import Crossbar, IntNet

__all__ = ["Activity", "Statistics", "measure"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """How often the rows of a layer are driven: counts, so that nothing is rounded.

    Parameters
    ----------
    driven : numpy.ndarray
        int64 [act_bits, rows]: vectors in which a plane drives a row, the least significant plane
        first; [1, 1] where only their sum is known, over all pages that are stored.
    reads : int
        What the sum would be if each plane drove each row: vectors·act_bits·rows; of those rows
        of those pages that are not gated.
    images : int
        Real images that they are of.
    counted : bool
        By the RTL's counters; otherwise computed.
    """

    driven: npt.NDArray[np.int64]
    reads: int
    images: int
    counted: bool = False

    def mean(self) -> float:
        """Return the mean share of rows that a plane drives."""
        return int(self.driven.sum()) / self.reads if self.reads else 0.0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Statistics:
    """Real weights of a layer, and how often its rows are driven.

    Parameters
    ----------
    weights : numpy.ndarray
        U, uint8 [rows, outputs].
    weight_bits, act_bits : int
        Bits of U, 1…8, and of an activation, 2…8.
    zero_point : int
        Z: a weight counts as U − Z.
    activity : Activity, optional
        None if no images are known that the network takes.
    gates : bool
        Whether masked rows may stay undriven: no ADC of the network saturates.
    """

    weights: npt.NDArray[np.uint8]
    weight_bits: int
    act_bits: int
    zero_point: int
    activity: Activity | None
    gates: bool = True

    def cells(self, cell_bits: int) -> npt.NDArray[np.uint8]:
        """Return what the cells store, uint8 [rows, outputs·⌈weight_bits/cell_bits⌉].

        The cells of a weight are neighbours, the least significant first.
        """
        check_integer("cell_bits", cell_bits, 1, 8)
        lows = np.arange(0, self.weight_bits, cell_bits, dtype=np.uint8)
        sliced = self.weights[:, :, None] >> lows & np.uint8((1 << cell_bits) - 1)
        return sliced.reshape(len(self.weights), -1)

    def row_patterns(self, cell_bits: int) -> npt.NDArray[np.int64]:
        """Return how many cells of each row store each level, int64 [rows, 2^cell_bits]."""
        cells = self.cells(cell_bits)
        levels = range(1 << cell_bits)
        return np.stack([(cells == level).sum(1, dtype=np.int64) for level in levels], 1)

    def patterns(self, cell_bits: int) -> npt.NDArray[np.int64]:
        """Return how many cells store each level, int64 [2^cell_bits]."""
        counts: npt.NDArray[np.int64] = self.row_patterns(cell_bits).sum(0)
        return counts

    def stored(self, array_rows: int, array_columns: int, cell_bits: int) -> npt.NDArray[np.bool_]:
        """Return which crossbars must be there, bool [⌈rows/array_rows⌉, ⌈columns/array_columns⌉].

        One whose weights are all 0, U = Z, adds nothing, and is not placed.
        """
        cells = -(-self.weight_bits // cell_bits)
        used = np.repeat(self.weights != self.zero_point, cells, axis=1)
        starts = (range(0, used.shape[0], array_rows), range(0, used.shape[1], array_columns))
        down = np.logical_or.reduceat(used, starts[0], axis=0)
        return np.logical_or.reduceat(down, starts[1], axis=1)

    def driven_share(
        self, cell_energy: Sequence[float], *, layer: int, array_rows: int, array_columns: int
    ) -> float:
        """Return which share of the energy of reads is left where masked rows are gated.

        All of it if none may be. A row is gated for a page if the page's register masks it
        (`hw.row_masks`). Crossbars that are not placed are in neither sum.

        Parameters
        ----------
        cell_energy : sequence of float
            Of a read, by what the cell stores: 2^cell_bits of them.
        layer : int
            Number of the layer among the network's crossbar layers.
        array_rows, array_columns : int
        """
        if not self.gates:
            return 1.0
        cell_bits = (len(cell_energy) - 1).bit_length()
        cells = -(-self.weight_bits // cell_bits)
        outputs = max(1, array_columns // cells)
        driven = driven_weights(
            self.weights, self.zero_point, layer=layer, rows=array_rows, outputs=outputs
        )
        placed = self.stored(array_rows, outputs * cells, cell_bits)
        placed = placed.repeat(array_rows, 0)[: len(driven)]
        placed = placed.repeat(outputs, 1)[:, : driven.shape[1]]
        levels = np.array(cell_energy)[self.cells(cell_bits)]
        energy = levels.reshape(*self.weights.shape, cells).sum(2)
        if self.activity is not None:
            energy *= self.activity.driven.sum(0)[:, None]
        everything = float(energy[placed].sum())
        return float(energy[driven & placed].sum()) / everything if everything else 1.0


def measure(
    net: IntNet, *, images: int = 8, activity: Mapping[str, Activity] | None = None
) -> dict[str, Statistics]:
    """Return the statistics of each crossbar layer of an integer network, by its name.

    Parameters
    ----------
    net : IntNet
    images : int
        Test images of the zoo to run, 1…48.
    activity : mapping of str to Activity, optional
        By layer, what is known of it (`model.cost.counters`): then none are run.

    Raises
    ------
    ParameterError
        If ``images`` is out of range.
    """
    check_integer("images", images, 1, 48)
    if activity is None:
        activity = _activity(net, zoo_images()[0][:images])
    return {
        layer.name: Statistics(
            weights=layer.weights,
            weight_bits=layer.weight_bits,
            act_bits=layer.act_bits,
            zero_point=layer.zero_point,
            activity=activity.get(layer.name),
            gates=golden.is_lossless(net.array_rows, net.cell_bits, net.adc_bits),
        )
        for layer in net.layers
        if isinstance(layer, Crossbar)
    }


def _activity(net: IntNet, images: npt.NDArray[np.uint8]) -> dict[str, Activity]:
    """Return the activity of each layer; nothing if the network takes other images."""
    if net.input_shape != images.shape[1:]:
        return {}
    trace: executor.Trace = {}
    fast_executor.run(net, images, trace=trace)
    maps: executor.Maps = {net.input: images.astype(np.int64) - 128}
    found = {}
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            # A map may be written again later: what a layer fetches is known before it writes.
            q = executor.fetch(net, layer, maps)
            rows = golden.patches(q, layer.kernel, layer.stride, layer.padding)
            rows = rows.reshape(-1, layer.rows)
            driven = np.stack([(rows >> bit & 1).sum(0) for bit in range(layer.act_bits)])
            found[layer.name] = Activity(
                driven=driven, reads=rows.size * layer.act_bits, images=len(images)
            )
            if layer.periphery is not None and layer.periphery.second is not None:
                maps[layer.periphery.second.out] = trace[layer.name]["second"]
        maps[layer.out] = trace[layer.name]["out"]
    return found
