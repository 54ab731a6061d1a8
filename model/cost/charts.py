# SPDX-License-Identifier: Apache-2.0
"""Charts of the cost report as inline SVG: stacked bars, and maps of crossbars.

Colours are classes of the page's style sheet (``report.css``). A leaf.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from model.cost.occupancy import Occupancy, Rectangle
from model.cost.text import si

__all__ = ["crossbars", "legend", "scale", "stacked"]

_LABEL, _BAR, _VALUE = 200, 560, 90
_ROW = 22
_LETTERS = 28
"""Characters of a label that fit."""
_GAP = 6
"""Pixels between lines that can be told apart; a grid that is finer is left out."""
_INSIDE = 44
"""Pixels of a part that its share fits in."""


def stacked(rows: Sequence[tuple[str, Mapping[str, float]]], unit: str, *, shares: bool) -> str:
    """Return one horizontal bar a row, of parts with a colour each.

    Parameters
    ----------
    rows : sequence of tuple
        Label, and values by part, not negative.
    unit : str
        Of the values; integers are counts.
    shares : bool
        Whether each bar is as long as the others, with the shares in it.
    """
    longest = max(sum(values.values()) for _, values in rows)
    width, height = _LABEL + _BAR + _VALUE, _ROW * len(rows)
    lines = [f'<div class="wide"><svg class="bars" viewBox="0 0 {width} {height}" role="img">']
    for number, (label, values) in enumerate(rows):
        lines += _bar(number * _ROW, label, values, unit, longest, shares)
    return "\n".join([*lines, "</svg></div>"])


def _bar(
    top: int, label: str, values: Mapping[str, float], unit: str, longest: float, shares: bool
) -> Iterable[str]:
    total = sum(values.values())
    whole = (total if shares else longest) or 1.0
    middle = top + _ROW / 2 + 4
    yield (
        f'<text x="{_LABEL - 8}" y="{middle:g}" class="label">{escape(_short(label))}'
        f"<title>{escape(label)}</title></text>"
    )
    left = float(_LABEL)
    for name, value in values.items():
        wide = _BAR * value / whole
        if wide < 0.05:
            continue
        share = 100 * value / total
        yield (
            f'<rect x="{left:.2f}" y="{top + 2}" width="{wide:.2f}" height="{_ROW - 4}" '
            f'class="{name}"><title>{escape(label)}, {name}: {_value(value, unit)}, '
            f"{share:.1f} %</title></rect>"
        )
        if shares and wide >= _INSIDE:
            center = left + wide / 2
            yield f'<text x="{center:.2f}" y="{middle:g}" class="inside">{share:.1f} %</text>'
        left += wide
    yield f'<text x="{left + 6:.2f}" y="{middle:g}">{_value(total, unit)}</text>'


def _value(value: float, unit: str) -> str:
    """Return areas in mm², which no prefix makes of m², counts whole, all else with a prefix."""
    if isinstance(value, int):
        return f"{value:,} {unit}"
    return f"{1e6 * value:.3f} mm²" if unit == "m²" else si(value, unit)


def _short(label: str) -> str:
    if len(label) <= _LETTERS:
        return label
    half = _LETTERS // 2
    return f"{label[: half - 1]}…{label[-half:]}"


def legend(names: Iterable[str]) -> str:
    """Return which colour is which part."""
    items = (f'<span><i class="{name}"></i>{name}</span>' for name in names)
    return f'<p class="legend">{"".join(items)}</p>'


def scale(shown: Iterable[Occupancy]) -> float:
    """Return pixels a cell, so that all maps of a page have the same, and the widest fits."""
    widest = max(max(each.height, each.width) for each in shown)
    return min(0.5, 440 / widest)


def crossbars(shown: Occupancy, pixels: float) -> str:
    """Return a map of what a layer owns.

    Parameters
    ----------
    shown : Occupancy
    pixels : float
        A cell.
    """
    width, height = shown.width, shown.height
    size = f'width="{max(8, width * pixels):.1f}" height="{max(8, height * pixels):.1f}"'
    lines = [
        f'<svg class="map" viewBox="0 0 {width} {height}" {size} role="img">',
        f'<rect width="{width}" height="{height}" class="idle"/>',
    ]
    for name in ("used", "copied", "absent"):
        if rectangles := getattr(shown, name):
            lines.append(f'<path class="{name}" d="{_path(rectangles)}"/>')
    if min(shown.array_rows, shown.array_columns) * pixels >= _GAP:
        lines.append(_grid(shown, shown.array_rows, shown.array_columns, "array-line"))
    if shown.block * pixels >= _GAP:
        lines.append(_grid(shown, shown.block, shown.block, "tile-line"))
    return "\n".join([*lines, "</svg>"])


def _path(rectangles: Iterable[Rectangle]) -> str:
    return "".join(
        f"M{each.left} {each.top}h{each.width}v{each.height}h-{each.width}z" for each in rectangles
    )


def _grid(shown: Occupancy, down: int, along: int, name: str) -> str:
    across = "".join(f"M0 {top}h{shown.width}" for top in range(0, shown.height + 1, down))
    upright = "".join(f"M{left} 0v{shown.height}" for left in range(0, shown.width + 1, along))
    return f'<path class="{name}" d="{across}{upright}"/>'
