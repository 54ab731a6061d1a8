# SPDX-License-Identifier: Apache-2.0
"""Memory images as the accelerator takes them: beats of its load streams, or first contents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from amaranth.lib import data

from hw.accelerator_params import AcceleratorParams
from hw.channel_feed import slot_layout
from hw.crossbar import program_layout
from hw.image import CHANNEL, Image
from hw.requant import channel_layout, table_layout
from hw.writer import affine_layout

__all__ = ["Contents", "beats", "contents", "payloads"]

_SECOND = "second_"


@dataclasses.dataclass(frozen=True)
class Contents:
    """What the accelerator's memories hold when it is configured; those left out hold zeros.

    Parameters
    ----------
    cells : tuple
        Of each crossbar, of each of its ADCs: columns, in the order of their addresses, as
        ``cells`` of `hw.crossbar.program_layout`.
    tables : list of int
        Entries, table after table.
    channels, affines : list of dict
        Fields of each slot.
    """

    cells: tuple[tuple[list[list[int]], ...], ...] = ()
    tables: list[int] = dataclasses.field(default_factory=list)
    channels: list[dict[str, int]] = dataclasses.field(default_factory=list)
    affines: list[dict[str, int]] = dataclasses.field(default_factory=list)


def payloads(params: AcceleratorParams) -> dict[str, data.StructLayout]:
    """Return what a beat of each load stream is, by the stream's name."""
    return {
        "program": program_layout(params.tile),
        "entries": table_layout(params.tile),
        "channels": slot_layout(params, channel_layout(params.tile)),
        "affines": slot_layout(params, affine_layout()),
    }


def beats(image: Image) -> dict[str, list[int]]:
    """Return the beats that load an image's pages, tables and parameters, by stream."""
    loaded = {
        "program": list(_program(image)),
        "entries": list(_entries(image)),
        "channels": list(_slots(image, "")),
    }
    return loaded | {"affines": list(_slots(image, _SECOND)) if _doubles(image) else []}


def contents(image: Image) -> Contents:
    """Return an image's pages, tables and parameters as first contents."""
    tile = image.params.tile
    empty = [0] * tile.cell_bits
    cells = tuple(
        tuple([empty] * tile.lane_depth for _ in range(tile.adcs)) for _ in range(tile.crossbars)
    )
    for crossbar, page, select, adc, words in _columns(image):
        cells[crossbar][adc][page << tile.select_bits | select] = words
    return Contents(
        cells=cells,
        tables=image.tables.reshape(-1).tolist(),
        channels=list(_parameters(image, "")),
        affines=list(_parameters(image, _SECOND)) if _doubles(image) else [],
    )


def _doubles(image: Image) -> bool:
    return any(layer.second is not None for layer in image.params.layers)


def _columns(image: Image) -> Iterator[tuple[int, int, int, int, list[int]]]:
    """Yield crossbar, page, column select and ADC of each column, and its cells' words."""
    tile = image.params.tile
    bits = np.arange(tile.cell_bits)[:, None]
    for crossbar, page, column in np.ndindex(tile.crossbars, tile.pages, tile.columns):
        cells = image.pages[crossbar, page, :, column] >> bits & 1
        packed = np.packbits(cells, axis=1, bitorder="little")
        words = [int.from_bytes(word.tobytes(), "little") for word in packed]
        yield crossbar, page, *divmod(column, tile.adcs), words


def _program(image: Image) -> Iterator[int]:
    layout = payloads(image.params)["program"]
    for crossbar, page, select, adc, words in _columns(image):
        yield layout.const(
            {
                "cells": words,
                "adc": adc,
                "column_select": select,
                "page": page,
                "crossbar": crossbar,
            }
        ).as_bits()


def _entries(image: Image) -> Iterator[int]:
    layout = payloads(image.params)["entries"]
    for (table, entry), value in np.ndenumerate(image.tables):
        yield layout.const({"table": table, "entry": entry, "value": int(value)}).as_bits()


def _parameters(image: Image, prefix: str) -> Iterator[dict[str, int]]:
    """Yield the fields of each slot."""
    names = [name for name in CHANNEL.names or () if name.startswith(_SECOND) == bool(prefix)]
    for word in image.channels.reshape(-1):
        yield {name.removeprefix(prefix): int(word[name]) for name in names}


def _slots(image: Image, prefix: str) -> Iterator[int]:
    layout = payloads(image.params)["affines" if prefix else "channels"]
    for slot, fields in enumerate(_parameters(image, prefix)):
        yield layout.const({"slot": slot, "content": fields}).as_bits()
