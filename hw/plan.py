# SPDX-License-Identifier: Apache-2.0
"""The accelerator that an integer network needs: sizes, buffers, pages, the order of its layers.

PSP and SP networks of any block form; what does not fit is refused by the name of its layer. A
leaf: the integer network and parameters, no RTL.
"""

from __future__ import annotations

import dataclasses

from hw.accelerator_params import AcceleratorParams, FitError, LayerEntry, Read
from hw.pages import Pages, place
from hw.params import CHANNEL_DIVIDER, ParameterError, ShiftParams
from hw.row_masks import gates
from hw.tile_params import LIMITS, MAX_LANE_WORDS, TileParams
from model.intnet import Crossbar, IntNet, Operand, SumPool
from model.intnet_maps import Map

__all__ = ["plan"]

IMAGE_BITS = 8


def plan(net: IntNet, *, columns: int, columns_per_adc: int, mode: str) -> AcceleratorParams:
    """Return sizes and schedule of the accelerator of a network.

    Parameters
    ----------
    net : IntNet
    columns, columns_per_adc : int
        Of a crossbar.
    mode : {"fused", "in_place"}

    Raises
    ------
    FitError
        If the network does not fit: the layer, the rule, and what would fit.
    ParameterError
        If such a tile cannot be.
    """
    layers, pool = _layers(net)
    stem, body = layers[0], layers[:-1]
    shape = net.maps[stem.out]
    _check_shape(net, stem, shape)
    for layer in layers:
        _check_layer(net, layer, stem, shape)
    buffers = _buffers(body)
    image = _image_buffer(stem, buffers)
    tile, pages = _tile(net, layers, columns, columns_per_adc)
    masks = gates(net, layers, tile.outputs)
    tile = dataclasses.replace(tile, masks=max(map(len, masks)))
    numbers = {name: number for number, name in enumerate(buffers)}
    numbers |= {net.input: image, pool.out: len(buffers)}
    passes = _Passes() if mode == "in_place" else None
    entries = []
    group = 0
    for layer, own, kept in zip(layers, pages, masks, strict=True):
        periphery = layer.periphery
        reads = [_read(operand, numbers) for operand in layer.operands]
        add = None if periphery is None else periphery.add
        if add is not None:
            reads.append(_read(add, numbers))
        out = numbers[layer.out] if periphery is not None else None
        second = periphery.second if periphery is not None else None
        second_out = numbers[second.out] if second is not None else None
        first = None
        if passes is not None:
            first, reads = passes.before(layer.name, buffers, reads, {out, second_out})
        count = len(layer.operands)
        entries.append(
            LayerEntry(
                name=layer.name,
                operands=tuple(reads[:count]),
                shift_first=first,
                add=reads[count] if add is not None else None,
                out=out,
                second=second_out,
                bits=net.maps[layer.operands[0].map].bits,
                rows=min(layer.rows, net.array_rows),
                group=group,
                pages=own,
                outputs=layer.outputs,
                act_bits=layer.act_bits,
                weight_bits=layer.weight_bits,
                zero_point=layer.zero_point,
                masks=kept,
            )
        )
        group += len(own)
    return AcceleratorParams(
        tile=tile,
        shift=ShiftParams(
            height=shape.height, width=shape.width, bits=max(IMAGE_BITS, net.stream_bits)
        ),
        channels=shape.channels,
        patch=stem.kernel,
        buffers=buffers,
        layers=tuple(entries),
        fetch_shift=net.fetch_shift,
        pool_shift=pool.p,
        pooled_bits=net.maps[pool.out].bits,
        mode=mode,
    )


def _layers(net: IntNet) -> tuple[tuple[Crossbar, ...], SumPool]:
    """Return stem, body and head, and the pool between the last two."""
    *first, pool, head = net.layers if len(net.layers) > 2 else (*net.layers, None, None, None)
    crossbars: list[Crossbar] = []
    for layer in (*first, head):
        if not isinstance(layer, Crossbar):
            raise FitError(
                f"{layer.name if layer else net.name}: layers must be those of a PSP or SP "
                f"network: stem, blocks, sum_pool, head"
            )
        crossbars.append(layer)
    if not isinstance(pool, SumPool) or pool.source != crossbars[-2].out:
        name = pool.name if pool is not None else net.name
        raise FitError(f"{name}: before the head there must be a sum_pool of the body's last map")
    if crossbars[-1].operands != (Operand(pool.out),):
        raise FitError(f"{crossbars[-1].name}: the head must fetch {pool.out!r}, as it lies there")
    return tuple(crossbars), pool


def _check_shape(net: IntNet, stem: Crossbar, shape: Map) -> None:
    """Check the maps' shape, and the image's as the stem reads it."""
    if stem.operands != (Operand(net.input),) or (stem.stride, stem.padding) != (stem.kernel, 0):
        raise FitError(
            f"{stem.name}: the stem must read the image in patches: a stride as large as its "
            f"kernel {stem.kernel} and padding 0, not {stem.stride} and {stem.padding}"
        )
    try:
        ShiftParams(height=shape.height, width=shape.width)
    except ParameterError as error:
        raise FitError(f"{stem.name}: {error}") from None
    if shape.channels < CHANNEL_DIVIDER:
        raise FitError(
            f"{stem.name}: a map must have at least {CHANNEL_DIVIDER} channels, "
            f"not {shape.channels}"
        )
    if stem.rows > shape.channels:
        raise FitError(
            f"{stem.name}: patches must have at most the {shape.channels} channels of a map, "
            f"not {stem.rows}"
        )


def _check_layer(net: IntNet, layer: Crossbar, stem: Crossbar, shape: Map) -> None:
    """Check what one layer asks of the accelerator."""
    if layer is not stem and (layer.kernel, layer.stride) != (1, 1):
        raise FitError(
            f"{layer.name}: a layer after the stem must be pointwise, not have kernel "
            f"{layer.kernel} and stride {layer.stride}"
        )
    if layer.rows > net.array_rows and layer.rows % net.array_rows:
        fits = layer.rows // net.array_rows * net.array_rows
        raise FitError(
            f"{layer.name}: rows must be at most the {net.array_rows} of a crossbar or a multiple "
            f"of them, not {layer.rows}; {fits} or {fits + net.array_rows} would fit"
        )
    periphery = layer.periphery
    if periphery is None:
        return
    if periphery.affine is None or periphery.add_before_table is not None:
        raise FitError(
            f"{layer.name}: an affine must follow the table, and nothing be added before it"
        )
    if net.maps[layer.out].shape != shape.shape:
        raise FitError(
            f"{layer.name}: all maps must be {list(shape.shape)}, "
            f"not {list(net.maps[layer.out].shape)}"
        )
    if layer is not stem and net.input in {operand.map for operand in layer.operands}:
        raise FitError(f"{layer.name}: only the stem can read the image")


def _buffers(body: tuple[Crossbar, ...]) -> tuple[str, ...]:
    """Return the maps that layers write, in the order of their first write."""
    names: dict[str, None] = {}
    for layer in body:
        names[layer.out] = None
        if layer.periphery is not None and layer.periphery.second is not None:
            names[layer.periphery.second.out] = None
    return tuple(names)


def _image_buffer(stem: Crossbar, buffers: tuple[str, ...]) -> int:
    """Return a buffer that the stem does not write: the image lies there until it is read."""
    written = {stem.out}
    if stem.periphery is not None and stem.periphery.second is not None:
        written.add(stem.periphery.second.out)
    for number, name in enumerate(buffers):
        if name not in written:
            return number
    raise FitError(f"{stem.name}: there must be a map that the stem does not write")


def _tile(
    net: IntNet, layers: tuple[Crossbar, ...], columns: int, columns_per_adc: int
) -> tuple[TileParams, list[Pages]]:
    """Return a tile with pages for all layers, and where the pages of each are."""
    largest = max(layers, key=lambda layer: layer.rows)
    sizes = {
        "rows": net.array_rows,
        "columns": columns,
        "cell_bits": net.cell_bits,
        "weight_bits": max(layer.weight_bits for layer in layers),
        "act_bits": max(layer.act_bits for layer in layers),
        "adc_bits": net.adc_bits,
        "columns_per_adc": columns_per_adc,
        "tables": max(1, len(layers) - 1),
        "stream_bits": net.stream_bits,
    }
    one = TileParams(**sizes, pages=1)
    most = min(LIMITS["pages"][1], MAX_LANE_WORDS >> one.select_bits)
    placed = place(net, layers, one.outputs)
    pages = 1
    for layer, own in zip(layers, placed, strict=True):
        pages = max([pages, *(page + 1 for row in own for page in row if page is not None)])
        if pages > most:
            raise FitError(
                f"{layer.name}: a crossbar must have at most {most} pages, not {pages} up to this "
                f"layer; {most * one.outputs} outputs in all would fit"
            )
    try:
        crossbars = -(-largest.rows // net.array_rows)
        return TileParams(**sizes, pages=pages, crossbars=crossbars), placed
    except ParameterError as error:
        raise FitError(f"{largest.name}: {error}") from None


def _read(operand: Operand, numbers: dict[str, int]) -> Read:
    return Read(numbers[operand.map], operand.shifted)


class _Passes:
    """Which buffers a pass has shifted in place, from layer to layer."""

    def __init__(self) -> None:
        self._moved: set[int] = set()

    def before(
        self, name: str, buffers: tuple[str, ...], reads: list[Read], writes: set[int | None]
    ) -> tuple[int | None, list[Read]]:
        """Return the buffer that a pass shifts before a layer, and its reads, plain then."""
        shifted = {read.buffer for read in reads if read.shifted}
        for read in reads:
            if not read.shifted and read.buffer in self._moved | shifted:
                raise FitError(
                    f"{name}: {buffers[read.buffer]!r} must not be read as it was after a pass has "
                    f"shifted it in place; shift 'fused' would fit"
                )
        first = sorted(shifted - self._moved)
        if len(first) > 1:
            names = " and ".join(repr(buffers[buffer]) for buffer in first)
            raise FitError(
                f"{name}: one map can be shifted in place before a layer, not {names}; "
                f"shift 'fused' would fit"
            )
        self._moved = (self._moved | shifted) - writes
        return first[0] if first else None, [Read(read.buffer) for read in reads]
