# SPDX-License-Identifier: Apache-2.0
"""Where area, latency and energy of networks go, as a picture: all on the chip of date2024_22nm.

``python -m scripts.cost_picture`` says whether ``docs/results/cost.svg`` is what the model gives;
``--update`` draws it.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hw import cli, disk
from model.cost.config_file import load
from model.cost.networks import named
from model.cost.results import area_groups, energy_groups, latency_groups
from model.cost.simulate import ChipCost, simulate
from model.cost.text import si

__all__ = ["NETWORKS", "PICTURE", "bars", "draw", "main"]

PROGRAM = "python -m scripts.cost_picture"
ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs/results/cost.svg"
STYLE = ROOT / "model/cost/report.css"

NETWORKS = ("psp_64_4", "psp_128_8", "psp_256_12", "resnet110", "vgg8")
QUANTITIES: Mapping[str, tuple[Callable[[ChipCost], dict[str, float]], Callable[[float], str]]] = {
    "area": (area_groups, lambda value: f"{1e6 * value:.3g} mm²"),
    "latency": (latency_groups, lambda value: si(value, "s")),
    "energy": (energy_groups, lambda value: si(value, "J")),
}
INK = "#1f2933"


def bars(costs: Sequence[ChipCost], quantity: str) -> list[tuple[str, dict[str, float], str]]:
    """Return a bar a network: its name, the share of each group in %, and the total as text."""
    groups, show = QUANTITIES[quantity]
    found = []
    for cost in costs:
        values = groups(cost)
        total = sum(values.values())
        shares = {name: 100 * value / total for name, value in values.items()}
        found.append((cost.network, shares, show(total)))
    return found


def draw(costs: Sequence[ChipCost]) -> bytes:
    """Draw the shares of all groups, in the colours of the report; returns an SVG."""
    import matplotlib as mpl  # takes half a second to import
    from matplotlib.figure import Figure

    colours = dict(re.findall(r"\.(\w+) \{ fill: (#\w+);", STYLE.read_text("utf-8")))
    figure = Figure(figsize=(11, 3), layout="constrained")
    parts: dict[str, Any] = {}
    for axes, quantity in zip(figure.subplots(1, 3, sharey=True), QUANTITIES, strict=True):
        for row, (_, shares, total) in enumerate(found := bars(costs, quantity)):
            left = 0.0
            for name, share in shares.items():
                bar = axes.barh(row, share, left=left, color=colours[name], height=0.72)
                parts.setdefault(name, bar)
                if share > 9:
                    axes.text(left + share / 2, row, f"{share:.0f}", ha="center", va="center",
                              fontsize=8, color=INK)  # fmt: skip
                left += share
            axes.text(102, row, total, va="center", fontsize=8, color=INK)
        axes.set_title(f"{quantity}, %", fontsize=10, color=INK)
        axes.set_yticks(range(len(found)), [name for name, _, _ in found], fontsize=9)
        axes.set_xticks([])
        axes.set_xlim(0, 124)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.axes[0].invert_yaxis()
    figure.legend(
        list(parts.values()), list(parts), loc="outside lower center", ncols=len(parts),
        frameon=False, fontsize=9,
    )  # fmt: skip
    content = io.BytesIO()
    # No date and no random names: the same model gives the same bytes.
    with mpl.rc_context({"svg.hashsalt": "shiftbar", "svg.fonttype": "none"}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return content.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Draw where area, latency and energy of networks go.")
    parser.add_argument("--update", action="store_true", help="write the picture")
    options = parser.parse_args(arguments)
    config = load("date2024_22nm")
    content = draw([simulate(named(name), config) for name in NETWORKS])
    if options.update:
        disk.replace(PICTURE, content)
    elif not PICTURE.is_file() or PICTURE.read_bytes() != content:
        print(f"{PROGRAM}: {PICTURE.name} must be that of the model: --update", file=sys.stderr)
        return 1
    print(PICTURE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    cli.run(main)
