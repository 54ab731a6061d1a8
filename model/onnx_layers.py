# SPDX-License-Identifier: Apache-2.0
"""The integer network as an ONNX graph of stock operators: another runtime, the same integers.

Integers are carried in float32 where none on the way exceeds 2^24, else in float64: sums are then
exact in any order. A runtime must not compute in less (TF32), nor by Winograd's method, which
rounds; ONNX Runtime does neither on a CPU. The steps are those of ``docs/intnet.md``:

    fetch        Add, Clip; shifted by a depthwise Conv with a single 1 for each channel
    accumulate   Conv; where ADCs saturate, one of bit planes with a group for each tile, then Min
    requantise   Mul by 2^−k, Add ½, Floor, Clip
    table        Gather
    affine       Mul, Add, Floor, Clip
    write        Add, Clip

A leaf: NumPy, onnx and the integer network.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from hw.params import ParameterError, channel_directions
from model import golden
from model.intnet import Affine, Crossbar, IntNet, MaxPool, Operand, SumPool, digest
from model.onnx_graph import Float, Graph, exact_float

__all__ = ["IMAGES", "LOGITS", "to_onnx"]

IMAGES, LOGITS = "images", "logits"
MAX_CONSTANTS = 1 << 27
"""Numbers in a graph, of 8 bytes at most: protobuf ends at 2 GiB."""

Maps = dict[str, str]
"""By map: the tensor that was last written there, [N, C, H, W] in float32."""


def to_onnx(net: IntNet, *, trace: bool = False) -> onnx.ModelProto:
    """Return a network as an ONNX graph.

    Parameters
    ----------
    net : IntNet
    trace : bool
        Make what `model.executor.run` traces further outputs: ``<layer>.acc``, ``.pre``, ``.out``
        and ``.second``, integers [N, C, H, W] in float32 or float64. Nodes and constants are the
        same. The ``out`` of the last layer is its ``acc``.

    Returns
    -------
    onnx.ModelProto
        From ``images``, uint8 [N, C, H, W], N at least 1, to ``logits``, int32 [N, classes]. The
        metadata have `model.intnet.digest` as ``intnet_sha256``.

    Raises
    ------
    ParameterError
        If the graph would have more than 2^27 constants.
    """
    _check_size(net)
    graph = Graph()
    graph.layer = IMAGES
    pixels = graph.node("Cast", IMAGES, to=TensorProto.FLOAT)
    maps = {net.input: graph.node("Sub", pixels, np.float32(128))}
    for layer in net.layers:
        graph.layer = layer.name
        if isinstance(layer, Crossbar):
            _crossbar(graph, net, layer, maps)
        elif isinstance(layer, SumPool):
            _sum_pool(graph, net, layer, maps)
        else:
            _max_pool(graph, net, layer, maps)
    logits = graph.node("Flatten", maps[net.layers[-1].out])
    graph.node("Cast", logits, to=TensorProto.INT32, name=LOGITS)
    return graph.model(
        net.name,
        helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["N", *net.input_shape]),
        helper.make_tensor_value_info(LOGITS, TensorProto.INT32, ["N", net.num_classes]),
        trace=trace,
        metadata={"intnet_sha256": digest(net)},
    )


def _check_size(net: IntNet) -> None:
    """Refuse what no file can hold, before anything is made."""
    count = 0
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            slices = 1 if _is_lossless(net, layer) else len(_slices(net, layer))
            # Eight for each output: bias, k, affines. At last, what picks a convolution's rows.
            count += layer.weights.size * slices + 8 * layer.outputs
            count += layer.kernel * sum(net.maps[layer.out].shape[1:])
    if count > MAX_CONSTANTS:
        raise ParameterError(
            f"an ONNX graph must have at most {MAX_CONSTANTS} constants "
            f"(weights, or their cells where ADCs saturate), not {count}"
        )


def _crossbar(graph: Graph, net: IntNet, layer: Crossbar, maps: Maps) -> None:
    shape, periphery = net.maps[layer.out].shape, layer.periphery
    # 0. Fetch.
    bits = net.maps[layer.operands[0].map].bits
    q, *other = [_fetch(graph, net, maps, operand) for operand in layer.operands]
    if other:
        q = graph.saturate(graph.node("Add", q, *other), bits)
    if bits > layer.act_bits:
        q = graph.saturate(graph.round_shift(q, net.fetch_shift), layer.act_bits)
    # 1., 2. Accumulate what the ADCs read.
    acc, dtype = _accumulate(graph, net, layer, q)
    graph.trace(acc, shape, dtype)
    if periphery is None:
        maps[layer.out] = acc
        return
    # 3. Requantise.
    pre = graph.round_shift(acc, periphery.k.astype(np.int64)[:, None, None], dtype)
    if periphery.add_before_table is not None:
        # Where the sum is not exact, it is far beyond what saturates.
        added = _fetch(graph, net, maps, periphery.add_before_table)
        pre = graph.node("Add", pre, graph.cast(added, dtype))
    pre = graph.saturate(pre, layer.act_bits, dtype, name=graph.own("pre"))
    graph.trace(pre, shape, dtype)
    # 4. The non-linearity.
    table = graph.constant(periphery.table.astype(np.float32), graph.own("table"))
    entry = graph.node("Add", pre, dtype(1 << (layer.act_bits - 1)))
    out = graph.node("Gather", table, graph.node("Cast", entry, to=TensorProto.INT32))
    # 5. Batch norm.
    if periphery.affine is not None:
        out = graph.saturate(_affine(graph, out, periphery.affine), net.stream_bits)
    # 6. Write.
    if periphery.add is not None:
        out = graph.node("Add", out, _fetch(graph, net, maps, periphery.add))
    out = graph.saturate(out, net.stream_bits, name=graph.own("out"))
    graph.trace(out, shape)
    maps[layer.out] = out
    if periphery.second is not None:
        second = _affine(graph, out, periphery.second.affine)
        second = graph.saturate(second, net.stream_bits, name=graph.own("second"))
        graph.trace(second, shape)
        maps[periphery.second.out] = second


def _fetch(graph: Graph, net: IntNet, maps: Maps, operand: Operand) -> str:
    if not operand.shifted:
        return maps[operand.map]
    directions = channel_directions(net.maps[operand.map].channels)
    kernel = np.zeros((len(directions), 1, 3, 3), np.float32)
    for channel, direction in enumerate(directions):
        kernel[channel, 0, 1 - direction.dy, 1 - direction.dx] = 1
    name = graph.constant(kernel, f"shift_{len(directions)}")  # one for all layers
    return graph.node("Conv", maps[operand.map], name, group=len(directions), pads=[1] * 4)


def _accumulate(graph: Graph, net: IntNet, layer: Crossbar, q: str) -> tuple[str, Float]:
    """Return the accumulators [N, outputs, H', W'], and the float that they are in."""
    lossless = _is_lossless(net, layer)
    weights = layer.weights.astype(np.int64) - layer.zero_point
    dtype = exact_float(_bound(layer, weights) if lossless else layer.accumulator_bound)
    bias = layer.bias.astype(dtype)
    if lossless and dtype is np.float32:
        kernel = weights.reshape(layer.kernel, layer.kernel, -1, layer.outputs)
        kernel = kernel.transpose(3, 2, 0, 1).astype(dtype)
        acc = graph.node(
            "Conv", q, graph.constant(kernel, graph.own("weights")),
            graph.constant(bias, graph.own("bias")),
            strides=[layer.stride] * 2, pads=[layer.padding] * 4, name=graph.own("acc"),
        )  # fmt: skip
        return acc, dtype
    rows = _patches(graph, net, layer, q)
    if lossless:  # runtimes convolve in float32 only
        matrix = graph.constant(weights.T.astype(dtype), graph.own("weights"))
        acc = graph.node("MatMul", matrix, graph.cast(rows, dtype))
    else:
        total = graph.node("ReduceSum", rows, np.array([1]))  # [N, 1, pixels]
        offset = graph.node("Mul", graph.cast(total, dtype), dtype(layer.zero_point))
        acc = graph.node("Sub", _bit_serial(graph, net, layer, rows, dtype), offset)
    acc = graph.node("Add", acc, graph.constant(bias[:, None], graph.own("bias")))
    shape = np.array([0, *net.maps[layer.out].shape])
    return graph.node("Reshape", acc, shape, name=graph.own("acc")), dtype


def _patches(graph: Graph, net: IntNet, layer: Crossbar, q: str) -> str:
    """Return the inputs of each output in the order of the crossbar's rows: [N, rows, pixels]."""
    out, border = net.maps[layer.out], [0, 0, layer.padding, layer.padding]
    steps = np.arange(layer.kernel)[:, None]
    y, x = (steps + layer.stride * np.arange(size) for size in (out.height, out.width))
    rows = graph.node("Pad", q, np.array(border * 2))
    rows = graph.node("Gather", rows, y, axis=2)  # [N, C, ky, H', W]
    rows = graph.node("Gather", rows, x, axis=4)  # [N, C, ky, H', kx, W']
    rows = graph.node("Transpose", rows, perm=[0, 2, 4, 1, 3, 5])
    return graph.node("Reshape", rows, np.array([0, layer.rows, out.height * out.width]))


def _bit_serial(graph: Graph, net: IntNet, layer: Crossbar, rows: str, dtype: Float) -> str:
    """Return Σ_tile Σ_bit ±2^bit Σ_slice 2^low·ADC(column sum): [N, outputs, pixels]."""
    bits, lows = np.arange(layer.act_bits), _slices(net, layer)
    tile = min(layer.rows, net.array_rows)
    tiles = -(-layer.rows // tile)
    missing = tiles * tile - layer.rows
    # Bit planes, [N, rows, bits, pixels]: bit b of q is ⌊q·2^−b⌋ − 2⌊q·2^−(b+1)⌋.
    q = graph.node("Unsqueeze", rows, np.array([2]))
    q = graph.node("Pad", q, np.array([0, 0, 0, 0, 0, missing, 0, 0]))
    here, above = (
        graph.floor(q, np.ldexp(1.0, -b)[:, None], np.zeros(1)) for b in (bits, bits + 1)
    )
    planes = graph.node("Sub", here, graph.node("Mul", above, np.float32(2)))
    # A group for each tile; its outputs are those of the layer, slice by slice.
    weights = np.pad(layer.weights, ((0, missing), (0, 0))).reshape(tiles, tile, -1)
    cells = np.stack([weights >> low & ((1 << net.cell_bits) - 1) for low in lows], axis=1)
    cells = cells.transpose(0, 1, 3, 2).reshape(-1, tile, 1, 1)
    cells_name = graph.constant(cells.astype(np.float32), graph.own("cells"))
    sums = graph.node("Conv", planes, cells_name, group=tiles)
    codes = graph.node("Min", sums, np.float32((1 << net.adc_bits) - 1))
    pixels = net.maps[layer.out].height * net.maps[layer.out].width
    shape = np.array([0, tiles * len(lows), layer.outputs, layer.act_bits, pixels])
    codes = graph.cast(graph.node("Reshape", codes, shape), dtype)
    signed = np.where(bits == layer.act_bits - 1, -1, 1) << bits
    places = np.tile(1 << np.array(lows), tiles)[:, None, None, None] * signed[:, None]
    weighted = graph.node("Mul", codes, places.astype(dtype))
    return graph.node("ReduceSum", weighted, np.array([1, 3]), keepdims=0)


def _affine(graph: Graph, v: str, affine: Affine) -> str:
    """Return round((sign·(v << exponent) + offset)·2^−f); before the rounding it is below 2^24."""
    f = affine.fraction_bits
    factor = np.ldexp(affine.sign.astype(float), affine.exponent.astype(np.int64) - f)
    offset = np.ldexp(affine.offset.astype(float), -f) + (0.5 if f else 0)
    return graph.floor(v, factor[:, None, None], offset[:, None, None])


def _sum_pool(graph: Graph, net: IntNet, layer: SumPool, maps: Maps) -> None:
    given, out = net.maps[layer.source], net.maps[layer.out]
    largest = (given.height * given.width) << (given.bits - 1)
    dtype = exact_float(largest + ((1 << max(0, layer.p)) >> 1))
    total = graph.node("ReduceSum", graph.cast(maps[layer.source], dtype), np.array([2, 3]))
    pooled = graph.saturate(graph.round_shift(total, layer.p, dtype), out.bits, dtype)
    name = graph.own("out")
    maps[layer.out] = graph.node("Cast", pooled, to=TensorProto.FLOAT, name=name)
    graph.trace(name, out.shape)


def _max_pool(graph: Graph, net: IntNet, layer: MaxPool, maps: Maps) -> None:
    square, name = [layer.window] * 2, graph.own("out")
    maps[layer.out] = graph.node(
        "MaxPool", maps[layer.source], kernel_shape=square, strides=square, name=name
    )
    graph.trace(name, net.maps[layer.out].shape)


def _is_lossless(net: IntNet, layer: Crossbar) -> bool:
    return golden.is_lossless(min(layer.rows, net.array_rows), net.cell_bits, net.adc_bits)


def _slices(net: IntNet, layer: Crossbar) -> range:
    """Return the lowest bit of each cell of a weight."""
    return range(0, layer.weight_bits, net.cell_bits)


def _bound(layer: Crossbar, weights: npt.NDArray[np.int64]) -> int:
    """Return as `Crossbar.accumulator_bound`, but for these weights."""
    k = np.zeros(1, np.int64) if layer.periphery is None else layer.periphery.k.astype(np.int64)
    sums = np.abs(weights).sum(0) << (layer.act_bits - 1)
    half = (np.int64(1) << np.maximum(k, 0)) >> 1
    return int((sums + np.abs(layer.bias.astype(np.int64)) + half).max())
