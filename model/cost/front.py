# SPDX-License-Identifier: Apache-2.0
"""The Pareto front of a sweep: energy, latency, area, and accuracy where it was measured. A leaf.

A smaller network always costs less, so designs are compared within one network; designs of two
networks are compared where the accuracy of both is known.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from model.cost.accuracy import Integers, integers
from model.cost.config import Config
from model.cost.space import Cost, Point, configured, network

__all__ = ["Design", "csv_text", "designs", "draw", "front", "markdown", "row"]

INK, GRID, REST = "#1f2933", "#dde3e8", "#c3ccd5"
COLOURS = ("#0b6e99", "#c2571a", "#3f7d20", "#7a3e9d", "#b8860b", "#a61e4d")
MARKERS = "os^DvPX*"


class Design(NamedTuple):
    """A point with what it costs.

    Parameters
    ----------
    point : Point
    cost : Cost
    accuracy : float, optional
        In %, where it was measured.
    lossless : bool
        Whether its ADCs lose nothing, so that its accuracy is that of the integer network.
    """

    point: Point
    cost: Cost
    accuracy: float | None
    lossless: bool

    @property
    def network(self) -> str:
        """Name of its network."""
        return f"psp_{self.point.width}_{self.point.depth}"


def designs(
    costs: Mapping[Point, Cost], base: Config, measured: Mapping[Integers, float]
) -> list[Design]:
    """Return the points of a sweep with their accuracies, in order."""
    found = []
    for point in sorted(costs):
        known = integers(network(point.width, point.depth), configured(point, base))
        found.append(Design(point, costs[point], measured.get(known), not known.converter))
    return found


def front(found: Sequence[Design]) -> list[Design]:
    """Return the designs that no other one dominates, by network and energy.

    One dominates another if it is nowhere worse and somewhere better in energy, latency, area and
    accuracy. Where it is unknown, ADCs that lose nothing count as most accurate within a network
    and those that saturate as least; of two networks neither dominates then.
    """
    if not found:
        return []
    costs = np.array([design.cost for design in found])
    known = np.array([design.accuracy is not None for design in found])
    accuracies = np.array([_worth(design) for design in found])
    scores = np.column_stack([costs, -accuracies])
    names = np.array([design.network for design in found])
    kept = []
    for index, design in enumerate(found):
        rivals = (names == names[index]) | (known & known[index])
        nowhere_worse = (scores <= scores[index]).all(1)
        somewhere_better = (scores < scores[index]).any(1)
        if not (rivals & nowhere_worse & somewhere_better).any():
            kept.append(design)
    return sorted(kept, key=lambda design: (design.point[:2], design.cost, design.point))


def _worth(design: Design) -> float:
    if design.accuracy is None:
        return 100.0 if design.lossless else 0.0
    return design.accuracy


def row(design: Design) -> dict[str, Any]:
    """Return a design as a row of a table: µJ, ms, mm², %."""
    return {
        "network": design.network,
        **design.point._asdict(),
        "energy_uj": 1e6 * design.cost.energy,
        "latency_ms": 1e3 * design.cost.latency,
        "area_mm2": 1e6 * design.cost.area,
        "lossless": design.lossless,
        "accuracy": design.accuracy,
    }


def csv_text(found: Sequence[Design]) -> str:
    """Return designs as CSV with a head line; floats have six digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for number, each in enumerate(map(row, found)):
        if number == 0:
            writer.writerow(each)
        writer.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in each.values())
    return text.getvalue()


def markdown(found: Sequence[Design]) -> str:
    """Return designs as a table in Markdown."""
    heads = ("network", "array", "cell bits", "ADC bits", "columns an ADC", "shift", "energy µJ",
             "latency ms", "area mm²", "ADC", "accuracy %")  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for design in found:
        point, each = design.point, row(design)
        accuracy = "–" if design.accuracy is None else f"{design.accuracy:.2f}"
        lines.append(
            f"| {design.network} | {point.array}×{point.array} | {point.cell_bits} | "
            f"{point.adc_bits} | {point.columns_per_adc} | {point.shift} | "
            f"{each['energy_uj']:.3f} | {each['latency_ms']:.3f} | {each['area_mm2']:.3f} | "
            f"{'lossless' if design.lossless else 'saturates'} | {accuracy} |"
        )
    return "\n".join(lines)


def draw(found: Sequence[Design], best: Sequence[Design], title: str) -> bytes:
    """Draw energy against latency and area, and the front of each network; returns an SVG."""
    import matplotlib as mpl  # takes half a second to import
    from matplotlib.figure import Figure

    widths = sorted({design.point.width for design in found})
    depths = sorted({design.point.depth for design in found})
    everything = list(map(row, found))
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    figure.suptitle(title, color=INK, fontsize=12)
    panels = figure.subplots(1, 2, sharey=True)
    quantities = {"latency_ms": "latency, ms", "area_mm2": "area, mm²"}
    for axes, (what, label) in zip(panels, quantities.items(), strict=True):
        axes.scatter(
            [each[what] for each in everything], [each["energy_uj"] for each in everything],
            s=5, color=REST, linewidths=0,
        )  # fmt: skip
        for name in dict.fromkeys(design.network for design in best):
            mine = [each for each in map(row, best) if each["network"] == name]
            colour = widths.index(mine[0]["width"]) % len(COLOURS)
            marker = depths.index(mine[0]["depth"]) % len(MARKERS)
            axes.scatter(
                [each[what] for each in mine], [each["energy_uj"] for each in mine],
                s=26, color=COLOURS[colour], edgecolors="white", marker=MARKERS[marker],
                linewidths=0.5, label=name,
            )  # fmt: skip
        measured = [each for each in map(row, best) if each["accuracy"] is not None]
        axes.scatter(
            [each[what] for each in measured], [each["energy_uj"] for each in measured],
            s=70, facecolors="none", edgecolors=INK, linewidths=1,
            label="accuracy known" if measured else None,
        )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(label, color=INK)
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("energy an image, µJ", color=INK)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
    content = io.BytesIO()
    # No date and no random names: the same designs give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "shiftbar", "svg.fonttype": "none"}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    # A narrow window shows it smaller, not cut.
    return content.getvalue().replace(b"<svg ", b'<svg style="max-width: 100%; height: auto" ', 1)
