# SPDX-License-Identifier: Apache-2.0
"""Proves of faults in the flat accelerator that nobody can see them.

A fault is followed to the registers, memories and ports that its cell leads to, with all that
these depend on in the same cycle: a SAT solver must say that none of them can differ. Registers
and memories may hold anything; if that is too much, only what the schedule brings: the entry of
each layer in turn, with each column group of it; that there is no other is assumed. Both sides
begin a cycle alike, so they end it alike: induction.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from fpga import yosys
from hw.accelerator_params import AcceleratorParams
from hw.sequencer import entry_layout, entry_of
from scripts.rtl_faults import Fault

__all__ = ["prove"]

ANY_STATE = "SAT, any state"
SCHEDULED = "SAT, every step of the schedule"


def prove(
    netlist: str, faults: Sequence[Fault], params: AcceleratorParams | None = None
) -> dict[Fault, str]:
    """Return the faults that are proven invisible, and how.

    Parameters
    ----------
    netlist : str
        The sound design: one module ``mutated``, in RTLIL.
    faults : sequence of Fault
    params : AcceleratorParams, optional
        Of an accelerator: also try with what its schedule brings.
    """
    proven: dict[Fault, str] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sound.il").write_text(netlist, encoding="utf-8")
        for fault in faults:
            if _invisible(folder, fault, [[]]):
                proven[fault] = ANY_STATE
            elif params and _invisible(folder, fault, list(_steps(params))):
                proven[fault] = SCHEDULED
    return proven


def _steps(params: AcceleratorParams) -> Iterator[list[str]]:
    """Give the commands that hold the sequencer in each of its places in the schedule."""
    layout = entry_layout(params)
    for layer in params.layers:
        bits = layout.const(entry_of(params, layer)).as_bits()
        entry = f"connect -set sequencer.entry {layout.size}'b{bits:0{layout.size}b}"
        for group in range(layer.groups):
            width = params.group_bits
            yield [entry, f"connect -set sequencer.group {width}'b{group:0{width}b}"]


def _invisible(folder: Path, fault: Fault, steps: Sequence[Sequence[str]]) -> bool:
    """Whether the logic around a fault does, in each of the steps, what it does without it."""
    commands = [
        "read_rtlil sound.il",
        "setattr -unset init mutated/w:*",
        "setattr -set keep 1 mutated/c:*",  # a register that is held must still end alike
        "design -save sound",
    ]
    for hold in steps:
        commands += [
            "design -load sound",
            "cd mutated",
            *hold,
            "splitnets -format @",  # bits that nothing reads must not become ports
            f"select -set around c:{fault.cell} %coe* %cie* t:* %i",
            "submod -name gold @around",
            "cd",
            "copy gold gate",
            fault.command.replace("-module mutated", "-module gate"),
            "miter -equiv -flatten gold gate both",
            "sat -timeout 60 -prove trigger 0 both",
        ]
    return yosys.run(commands, folder).count("SUCCESS!") == len(steps)
