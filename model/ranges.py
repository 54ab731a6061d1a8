# SPDX-License-Identifier: Apache-2.0
"""Which numbers an integer network really meets: ranges, what saturates, the widths needed.

A leaf: NumPy and the integer network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model import golden
from model.executor import Maps, Trace, fetch, operand, run
from model.intnet import Affine, Crossbar, IntNet

__all__ = ["LayerRange", "measure", "table"]

_BATCH = 20


@dataclasses.dataclass(kw_only=True)
class LayerRange:
    """What a crossbar layer met on some images.

    Parameters
    ----------
    layer : str
    acc_low, acc_high : int
        Of the accumulators.
    column_high : int
        Largest sum of a column, before the ADC.
    columns, clipped : int
        Conversions, and how many of them the ADC clipped.
    pre, pre_saturated, out, out_saturated : int
        Numbers requantised and written, and how many of them saturated: an affine that saturates,
        the add after it, or a second write.
    """

    layer: str
    acc_low: int = 0
    acc_high: int = 0
    column_high: int = 0
    columns: int = 0
    clipped: int = 0
    pre: int = 0
    pre_saturated: int = 0
    out: int = 0
    out_saturated: int = 0

    @property
    def acc_bits(self) -> int:
        """Two's complement width that holds all accumulators."""
        return 1 + max(self.acc_high, -self.acc_low - 1, 0).bit_length()

    @property
    def adc_bits(self) -> int:
        """Width of an ADC that would clip nothing."""
        return max(1, self.column_high.bit_length())


def measure(net: IntNet, images: npt.NDArray[np.uint8]) -> list[LayerRange]:
    """Run the golden executor on images, and look at every number on its way.

    Parameters
    ----------
    net : IntNet
    images : numpy.ndarray
        uint8 [N, C, H, W].

    Returns
    -------
    list of LayerRange
        One for each crossbar layer, in their order.

    Raises
    ------
    ParameterError
        If the images have another shape or dtype.
    """
    layers = [layer for layer in net.layers if isinstance(layer, Crossbar)]
    found = {layer.name: LayerRange(layer=layer.name) for layer in layers}
    for first in range(0, len(images), _BATCH):
        part = images[first : first + _BATCH]
        trace: Trace = {}
        run(net, part, trace=trace)
        maps: Maps = {net.input: part.astype(np.int64) - 128}
        for layer in net.layers:
            seen = trace[layer.name]
            if isinstance(layer, Crossbar):
                _look(net, layer, maps, seen, found[layer.name])
                if layer.periphery and layer.periphery.second:
                    maps[layer.periphery.second.out] = seen["second"]
            maps[layer.out] = seen["out"]
    return list(found.values())


def _look(net: IntNet, layer: Crossbar, maps: Maps, seen: Maps, found: LayerRange) -> None:
    acc = seen["acc"]
    found.acc_low = min(found.acc_low, int(acc.min()))
    found.acc_high = max(found.acc_high, int(acc.max()))
    _look_at_columns(net, layer, fetch(net, layer, maps), found)
    periphery = layer.periphery
    if periphery is None:
        return
    pre = golden.round_shift(acc, periphery.k[:, None, None])
    if periphery.add_before_table is not None:
        pre = pre + operand(maps, periphery.add_before_table)
    found.pre += pre.size
    found.pre_saturated += _saturated(pre, layer.act_bits)
    out = golden.apply_table(seen["pre"], periphery.table)
    if periphery.affine is not None:
        out = _affine(out, periphery.affine)
        found.out_saturated += _saturated(out, net.stream_bits)
        out = golden.saturate(out, net.stream_bits)
    if periphery.add is not None:
        out = out + operand(maps, periphery.add)
        found.out_saturated += _saturated(out, net.stream_bits)
    found.out += out.size
    if periphery.second is not None:
        second = _affine(seen["out"], periphery.second.affine)
        found.out += second.size
        found.out_saturated += _saturated(second, net.stream_bits)


def _look_at_columns(
    net: IntNet, layer: Crossbar, q: npt.NDArray[np.int64], found: LayerRange
) -> None:
    rows = golden.patches(q, layer.kernel, layer.stride, layer.padding).reshape(-1, layer.rows)
    ceiling, mask = (1 << net.adc_bits) - 1, (1 << net.cell_bits) - 1
    lows = range(0, layer.weight_bits, net.cell_bits)
    cells = np.concatenate([layer.weights >> low & mask for low in lows], 1)
    for first in range(0, layer.rows, net.array_rows):
        tile = slice(first, first + net.array_rows)
        for bit in range(layer.act_bits):
            plane = rows[:, tile] >> bit & 1
            # Sums of at most 4096 cells of at most 8 bits: exact in float32.
            sums = plane.astype(np.float32) @ cells[tile].astype(np.float32)
            found.column_high = max(found.column_high, int(sums.max()))
            found.columns += sums.size
            found.clipped += int((sums > ceiling).sum())


def _affine(v: npt.NDArray[np.int64], affine: Affine) -> npt.NDArray[np.int64]:
    return golden.apply_affine(v, affine.sign, affine.exponent, affine.offset, affine.fraction_bits)


def _saturated(v: npt.NDArray[np.int64], bits: int) -> int:
    return int((v != golden.saturate(v, bits)).sum())


def table(found: Sequence[LayerRange]) -> str:
    """Return lines for a terminal: ranges, widths needed, per cent saturated."""
    head = ("layer", "accumulator", "bits", "column", "ADC bits", "clipped %", "pre %", "out %")
    lines: list[tuple[Any, ...]] = [head]
    for each in found:
        shares = ((each.clipped, each.columns), (each.pre_saturated, each.pre),
                  (each.out_saturated, each.out))  # fmt: skip
        percents = [f"{100 * part / whole:.3f}" if whole else "-" for part, whole in shares]
        lines.append((
            each.layer, f"{each.acc_low}…{each.acc_high}", each.acc_bits, each.column_high,
            each.adc_bits, *percents,
        ))  # fmt: skip
    widths = [max(len(str(line[column])) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            f"{cell:<{width}}" if column == 0 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
