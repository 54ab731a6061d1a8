# SPDX-License-Identifier: Apache-2.0
"""Mutation check of tile and accelerator: single faults in each block, small networks must notice.

Yosys seeds the faults in the flat accelerator, all of them in one netlist, with a number that says
which is active: so one model is compiled, and a fault costs a second. A fault counts as caught if
a map, a logit, a cycle, a number of words written or an activity counter is another than it must
be. What nothing notices, `scripts.mutate_invisible` must prove invisible.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from cosim import fast
from cosim.design import Block, emit_block
from cosim.run import check_in_one_go, rtl
from cosim.runner import BuildError
from fpga import yosys
from hw import timing
from hw.accelerator import Accelerator
from hw.accelerator_params import AcceleratorParams
from model import agreement
from model.agreement import MismatchError
from scripts import mutate_invisible
from scripts.mutate_networks import DESIGNS, Case
from scripts.rtl_faults import LINT, Fault, list_faults
from scripts.verdicts import Verdict

__all__ = ["BLOCKS", "Mutated", "check", "judge", "mutated"]

BLOCKS = {
    "tile": r"c:$flatten\tile.$*",
    "driver": r"c:$flatten\tile.\driver.*",
    "crossbar": r"c:$flatten\tile.\crossbar_*",
    "shift_add": r"c:$flatten\tile.\shift_add.*",
    "requant": r"c:$flatten\tile.\requant.*",
    "sequencer": r"c:$flatten\sequencer.*",
    "feed": r"c:$flatten\feed.*",
    "fetch": r"c:$flatten\fetch.*",
    "writer": r"c:$flatten\writer.*",
    "buffers": r"c:$flatten\buffers.*",
    "pass": r"c:$flatten\shift.*",
}
"""Where faults are seeded: Yosys' names of a block's cells; a fused accelerator has no pass."""

SPARSE = {block: BLOCKS[block] for block in ("tile", "driver", "sequencer")} | {
    "queue": r"c:$flatten\tile.\queue.*",
    "mask_store": r"c:$flatten\tile.\driver.\store.*",
    "mask_unit": r"c:$flatten\mask_unit.$*",
    "register": r"c:$flatten\mask_unit.\register_*",
}
"""In an accelerator of masked, pruned networks: what skips pages, and what gates rows."""

NUMBER = "SHIFTBAR_FAULT"
"""Environment variable: the active fault, from 1 on; 0 is none."""

WIDTH = 16

LOOK = 37
"""Every so many cycles of an image counters are looked at."""

COUNTER_BITS = 8
"""Width of the activity counters here: they overflow, so that every bit of them matters."""


@dataclasses.dataclass(frozen=True)
class Mutated:
    """An accelerator with faults.

    Parameters
    ----------
    block : Block
        With all of them, and a number that says which is active.
    faults : sequence of Fault
        Number 1 first.
    sound : str
        The netlist in which they were seeded, in RTLIL.
    """

    block: Block
    faults: Sequence[Fault]
    sound: str


def mutated(params: AcceleratorParams, count: int) -> Mutated:
    """Return an accelerator with ``count`` faults a block."""
    sound = emit_block(Accelerator(params=params, counter_bits=COUNTER_BITS), "accelerator")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sound.v").write_text(sound.text, encoding="utf-8")
        flat = [
            "read_verilog sound.v",
            f"hierarchy -top {sound.name}",
            "proc -norom",  # a table in a memory would be one with any contents to a proof
            "flatten",
            "opt -full",  # what nothing depends on cannot be faulty
            "wreduce",
            "memory_collect",
            "opt_clean -purge",
            f"rename {sound.name} mutated",
            "write_rtlil flat.il",
        ]
        faults = list_faults(flat, folder, count, _blocks(params))
        seeds = [f"{fault.command} -ctrl number {WIDTH} {n}" for n, fault in enumerate(faults, 1)]
        yosys.run(["read_rtlil flat.il", *seeds, "write_verilog -noattr mutated.v"], folder)
        text = (folder / "mutated.v").read_text(encoding="utf-8")
        netlist = (folder / "flat.il").read_text(encoding="utf-8")
    ports = ",\n".join(f"  {kind} [{bits - 1}:0] {port}" for kind, port, bits in sound.ports)
    joins = ", ".join(f".{port}({port})" for _, port, _ in sound.ports)
    wrapper = (
        f"module {sound.name}(\n{ports}\n);\n  reg [{WIDTH - 1}:0] number;\n"
        f'  initial number = $c32("std::atoi(std::getenv(\\"{NUMBER}\\"))");\n'
        f"  mutated mutated ({joins}, .number(number));\nendmodule\n"
    )
    return Mutated(Block(sound.name, LINT + text + wrapper, sound.ports), faults, netlist)


def _blocks(params: AcceleratorParams) -> dict[str, str]:
    """Return where faults of an accelerator are seeded."""
    if params.tile.masks:
        return SPARSE
    skipped = "pass" if params.mode == "fused" else ""
    return {block: cells for block, cells in BLOCKS.items() if block != skipped}


def judge(library: Path, cases: Sequence[Case], number: int) -> str:
    """Run the networks with a fault; return what noticed it first, or an empty string."""
    for case in cases:
        try:
            found = _activity(library, case, number)
        except MismatchError as error:
            what = re.search(r": (cycles|writes|logits)", str(error))
            return what[1] if what else "maps"
        if found != _activity(library, case, 0):
            return "activity"
    return ""


def _activity(library: Path, case: Case, number: int) -> list[dict[str, int]]:
    """Run a network with a fault, if nothing notices that; return what is counted, again and again.

    After each image, and within one, since a bit that is inverted an even number of times looks
    untouched.
    """
    os.environ[NUMBER] = str(number)
    counted: list[dict[str, int]] = []
    with fast.Model(library, case.image) as model:
        _check_host(model, case.image.params)
        look = functools.partial(_append, counted, model)
        agreement.agree(case.net, case.pixels, [rtl(case.net, case.image, model, advance=look)])
    with fast.Model(library, case.image) as model:  # counts words from 0 on: they do not overflow
        check_in_one_go(case.net, case.image, model, case.pixels[-1], counter_bits=COUNTER_BITS)
        _append(counted, model)
        for _ in range(timing.accelerator_cycles(case.image.params) // LOOK):
            model.run(limit=LOOK - 1)
            _append(counted, model)
    return counted


def _check_host(model: fast.Model, params: AcceleratorParams) -> None:
    """Write every buffer as the host does, then read them all.

    What lies between maps is not 0, so that it matters that nothing from there is used.
    """
    model.fill(-1)
    low, high = -1 << (params.shift.bits - 1), 1 << (params.shift.bits - 1)
    shape = params.channels, params.shift.height, params.shift.width
    maps = np.random.default_rng(1).integers(low, high, (len(params.buffers), *shape))
    for buffer, values in enumerate(maps):
        model.put_map(buffer, values)
    for buffer, values in enumerate(maps):
        if not np.array_equal(model.get_map(buffer), values):
            name = params.buffers[buffer]
            raise MismatchError(f"host: maps must hold what was written, as {name} does not")


def _append(counted: list[dict[str, int]], model: fast.Model) -> None:
    counted.append(model.counters())


def check(*, count: int = 6, jobs: int = 2) -> list[Verdict]:
    """Judge ``count`` faults of each block, in each of the designs."""
    return [verdict for name in DESIGNS for verdict in _check_design(name, count, jobs)]


def _check_design(name: str, count: int, jobs: int) -> list[Verdict]:
    cases = DESIGNS[name]()
    params = cases[0].image.params
    made = mutated(params, count)
    library = fast.build(made.block)
    if judge(library, cases, 0):
        raise BuildError(f"{name}: the accelerator must be sound where no fault is active")
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        numbers = range(1, len(made.faults) + 1)
        found = pool.map(functools.partial(judge, library, cases), numbers)
        shown = track(found, name, total=len(made.faults), disable=not sys.stderr.isatty())
        caught = dict(zip(made.faults, shown, strict=True))
    unnoticed = [fault for fault, by in caught.items() if not by]
    proven = mutate_invisible.prove(made.sound, unnoticed, params)
    return [
        Verdict(name, fault.block, fault.text, "caught", by)
        if by
        else Verdict(name, fault.block, fault.text, "invisible", proven[fault])
        if fault in proven
        else Verdict(name, fault.block, fault.text, "missed", "")
        for fault, by in caught.items()
    ]
