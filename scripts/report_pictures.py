# SPDX-License-Identifier: Apache-2.0
"""Pictures of `scripts.report` as inline HTML and SVG; colours are classes of its style sheet.

Images are PNGs inside the page, without compression: the same bytes whatever the version of zlib.
"""

from __future__ import annotations

import base64
import itertools
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.accelerator_params import LayerEntry
from hw.address import walk
from hw.image import Image
from hw.params import Direction, ShiftParams, channel_directions
from model import golden
from model.executor import Trace
from model.intnet import Crossbar, IntNet, Operand

__all__ = ["answers", "curve", "data_path", "moves", "png"]

_PAGE = 20
"""Pixels of a crossbar's side in the data path."""
_WIDE = 176
"""Pixels that a layer's crossbars may take; more of them are drawn smaller."""
_WALK = 4
"""Rows and columns of the map whose walk is drawn."""
_STEP = 16


def png(pixels: npt.NDArray[np.uint8]) -> str:
    """Return an image as a ``data:`` address.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 [H, W, 3], or [H, W] of greys; at most 65,535 bytes with one a row.
    """
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    block = struct.pack("<BHH", 1, len(rows), len(rows) ^ 0xFFFF) + rows
    data = b"\x78\x01" + block + struct.pack(">I", zlib.adler32(rows))
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    file = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"


def _picture(pixels: npt.NDArray[np.uint8], about: str, kind: str) -> str:
    return f'<img class="{kind}" alt="{escape(about)}" src="{png(pixels)}">'


def data_path(net: IntNet, image: Image | None, pixels: npt.NDArray[np.uint8]) -> str:
    """Return the way of an image: its layers' crossbars, what each reads, and the logits.

    Parameters
    ----------
    net : IntNet
    image : Image, optional
        Whose pages are drawn; without it only the sizes of the layers are told.
    pixels : numpy.ndarray
        uint8 [3, H, W]: the image at the beginning.
    """
    entries = {entry.name: entry for entry in image.params.layers} if image else {}
    side = net.input_shape[1]
    shown = _picture(pixels.transpose(1, 2, 0), "a test image", "photo")
    boxes = [_box("image", f'<div>{shown}<div class="soft">→ {side}×{side}×3</div></div>')]
    for title, layers in itertools.groupby(net.layers, lambda layer: _block(layer.name)):
        parts = []
        for layer in layers:
            out = net.maps[layer.out]
            size = f"{out.height}×{out.width}×{out.channels}"
            if not isinstance(layer, Crossbar):
                parts.append(
                    f'<div class="layer"><b>{layer.kind.replace("_", " ")}</b> → {size}</div>'
                )
                continue
            drawn = _pages(layer, entries[layer.name], image) if image else ""
            name = layer.name.removeprefix(f"{title}.")
            label = "" if name == title else f"<b>{escape(name)}</b> "
            parts.append(
                f'<div class="layer">{drawn}<div>{label}{layer.rows}×{layer.outputs}'
                f'{_read(layer)}</div><div class="soft">→ {size}</div></div>'
            )
        boxes.append(_box(title, "".join(parts)))
    return f'<div class="path">{"".join(boxes)}</div>'


def _block(name: str) -> str:
    """Return the block of a layer: the same for layers that share a box."""
    return name.rsplit(".", 1)[0]


def _box(title: str, content: str) -> str:
    return f'<div class="box"><h4>{escape(title)}</h4><div class="layers">{content}</div></div>'


def _read(layer: Crossbar) -> str:
    """Return what a layer reads or adds beyond the map before it."""
    periphery = layer.periphery
    added: list[Operand | None] = list(layer.operands[1:])
    if periphery is not None:
        added += [periphery.add_before_table, periphery.add]
    notes = ["shifted"] if any(operand.shifted for operand in layer.operands) else []
    notes += ["+ skip, shifted" if operand.shifted else "+ skip" for operand in added if operand]
    return "".join(f' <span class="note">{note}</span>' for note in notes)


def _pages(layer: Crossbar, entry: LayerEntry, image: Image) -> str:
    """Return a layer's crossbars, a square a page; filled as far as its cells are used."""
    tile = image.params.tile
    side = min(float(_PAGE), _WIDE / entry.groups - 1)
    width, height = entry.groups * (side + 1), entry.crossbars * (side + 1)
    lines = [
        f'<svg class="pages" width="{width:g}" height="{height:g}" role="img">',
        f"<title>{entry.groups} × {entry.crossbars} pages</title>",
    ]
    for group, pages in enumerate(entry.pages):
        outputs = min(tile.outputs, layer.outputs - group * tile.outputs)
        share = outputs * -(-layer.weight_bits // tile.cell_bits) / tile.columns
        for number, page in enumerate(pages):
            left, top = group * (side + 1), number * (side + 1)
            rows = min(tile.rows, layer.rows - number * tile.rows)
            kind = "absent-page" if page is None else "idle"
            lines.append(
                f'<rect x="{left:g}" y="{top:g}" width="{side:g}" height="{side:g}" '
                f'class="{kind}"/>'
            )
            if page is not None:
                lines.append(
                    f'<rect x="{left:g}" y="{top:g}" width="{side * share:g}" '
                    f'height="{side * rows / tile.rows:g}" class="used"/>'
                )
    return "".join([*lines, "</svg>"])


def answers(
    pictures: Sequence[Mapping[str, Any]], pixels: npt.NDArray[np.uint8],
    classes: Sequence[str], in_rtl: int,
) -> str:  # fmt: skip
    """Return test images with a bar for each logit.

    Parameters
    ----------
    pictures : sequence of mapping
        ``image``, ``label`` and ``logits`` of each.
    pixels : numpy.ndarray
        uint8 [N, 3, H, W].
    classes : sequence of str
    in_rtl : int
        How many of them have been run in RTL, from the first.
    """
    cards = []
    for each, shown in zip(pictures, pixels, strict=True):
        logits, label = each["logits"], each["label"]
        right = int(np.argmax(logits)) == label
        lines = "".join(_logits(logits, label, classes))
        verdict = "right" if right else "wrong"
        where = "RTL = golden" if each["image"] < in_rtl else "golden"
        cards.append(
            f'<figure class="answer">{_picture(shown.transpose(1, 2, 0), classes[label], "photo")}'
            f'<svg viewBox="0 0 156 {13 * len(logits)}" role="img">{lines}</svg>'
            f"<figcaption>image {each['image']}: {escape(classes[label])}, "
            f'<span class="{verdict}">{verdict}</span> <span class="soft">({where})</span>'
            "</figcaption></figure>"
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _logits(logits: Sequence[int], label: int, classes: Sequence[str]) -> Iterator[str]:
    low, high = min(0, *logits), max(0, *logits)
    scale = 82 / max(1, high - low)
    zero = 73 - low * scale
    best = int(np.argmax(logits))
    for number, (name, value) in enumerate(zip(classes, logits, strict=True)):
        top = 13 * number
        kind = "used" if number == best else "copied"
        strong = ' class="strong"' if number == label else ""
        left, wide = zero + min(0, value) * scale, abs(value) * scale
        yield (
            f'<text x="69" y="{top + 10}" text-anchor="end"{strong}>{escape(name)}</text>'
            f'<rect x="{left:.1f}" y="{top + 2}" width="{wide:.1f}" height="9" class="{kind}">'
            f"<title>{escape(name)}: {value}</title></rect>"
        )
    yield f'<path class="axis" d="M{zero:.1f} 0V{13 * len(logits)}"/>'


def moves(net: IntNet, trace: Trace) -> str:
    """Return what the shift does in each direction: the walk, and a real channel before and after.

    Of the first map that a layer reads shifted, of the first image; nothing if there is none.
    """
    name = next(
        (o.map for layer in net.layers if isinstance(layer, Crossbar)
         for o in layer.operands if o.shifted), None,
    )  # fmt: skip
    writer = next((layer.name for layer in net.layers if layer.out == name), None)
    if writer is None:
        return ""
    before = trace[writer]["out"][0]
    after = golden.shift(before)
    directions = channel_directions(len(before))
    figures = []
    for direction in Direction.moving():
        if direction not in directions:
            continue
        channel = directions.index(direction)
        pair = "".join(
            _picture(
                _grey(values[channel], before[channel]), f"channel {channel} {when}", "channel"
            )
            for when, values in (("before", before), ("after", after))
        )
        title = direction.name.lower().replace("_", "-")
        figures.append(
            f'<figure class="move"><figcaption>{title}</figcaption>{_walk(direction)}'
            f'<div class="pair">{pair}</div></figure>'
        )
    return f'<div class="cards">{"".join(figures)}</div>'


def _grey(values: npt.NDArray[np.int64], of: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return greys, the least value of ``of`` black; 0, which comes in, is among them."""
    low, high = min(0, int(of.min())), max(1, int(of.max()))
    return ((values - low) * 255 // (high - low)).astype(np.uint8)


def _walk(direction: Direction) -> str:
    """Return the order in which the hardware visits a small map; hollow pixels receive 0."""
    side = _WALK * _STEP
    visits = list(walk(ShiftParams(height=_WALK, width=_WALK), direction))
    centres = [
        (v.column * _STEP + _STEP / 2, v.row * _STEP + _STEP / 2, v.boundary) for v in visits
    ]
    track, jumps = "", ""
    for (x, y, _), (to_x, to_y, _) in itertools.pairwise(centres):
        line = f"M{x:g} {y:g}L{to_x:g} {to_y:g}"
        if max(abs(to_x - x), abs(to_y - y)) > _STEP:
            jumps += line
        else:
            track += line
    dots = "".join(
        f'<circle cx="{x:g}" cy="{y:g}" r="{3.4 if n == 0 else 2.4}" '
        f'class="{"hollow" if boundary else "used"}"/>'
        for n, (x, y, boundary) in enumerate(centres)
    )
    return (
        f'<svg class="walk" viewBox="0 0 {side} {side}" role="img">'
        f'<path class="jumps" d="{jumps}"/><path class="track" d="{track}"/>{dots}</svg>'
    )


def curve(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return test accuracy by epoch, one run after the other; nothing without runs."""
    values = [value for run in runs for value in run["accuracy"]]
    if not values:
        return ""
    width, height, left, right, top, bottom = 850, 230, 60, 90, 24, 24
    low, high = math.floor(10 * min(values)) / 10, math.ceil(10 * max(values)) / 10
    across = (width - left - right) / max(1, len(values) - 1)

    def place(number: int, value: float) -> str:
        up = (value - low) / (high - low) * (height - bottom - top)
        return f"{left + number * across:.1f} {height - bottom - up:.1f}"

    lines = [f'<div class="wide"><svg class="bars" viewBox="0 0 {width} {height}" role="img">']
    for tick in range(round(10 * low), round(10 * high) + 1):
        x, y = place(0, tick / 10).split()
        lines.append(
            f'<path class="grid" d="M{x} {y}H{width - right}"/>'
            f'<text x="{left - 8}" y="{float(y) + 4:.1f}" class="label">{10 * tick} %</text>'
        )
    first = 0
    for number, run in enumerate(runs):
        points = [place(first + n, value) for n, value in enumerate(run["accuracy"])]
        first += len(points)
        x, y = points[-1].split()
        last = number == len(runs) - 1
        side, anchor = (8, "start") if last else (-8, "end")
        edge, title = (width - right, "label") if number else (left, "begin")
        lines.append(
            f'<path class="curve{"" if last else " before"}" d="M{" L".join(points)}"/>'
            f'<circle cx="{x}" cy="{y}" r="3" class="{"used" if last else "copied"}"/>'
            f'<text x="{float(x) + side:.1f}" y="{float(y) + (4 if last else -9):.1f}" '
            f'text-anchor="{anchor}">{100 * run["accuracy"][-1]:.2f} %</text>'
            f'<text x="{edge}" y="{height - 4}" class="{title}">{escape(run["run"])}, '
            f"{len(points)} epochs</text>"
        )
    return "\n".join([*lines, "</svg></div>"])
