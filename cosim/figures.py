# SPDX-License-Identifier: Apache-2.0
"""Pictures: channels before and after the shift, and what a simulation recorded as a waveform."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hw.params import Direction, ShiftParams, group_size

if TYPE_CHECKING:
    from cosim.waveform import Trace

__all__ = ["draw_channels", "draw_trace", "draw_waveform"]

ARROWS = dict(zip(Direction.moving(), "←→↑↓↖↗↙↘", strict=True))
INK, ACCENT, PALE = "#1f2933", "#0b6e99", "#dcebf2"


def _name(direction: Direction) -> str:
    return direction.name.lower().replace("_", "-")


def draw_channels(
    file: Path,
    image: npt.NDArray[np.uint8],
    before: npt.NDArray[Any],
    after: npt.NDArray[Any],
    title: str,
) -> None:
    """Draw an image, and the first channel of each group before and after the shift.

    Parameters
    ----------
    file : Path
        PNG to write.
    image : numpy.ndarray
        uint8 [3, 32, 32].
    before, after : numpy.ndarray
        Signed pixels [C, H, W].
    title : str
    """
    from matplotlib.figure import Figure  # takes half a second to import

    group = group_size(len(before))
    limit = int(np.abs(before[: 8 * group : group]).max())
    figure = Figure(figsize=(15, 3.9), dpi=120, layout="constrained")
    figure.suptitle(title, color=INK, fontsize=13)
    grid = figure.add_gridspec(2, 10, width_ratios=[1.9, *[1] * 8, 0.12])
    picture = figure.add_subplot(grid[:, 0])
    picture.imshow(image.transpose(1, 2, 0), interpolation="nearest")
    picture.set_title("image, 32×32", color=INK, fontsize=11)
    picture.set_axis_off()
    shown = None
    for direction in Direction.moving():
        for row, values in enumerate((before, after)):
            axes = figure.add_subplot(grid[row, 1 + direction])
            shown = axes.imshow(
                values[direction * group],
                cmap="RdBu_r",
                vmin=-limit,
                vmax=limit,
                interpolation="nearest",
            )
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                heading = f"{ARROWS[direction]} {_name(direction)}\nchannel {direction * group}"
                axes.set_title(heading, color=INK, fontsize=11)
            if direction == 0:
                axes.set_ylabel(("before", "after")[row], color=INK, fontsize=12)
    assert shown is not None
    bar = figure.colorbar(shown, cax=figure.add_subplot(grid[:, 9]))
    bar.set_label("pixel (int8); vacated pixels are 0", color=INK, fontsize=10)
    figure.savefig(file)


def draw_waveform(file: Path, trace: Trace, params: ShiftParams, title: str) -> None:
    """Draw one operation of a ShiftModule, with a column a cycle.

    Parameters
    ----------
    file : Path
        PNG to write.
    trace : dict of str to list
        Values by signal and cycle, as `cosim.waveform.read_trace` returns them.
    params : ShiftParams
        Shape of the channel.
    title : str
    """
    from matplotlib.figure import Figure

    cycles = len(trace["start"])
    accepted = next(
        cycle for cycle in range(cycles) if trace["start"][cycle] and trace["ready"][cycle]
    )
    done = trace["done"].index(1)
    rows = ["clk", *(name for name in trace if name != "clk")]
    figure = Figure(
        figsize=(max(12, 0.62 * cycles), 0.52 * len(rows) + 1.9), dpi=120, layout="constrained"
    )
    axes = figure.add_subplot()
    axes.set_title(title, color=INK, fontsize=13)
    phases = [
        ("IDLE", 0, accepted + 1),
        ("CONFIG", accepted + 1, accepted + 2),
        ("SHIFT: one pixel a cycle", accepted + 2, done + 1),
        ("IDLE", done + 1, cycles),
    ]
    for number, (phase, start, end) in enumerate(phases):
        axes.axvspan(start, end, color=PALE if number % 2 else "white", zorder=0, linewidth=0)
        axes.text(
            (start + end) / 2,
            0.75,
            phase,
            ha="center",
            va="center",
            fontsize=9,
            color=ACCENT,
            fontweight="bold",
        )
    _draw_rows(axes, trace, rows, lambda name: _labels(name, params))
    axes.set_xticks(np.arange(cycles) + 0.5, [str(cycle - accepted) for cycle in range(cycles)])
    axes.set_xlabel(
        "cycle, counted from the one that takes start.   mem_addr: row,column.   "
        "mem_rdata is random, on purpose, where the module must not use it."
    )
    axes.set_ylim(-len(rows) - 0.1, 1.2)
    figure.savefig(file)


def draw_trace(file: Path, trace: Trace, labels: Mapping[str, Callable[[int], str]]) -> None:
    """Draw signals, with a column a cycle, as an SVG; the same trace gives the same bytes.

    Parameters
    ----------
    file : Path
    trace : dict of str to list
        Values by signal and cycle; None where a signal says nothing.
    labels : mapping of str to callable
        How a signal's values are shown; as plain numbers, if they are not among them.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = ["clk", *trace]
    cycles = len(trace[rows[1]])
    figure = Figure(figsize=(0.55 * cycles + 2, 0.4 * len(rows) + 0.5), layout="constrained")
    axes = figure.add_subplot()
    _draw_rows(axes, trace, rows, lambda name: labels.get(name, str), nothing="")
    axes.set_xticks(np.arange(cycles) + 0.5, [str(cycle) for cycle in range(cycles)])
    axes.set_ylim(-len(rows) - 0.1, 0.1)
    with mpl.rc_context({"svg.hashsalt": "shiftbar", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def _draw_rows(
    axes: Any, trace: Trace, rows: Sequence[str], label: Callable[[str], Any], nothing: str = "?"
) -> None:
    """Draw clock, levels and buses, one below the other."""
    cycles = len(trace[rows[-1]])
    for number, name in enumerate(rows):
        base = -number - 0.7
        if name == "clk":
            times = np.repeat(np.arange(2 * cycles + 1) / 2, 2)[1:-1]
            axes.plot(
                times,
                base + 0.6 * (np.arange(2 * cycles).repeat(2) % 2 == 0),
                color=INK,
                linewidth=1,
            )
        elif set(trace[name]) <= {0, 1} and name != "direction":
            levels = np.array(trace[name], float).repeat(2)
            axes.plot(
                np.repeat(np.arange(cycles + 1), 2)[1:-1],
                base + 0.6 * levels,
                color=ACCENT,
                linewidth=1.6,
            )
        else:
            _draw_bus(axes, trace[name], base, label(name), nothing)
    axes.set_yticks([-number - 0.4 for number in range(len(rows))], rows, family="monospace")
    axes.set_xlim(0, cycles)
    axes.tick_params(length=0, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _labels(name: str, params: ShiftParams) -> Any:
    """Return how a bus shows a value."""
    if name == "direction":
        return lambda value: f"{value}"
    if name == "mem_addr":
        mask = (1 << params.column_bits) - 1
        return lambda value: f"{value >> params.column_bits},{value & mask}"
    return str


def _draw_bus(axes: Any, values: list[int | None], base: float, label: Any, nothing: str) -> None:
    """Draw hexagons, one for each run of equal values; without ``nothing``, none for None."""
    start = 0
    for end in range(1, len(values) + 1):
        if end < len(values) and values[end] == values[start]:
            continue
        value = values[start]
        if value is None and not nothing:
            axes.plot([start, end], [base + 0.3] * 2, color=PALE, linewidth=1)
            start = end
            continue
        slope = 0.08
        axes.fill(
            [start, start + slope, end - slope, end, end - slope, start + slope],
            [base + 0.3, base + 0.6, base + 0.6, base + 0.3, base, base],
            facecolor="white",
            edgecolor=INK,
            linewidth=1,
        )
        text = nothing if value is None else label(value)
        axes.text(
            (start + end) / 2, base + 0.29, text, ha="center", va="center", fontsize=9, color=INK
        )
        start = end
