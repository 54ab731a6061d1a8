# SPDX-License-Identifier: Apache-2.0
"""From an integer network to the accelerator's schedule and memory images, and back.

Pages of cells, tables, the parameters of each channel, the image as the stem reads it. What does
not fit is refused by the name of its layer (`hw.plan`). A leaf: NumPy, no RTL.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.accelerator_params import AcceleratorParams, LayerEntry, Read
from hw.params import ParameterError
from hw.plan import plan
from model.intnet import Affine, Crossbar, IntNet, Operand, Periphery, SecondWrite, SumPool

__all__ = ["CHANNEL", "Image", "build", "patches", "restore"]

CHANNEL = np.dtype(
    [
        ("bias", np.int32),
        ("k", np.int8),
        ("table", np.uint16),
        ("sign", np.int8),
        ("exponent", np.uint8),
        ("offset", np.int16),
        ("fraction_bits", np.uint8),
        ("second_sign", np.int8),
        ("second_exponent", np.uint8),
        ("second_offset", np.int16),
        ("second_fraction_bits", np.uint8),
    ]
)
"""What belongs to one output of one column group: as the tile takes it, and SP's second affine."""

_AFFINE = ("sign", "exponent", "offset")


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """What the memories of an accelerator hold before it runs.

    Parameters
    ----------
    params : AcceleratorParams
    pages : numpy.ndarray
        Cells, uint8 [crossbars, pages, rows, columns]; column j·n + i is cell i of output j.
    tables : numpy.ndarray
        int8 [tables, 2^act_bits], act_bits those of the tile.
    channels : numpy.ndarray
        `CHANNEL` [column groups, outputs].
    """

    params: AcceleratorParams
    pages: npt.NDArray[np.uint8]
    tables: npt.NDArray[np.int8]
    channels: npt.NDArray[Any]


def build(
    net: IntNet, *, columns: int = 64, columns_per_adc: int = 8, mode: str = "fused"
) -> Image:
    """Return schedule and memory images of a PSP or SP network.

    Parameters
    ----------
    net : IntNet
    columns, columns_per_adc : int
        Of a crossbar; its rows, cells and ADCs are the network's.
    mode : {"fused", "in_place"}
        How maps are shifted.

    Raises
    ------
    FitError
        If the network does not fit.
    ParameterError
        If such a tile cannot be.
    """
    params = plan(net, columns=columns, columns_per_adc=columns_per_adc, mode=mode)
    tile = params.tile
    pages = np.zeros((tile.crossbars, tile.pages, tile.rows, tile.columns), np.uint8)
    tables = np.zeros((tile.tables, 1 << tile.act_bits), np.int8)
    channels = np.zeros((params.groups, tile.outputs), CHANNEL)
    crossbar_layers = [layer for layer in net.layers if isinstance(layer, Crossbar)]
    for number, (entry, layer) in enumerate(zip(params.layers, crossbar_layers, strict=True)):
        cells = _cells(layer.weights, params, entry)
        for crossbar, group, page in _stored(entry):
            pages[crossbar, page] = cells[crossbar, group]
        fields = np.zeros(entry.groups * tile.outputs, CHANNEL)
        own = fields[: entry.outputs]
        own["bias"] = layer.bias
        if layer.periphery is not None:
            own["k"] = layer.periphery.k
            own["table"] = number
            tables[number] = _widened(layer.periphery.table, tile.act_bits)
            _put_affine(own, "", layer.periphery.affine)
            if layer.periphery.second is not None:
                _put_affine(own, "second_", layer.periphery.second.affine)
        channels[_groups(entry)] = fields.reshape(entry.groups, tile.outputs)
    return Image(params, pages, tables, channels)


def restore(image: Image, like: IntNet) -> IntNet:
    """Return the network that an image was built of; k has an entry a channel.

    Parameters
    ----------
    image : Image
        All that the accelerator knows: every integer that matters is taken from here.
    like : IntNet
        What it does not know is taken from here: names and exponents of maps, the pool's name.
    """
    params = image.params
    pool = next(layer for layer in like.layers if isinstance(layer, SumPool))
    names = [*params.buffers, pool.out]
    layers: list[Crossbar | SumPool] = []
    moved: set[int] = set()  # buffers that a pass has shifted
    for entry in params.layers:
        stem, head = entry is params.layers[0], entry is params.layers[-1]
        if entry.shift_first is not None:
            moved.add(entry.shift_first)
        operands = tuple(_operand(read, names, moved) for read in entry.operands)
        periphery = None
        if head:
            source, p = layers[-1].out, params.pool_shift
            layers.append(SumPool(name=pool.name, source=source, out=pool.out, p=p))
        else:
            periphery = _periphery(image, entry, names, moved)
            moved -= {entry.out, entry.second}
        kernel = params.patch if stem else 1
        layers.append(
            Crossbar(
                name=entry.name,
                operands=(Operand(like.input),) if stem else operands,
                out=like.layers[-1].out if entry.out is None else names[entry.out],
                kernel=kernel,
                stride=kernel,
                padding=0,
                act_bits=entry.act_bits,
                weight_bits=entry.weight_bits,
                zero_point=entry.zero_point,
                weights=_weights(image.pages, params, entry),
                bias=_fields(image, entry)["bias"].copy(),
                periphery=periphery,
            )
        )
    tile = params.tile
    return dataclasses.replace(
        like,
        array_rows=tile.rows,
        cell_bits=tile.cell_bits,
        adc_bits=tile.adc_bits,
        stream_bits=tile.stream_bits,
        fetch_shift=params.fetch_shift,
        layers=tuple(layers),
    )


def patches(params: AcceleratorParams, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int8]:
    """Return an image as the stem reads it: channels (ky·patch + kx)·colours + colour.

    Parameters
    ----------
    params : AcceleratorParams
    image : numpy.ndarray
        uint8 [colours, H, W]; pixels at the right and below that fill no patch are dropped.

    Raises
    ------
    ParameterError
        If the image has another shape or dtype.
    """
    side, height, width = params.patch, params.shift.height, params.shift.width
    stem = params.layers[0]
    colours = stem.rows * stem.crossbars // side**2
    wanted = tuple(range(size * side, (size + 1) * side) for size in (height, width))
    if image.dtype != np.uint8 or image.ndim != 3 or len(image) != colours or any(
        size not in sizes for size, sizes in zip(image.shape[1:], wanted, strict=True)
    ):  # fmt: skip
        raise ParameterError(
            f"an image must be uint8 [{colours}, {height * side}, {width * side}], "
            f"not {image.dtype} {list(image.shape)}"
        )
    whole = image[:, : height * side, : width * side].astype(np.int16) - 128
    parts = whole.astype(np.int8).reshape(colours, height, side, width, side)
    return parts.transpose(2, 4, 0, 1, 3).reshape(colours * side**2, height, width)


def _groups(entry: LayerEntry) -> slice:
    return slice(entry.group, entry.group + entry.groups)


def _stored(entry: LayerEntry) -> Iterator[tuple[int, int, int]]:
    """Yield crossbar, column group of the layer, and page of each page that is stored."""
    for group, pages in enumerate(entry.pages):
        for crossbar, page in enumerate(pages):
            if page is not None:
                yield crossbar, group, page


def _fields(image: Image, entry: LayerEntry) -> npt.NDArray[Any]:
    return image.channels[_groups(entry)].reshape(-1)[: entry.outputs]


def _operand(read: Read, names: list[str], moved: set[int]) -> Operand:
    return Operand(names[read.buffer], read.shifted or read.buffer in moved)


def _periphery(image: Image, entry: LayerEntry, names: list[str], moved: set[int]) -> Periphery:
    fields = _fields(image, entry)
    second = None
    if entry.second is not None:
        second = SecondWrite(out=names[entry.second], affine=_get_affine(fields, "second_"))
    return Periphery(
        k=fields["k"].copy(),
        table=_narrowed(image.tables[fields["table"][0]], entry.act_bits),
        affine=_get_affine(fields, ""),
        add=None if entry.add is None else _operand(entry.add, names, moved),
        second=second,
    )


def _cells(
    weights: npt.NDArray[np.uint8], params: AcceleratorParams, entry: LayerEntry
) -> npt.NDArray[np.uint8]:
    """Return the cells of a layer: [crossbars, groups, rows, columns]; rows left are 0."""
    tile = params.tile
    full = np.zeros((entry.crossbars * tile.rows, entry.groups * tile.outputs), np.uint8)
    full[: weights.shape[0], : weights.shape[1]] = weights
    places = tile.cell_bits * np.arange(tile.cells)
    cells = full[:, :, None] >> places & ((1 << tile.cell_bits) - 1)
    shape = (entry.crossbars, tile.rows, entry.groups, tile.outputs * tile.cells)
    used = cells.reshape(shape).transpose(0, 2, 1, 3)
    return np.pad(used, [(0, 0)] * 3 + [(0, tile.columns - used.shape[3])]).astype(np.uint8)


def _weights(
    pages: npt.NDArray[np.uint8], params: AcceleratorParams, entry: LayerEntry
) -> npt.NDArray[np.uint8]:
    """Return the weights of a layer's cells: [rows, outputs]; Z where no page is stored."""
    tile = params.tile
    places = tile.cell_bits * np.arange(tile.cells)
    shape = (entry.crossbars, entry.rows, entry.groups, tile.outputs)
    weights = np.full(shape, entry.zero_point, np.uint8)
    for crossbar, group, page in _stored(entry):
        used = pages[crossbar, page, : entry.rows, : tile.outputs * tile.cells].astype(np.int64)
        weights[crossbar, :, group] = (used.reshape(entry.rows, -1, tile.cells) << places).sum(-1)
    return weights.reshape(entry.crossbars * entry.rows, -1)[:, : entry.outputs].copy()


def _widened(table: npt.NDArray[np.int8], act_bits: int) -> npt.NDArray[np.int8]:
    """Return the table for ``pre`` of more bits: saturating twice is saturating once."""
    more = ((1 << act_bits) - len(table)) // 2
    return np.pad(table, more, mode="edge")


def _narrowed(table: npt.NDArray[np.int8], act_bits: int) -> npt.NDArray[np.int8]:
    more = (len(table) - (1 << act_bits)) // 2
    return table[more : len(table) - more].copy()


def _put_affine(fields: npt.NDArray[Any], prefix: str, affine: Affine | None) -> None:
    for name in _AFFINE:
        fields[prefix + name] = getattr(affine, name)
    fields[prefix + "fraction_bits"] = affine.fraction_bits if affine else 0


def _get_affine(fields: npt.NDArray[Any], prefix: str) -> Affine:
    sign, exponent, offset = (fields[prefix + name].copy() for name in _AFFINE)
    fraction_bits = int(fields[prefix + "fraction_bits"][0])
    return Affine(sign=sign, exponent=exponent, offset=offset, fraction_bits=fraction_bits)
