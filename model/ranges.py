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
from model.executor import Maps, Trace, operand, run
from model.intnet import Affine, Crossbar, IntNet, SumPool

__all__ = ["POINTS", "Count", "LayerRange", "measure", "table"]

POINTS = ("fetch", "adc", "pre", "table", "affine", "write", "second")
"""Where numbers saturate: fetching (the sum of two operands, and what is narrowed to act_bits),
converting, requantising, in the affine, at the write (of a pool, too) and at the second write.
Below the least requantised number is no more to tell apart where the table does not rise there, as
GELU's and ReLU's do not; what lies below is not counted then. A table saturates when it is made: of
its results those are counted that are the greatest of act_bits; activations are bounded below."""

_BATCH = 20


@dataclasses.dataclass
class Count:
    """How many numbers passed a point, and how many of them saturated."""

    numbers: int = 0
    saturated: int = 0

    def add(self, v: npt.NDArray[Any], saturated: npt.NDArray[np.bool_]) -> None:
        """Count some numbers and those that saturate."""
        self.numbers += v.size
        self.saturated += int(saturated.sum())


@dataclasses.dataclass(kw_only=True)
class LayerRange:
    """What a crossbar layer or a sum pool met on some images. Ranges include 0.

    Parameters
    ----------
    layer : str
    acc_low, acc_high : int
        Of the accumulators; of a pool's sums.
    column_high : int
        Largest sum of a column, before the ADC.
    out_low, out_high : int
        Of what was written.
    points : dict of str to Count
        By name, see `POINTS`.
    """

    layer: str
    acc_low: int = 0
    acc_high: int = 0
    column_high: int = 0
    out_low: int = 0
    out_high: int = 0
    points: dict[str, Count] = dataclasses.field(
        default_factory=lambda: {name: Count() for name in POINTS}
    )

    @property
    def acc_bits(self) -> int:
        """Two's complement width that holds all accumulators."""
        return _width(self.acc_low, self.acc_high)

    @property
    def out_bits(self) -> int:
        """Two's complement width that holds all that was written."""
        return _width(self.out_low, self.out_high)

    @property
    def adc_bits(self) -> int:
        """Width of an ADC that would clip nothing; 0 where there is none."""
        return self.column_high.bit_length() or int(self.points["adc"].numbers > 0)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        widths = {name: getattr(self, name) for name in ("acc_bits", "adc_bits", "out_bits")}
        return dataclasses.asdict(self) | widths

    def look(self, acc: npt.NDArray[np.int64], out: npt.NDArray[np.int64]) -> None:
        """Widen the ranges of accumulators and of what was written."""
        self.acc_low, self.acc_high = _widen(self.acc_low, self.acc_high, acc)
        self.out_low, self.out_high = _widen(self.out_low, self.out_high, out)

    def saturate(
        self, point: str, v: npt.NDArray[np.int64], bits: int
    ) -> npt.NDArray[np.int64]:  # fmt: skip
        """Saturate as the executor does, and count."""
        clipped = golden.saturate(v, bits)
        self.points[point].add(v, clipped != v)
        return clipped


def _width(low: int, high: int) -> int:
    return 1 + max(high, -low - 1, 0).bit_length()


def _widen(low: int, high: int, v: npt.NDArray[np.int64]) -> tuple[int, int]:
    return min(low, int(v.min())), max(high, int(v.max()))


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
        One for each crossbar layer and sum pool, in their order.

    Raises
    ------
    ParameterError
        If the images have another shape or dtype.
    """
    layers = [layer for layer in net.layers if isinstance(layer, Crossbar | SumPool)]
    found = {layer.name: LayerRange(layer=layer.name) for layer in layers}
    for first in range(0, len(images), _BATCH):
        part = images[first : first + _BATCH]
        trace: Trace = {}
        run(net, part, trace=trace)
        maps: Maps = {net.input: part.astype(np.int64) - 128}
        for layer in net.layers:
            seen = trace[layer.name]
            if isinstance(layer, Crossbar):
                _look_at_crossbar(net, layer, maps, seen, found[layer.name])
                if layer.periphery and layer.periphery.second:
                    maps[layer.periphery.second.out] = seen["second"]
            elif isinstance(layer, SumPool):
                each, given = found[layer.name], maps[layer.source]
                each.look(golden.pool(given, 0), seen["out"])
                each.saturate("write", golden.pool(given, layer.p), net.maps[layer.out].bits)
            maps[layer.out] = seen["out"]
    return list(found.values())


def _look_at_crossbar(
    net: IntNet, layer: Crossbar, maps: Maps, seen: Maps, found: LayerRange
) -> None:
    found.look(seen["acc"], seen["out"])
    _look_at_columns(net, layer, _fetch(net, layer, maps, found), found)
    periphery = layer.periphery
    if periphery is None:
        return
    pre = golden.round_shift(seen["acc"], periphery.k[:, None, None])
    if periphery.add_before_table is not None:
        pre = pre + operand(maps, periphery.add_before_table)
    half = 1 << (layer.act_bits - 1)
    rises = periphery.table[0] < periphery.table[1]
    found.points["pre"].add(pre, (pre >= half) | ((pre < -half) & rises))
    out = golden.apply_table(golden.saturate(pre, layer.act_bits), periphery.table)
    found.points["table"].add(out, out == half - 1)
    if periphery.affine is not None:
        out = found.saturate("affine", _affine(out, periphery.affine), net.stream_bits)
    if periphery.add is not None:
        out = out + operand(maps, periphery.add)
    found.saturate("write", out, net.stream_bits)
    if periphery.second is not None:
        found.saturate("second", _affine(seen["out"], periphery.second.affine), net.stream_bits)


def _fetch(
    net: IntNet, layer: Crossbar, maps: Maps, found: LayerRange
) -> npt.NDArray[np.int64]:  # fmt: skip
    """Fetch as the executor does; where nothing is added and nothing narrowed, nothing counts."""
    bits = net.maps[layer.operands[0].map].bits
    q, *other = [operand(maps, each) for each in layer.operands]
    if other:
        q = found.saturate("fetch", q + other[0], bits)
    if bits > layer.act_bits:
        q = found.saturate("fetch", golden.round_shift(q, net.fetch_shift), layer.act_bits)
    return q


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
            found.points["adc"].add(sums, sums > ceiling)


def _affine(v: npt.NDArray[np.int64], affine: Affine) -> npt.NDArray[np.int64]:
    return golden.apply_affine(v, affine.sign, affine.exponent, affine.offset, affine.fraction_bits)


def table(found: Sequence[LayerRange]) -> str:
    """Return lines for a terminal: ranges, widths needed, per cent saturated at each point."""
    head = ("layer", "accumulator", "bits", "column", "ADC", "out", "bits", *POINTS)
    lines: list[tuple[Any, ...]] = [head]
    for each in found:
        counts = [each.points[name] for name in POINTS]
        lines.append((
            each.layer, f"{each.acc_low}…{each.acc_high}", each.acc_bits, each.column_high,
            each.adc_bits, f"{each.out_low}…{each.out_high}", each.out_bits,
            *(f"{100 * of.saturated / of.numbers:.3f}" if of.numbers else "-" for of in counts),
        ))  # fmt: skip
    widths = [max(len(str(line[column])) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            f"{cell:<{width}}" if column == 0 else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
