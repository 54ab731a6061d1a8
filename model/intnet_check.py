# SPDX-License-Identifier: Apache-2.0
"""Rules between the layers of an integer network: which map is written, read, and fits where.

A leaf.
"""

from __future__ import annotations

from collections.abc import Mapping

from hw.params import CHANNEL_DIVIDER
from model.intnet_layers import Crossbar, Layer, MaxPool, Periphery
from model.intnet_maps import Map, Operand
from model.intnet_rules import INT32_MAX, IntNetError, about, check_field, check_name, quote

__all__ = ["check_layers"]

MAX_LAYERS = 4096


def check_layers(
    layers: tuple[Layer, ...], maps: Mapping[str, Map], source: str, stream_bits: int
) -> None:
    """Check that layers can run one after another on these maps.

    Parameters
    ----------
    layers : tuple of Layer
        In the order in which they run; the last one writes the logits.
    maps : mapping of str to Map
    source : str
        The map that holds the image.
    stream_bits : int

    Raises
    ------
    IntNetError
        With the name of the layer or map, the rule, then the value.
    """
    check_field("number of maps", len(maps), 2, MAX_LAYERS)
    check_field("number of layers", len(layers), 1, MAX_LAYERS)
    for name in maps:
        check_name("name of a map", name)
    if source not in maps:
        raise IntNetError(f"input must be one of the maps, not {quote(source)}")
    check_field("bits of the input", maps[source].bits, 8, 8)
    names: set[str] = set()
    written = {source}
    for layer in layers:
        if layer.name in names:
            raise IntNetError(f"{layer.name}: name must differ from others")
        names.add(layer.name)
        with about(layer.name):
            _check_access(layer, maps, source, written)
            _check_shapes(layer, maps, stream_bits)
            if (layer is layers[-1]) != (isinstance(layer, Crossbar) and layer.periphery is None):
                raise IntNetError("the last layer, and no other, must have no periphery")
        written |= _writes(layer)
    for name in sorted(maps.keys() - written):
        raise IntNetError(f"maps.{name} must be written by a layer")


def _reads(layer: Layer) -> tuple[Operand, ...]:
    """All that a layer reads."""
    if not isinstance(layer, Crossbar):
        return (Operand(layer.source),)
    added = (layer.periphery.add_before_table, layer.periphery.add) if layer.periphery else ()
    return layer.operands + tuple(operand for operand in added if operand is not None)


def _writes(layer: Layer) -> set[str]:
    if isinstance(layer, Crossbar) and layer.periphery and layer.periphery.second:
        return {layer.out, layer.periphery.second.out}
    return {layer.out}


def _check_access(layer: Layer, maps: Mapping[str, Map], source: str, written: set[str]) -> None:
    """Check that what is read has been written, and that no write destroys what is yet to read."""
    for operand in _reads(layer):
        if operand.map not in written:
            raise IntNetError(f"a map must be written before it is read, not {operand.map!r}")
        if operand.shifted and maps[operand.map].channels < CHANNEL_DIVIDER:
            raise IntNetError(
                f"a shifted map must have at least {CHANNEL_DIVIDER} channels, "
                f"not {maps[operand.map].channels}"
            )
    second = layer.periphery.second if isinstance(layer, Crossbar) and layer.periphery else None
    if second is not None and second.out == layer.out:
        raise IntNetError(f"second.out must be another map than out, not {layer.out!r}")
    writes = _writes(layer)
    for name in sorted(writes):
        if name not in maps or name == source:
            raise IntNetError(f"what is written must be one of the maps, not {name!r}")
    # An element that is added where it is written, and not shifted, has been read by then.
    fetched = layer.operands if isinstance(layer, Crossbar) else _reads(layer)
    for operand in _reads(layer):
        if operand.map in writes and (operand.shifted or operand in fetched):
            raise IntNetError(
                "a layer must not write what it fetches, nor what it adds shifted, "
                f"not {operand.map!r}"
            )


def _check_shapes(layer: Layer, maps: Mapping[str, Map], stream_bits: int) -> None:
    out = maps[layer.out]
    if isinstance(layer, Crossbar):
        _check_crossbar(layer, maps, stream_bits)
        return
    given = maps[layer.source]
    if isinstance(layer, MaxPool):
        size = (given.channels, given.height // layer.window, given.width // layer.window)
        _check_shape("out", out, size)
        if (out.bits, out.exponent) != (given.bits, given.exponent):
            raise IntNetError("out must have the bits and the exponent of source")
    else:
        _check_shape("out", out, (given.channels, 1, 1))
        check_field("bits of out", out.bits, 2, 8)
        sums = (given.height * given.width) << (given.bits - 1)
        largest = sums + ((1 << max(0, layer.p)) >> 1)
        if largest > INT32_MAX:
            raise IntNetError(f"the sum must stay within {INT32_MAX}, not reach {largest}")


def _check_crossbar(layer: Crossbar, maps: Mapping[str, Map], stream_bits: int) -> None:
    given, out = maps[layer.operands[0].map], maps[layer.out]
    if any(maps[operand.map] != given for operand in layer.operands):
        raise IntNetError("operands must have the same shape, bits and exponent")
    check_field("act_bits", layer.act_bits, 2, min(8, given.bits))
    check_field("rows", layer.rows, *[layer.kernel**2 * given.channels] * 2)
    height, width = (
        (side + 2 * layer.padding - layer.kernel) // layer.stride + 1
        for side in (given.height, given.width)
    )
    _check_shape("out", out, (layer.outputs, height, width))
    if layer.periphery is None:
        _check_shape("logits", out, (layer.outputs, 1, 1))
        check_field("bits of logits", out.bits, 32, 32)
    else:
        check_field("bits of out", out.bits, stream_bits, stream_bits)
        _check_periphery(layer.periphery, maps, out)


def _check_periphery(periphery: Periphery, maps: Mapping[str, Map], out: Map) -> None:
    if periphery.add is not None and maps[periphery.add.map] != out:
        raise IntNetError("add must have the shape, bits and exponent of out")
    if periphery.add_before_table is not None:
        _check_shape("add_before_table", maps[periphery.add_before_table.map], out.shape)
    if periphery.second is not None:
        second = maps[periphery.second.out]
        _check_shape("second.out", second, out.shape)
        check_field("bits of second.out", second.bits, out.bits, out.bits)


def _check_shape(name: str, given: Map, shape: tuple[int, int, int]) -> None:
    if given.shape != shape:
        raise IntNetError(f"{name} must be a map {list(shape)}, not {list(given.shape)}")
