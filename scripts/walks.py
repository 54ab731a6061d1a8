# SPDX-License-Identifier: Apache-2.0
"""The picture of the address walks in `docs/architecture.md`: one map, all eight directions.

``python -m scripts.walks`` checks that `docs/results/walks.svg` is what `hw.address.walk` gives;
``--update`` writes it. The map of 4×6 pixels has gcd(4, 6) = 2 loops of diagonals.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from hw import cli, disk
from hw.address import walk
from hw.params import Direction, ShiftParams

__all__ = ["PICTURE", "draw", "main"]

PROGRAM = "python -m scripts.walks"
PICTURE = Path(__file__).parent.parent / "docs/results/walks.svg"
PARAMS = ShiftParams(height=4, width=6)
ARROWS = dict(zip(Direction.moving(), "←→↑↓↖↗↙↘", strict=True))
CELL, MARGIN, HEAD, ACROSS = 40, 14, 30, 4
"""Pixels of a cell, around a map and above it; maps beside each other."""

_STYLE = (
    "text{font:12px sans-serif;fill:#1f2933}.name{font-weight:bold}"
    ".cell{fill:#fff;stroke:#9aa5b4}.boundary{fill:#f6d9a8}"
    ".step{text-anchor:middle}line{stroke:#0b6e99;stroke-width:1.5;marker-end:url(#tip)}"
    ".tip{fill:#0b6e99}"
)
_TIP = (
    '<marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="5" markerHeight="5" '
    'orient="auto"><path class="tip" d="M0 0L6 3L0 6z"/></marker>'
)


def _map(params: ShiftParams, direction: Direction) -> Iterator[str]:
    """Draw one direction's walk, with its upper left corner at 0, 0."""
    name = direction.name.lower().replace("_", "-")
    yield f'<text class="name" x="0" y="-9">{ARROWS[direction]} {name} ({int(direction)})</text>'
    visits = list(walk(params, direction))
    for number, visit in enumerate(visits):
        x, y = visit.column * CELL, visit.row * CELL
        kind = "cell boundary" if visit.boundary else "cell"
        yield f'<rect class="{kind}" x="{x}" y="{y}" width="{CELL}" height="{CELL}"/>'
        yield f'<text class="step" x="{x + CELL // 2}" y="{y + CELL // 2 + 4}">{number}</text>'
    for one, other in itertools.pairwise(visits):
        # A step that wraps around has no arrow: the numbers say where the walk goes on.
        down, right = other.row - one.row, other.column - one.column
        if max(abs(down), abs(right)) == 1:
            x, y = (place * CELL + CELL // 2 for place in (one.column, one.row))
            ends = [(x + share * CELL * right, y + share * CELL * down) for share in (0.3, 0.7)]
            yield '<line x1="{:g}" y1="{:g}" x2="{:g}" y2="{:g}"/>'.format(*ends[0], *ends[1])


def draw(params: ShiftParams = PARAMS) -> str:
    """Return the picture as SVG; the same for the same shape."""
    wide = params.width * CELL + 2 * MARGIN
    high = params.height * CELL + HEAD + MARGIN
    directions = Direction.moving()
    total = (ACROSS * wide, -(-len(directions) // ACROSS) * high)
    size = f'width="{total[0]}" height="{total[1]}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]} {total[1]}" {size}>',
        f"<style>{_STYLE}</style>",
        _TIP,
        f'<rect {size} fill="#fff"/>',
    ]
    for place, direction in enumerate(directions):
        x, y = place % ACROSS * wide + MARGIN, place // ACROSS * high + HEAD
        lines += [f'<g transform="translate({x} {y})">', *_map(params, direction), "</g>"]
    return "\n".join([*lines, "</svg>", ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "The walks of the eight directions, as a picture.")
    parser.add_argument("--update", action="store_true", help="write it")
    options = parser.parse_args(arguments)
    if options.update:
        disk.replace(PICTURE, draw().encode())
    elif not PICTURE.is_file() or PICTURE.read_bytes() != draw().encode():
        return cli.failed(PROGRAM, f"{PICTURE.name} must be as drawn: {PROGRAM} --update")
    print(PICTURE.relative_to(PICTURE.parents[2]))
    return 0


if __name__ == "__main__":
    cli.run(main)
