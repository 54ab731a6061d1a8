# SPDX-License-Identifier: Apache-2.0
"""What the accelerator's counters must count in an image, from the golden executor's maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hw.accelerator_params import AcceleratorParams, LayerEntry
from hw.accesses import accelerator_accesses
from model import executor, golden
from model.executor import Maps, Trace
from model.intnet import Crossbar, IntNet

__all__ = ["activity"]


def activity(
    net: IntNet, params: AcceleratorParams, pixels: npt.NDArray[np.uint8]
) -> dict[str, int]:
    """Return the counts of an image by name: `cosim.fast.COUNTERS`.

    A command drives each bit plane of its vector into every crossbar that stores a page, but for
    the rows that the page's mask gates, and converts all columns of it; a vector has as many
    commands as the layer has column groups.

    Parameters
    ----------
    net : IntNet
    params : AcceleratorParams
        Of the network.
    pixels : numpy.ndarray
        The image, uint8 [C, H, W].
    """
    trace: Trace = {}
    executor.run(net, pixels[None], trace=trace)
    maps: Maps = {net.input: pixels[None].astype(np.int64) - 128}
    entries = {entry.name: entry for entry in params.layers}
    conversions = active = pages = 0
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            entry = entries[layer.name]
            vectors = golden.patches(
                executor.fetch(net, layer, maps), layer.kernel, layer.stride, layer.padding
            )
            planes = vectors & ((1 << layer.act_bits) - 1)
            high = np.bitwise_count(planes).reshape(-1, entry.crossbars, entry.rows).sum(0)
            stored = np.sum([[page is not None for page in row] for row in entry.pages], 0)
            active += _driven(entry, high)
            sampled = vectors[..., 0].size * int(stored.sum())
            conversions += sampled * layer.act_bits * params.tile.columns
            pages += sampled
            if layer.periphery is not None and layer.periphery.second is not None:
                maps[layer.periphery.second.out] = trace[layer.name]["second"]
        maps[layer.out] = trace[layer.name]["out"]
    return {
        "conversions": conversions,
        "active_wordlines": active,
        "sampled_pages": pages,
        "map_writes": accelerator_accesses(params).writes,
    }


def _driven(entry: LayerEntry, high: npt.NDArray[np.integer]) -> int:
    """Count high wordlines of a layer, of which each crossbar's rows [crossbars, rows] are so."""
    driven = 0
    for group, pages in enumerate(entry.pages):
        for crossbar, page in enumerate(pages):
            if page is not None:
                kept = entry.masks[group][crossbar].kept() if entry.masks else slice(None)
                driven += int(high[crossbar][kept].sum())
    return driven
