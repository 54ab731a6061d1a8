# SPDX-License-Identifier: Apache-2.0
"""What `cosim.run` prints of images that were run in RTL, and equal the golden executor's."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from hw import timing
from hw.accelerator_params import AcceleratorParams
from hw.accesses import accelerator_accesses
from model.intnet import Crossbar, IntNet, digest

__all__ = ["Counters", "Result", "as_json", "counters", "layers", "summary"]

Counters = dict[str, dict[str, int]]
"""Counts of all images by layer and by name, `cosim.fast.COUNTERS`."""


@dataclasses.dataclass(frozen=True)
class Result:
    """Images in one mode; simulation has found what `hw.timing` and `hw.accesses` say.

    Parameters
    ----------
    net : IntNet
    params : AcceleratorParams
    images : int
    compared : int
        Numbers that equal the golden executor's.
    counts : dict
        What the hardware has counted of the first image: `cosim.fast.COUNTERS`.
    cycles_per_s : float
        Of the simulation, by processor time.
    counted : dict
        `Counters`: what the RTL has counted.
    """

    net: IntNet
    params: AcceleratorParams
    images: int
    compared: int
    counts: dict[str, int]
    cycles_per_s: float
    counted: Counters

    def facts(self) -> dict[str, Any]:
        """Return what is printed, by name: cycles and accesses of an image, counts of the first."""
        accesses = accelerator_accesses(self.params)
        layers = self.params.layers
        pages = sum(layer.groups * layer.crossbars for layer in layers)
        stored = sum(layer.stored for layer in layers)
        return {
            "compared": self.compared,
            "mismatches": 0,
            "cycles": timing.accelerator_cycles(self.params),
            "bound": timing.accelerator_bound(self.params),
            "shift_cycles": accesses.shift_cycles,
            "map_reads": accesses.reads,
            **self.counts,
            "pages": stored,
            "absent_pages": pages - stored,
            "cycles_per_s": round(self.cycles_per_s),
        }

    def layers(self) -> list[dict[str, Any]]:
        """Return the layers: cycles of an image, and numbers that were compared in all."""
        entries = {layer.name: layer for layer in self.params.layers}
        found = []
        for layer in self.net.layers:
            maps = [layer.out]
            line: dict[str, Any] = {"name": layer.name, "cycles": 0, "bound": 0, "shift_cycles": 0}
            if layer.name in entries:
                entry = entries[layer.name]
                line["cycles"] = timing.layer_cycles(self.params, entry)
                line["bound"] = timing.layer_bound(self.params, entry)
                line["shift_cycles"] = timing.pass_cycles(self.params, entry)
            if isinstance(layer, Crossbar) and layer.periphery is not None:
                second = layer.periphery.second
                maps += [second.out] if second is not None else []
            sizes = (int(np.prod(self.net.maps[name].shape)) for name in maps)
            found.append(line | {"compared": self.images * sum(sizes)})
        return found


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """Return all results by mode."""
    return {result.params.mode: result.facts() | {"layers": result.layers()} for result in results}


def counters(result: Result) -> str:
    """Return what the RTL has counted, for `model.cost.counters`: sums over images, as JSON."""
    found = {
        "digest": digest(result.net),
        "images": result.images,
        "page_outputs": result.params.tile.outputs,
        "layers": result.counted,
    }
    return json.dumps(found, indent=1) + "\n"


def summary(results: Sequence[Result]) -> str:
    """Return a table of all facts, a column a mode."""
    columns = [result.facts() for result in results]
    rows = ["".join(["an image".ljust(16), *(f"{result.params.mode:>14}" for result in results)])]
    for name in columns[0]:
        label = name.replace("_", " ").replace("per s", "/s").ljust(16)
        rows.append("".join([label, *(f"{facts[name]:14,}" for facts in columns)]))
    return "\n".join(rows)


def layers(results: Sequence[Result]) -> str:
    """Return a line a layer and mode."""
    rows = [
        f"{'layer':20} {'mode':>9} {'cycles':>8} {'bound':>8} {'shift':>8} {'compared':>10} wrong"
    ]
    for result in results:
        for line in result.layers():
            rows.append(
                f"{line['name']:20} {result.params.mode:>9} {line['cycles']:8,} {line['bound']:8,} "
                f"{line['shift_cycles']:8,} {line['compared']:10,}     0"
            )
    return "\n".join(rows)
