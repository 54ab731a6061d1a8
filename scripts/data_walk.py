# SPDX-License-Identifier: Apache-2.0
"""The picture of the walk of data in `docs/architecture.md`, with the widths of a real network.

``python -m scripts.data_walk`` checks that `docs/results/data.svg` is what the parameters of the
zoo's psp_64_4 in INT8 give; ``--update`` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from hw import cli, disk
from hw.accelerator_params import AcceleratorParams
from hw.image import build
from hw.tile_params import ACC_BITS
from model import intnet

__all__ = ["PICTURE", "draw", "main", "params"]

PROGRAM = "python -m scripts.data_walk"
ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs/results/data.svg"
WIDE, HIGH, ACROSS, DOWN, MARGIN = 160, 76, 236, 150, 20
"""Pixels of a box, from one to the next beside it and below it, and around all."""

_STYLE = (
    "text{font:12px sans-serif;fill:#1f2933;text-anchor:middle}.name{font-weight:bold}"
    ".file{fill:#5b6675;font:11px monospace}.box{fill:#dcebf2;stroke:#0b6e99}"
    "path{fill:none;stroke:#0b6e99;stroke-width:1.5;marker-end:url(#tip)}"
)
_TIP = (
    '<marker id="tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" '
    'orient="auto"><polygon fill="#0b6e99" points="0 0 6 3 0 6"/></marker>'
)


def params() -> AcceleratorParams:
    """Return the sizes of the zoo's psp_64_4 in INT8, with tiles as `hw.gen` makes them."""
    net = intnet.read(ROOT / "model/zoo/psp_64_4_int8")
    return build(net, columns=64, columns_per_adc=8, mode="fused").params


def _box(place: tuple[int, int], name: str, does: str, file: str) -> list[str]:
    x, y = MARGIN + place[0] * ACROSS, MARGIN + place[1] * DOWN
    middle = x + WIDE // 2
    return [
        f'<rect class="box" x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="4"/>',
        f'<text class="name" x="{middle}" y="{y + 20}">{escape(name)}</text>',
        f'<text x="{middle}" y="{y + 40}">{escape(does)}</text>',
        f'<text class="file" x="{middle}" y="{y + 62}">{escape(file)}</text>',
    ]


def _arrow(start: tuple[int, int], end: tuple[int, int], label: str) -> list[str]:
    """Draw from a box to the one beside it or above or below it."""
    (column, row), (to, below) = start, end
    x, y = MARGIN + column * ACROSS, MARGIN + row * DOWN
    if row == below:
        right = to > column
        first = x + WIDE if right else x
        last = x + ACROSS if right else x - ACROSS + WIDE
        y += HIGH // 2
        text = ((first + last) // 2, y - 6)
        path = f"M{first} {y}H{last}"
    else:
        first, last = (y + HIGH, y + DOWN) if below > row else (y, y - DOWN + HIGH)
        x += WIDE // 2
        text = (x - 44, (first + last) // 2 + 4)
        path = f"M{x} {first}V{last}"
    return [f'<path d="{path}"/>', f'<text x="{text[0]}" y="{text[1]}">{escape(label)}</text>']


def draw(sizes: AcceleratorParams) -> str:
    """Return the picture as SVG; the same for the same sizes."""
    tile = sizes.tile
    boxes = {
        (0, 0): ("buffers", "one bank a row tile", "hw/buffers.py"),
        (1, 0): ("fetch", "shift, add, round", "hw/fetch.py"),
        (2, 0): ("drivers", "bit planes, ΣQ", "hw/dac.py"),
        (3, 0): ("crossbar", f"{tile.rows} × {tile.columns}, {tile.cell_bits}-bit cells",
                 "hw/crossbar.py"),
        (4, 0): ("ADCs", f"codes 0…{tile.max_code}", "hw/crossbar.py"),
        (4, 1): ("shift and add", "cells, planes, − Z·ΣQ", "hw/shift_add.py"),
        (3, 1): ("queue", "one output a cycle", "hw/sum_queue.py"),
        (2, 1): ("requantise", "bias, 2^−k, table, affine", "hw/requant.py"),
        (1, 1): ("write", "add, saturate, pool", "hw/writer.py"),
        (0, 1): ("logits", "the last layer's sums", "hw/accelerator.py"),
    }  # fmt: skip
    arrows = [
        ((0, 0), (1, 0), f"{sizes.shift.bits} bits"),
        ((1, 0), (2, 0), f"{tile.act_bits} bits"),
        ((2, 0), (3, 0), f"{tile.rows} × 1 bit"),
        ((3, 0), (4, 0), f"{tile.adcs} sums"),
        ((4, 0), (4, 1), f"{tile.adcs} × {tile.code_bits} bits"),
        ((4, 1), (3, 1), f"{tile.sum_bits} bits"),
        ((3, 1), (2, 1), f"{tile.sum_bits} bits"),
        ((2, 1), (1, 1), f"{tile.stream_bits} bits"),
        ((1, 1), (0, 1), f"{ACC_BITS} bits"),
    ]
    width, height = 4 * ACROSS + WIDE + 2 * MARGIN, DOWN + HIGH + 2 * MARGIN
    size = f'width="{width}" height="{height}"'
    # Back to the buffers, around the corner of the fetch.
    x, y = MARGIN + ACROSS + WIDE // 2, MARGIN + HIGH + (DOWN - HIGH) // 2
    back = [
        f'<path d="M{x} {MARGIN + DOWN}V{y}H{MARGIN + WIDE // 2}V{MARGIN + HIGH}"/>',
        f'<text x="{(x + MARGIN + WIDE // 2) // 2}" y="{y - 6}">{tile.stream_bits} bits</text>',
    ]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size}>',
        f"<style>{_STYLE}</style>",
        _TIP,
        f'<rect {size} fill="#fff"/>',
        *(line for place, texts in boxes.items() for line in _box(place, *texts)),
        *(line for arrow in arrows for line in _arrow(*arrow)),
        *back,
        "</svg>",
    ]
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "The walk of data through the accelerator, as a picture.")
    parser.add_argument("--update", action="store_true", help="write it")
    options = parser.parse_args(arguments)
    drawn = draw(params()).encode()
    if options.update:
        disk.replace(PICTURE, drawn)
    elif not PICTURE.is_file() or PICTURE.read_bytes() != drawn:
        return cli.failed(PROGRAM, f"{PICTURE.name} must be as drawn: {PROGRAM} --update")
    print(PICTURE.relative_to(PICTURE.parents[2]))
    return 0


if __name__ == "__main__":
    cli.run(main)
