# SPDX-License-Identifier: Apache-2.0
"""Memory images as beats of the accelerator's load streams: what a host sends, word for word."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from amaranth.lib import data

from hw.accelerator_params import AcceleratorParams
from hw.crossbar import program_layout
from hw.image import CHANNEL, Image
from hw.requant import channel_layout, table_layout
from hw.sequencer import slot_layout
from hw.writer import affine_layout

__all__ = ["beats", "payloads"]

_SECOND = "second_"


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
    seconds = any(layer.second is not None for layer in image.params.layers)
    return loaded | {"affines": list(_slots(image, _SECOND)) if seconds else []}


def _program(image: Image) -> Iterator[int]:
    tile = image.params.tile
    layout = payloads(image.params)["program"]
    bits = np.arange(tile.cell_bits)[:, None]
    for crossbar, page, column in np.ndindex(tile.crossbars, tile.pages, tile.columns):
        cells = image.pages[crossbar, page, :, column] >> bits & 1
        packed = np.packbits(cells, axis=1, bitorder="little")
        select, adc = divmod(column, tile.adcs)
        yield layout.const(
            {
                "cells": [int.from_bytes(word.tobytes(), "little") for word in packed],
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


def _slots(image: Image, prefix: str) -> Iterator[int]:
    layout = payloads(image.params)["affines" if prefix else "channels"]
    names = [name for name in CHANNEL.names or () if name.startswith(_SECOND) == bool(prefix)]
    for slot, word in enumerate(image.channels.reshape(-1)):
        fields = {name.removeprefix(prefix): int(word[name]) for name in names}
        yield layout.const({"slot": slot, "content": fields}).as_bits()
