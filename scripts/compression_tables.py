# SPDX-License-Identifier: Apache-2.0
"""What `scripts.compression` has recorded of compressed networks, as tables and as a figure."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from model.cell_energy import Skip

__all__ = ["PAPERS", "STYLES", "draw", "energy_table", "papers_table", "runs_table"]

PAPERS = (
    ("Huai et al.", "VGG-16, CIFAR-10", 88.25, 93.28, 93.71, "–"),
    ("Huai et al.", "ResNet-56, CIFAR-10", 51.36, 93.34, 93.20, "–"),
    ("Huai et al.", "ResNet-18, ImageNet", 50.50, 69.79, 68.82, "–"),
    ("Karimzadeh", "ResNet-20, CIFAR-10", None, None, None, "up to 5"),
)
"""Sparsity, accuracy before and after in %, times less energy, as printed."""

INK, GRID = "#1f2933", "#dde3e8"
STYLES = {
    "none": ("#1f2933", "o"), "aligned": ("#c2571a", "s"),
    "twofold": ("#0b6e99", "^"), "joint": ("#7a3e9d", "D"),
}  # fmt: skip
"""Colour and marker of each method."""


def _trained(run: Mapping[str, Any]) -> str:
    """Return the epochs of a run's compression: as floats, then for integers."""
    return " + ".join(map(str, run["epochs"])) or "–"


def _times(run: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]) -> float | None:
    """Return how many times less energy a run takes than its network, not compressed."""
    plain = [
        each for each in runs if each["network"] == run["network"] and each["method"] == "none"
    ]
    return plain[0]["energy_pj"]["none"] / run["energy_pj"]["rows"] if plain else None


def runs_table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return accuracy, crossbars, energy and cycles of each run, in Markdown."""
    lines = [
        (
            "| run | method | asked, % | epochs | zeros, % | accuracy, % | crossbars | nJ | less "
            "| cycles |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        times = _times(run, runs)
        cycles = "–" if run["cycles"] is None else f"{run['cycles']:,}"
        lines.append(
            f"| {run['name']} | {run['method']} | {100 * run['sparsity']['asked']:.0f} | "
            f"{_trained(run)} | "
            f"{100 * run['zeros'] / run['weights']:.1f} | **{100 * run['accuracy']:.2f}** | "
            f"{run['used']} of {run['pages']} | "
            f"{run['energy_pj']['rows'] / 1e3:.1f} | "
            f"{'–' if times is None else f'{times:.2f}×'} | {cycles} |"
        )
    return "\n".join(lines)


def energy_table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return what is read of each run, by pattern, and by what is skipped, in Markdown."""
    lines = [
        "| run | 00, % | 01, % | 10, % | 11, % | all read, nJ | gated | skipped | conversions |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        cells = max(1, sum(run["pairs"]))
        shares = " | ".join(f"{100 * count / cells:.1f}" for count in run["pairs"])
        energies = " | ".join(f"{run['energy_pj'][skip] / 1e3:.1f}" for skip in get_args(Skip))
        adc = run["adc_pj"]["rows"] / 1e3
        lines.append(f"| {run['name']} | {shares} | {energies} | {adc:.1f} |")
    return "\n".join(lines)


def papers_table() -> str:
    """Return what the papers report, in Markdown."""
    lines = [
        "| paper | network | sparsity, % | accuracy before, % | after | times less energy |",
        "|---|---|---|---|---|---|",
    ]
    for paper, network, *figures, energy in PAPERS:
        shown = " | ".join("–" if each is None else f"{each:.2f}" for each in figures)
        lines.append(f"| {paper} | {network} | {shown} | {energy} |")
    return "\n".join(lines)


def _label(run: Mapping[str, Any]) -> str:
    """Return what stands beside a point: what was asked for, and how long it was trained."""
    if run["method"] == "none":
        return str(run["name"])
    return f"{100 * run['sparsity']['asked']:g} %, {_trained(run)} epochs"


def draw(runs: Sequence[Mapping[str, Any]]) -> bytes:
    """Draw accuracy against the energy of cells and against crossbars, a row of each network.

    Returns
    -------
    bytes
        An SVG. Crossbars are a share of the network's own: their sizes differ.
    """
    import matplotlib as mpl  # takes half a second to import
    from matplotlib.figure import Figure

    networks = list(dict.fromkeys(run["network"] for run in runs))
    figure = Figure(figsize=(11, 4.2 * len(networks)), layout="constrained")
    rows = figure.subplots(len(networks), 2, sharey="row", squeeze=False)
    handles = {}
    for network, (energy, crossbars) in zip(networks, rows, strict=True):
        own = [run for run in runs if run["network"] == network]
        for method in dict.fromkeys(run["method"] for run in own):
            colour, marker = STYLES[method]
            mine = [run for run in own if run["method"] == method]
            mine.sort(key=lambda run: run["sparsity"]["asked"])
            ys = [100 * run["accuracy"] for run in mine]
            # Runs that are not compressed are no curve.
            line = "" if method == "none" else "-"
            for axes, xs in (
                (energy, [run["energy_pj"]["rows"] / 1e3 for run in mine]),
                (crossbars, [100 * run["used"] / run["pages"] for run in mine]),
            ):
                handles[method], *_ = axes.plot(
                    xs, ys, line, marker=marker, color=colour, linewidth=1, label=method
                )
                for run, x, y in zip(mine, xs, ys, strict=True):
                    axes.annotate(
                        _label(run), (x, y), (4, 4), textcoords="offset points", fontsize=7
                    )
        for axes, label in ((energy, "cells that are read, nJ"), (crossbars, "crossbars left, %")):
            axes.set_xlabel(label, color=INK)
            axes.margins(x=0.25, y=0.1)  # room for what stands beside the points
            axes.set_xlim(left=0)
            axes.grid(color=GRID)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        energy.set_ylabel(f"{network}: accuracy, %", color=INK)
    figure.legend(handles.values(), handles, loc="outside right upper", frameon=False)
    content = io.BytesIO()
    # No date and no random names: the same runs give the same bytes.
    with mpl.rc_context({"svg.hashsalt": "shiftbar", "svg.fonttype": "none"}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return content.getvalue()
