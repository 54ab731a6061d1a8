# SPDX-License-Identifier: Apache-2.0
"""What the RTL's activity counters counted of real images, from a file of anybody's; a leaf.

``python -m cosim.run --intnet DIR --counters FILE`` writes it: the sha256 of ``intnet.json``, the
number of images, the outputs of a page, and by layer the sums of all counters over these images.
A vector drives its planes into every page that is stored (`hw.pages`), but for the rows that the
page's mask gates (`hw.row_masks`): so the wordlines that are counted are a share of those.
"""

from __future__ import annotations

import json
import math
import reprlib
from pathlib import Path
from typing import Any

import numpy as np

from hw import disk
from hw.pages import counted
from hw.params import ParameterError, check_integer
from hw.row_masks import Masks, gates
from model.cost.statistics import Activity
from model.intnet import Crossbar, IntNet, digest
from model.layer_shape import unread

__all__ = ["CountersError", "read"]

MAX_BYTES = 1 << 20
MAX_IMAGES = 10_000
MAX_OUTPUTS = 1 << 16
MAX_COUNT = (1 << 63) - 1

FIELDS = ("digest", "images", "page_outputs", "layers")
COUNTS = ("conversions", "active_wordlines", "sampled_pages", "map_writes")


class CountersError(ParameterError):
    """A file of counters is damaged, or of another network."""


def read(path: Path, net: IntNet) -> dict[str, Activity]:
    """Return the activity of each crossbar layer, by its name.

    Parameters
    ----------
    path : Path
    net : IntNet
        That was run.

    Raises
    ------
    CountersError
        If the file cannot be read, breaks a rule or is of another network: one line that names it.
    """
    data = disk.content(path, MAX_BYTES, CountersError)
    try:
        return _activities(json.loads(data), net)
    except ParameterError as error:
        raise CountersError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise CountersError(f"{path} must be JSON: {unread(error)}") from None


def _activities(value: object, net: IntNet) -> dict[str, Activity]:
    found = _object("the file", value, FIELDS)
    if found["digest"] != (wanted := digest(net)):
        raise ParameterError(
            f"digest must be {wanted}, that of the network, not {reprlib.repr(found['digest'])}"
        )
    images = check_integer("images", found["images"], 1, MAX_IMAGES)
    outputs = check_integer("page_outputs", found["page_outputs"], 1, MAX_OUTPUTS)
    layers = [layer for layer in net.layers if isinstance(layer, Crossbar)]
    counts = _object("layers", found["layers"], tuple(layer.name for layer in layers))
    return {
        layer.name: _activity(net, layer, images, _rows(net, layer, outputs, masks),
                              counts[layer.name])
        for layer, masks in zip(layers, gates(net, layers, outputs), strict=True)
    }  # fmt: skip


def _rows(net: IntNet, layer: Crossbar, outputs: int, masks: Masks) -> list[int]:
    """Return how many rows a vector may drive in each page that is stored."""
    return [
        int(masks[group][tile].kept().sum())
        if masks
        else min(net.array_rows, layer.rows - tile * net.array_rows)
        for group, tile in np.argwhere(counted(net, layer, outputs)).tolist()
    ]


def _activity(
    net: IntNet, layer: Crossbar, images: int, rows: list[int], value: object
) -> Activity:
    counts = _object(layer.name, value, COUNTS)
    for name in COUNTS:
        check_integer(f"{layer.name}: {name}", counts[name], 0, MAX_COUNT)
    vectors = images * math.prod(net.maps[layer.out].shape) // layer.outputs
    if counts["sampled_pages"] != len(rows) * vectors:
        raise ParameterError(
            f"{layer.name}: sampled_pages must be {len(rows) * vectors}, {len(rows)} stored pages "
            f"of {vectors} vectors, not {counts['sampled_pages']}"
        )
    reads, driven = vectors * layer.act_bits * sum(rows), counts["active_wordlines"]
    if driven > reads:
        raise ParameterError(
            f"{layer.name}: active_wordlines must be at most {reads}, not {driven}"
        )
    return Activity(driven=np.array([[driven]]), reads=reads, images=images, counted=True)


def _object(name: str, value: object, fields: tuple[str, ...]) -> dict[str, Any]:
    """Return an object that has exactly these fields."""
    if not isinstance(value, dict) or set(value) != set(fields):
        shown = ", ".join(value) if isinstance(value, dict) else type(value).__name__
        raise ParameterError(
            f"{name} must be an object of {', '.join(fields)}, not {reprlib.repr(shown)}"
        )
    return value
