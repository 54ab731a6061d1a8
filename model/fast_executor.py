# SPDX-License-Identifier: Apache-2.0
"""The integer network for whole test sets: equal to `model.executor`, several times as fast.

Integers below 2^24 are exact in float32, and so are their sums in any order and their products with
powers of two; below 2^53 the same holds in float64. So a layer is one matrix product, with 2^−k in
the weights; non-linearity and batch norm together are one table for each channel. Maps lie as
[C, N, H, W]: rows of the product are then channels, and a shifted group is one block.

A leaf: NumPy and the integer network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hw.params import Direction, check_integer, group_size
from model import golden
from model.executor import Trace, check_images
from model.intnet import Affine, Crossbar, IntNet, Layer, MaxPool, Operand, Periphery, SumPool

__all__ = ["run"]

FLOAT32_EXACT = 1 << 24

_Float = npt.NDArray[Any]  # float32 or float64
_Maps = dict[str, _Float]


def run(
    net: IntNet, images: npt.NDArray[np.uint8], *, batch: int = 32, trace: Trace | None = None
) -> npt.NDArray[np.int32]:
    """Run a network on many images.

    Parameters
    ----------
    net : IntNet
    images : numpy.ndarray
        uint8 [N, C, H, W], as the network's input map.
    batch : int
        Images at a time, 1…65536; 32 maps [64, 16, 16] are 2 MiB, the size of a cache.
    trace : dict, optional
        Filled with the maps that each layer wrote, as by `model.executor.run`; no ``acc`` and
        ``pre``, which are not integers here. All images are then one batch.

    Returns
    -------
    numpy.ndarray
        Logits, int32 [N, classes].

    Raises
    ------
    ParameterError
        If the images have another shape or dtype, or ``batch`` is out of range.
    """
    check_images(net, images)
    check_integer("batch", batch, 1, 1 << 16)
    steps = [_step(net, layer) for layer in net.layers]
    logits = np.empty((len(images), net.num_classes), dtype=np.int32)
    if trace is not None:
        batch = max(1, len(images))
    for first in range(0, len(images), batch):
        chosen = images[first : first + batch]
        maps: _Maps = {net.input: chosen.swapaxes(0, 1).astype(np.float32) - 128}
        for step in steps:
            written = step(maps)
            maps |= {step.names[key]: value for key, value in written.items()}
            if trace is not None:
                trace[step.name] = {
                    key: value.swapaxes(0, 1).astype(np.int64) for key, value in written.items()
                }
        logits[first : first + len(chosen)] = maps[net.layers[-1].out][:, :, 0, 0].T
    return logits


class _SumPool:
    def __init__(self, net: IntNet, layer: SumPool) -> None:
        self.name, self.source, self.names = layer.name, layer.source, {"out": layer.out}
        self.p, self.bits = layer.p, net.maps[layer.out].bits

    def __call__(self, maps: _Maps) -> _Maps:
        sums = maps[self.source].sum((2, 3), keepdims=True, dtype=np.float64)
        return {"out": _saturate(_round_shift(sums, self.p), self.bits).astype(np.float32)}


class _MaxPool:
    def __init__(self, layer: MaxPool) -> None:
        self.name, self.source, self.names = layer.name, layer.source, {"out": layer.out}
        self.window = layer.window

    def __call__(self, maps: _Maps) -> _Maps:
        x, window = maps[self.source], self.window
        rows, columns = x.shape[2] // window, x.shape[3] // window
        parts = [
            x[:, :, row : rows * window : window, column : columns * window : window]
            for row in range(window)
            for column in range(window)
        ]
        return {"out": np.maximum.reduce(parts)}


class _Crossbar:
    """A layer prepared once: weights and bias in units of ``pre``, tables of ``out``."""

    def __init__(self, net: IntNet, layer: Crossbar) -> None:
        self.net, self.layer, self.name = net, layer, layer.name
        self.names = {"out": layer.out}
        self.lossless = golden.is_lossless(
            min(layer.rows, net.array_rows), net.cell_bits, net.adc_bits
        )
        periphery = layer.periphery
        k = np.zeros(1, np.int64) if periphery is None else periphery.k.astype(np.int64)
        right, left = np.maximum(k, 0), np.maximum(-k, 0)
        weights = layer.weights.astype(np.int64) - layer.zero_point
        sums = np.abs(weights).sum(0) << (layer.act_bits - 1)
        if not self.lossless:
            sums = np.full_like(sums, layer.accumulator_bound)
        # The largest integer on the way to `pre`, counted in units of its last binary place.
        largest = (sums + np.abs(layer.bias.astype(np.int64))) << left
        offset = layer.bias * 2.0**-k
        if periphery is not None:
            half = 1 << (layer.act_bits - 1)
            # Halves round up; `pre` counts from 0, as the table's entries do.
            offset = offset + np.where(k > 0, 0.5, 0.0) + half
            # What is added before the table needs no room: a sum is exact, or saturates.
            largest = largest + ((half + 1) << right)
            self.tables = _tables(periphery, layer.outputs, net.stream_bits).astype(np.float32)
            self.base = np.arange(layer.outputs)[:, None] * len(periphery.table)
            if periphery.second is not None:
                self.names["second"] = periphery.second.out
        exact = bool(largest.max() < FLOAT32_EXACT)
        self.dtype: npt.DTypeLike = np.float32 if exact else np.float64
        self.scale = (2.0**-k)[:, None].astype(self.dtype)
        self.weights = (weights * 2.0**-k).T.astype(self.dtype, order="C")
        self.offset = np.broadcast_to(offset, layer.outputs)[:, None].astype(self.dtype)

    def __call__(self, maps: _Maps) -> _Maps:
        layer, periphery = self.layer, self.layer.periphery
        q = self._patches(self._fetch(maps))
        rows = q.reshape(layer.rows, -1).astype(self.dtype, copy=False)
        pre = self.weights @ rows if self.lossless else self._bit_serial(rows)
        pre += self.offset
        if periphery is None:
            return {"out": pre.reshape(layer.outputs, *q.shape[-3:])}
        if periphery.add_before_table is not None:
            pre += _operand(maps, periphery.add_before_table).reshape(pre.shape)
        np.clip(pre, 0, (1 << layer.act_bits) - 1, out=pre)
        index = pre.astype(np.intp)  # what is not negative is rounded down
        index += self.base
        out: _Float = np.take(self.tables, index).reshape(layer.outputs, *q.shape[-3:])
        if periphery.add is not None:
            out += _operand(maps, periphery.add)
            _saturate(out, self.net.stream_bits)
        if periphery.second is None:
            return {"out": out}
        second = _affine(out, periphery.second.affine)
        return {"out": out, "second": _saturate(second, self.net.stream_bits)}

    def _fetch(self, maps: _Maps) -> _Float:
        operands, bits = self.layer.operands, self.net.maps[self.layer.operands[0].map].bits
        q = _operand(maps, operands[0])
        if len(operands) == 2:
            q = _saturate(q + _operand(maps, operands[1]), bits)
        if bits > self.layer.act_bits:
            q = _saturate(_round_shift(q, self.net.fetch_shift), self.layer.act_bits)
        return q

    def _patches(self, x: _Float) -> _Float:
        """Return [ky, kx, C, N, H', W'] of [C, N, H, W]."""
        kernel, stride, padding = self.layer.kernel, self.layer.stride, self.layer.padding
        if (kernel, stride, padding) == (1, 1, 0):
            return x
        border = (padding, padding)
        framed = np.pad(x, ((0, 0), (0, 0), border, border))
        height, width = ((size - kernel) // stride + 1 for size in framed.shape[2:])
        rows = np.empty((kernel, kernel, *x.shape[:2], height, width), dtype=x.dtype)
        for ky, kx in np.ndindex(kernel, kernel):
            bottom, right = ky + stride * height, kx + stride * width
            rows[ky, kx] = framed[:, :, ky:bottom:stride, kx:right:stride]
        return rows

    def _bit_serial(self, rows: _Float) -> _Float:
        """Return the accumulators of saturating ADCs, without bias, times 2^−k."""
        net, layer = self.net, self.layer
        lows = range(0, layer.weight_bits, net.cell_bits)
        cells = np.stack([layer.weights.T >> low & ((1 << net.cell_bits) - 1) for low in lows])
        cells = cells.reshape(-1, layer.rows).astype(np.float32)  # [slice · output, rows]
        places = np.exp2(np.array(lows)).astype(self.dtype)
        q = rows.astype(np.int16)
        acc = -layer.zero_point * rows.sum(0, keepdims=True).repeat(layer.outputs, 0)
        for first in range(0, layer.rows, net.array_rows):
            tile = slice(first, first + net.array_rows)
            for bit in range(layer.act_bits):
                plane = (q[tile] >> bit & 1).astype(np.float32)
                codes = cells[:, tile] @ plane
                np.minimum(codes, (1 << net.adc_bits) - 1, out=codes)
                value = -(2**bit) if bit == layer.act_bits - 1 else 2**bit
                acc += (value * places @ codes.reshape(len(lows), -1)).reshape(acc.shape)
        scaled: _Float = acc * self.scale
        return scaled


def _step(net: IntNet, layer: Layer) -> _Crossbar | _SumPool | _MaxPool:
    if isinstance(layer, Crossbar):
        return _Crossbar(net, layer)
    return _SumPool(net, layer) if isinstance(layer, SumPool) else _MaxPool(layer)


def _tables(periphery: Periphery, outputs: int, bits: int) -> npt.NDArray[np.int64]:
    """Return non-linearity and batch norm, saturated to ``bits``: [outputs, 2^act_bits]."""
    table, affine = periphery.table.astype(np.int64), periphery.affine
    values = np.broadcast_to(table[:, None], (1, outputs, len(table), 1))
    if affine is not None:
        values = golden.apply_affine(
            values, affine.sign, affine.exponent, affine.offset, affine.fraction_bits
        )
    return golden.saturate(values[0, :, :, 0], bits)


def _operand(maps: _Maps, operand: Operand) -> _Float:
    x = maps[operand.map]
    if not operand.shifted:
        return x
    g = group_size(len(x))
    moved = np.zeros_like(x)
    moved[8 * g :] = x[8 * g :]
    height, width = x.shape[2:]
    for group, direction in enumerate(Direction.moving()):
        channels = slice(group * g, (group + 1) * g)
        to_rows, rows = _overlap(direction.dy, height)
        to_columns, columns = _overlap(direction.dx, width)
        moved[channels, :, to_rows, to_columns] = x[channels, :, rows, columns]
    return moved


def _overlap(step: int, size: int) -> tuple[slice, slice]:
    """Return where content lands that moves by ``step``, and where it came from."""
    return slice(max(0, step), size + min(0, step)), slice(max(0, -step), size - max(0, step))


def _round_shift(v: _Float, k: int) -> _Float:
    scaled: _Float = v * v.dtype.type(2.0**-k) + v.dtype.type(0.5 if k > 0 else 0)
    np.floor(scaled, out=scaled)
    return scaled


def _saturate(v: _Float, bits: int) -> _Float:
    """Clip in place."""
    np.clip(v, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, out=v)
    return v


def _affine(v: _Float, affine: Affine) -> _Float:
    f = affine.fraction_bits
    factor = np.ldexp(affine.sign.astype(np.float32), affine.exponent.astype(np.int64) - f)
    offset = np.ldexp(affine.offset.astype(np.float32), -f) + np.float32(0.5 if f else 0)
    moved: _Float = v * factor[:, None, None, None]
    moved += offset[:, None, None, None]
    np.floor(moved, out=moved)
    return moved
