# SPDX-License-Identifier: Apache-2.0
"""The golden executor: an integer network on images, in int64, step by step.

All else is compared with this one, layer by layer: PyTorch, ONNX Runtime, `model.fast_executor`,
RTL. The steps are those of ``docs/intnet.md``; each is a function of `model.golden`.
A leaf: NumPy and the integer network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hw.params import ParameterError, ParameterTypeError
from model import golden
from model.intnet import Affine, Crossbar, IntNet, Operand, SumPool

__all__ = ["Maps", "Trace", "check_images", "fetch", "operand", "run"]

Maps = dict[str, npt.NDArray[np.int64]]
Trace = dict[str, Maps]
"""By layer: ``acc``, ``pre`` and the maps written, ``out`` and ``second``, [N, C, H, W] each."""


def run(
    net: IntNet, images: npt.NDArray[np.uint8], *, trace: Trace | None = None
) -> npt.NDArray[np.int32]:
    """Run a network.

    Parameters
    ----------
    net : IntNet
    images : numpy.ndarray
        uint8 [N, C, H, W], as the network's input map.
    trace : dict, optional
        Filled with what each layer computed; see `Trace`.

    Returns
    -------
    numpy.ndarray
        Logits, int32 [N, classes].

    Raises
    ------
    ParameterError
        If the images have another shape or dtype.
    """
    check_images(net, images)
    maps: Maps = {net.input: images.astype(np.int64) - 128}
    for layer in net.layers:
        seen: Maps = {}
        if isinstance(layer, Crossbar):
            _crossbar(net, layer, maps, seen)
        elif isinstance(layer, SumPool):
            pooled = golden.pool(maps[layer.source], layer.p)
            maps[layer.out] = golden.saturate(pooled, net.maps[layer.out].bits)
        else:
            maps[layer.out] = golden.max_pool(maps[layer.source], layer.window)
        if trace is not None:
            trace[layer.name] = seen | {"out": maps[layer.out]}
    return maps[net.layers[-1].out][:, :, 0, 0].astype(np.int32)


def check_images(net: IntNet, images: npt.NDArray[np.uint8]) -> None:
    """Refuse all but images of the network's shape.

    Raises
    ------
    ParameterError
        With the shape and dtype that are wanted.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        what = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise ParameterTypeError(f"images must be a numpy.ndarray of uint8, not {what}")
    if images.ndim != 4 or images.shape[1:] != net.input_shape:
        channels, height, width = net.input_shape
        raise ParameterError(
            f"images must have the shape [N, {channels}, {height}, {width}], "
            f"not {list(images.shape)}"
        )


def _crossbar(net: IntNet, layer: Crossbar, maps: Maps, seen: Maps) -> None:
    q = fetch(net, layer, maps)
    # 1., 2. Accumulate what the ADCs read.
    acc = golden.accumulate(
        golden.patches(q, layer.kernel, layer.stride, layer.padding),
        layer.weights,
        layer.bias,
        zero_point=layer.zero_point,
        act_bits=layer.act_bits,
        weight_bits=layer.weight_bits,
        array_rows=net.array_rows,
        cell_bits=net.cell_bits,
        adc_bits=net.adc_bits,
    )
    acc = np.moveaxis(acc, -1, 1)  # [N, outputs, H', W']
    seen["acc"] = acc
    periphery = layer.periphery
    if periphery is None:
        maps[layer.out] = acc
        return
    # 3. Requantise.
    pre = golden.round_shift(acc, periphery.k[:, None, None])
    if periphery.add_before_table is not None:
        pre = pre + operand(maps, periphery.add_before_table)
    pre = golden.saturate(pre, layer.act_bits)
    seen["pre"] = pre
    # 4. The non-linearity.
    out = golden.apply_table(pre, periphery.table)
    # 5. Batch norm.
    if periphery.affine is not None:
        out = _affine(out, periphery.affine, net.stream_bits)
    # 6. Write.
    if periphery.add is not None:
        out = out + operand(maps, periphery.add)
    out = golden.saturate(out, net.stream_bits)
    maps[layer.out] = out
    if periphery.second is not None:
        second = _affine(out, periphery.second.affine, net.stream_bits)
        maps[periphery.second.out] = seen["second"] = second


def fetch(net: IntNet, layer: Crossbar, maps: Maps) -> npt.NDArray[np.int64]:
    """Return what a layer fetches, [N, C, H, W], of ``act_bits``: step 0."""
    bits = net.maps[layer.operands[0].map].bits
    q = golden.saturate(np.sum([operand(maps, each) for each in layer.operands], 0), bits)
    if bits > layer.act_bits:
        q = golden.saturate(golden.round_shift(q, net.fetch_shift), layer.act_bits)
    return q


def operand(maps: Maps, which: Operand) -> npt.NDArray[np.int64]:
    """Return a map as it lies there, or as the shift block would move it."""
    values = maps[which.map]
    return golden.shift(values) if which.shifted else values


def _affine(v: npt.NDArray[Any], affine: Affine, bits: int) -> npt.NDArray[np.int64]:
    moved = golden.apply_affine(
        v, affine.sign, affine.exponent, affine.offset, affine.fraction_bits
    )
    return golden.saturate(moved, bits)
