# SPDX-License-Identifier: Apache-2.0
"""What a routed design uses of its part, and how fast nextpnr estimates it to be.

Delays of routing, carry chains, multiplexers and block RAMs come from prjxray's database, those of
LUTs and flip-flops are plausible constants, pads have none: the frequency is an estimate. nextpnr
counts the resources of the die (a 35T is a 50T); here they are compared with those of the part. A
leaf: the standard library and ``fpga.boards``.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fpga.boards import Board, Limits
from fpga.netlist_guard import Modules

__all__ = ["Use", "fault", "figures", "placed", "shortage", "slowness", "synthesised", "table"]


@dataclasses.dataclass(frozen=True)
class Use:
    """What a design takes: LUTs of 6 inputs, flip-flops, block RAMs of 36 and 18 Kbit, pads."""

    luts: int
    ffs: int
    ramb36: int
    ramb18: int
    pads: int

    @property
    def block_rams(self) -> float:
        """Block RAMs of 36 Kbit; one of 18 is half."""
        return self.ramb36 + self.ramb18 / 2


def synthesised(modules: Modules, top: str) -> Use:
    """Count the cells of a flat netlist of Yosys: LUT1–6, INV and shift-register LUTs as LUTs."""
    return _count([cell["type"] for cell in modules[top]["cells"].values()])


def _count(kinds: list[str]) -> Use:
    def number(pattern: str) -> int:
        return sum(re.fullmatch(pattern, kind) is not None for kind in kinds)

    return Use(
        luts=number(r"LUT[1-6]|INV|SRL\w+"),
        ffs=number(r"FD[RSCP]E"),
        ramb36=number("RAMB36E1"),
        ramb18=number("RAMB18E1"),
        pads=number("[IO]BUF|IBUFDS"),
    )


def placed(modules: Modules, top: str) -> Use:
    """Count what is occupied in a netlist of nextpnr.

    Two functions in one LUT count as one, as a vendor's report counts them; LUTs through which
    nextpnr only routes count too. Each pin of a differential pair is a pad.
    """
    sites: dict[str, set[str]] = {"SLICE_LUTX": set(), "SLICE_FFX": set()}
    kinds = []
    for cell in modules[top]["cells"].values():
        kinds.append(cell["type"])
        if cell["type"] in sites:
            sites[cell["type"]].add(cell["attributes"]["NEXTPNR_BEL"])
    return Use(
        luts=len({re.sub("[56]LUT$", "", site) for site in sites["SLICE_LUTX"]}),
        ffs=len(sites["SLICE_FFX"]),
        ramb36=kinds.count("RAMB36E1_RAMB36E1"),
        ramb18=kinds.count("RAMB18E1_RAMB18E1"),
        pads=kinds.count("PAD"),
    )


def shortage(use: Use, limits: Limits) -> str | None:
    """Say what a part has too little of; None if the design fits."""
    needs = {
        "LUTs": (use.luts, limits.luts),
        "flip-flops": (use.ffs, limits.ffs),
        "block RAMs": (use.block_rams, limits.block_rams),
    }
    short = [f"{need:g} {name} of {has}" for name, (need, has) in needs.items() if need > has]
    return f"it must fit the part, not take {', '.join(short)}" if short else None


def slowness(timing: dict[str, Any], clock_hz: int, divide: int = 1) -> str | None:
    """Say what is wrong with nextpnr's timing report; None if it meets its clocks.

    Parameters
    ----------
    timing : dict
        nextpnr's ``--report``.
    clock_hz : int
        Of the board.
    divide : int
        The design's clock is that much slower; the board's then drives what divides it.
    """
    wanted = sorted({clock_hz / divide / 1e6, clock_hz / 1e6})
    clocks = sorted(timing.get("fmax", {}).values(), key=lambda clock: clock["constraint"])
    if len(clocks) != len(wanted):
        return f"the number of clocks must be {len(wanted)}, not {len(clocks)}"
    for clock, megahertz in zip(clocks, wanted, strict=True):
        if abs(clock["constraint"] - megahertz) > 0.01:
            return f"the clock's constraint must be {megahertz:g} MHz, not {clock['constraint']:g}"
        if clock["achieved"] < megahertz:
            return (
                f"the estimated frequency must be at least {megahertz:g} MHz, "
                f"not {clock['achieved']:.1f}: another SEED may do"
            )
    return None


def fault(use: Use, timing: dict[str, Any], board: Board, divide: int = 1) -> str | None:
    """Say why a routed design does not do on a board; None if it does."""
    return shortage(use, board.limits) or slowness(timing, board.clock_hz, divide)


def figures(folder: Path, board: Board, divide: int, seconds: dict[str, float]) -> dict[str, Any]:
    """Return what is known of a routed design.

    Parameters
    ----------
    folder : Path
        With ``netlist.json``, ``routed.json``, ``timing.json``, ``nextpnr.log``, and ``top.bits``
        if it became a bitstream.
    board : Board
    divide : int
        The design's clock is that much slower than the board's.
    seconds : dict
        Of the last build, by stage.
    """
    modules = json.loads((folder / "netlist.json").read_text("utf-8"))["modules"]
    routed = json.loads((folder / "routed.json").read_text("utf-8"))["modules"]
    timing = json.loads((folder / "timing.json").read_text("utf-8"))
    log = (folder / "nextpnr.log").read_text("utf-8", "replace")
    use = placed(routed, "top")
    clocks = [(clock["constraint"], clock["achieved"]) for clock in timing.get("fmax", {}).values()]
    return {
        "board": board.name,
        "part": board.part,
        "synthesised": dataclasses.asdict(synthesised(modules, "top")),
        "placed": dataclasses.asdict(use),
        "limits": dataclasses.asdict(board.limits),
        "clock_mhz": board.clock_hz / divide / 1e6,
        "fmax_estimate_mhz": round(min(clocks, default=(0.0, 0.0))[1], 2),
        "hold_warnings": len(re.findall(r"^Warning: Hold/min time violation", log, re.MULTILINE)),
        "fault": fault(use, timing, board, divide),
        "seconds": seconds,
    }


def table(found: dict[str, Any], kept: Sequence[str] = ()) -> str:
    """Return the figures as lines of text.

    Parameters
    ----------
    found : dict
        From `figures`.
    kept : sequence of str
        Stages that the last build took over from earlier ones.
    """
    use, before, limits = found["placed"], found["synthesised"], found["limits"]
    blocks = use["ramb36"] + use["ramb18"] / 2
    rows = [
        ("", "used", f"of {found['part']}", "before packing"),
        ("LUT", use["luts"], limits["luts"], before["luts"]),
        ("flip-flop", use["ffs"], limits["ffs"], before["ffs"]),
        ("block RAM", f"{blocks:g}", limits["block_rams"], ""),
        ("  RAMB36, RAMB18", f"{use['ramb36']}, {use['ramb18']}", "", ""),
        ("pad", use["pads"], "", ""),
    ]
    lines = [f"{a:<17} {b!s:>8} {c!s:>20} {d!s:>15}".rstrip() for a, b, c, d in rows]
    lines.append(
        f"fmax {found['fmax_estimate_mhz']:.1f} MHz by estimate, {found['clock_mhz']:g} wanted; "
        f"{found['hold_warnings']} hold warnings"
    )
    took = found["seconds"]
    lines.append(
        f"{sum(took.values()):.1f} s: "
        + ", ".join(f"{name} {stage:.1f}" for name, stage in took.items())
        + (f"; from before: {', '.join(kept)}" if kept else "")
    )
    if "bits_sha256" in found:
        lines.append(f"configuration bits, sha256: {found['bits_sha256']}")
    return "\n".join(lines)
