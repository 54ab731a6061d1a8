# SPDX-License-Identifier: Apache-2.0
"""Constants of the cost model's components, fitted to ten reference runs.

``python -m scripts.fit_cost`` prints what the stored constants miss, a run and a group, and what
they would miss of each run if it were not among those that they are fitted to; ``--check`` fits
again and compares with ``model/cost/constants.toml``, ``--update`` writes that file, and the tables
of docs/cost-model.md.

A group of components is linear in its constants, so that each is found by least squares of relative
errors, with no constant below zero; the exponent of delays is found by search around that.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hw import cli, disk
from model.cost.config import Config
from model.cost.simulate import simulate
from model.cost.technology import CONSTANTS_FILE, Constants, load_constants
from scripts.cost_runs import Run, errors, figure, load_runs
from scripts.tables import insert

__all__ = ["fit", "leave_one_out", "main", "table", "text"]

PROGRAM = "python -m scripts.fit_cost"
DOCUMENT = Path(__file__).parent.parent / "docs/cost-model.md"
TELLS = 1e-10
"""Mean squared relative error by which a further constant must improve a fit: figures have six
digits."""

AGREE = 1e-4
"""Relative difference of a constant from one machine's least squares to another's."""

STEPS = (
    ("clock total", ("clock_base", "clock_stage", "clock_row")),
    ("area array", ("cell_area",)),
    ("area adc", ("comparator_area",)),
    ("area accumulation", ("shift_add_area", "tree_area")),
    ("area other", ("line_area", "tile_buffer_area", "global_buffer_area")),
    ("area interconnect", ("root_area", "tree_wire_area", "local_wire_area")),
    ("latency buffer", ("global_cycles", "tile_cycles", "pe_cycles")),
    ("latency interconnect", ("tile_bus_cycles", "pe_bus_cycles")),
    ("energy adc", ("read_energy", "comparator_energy", "column_energy")),
    ("energy accumulation", ("shift_add_energy",)),
    ("energy other", ("row_energy",)),
    ("energy buffer", ("global_buffer_energy", "tile_buffer_energy")),
    ("energy interconnect", ("tree_wire_energy", "local_wire_energy")),
    ("energy leakage", ("logic_leakage", "wire_leakage", "other_leakage")),
)
"""Figures in the order in which they are fitted, each with the constants that it is linear in."""

EXPONENT = {"clock total": ("delay_exponent", 0.0, 0.5, 2.0)}
"""The exponent by the figure with which it is searched: lowest, default, highest. The default holds
where runs do not tell: between gates, whose delay follows F, and wires, whose delay does not."""


def fit(runs: Sequence[Run]) -> Constants:
    """Return the constants that runs tell.

    Parameters
    ----------
    runs : sequence of Run
    """
    start = {field.name: 0.0 for field in dataclasses.fields(Constants)}
    constants = Constants(**(start | {"clock_base": 1e-9}))
    for target, names in STEPS:
        constants = dataclasses.replace(constants, **dict.fromkeys(names, 0.0))
        if target in EXPONENT:
            constants = _search(runs, target, names, constants)
        else:
            constants = _linear(runs, target, names, constants)[1]
    return constants


def _search(
    runs: Sequence[Run], target: str, names: tuple[str, ...], constants: Constants
) -> Constants:
    """Fit an exponent, and the constants that the figure is then linear in."""
    name, low, default, high = EXPONENT[target]

    def at(value: float) -> tuple[float, Constants]:
        return _linear(runs, target, names, dataclasses.replace(constants, **{name: value}))

    found = at(_golden(lambda value: at(value)[0], low, high))
    usual = at(default)
    return found[1] if found[0] < usual[0] - TELLS * len(runs) else usual[1]


def _linear(
    runs: Sequence[Run], target: str, names: tuple[str, ...], constants: Constants
) -> tuple[float, Constants]:
    """Fit the constants that a figure is linear in; return the squared error too."""

    def shares(constants: Constants) -> np.ndarray[Any, Any]:
        found = []
        for run in runs:
            cost = simulate(run.network, run.config, constants=constants)
            found.append(figure(cost, target) / run.figures[target])
        return np.array(found)

    # Encoders of ADCs have an area without any constant.
    fixed = shares(constants)
    columns = [shares(dataclasses.replace(constants, **{name: 1.0})) - fixed for name in names]
    values, loss = _least_squares(np.array(columns).T, 1 - fixed)
    return loss, dataclasses.replace(constants, **dict(zip(names, values, strict=True)))


def _least_squares(
    matrix: np.ndarray[Any, Any], target: np.ndarray[Any, Any]
) -> tuple[list[float], float]:
    """Return x ≥ 0 of the least (matrix·x − target)², by trying which of x are not zero.

    Where the runs cannot tell, the fewest constants are used, and of those the first.
    """
    runs, count = matrix.shape
    best: tuple[list[float], float] = ([0.0] * count, float((target**2).sum()))
    for size in range(1, count + 1):
        for used in itertools.combinations(range(count), size):
            part = matrix[:, used]
            scale = np.abs(part).max(0)
            if not scale.all():
                continue
            found, _, rank, _ = np.linalg.lstsq(part / scale, target, rcond=1e-9)
            loss = float(((part / scale @ found - target) ** 2).sum())
            if rank == size and (found >= 0).all() and loss < best[1] - TELLS * runs:
                values = np.zeros(count)
                values[list(used)] = found / scale
                best = values.tolist(), loss
    return best


def _golden(loss: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function of one valley is least, within 10^-5 of the interval."""
    ratio = (5**0.5 - 1) / 2
    width = high - low
    inner = [high - ratio * width, low + ratio * width]
    found = [loss(value) for value in inner]
    while high - low > 1e-5 * width:
        if found[0] < found[1]:
            high = inner[1]
            inner = [high - ratio * (high - low), inner[0]]
            found = [loss(inner[0]), found[0]]
        else:
            low = inner[0]
            inner = [inner[1], low + ratio * (high - low)]
            found = [found[1], loss(inner[1])]
    return (low + high) / 2


def leave_one_out(runs: Sequence[Run]) -> list[dict[str, float]]:
    """Return the errors of each run with constants that are fitted to all others."""
    return [errors(run, fit([*runs[:index], *runs[index + 1 :]])) for index, run in enumerate(runs)]


def text(constants: Constants, runs: Sequence[Run]) -> str:
    """Return ``constants.toml``: each constant with unit, meaning and source."""
    worst = _worst([errors(run, constants) for run in runs])
    joint = {name: target for target, names in STEPS for name in names}
    joint |= {name: target for target, (name, *_) in EXPONENT.items()}
    lines = [
        "# Constants of model/cost/components.py at 22 nm: python -m scripts.fit_cost --update",
        f"# {len(joint)} constants; {_independent(runs)} figures of {len(runs)} runs in",
        "# docs/results/cost_reference.json, totals not counted.",
    ]
    for field in dataclasses.fields(Constants):
        target = joint[field.name]
        source = f"fitted to {target} of the reference runs, largest error {worst[target]:.1%}"
        value = float(f"{getattr(constants, field.name):.6g}")
        lines += [
            "",
            f"[{field.name}]",
            f"value = {value!r}",
            f'unit = "{field.metadata["unit"]}"',
            f'about = "{field.metadata["about"]}"',
            f'source = "{source}"',
        ]
    return "\n".join(lines) + "\n"


def table(found: Sequence[dict[str, float]], runs: Sequence[Run]) -> str:
    """Return errors in percent, a row a figure and a column a run, in Markdown."""
    heads = [f"{run.network.name}{_changed(run.config, runs[0].config)}" for run in runs]
    lines = [f"| error in % | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name in runs[0].figures:
        # Without the sign of a zero.
        values = " | ".join(f"{round(100 * errors[name], 1) + 0.0:.1f}" for errors in found)
        lines.append(f"| {name} | {values} |")
    return "\n".join(lines)


def _changed(config: Config, usual: Config) -> str:
    """Return what a run has other than the first."""
    shown = {
        "array_rows": f"{config.array_rows}×{config.array_columns}",
        "cell_bits": f"{config.cell_bits}-bit cells",
        "adc_levels": f"{config.adc_levels} levels",
        "columns_per_adc": f"{config.columns_per_adc} columns an ADC",
        "node_nm": f"{config.node_nm:g} nm",
    }
    return "".join(
        f", {text}" for key, text in shown.items() if getattr(config, key) != getattr(usual, key)
    )


def _independent(runs: Sequence[Run]) -> int:
    """Return the number of figures, without those that follow from the others."""
    sums = ("area total", "latency total", "energy total", "efficiency total")
    return sum(name not in sums for run in runs for name in run.figures)


def _worst(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: max(abs(errors[name]) for errors in found) for name in found[0]}


def _differences(found: Constants, stored: Constants) -> list[str]:
    lines = []
    for field in dataclasses.fields(Constants):
        one, other = getattr(found, field.name), getattr(stored, field.name)
        if abs(one - other) > AGREE * max(abs(one), abs(other)):
            lines.append(f"{field.name} must be {one:.6g} as fitted, not {other:.6g}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Fit the cost model's constants to the reference runs.")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument(
        "--check", action="store_true", help="fit, and compare with the stored constants"
    )
    chosen.add_argument("--update", action="store_true", help="fit, and store the constants")
    options = parser.parse_args(arguments)
    runs = load_runs()
    if options.check:
        differences = _differences(fit(runs), load_constants())
        print("\n".join(differences) or "the stored constants are what the reference runs tell")
        return 1 if differences else 0
    stored = fit(runs) if options.update else load_constants()
    met = table([errors(run, stored) for run in runs], runs)
    predicted = table(leave_one_out(runs), runs)
    if options.update:
        disk.replace(CONSTANTS_FILE, text(stored, runs).encode())
        insert(DOCUMENT, "fit", met)
        insert(DOCUMENT, "left-out", predicted)
    print(f"{met}\n\nleft out, then predicted:\n\n{predicted}")
    return 0


if __name__ == "__main__":
    cli.run(main)
