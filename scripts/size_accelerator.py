# SPDX-License-Identifier: Apache-2.0
"""Size of psp_64_4's accelerator, block by block, and what an Arty A7-35T has.

Mapped module by module, which tells where cells are; flattened, it is a little smaller.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.progress import track

from hw import budget
from hw.accelerator import Accelerator
from hw.accelerator_params import SHIFT_MODES
from hw.image import build
from hw.load import contents
from model import intnet
from scripts import netlist
from scripts.netlist import TOP, Modules, Size

__all__ = ["blocks", "compare", "measure", "summary", "table"]

NETWORK = Path(__file__).parent.parent / "model/zoo/psp_64_4_int8"
LIMITS = {"lut": 20_800, "ff": 41_600, "block_rams": budget.BOARDS["arty_a7_35t"], "dsp": 0}
"""What an Arty A7-35T has (Xilinx DS180); of its DSP blocks none is wanted."""

TOLERANCE = {"lut": 0.02, "ff": 0, "carry4": 0, "ramb36": 0, "ramb18": 0, "dsp": 0}
"""Share of a stored figure by which another release of the same Yosys may differ."""

EXPANDED = (TOP, f"{TOP}.tile")
"""Modules that are shown as the modules below them, and a rest."""

Figures = Mapping[str, int]


def measure(network: Path = NETWORK) -> dict[str, Any]:
    """Synthesise a network's accelerator, in both shift modes."""
    net = intnet.read(network)
    modes = {}
    for mode in track(SHIFT_MODES, description="accelerator", disable=not sys.stderr.isatty()):
        image = build(net, mode=mode)
        component = Accelerator(params=image.params, contents=contents(image))
        modules = netlist.synthesise(component, flatten=False)
        stores = budget.stores(image.params).values()
        modes[mode] = {
            "whole": _figures(netlist.count(modules)),
            "blocks": {name: _figures(size) for name, size in blocks(modules).items()},
            "predicted_ramb18": sum(store.halves for store in stores),
        }
    return {
        "network": {"name": net.name, "sha256": intnet.digest(net)},
        "tolerance": TOLERANCE,
        "limits": LIMITS,
        "modes": modes,
    }


def _figures(size: Size) -> dict[str, int]:
    """Return what is stored: ``block_rams`` are of 36 Kbit, a lone half one as well."""
    return dataclasses.asdict(size) | {"block_rams": size.ramb36 + -(-size.ramb18 // 2)}


def blocks(modules: Modules) -> dict[str, Size]:
    """Return the size of each block, with what lies below it, by its path."""
    found = {}
    for name in filter(modules.__contains__, EXPANDED):
        found[name] = netlist.count(modules, name, below=False)
        kinds = {cell["type"] for cell in modules[name]["cells"].values()}
        for kind in kinds & modules.keys() - set(EXPANDED):
            if kind.startswith(f"{TOP}."):
                found[kind] = netlist.count(modules, kind)
    return {name.replace(TOP, "accelerator", 1): found[name] for name in sorted(found)}


def compare(found: dict[str, Any], baseline: dict[str, Any]) -> list[str]:
    """Return a line for every figure that is missing, off, or above its limit."""
    lines = []
    for mode, new in found["modes"].items():
        whole = new["whole"]
        lines += [
            f"accelerator {mode}: {key} {whole[key]}, at most {limit}"
            for key, limit in baseline["limits"].items()
            if whole[key] > limit
        ]
        halves = 2 * whole["ramb36"] + whole["ramb18"]
        if halves != new["predicted_ramb18"]:
            lines.append(
                f"accelerator {mode}: {halves} halves of a block RAM, "
                f"{new['predicted_ramb18']} by hw.budget"
            )
        old = baseline["modes"][mode]
        pairs = [("whole", whole, old["whole"])]
        for name in sorted(new["blocks"].keys() | old["blocks"].keys()):
            pairs.append((name, new["blocks"].get(name), old["blocks"].get(name)))
        for name, now, was in pairs:
            lines += [
                f"accelerator {mode} {name}: {line}"
                for line in _differences(now, was, baseline["tolerance"])
            ]
    return lines


def _differences(
    now: Figures | None, was: Figures | None, tolerance: Mapping[str, float]
) -> Iterator[str]:
    if now is None or was is None:
        yield "on one side only"
        return
    for key, share in tolerance.items():
        if abs(now[key] - was[key]) > was[key] * share:
            yield f"{key} {now[key]}, stored {was[key]}"


def table(results: dict[str, Any]) -> str:
    """Return the table of blocks, in Markdown."""
    modes = results["modes"]
    rows = [
        "| LUT, FF, CARRY4, block RAM | " + " | ".join(modes) + " |",
        "|---" * (len(modes) + 1) + "|",
    ]
    names = sorted({name for found in modes.values() for name in found["blocks"]})
    for name in names:
        rest = ", the rest" if name.replace("accelerator", TOP, 1) in EXPANDED else ""
        cells = [_cell(found["blocks"].get(name)) for found in modes.values()]
        rows.append(f"| `{name}`{rest} | {' | '.join(cells)} |")
    cells = [_cell(found["whole"]) for found in modes.values()]
    rows.append(f"| **all** | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(size: Figures | None) -> str:
    if size is None:
        return "–"
    ram = size["ramb36"] + size["ramb18"] / 2
    return f"{size['lut']}, {size['ff']}, {size['carry4']}, {ram:g}"


def summary(results: dict[str, Any]) -> str:
    """Return the README's rows, in Markdown."""
    limits = results["limits"]
    rows = [
        f"| {results['network']['name']}, the whole accelerator | LUT | FF | block RAM | DSP |",
        "|---|---|---|---|---|",
    ]
    for mode, found in results["modes"].items():
        size = found["whole"]
        rows.append(
            f"| {mode.replace('_', ' ')} | **{size['lut']:,}** | **{size['ff']:,}** | "
            f"**{size['block_rams']}** | **{size['dsp']}** |"
        )
    rows.append(
        f"| Arty A7-35T | {limits['lut']:,} | {limits['ff']:,} | {limits['block_rams']} | |"
    )
    return "\n".join(rows)
