# SPDX-License-Identifier: Apache-2.0
"""Take channels that are always 0 out of an integer network: the same logits, fewer crossbars.

Where all weights of an output are 0 (U = Z), what is written follows from the bias alone. If that
is 0, the output may go, and so may the rows that read it. A map that is shifted, added to another,
or written by several layers keeps its channels, since others depend on their number: inner maps of
residual blocks shrink, and all of a VGG. A leaf: NumPy and the integer network.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.params import ParameterError
from model import golden
from model.intnet import Crossbar, IntNet, Layer, Periphery

__all__ = ["idle_channels", "shrink"]

_Channels = npt.NDArray[np.bool_]


def shrink(net: IntNet, idle: Mapping[str, _Channels] | None = None) -> IntNet:
    """Return a network of the same logits, without channels that are always 0.

    Parameters
    ----------
    net : IntNet
        Its converters must not saturate: rows move to other crossbars.
    idle : mapping of str to numpy.ndarray, optional
        By map, what to take out, bool [C]; `idle_channels` unless given.

    Raises
    ------
    ParameterError
        If a converter might saturate.
    """
    if not golden.is_lossless(net.array_rows, net.cell_bits, net.adc_bits):
        raise ParameterError(
            f"converters must not saturate where rows are to move, not have {net.adc_bits} bits"
        )
    idle = idle_channels(net) if idle is None else idle
    maps = {
        name: dataclasses.replace(each, channels=each.channels - int(idle[name].sum()))
        if name in idle
        else each
        for name, each in net.maps.items()
    }
    layers = tuple(_without(layer, idle) for layer in net.layers)
    return dataclasses.replace(net, maps=maps, layers=layers)


def idle_channels(net: IntNet) -> dict[str, _Channels]:
    """Return by map the channels that are always 0 and may go, bool [C]; one stays at least."""
    rigid = set(_rigid(net))
    found: dict[str, _Channels] = {}
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            if layer.out not in rigid:
                found[layer.out] = _always_zero(layer, net.stream_bits)
        elif layer.source in found:
            found[layer.out] = found[layer.source]
    return {name: idle for name, idle in found.items() if idle.any()}


def _rigid(net: IntNet) -> Iterator[str]:
    """Yield the maps whose channels stay."""
    rigid = {net.input, net.layers[-1].out}
    writers = Counter(layer.out for layer in net.layers)
    for layer in net.layers:
        if isinstance(layer, Crossbar) and layer.periphery:
            added = [layer.periphery.add, layer.periphery.add_before_table]
            if any(added) or layer.periphery.second or writers[layer.out] > 1:
                rigid.add(layer.out)
            rigid |= {operand.map for operand in added if operand}
            if layer.periphery.second:
                rigid.add(layer.periphery.second.out)
        if isinstance(layer, Crossbar) and (len(layer.operands) > 1 or layer.operands[0].shifted):
            rigid |= {operand.map for operand in layer.operands}
    # A pool has the channels of what it reads.
    for layer in reversed(net.layers):
        if not isinstance(layer, Crossbar) and (layer.out in rigid or writers[layer.out] > 1):
            rigid.add(layer.source)
    yield from rigid


def _always_zero(layer: Crossbar, stream_bits: int) -> _Channels:
    """Tell which outputs are 0 whatever is fetched, but for one output: bool [outputs]."""
    periphery: Any = layer.periphery
    acc = layer.bias.astype(np.int64)[None, :, None, None]
    pre = golden.saturate(golden.round_shift(acc, periphery.k[:, None, None]), layer.act_bits)
    out = golden.apply_table(pre, periphery.table)
    if affine := periphery.affine:
        out = golden.apply_affine(
            out, affine.sign, affine.exponent, affine.offset, affine.fraction_bits
        )
    zero: _Channels = (golden.saturate(out, stream_bits)[0, :, 0, 0] == 0) & (
        layer.weights == layer.zero_point
    ).all(0)
    # A map has a channel at least.
    zero[0] &= not zero.all()
    return zero


def _without(layer: Layer, idle: Mapping[str, _Channels]) -> Layer:
    """Return a layer without the rows and outputs of channels that go."""
    if not isinstance(layer, Crossbar):
        return layer
    weights = layer.weights
    fields: dict[str, Any] = {}
    source = layer.operands[0].map
    if source in idle:
        weights = weights[np.tile(~idle[source], layer.kernel**2)]
    if layer.out in idle:
        stay = ~idle[layer.out]
        weights = weights[:, stay]
        fields = {"bias": layer.bias[stay], "periphery": _outputs(layer.periphery, stay)}
    return dataclasses.replace(layer, weights=weights, **fields)


def _outputs(periphery: Periphery | None, stay: _Channels) -> Periphery | None:
    """Return a periphery with some of its outputs."""
    if periphery is None:
        return None
    fields: dict[str, Any] = {}
    if len(periphery.k) > 1:
        fields["k"] = periphery.k[stay]
    if affine := periphery.affine:
        parts = {name: getattr(affine, name)[stay] for name in ("sign", "exponent", "offset")}
        fields["affine"] = dataclasses.replace(affine, **parts)
    return dataclasses.replace(periphery, **fields)
