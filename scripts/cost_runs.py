# SPDX-License-Identifier: Apache-2.0
"""The reference simulator's runs, and how far the cost model is from them.

Ten runs and the totals of further ones are in ``docs/results/cost_reference.json``.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from model.cost import config_file
from model.cost.config import Config
from model.cost.layers import Network
from model.cost.networks import named
from model.cost.simulate import ChipCost, simulate
from model.cost.technology import Constants

__all__ = ["REFERENCE", "Run", "errors", "figure", "load_runs"]

REFERENCE = Path(__file__).parent.parent / "docs/results/cost_reference.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of the reference simulator.

    Parameters
    ----------
    network : Network
    config : Config
        Counts as the reference does; the shift costs nothing, as there.
    figures : dict of str to float
        By "quantity group"; groups are disjoint, totals are named "total".
    """

    network: Network
    config: Config
    figures: dict[str, float]


def load_runs() -> list[Run]:
    """Return the reference runs of ``docs/results/cost_reference.json``."""
    base = dataclasses.replace(config_file.load("date2024_22nm"), networks={}, shift="fused")
    keys = {field.name for field in dataclasses.fields(Config)}
    runs = []
    for stored in json.loads(REFERENCE.read_text("utf-8"))["runs"]:
        config = dataclasses.replace(base, **{k: v for k, v in stored.items() if k in keys})
        runs.append(Run(named(stored["network"]), config, _figures(stored)))
    return runs


def _figures(stored: dict[str, Any]) -> dict[str, float]:
    area, latency, energy = stored["area_m2"], stored["latency_s"], stored["energy_j"]
    found = {"clock total": stored["clock_period_s"]}
    found |= {f"area {group}": value for group, value in area.items()}
    found |= {
        "latency total": latency["total"],
        "latency buffer": latency["global_and_local_buffer"],
        "latency interconnect": latency["interconnect"],
        "latency adc": latency["adc"],
        "latency accumulation": latency["accumulation"],
        "latency other": latency["other"]
        - latency["global_and_local_buffer"] - latency["interconnect"],
        "energy total": energy["dynamic"] + energy["leakage"],
        "energy leakage": energy["leakage"],
        "energy buffer": energy["buffer"],
        "energy interconnect": energy["interconnect"],
        "energy adc": energy["adc"],
        "energy accumulation": energy["accumulation"],
        "energy other": energy["other"] - energy["buffer"] - energy["interconnect"],
        "efficiency total": stored["tops_per_watt"],
    }  # fmt: skip
    return found


def figure(cost: ChipCost, name: str) -> float:
    """Return what a simulation has for one of a run's figures."""
    quantity, group = name.split()
    if group == "total":
        return {
            "clock": lambda: cost.period_s,
            "area": lambda: cost.area,
            "latency": lambda: cost.latency,
            "energy": lambda: cost.energy,
            "efficiency": cost.tops_per_watt,
        }[quantity]()
    return cost.leakage if group == "leakage" else cost.group(quantity, group)


def errors(run: Run, constants: Constants) -> dict[str, float]:
    """Return the relative error of each figure of a run."""
    cost = simulate(run.network, run.config, constants=constants)
    return {name: figure(cost, name) / value - 1 for name, value in run.figures.items()}
