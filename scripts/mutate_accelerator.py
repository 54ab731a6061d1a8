# SPDX-License-Identifier: Apache-2.0
"""Mutation check of tile and accelerator: single faults in each block, small networks must notice.

Yosys seeds the faults in the flat accelerator, all of them in one netlist, with a number that says
which is active: so one model is compiled, and a fault costs a second. A fault counts as caught if
a map, a logit, a cycle or the number of words written is another than it must be.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from cosim import fast
from cosim.design import Block
from cosim.run import check_in_one_go, rtl
from cosim.runner import BuildError
from fpga import yosys
from hw.accelerator_params import AcceleratorParams
from hw.image import Image, build
from model import agreement
from model.agreement import MismatchError
from model.intnet import IntNet
from scripts.mutate import Verdict, list_faults
from tests.intnets import images, random_net

__all__ = ["BLOCKS", "DESIGNS", "Case", "check", "judge", "mutated"]

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

NUMBER = "SHIFTBAR_FAULT"
"""Environment variable: the active fault, from 1 on; 0 is none."""

WIDTH = 16

LINT = "/* verilator lint_off CASEOVERLAP */\n/* verilator lint_off UNOPTFLAT */\n"
"""A bit that a fault ties to another of the same port looks like a loop; it is none."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A network with its accelerator and the images that it is run on."""

    net: IntNet
    image: Image
    pixels: npt.NDArray[np.uint8]


def mutated(params: AcceleratorParams, count: int) -> tuple[Block, list[tuple[str, str]]]:
    """Return an accelerator with ``count`` faults a block, and the block and text of each fault."""
    sound = fast.accelerator_block(params)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sound.v").write_text(sound.text, encoding="utf-8")
        flat = [
            "read_verilog sound.v",
            f"hierarchy -top {sound.name}",
            "proc",
            "flatten",
            "opt -full",  # what nothing depends on cannot be faulty
            "wreduce",
            "opt_clean -purge",
            f"rename {sound.name} mutated",
        ]
        cells = {
            block: f"{chosen} t:$meminit* %d"  # contents are loaded, so what they were is nothing
            for block, chosen in BLOCKS.items()
            if block != "pass" or params.mode == "in_place"
        }
        faults = list_faults(flat, folder, count, cells)
        seeds = [
            f"{fault} -ctrl number {WIDTH} {n}" for n, (_, fault) in enumerate(faults, start=1)
        ]
        yosys.run([*flat, *seeds, "write_verilog -noattr mutated.v"], folder)
        text = (folder / "mutated.v").read_text(encoding="utf-8")
    ports = ",\n".join(f"  {kind} [{bits - 1}:0] {port}" for kind, port, bits in sound.ports)
    joins = ", ".join(f".{port}({port})" for _, port, _ in sound.ports)
    wrapper = (
        f"module {sound.name}(\n{ports}\n);\n  reg [{WIDTH - 1}:0] number;\n"
        f'  initial number = $c32("std::atoi(std::getenv(\\"{NUMBER}\\"))");\n'
        f"  mutated mutated ({joins}, .number(number));\nendmodule\n"
    )
    return Block(sound.name, LINT + text + wrapper, sound.ports), faults


def judge(library: Path, cases: Sequence[Case], number: int) -> str:
    """Run the networks with a fault; return what noticed it first, or an empty string."""
    for case in cases:
        try:
            sound, faulty = (_activity(library, case, active) for active in (0, number))
        except MismatchError as error:
            found = re.search(r"cycles|writes|logits", str(error))
            return found[0] if found else "maps"
        if sound != faulty:
            return "activity"
    return ""


def _activity(library: Path, case: Case, number: int) -> list[dict[str, int]]:
    """Run a network with a fault, if nothing notices that; return what is counted, image by image.

    Image by image, since a bit that is inverted an even number of times looks untouched.
    """
    os.environ[NUMBER] = str(number)
    counted: list[dict[str, int]] = []
    with fast.Model(library, case.image) as model:
        look = functools.partial(_append, counted, model)
        agreement.agree(case.net, case.pixels, [rtl(case.net, case.image, model, advance=look)])
        check_in_one_go(case.net, case.image, model, case.pixels[-1])
        look()
    return counted


def _append(counted: list[dict[str, int]], model: fast.Model) -> None:
    counted.append(model.counters())


def cases_of(form: str, mode: str, **options: int) -> list[Case]:
    """Return networks with other numbers for one and the same accelerator."""
    cases = []
    for seed in (7, 8, 9):
        net = random_net(form, seed, side=8, **options)
        image = build(net, columns=16, columns_per_adc=4, mode=mode)
        cases.append(Case(net, image, images(net, 4, seed)))
    return cases


def check(*, count: int = 6, jobs: int = 2) -> list[Verdict]:
    """Judge ``count`` faults of each block, in each of the designs."""
    verdicts = []
    for name, cases in DESIGNS.items():
        networks = cases()
        block, faults = mutated(networks[0].image.params, count)
        library = fast.build(block)
        if judge(library, networks, 0):
            raise BuildError(f"{name}: the accelerator must be sound where no fault is active")
        with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
            numbers = range(1, len(faults) + 1)
            found = pool.map(functools.partial(judge, library, networks), numbers)
            shown = track(found, name, total=len(faults), disable=not sys.stderr.isatty())
            for (part, fault), by in zip(faults, shown, strict=True):
                outcome = "caught" if by else "open"
                verdicts.append(Verdict(name, part, fault, outcome, by))
    return verdicts


DESIGNS: dict[str, Callable[[], list[Case]]] = {
    "SP, in place": functools.partial(
        cases_of, "sp", "in_place", width=14, array_rows=16, depth=1, stream_bits=10, classes=3
    ),
    "residual, two crossbars": functools.partial(
        cases_of, "residual", "fused", width=24, array_rows=12, depth=1
    ),
}
"""Networks that together use every block: both ways to shift, one and two banks."""
