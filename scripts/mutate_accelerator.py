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
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track

from cosim import fast
from cosim.design import Block, emit_block
from cosim.run import check_in_one_go, rtl
from cosim.runner import BuildError
from fpga import yosys
from hw import timing
from hw.accelerator import Accelerator
from hw.accelerator_params import AcceleratorParams
from hw.image import Image, build
from model import agreement
from model.agreement import MismatchError
from model.intnet import Crossbar, IntNet
from model.intnet_layers import MAX_K, MIN_K
from scripts import mutate_invisible
from scripts.mutate import Fault, Verdict, list_faults
from tests.intnets import change, images, random_net

__all__ = ["BLOCKS", "DESIGNS", "Case", "Mutated", "check", "judge", "mutated"]

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

LOOK = 37
"""Every so many cycles of an image counters are looked at."""

COUNTER_BITS = 8
"""Width of the activity counters here: they overflow, so that every bit of them matters."""

LINT = "".join(
    f"/* verilator lint_off {rule} */\n" for rule in ("CASEOVERLAP", "UNOPTFLAT", "WIDTHTRUNC")
)
"""A bit that a fault ties to another of the same port looks like a loop, but is none; and Yosys
shifts in all bits even where it has found that few of them are used."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A network with its accelerator and the images that it is run on."""

    net: IntNet
    image: Image
    pixels: npt.NDArray[np.uint8]


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
        cells = {
            block: chosen
            for block, chosen in BLOCKS.items()
            if block != "pass" or params.mode == "in_place"
        }
        faults = list_faults(flat, folder, count, cells)
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
    """Write every buffer as the host does, then read them all."""
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


def cases_of(
    form: str,
    mode: str,
    *,
    side: int,
    columns: int,
    columns_per_adc: int,
    short: str = "",
    **options: int,
) -> list[Case]:
    """Return networks with other numbers for one and the same accelerator.

    The layer ``short`` takes three bits of each activation.
    """
    nets = [_any_zero_point(random_net(form, seed, side=side, **options)) for seed in range(7, 12)]
    if short:
        nets = [_fewer_bits(net, short, 3) for net in nets]
    nets[2:] = _alike(nets[2]), _quiet(nets[3]), _loud(nets[4])
    cases = []
    for seed, net in enumerate(nets):
        image = build(net, columns=columns, columns_per_adc=columns_per_adc, mode=mode)
        cases.append(Case(net, image, images(net, 6, seed)))
    return cases


def _any_zero_point(net: IntNet) -> IntNet:
    """Let Z be odd, another one in each layer."""
    for number, layer in enumerate(each for each in net.layers if isinstance(each, Crossbar)):
        net = change(net, layer.name, zero_point=(91 + 54 * number) % (1 << layer.weight_bits))
    return net


def _fewer_bits(net: IntNet, name: str, bits: int) -> IntNet:
    """Let a layer take activations of fewer bits."""
    for layer in net.layers:
        if layer.name == name and isinstance(layer, Crossbar) and layer.periphery is not None:
            table = layer.periphery.table[: 1 << bits] >> (layer.act_bits - bits)
            net = change(net, name, act_bits=bits, table=table)
    return net


def _alike(net: IntNet) -> IntNet:
    """Let all rows have the same weights: columns of cells are full, bit by bit."""
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            rows = np.repeat(layer.weights[:1], len(layer.weights), axis=0)
            net = change(net, layer.name, weights=rows)
    return net


def _loud(net: IntNet) -> IntNet:
    """Let weights and activations be the largest: sums are, and all wordlines are high."""
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            top = np.full_like(layer.weights, (1 << layer.weight_bits) - 1)
            net = change(net, layer.name, weights=top)
            affine = layer.periphery.affine if layer.periphery is not None else None
            if affine is not None:
                fields = {"sign": 0, "exponent": 0, "offset": np.iinfo(np.int16).max}
                full = {name: np.full_like(getattr(affine, name), v) for name, v in fields.items()}
                net = change(net, layer.name, affine=dataclasses.replace(affine, **full))
    return net


def _quiet(net: IntNet) -> IntNet:
    """Let sums be small, k and the fractions of the affines any: each of their bits matters."""
    source = np.random.default_rng(1)
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            shape = layer.weights.shape
            near = layer.zero_point + source.integers(-1, 1, shape, endpoint=True)
            bias = source.integers(-8, 8, shape[1], np.int32)
            net = change(net, layer.name, weights=near.astype(np.uint8), bias=bias)
            if layer.periphery is not None and layer.periphery.affine is not None:
                k = source.integers(MIN_K, MAX_K, shape[1], np.int8, endpoint=True)
                bits = int(source.integers(16))
                affine = dataclasses.replace(layer.periphery.affine, fraction_bits=bits)
                net = change(net, layer.name, k=k, affine=affine)
    return net


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


DESIGNS: dict[str, Callable[[], list[Case]]] = {
    "SP, in place": functools.partial(
        cases_of,
        "sp",
        "in_place",
        side=10,
        columns=30,
        columns_per_adc=3,
        width=18,
        depth=1,
        classes=14,
        array_rows=18,
        cell_bits=4,
        adc_bits=7,
        act_bits=3,
        stream_bits=10,
    ),
    "residual, two crossbars": functools.partial(
        cases_of,
        "residual",
        "fused",
        side=10,
        columns=60,
        columns_per_adc=3,
        width=32,
        depth=1,
        classes=35,
        short="body.0.second",
        array_rows=16,
        cell_bits=4,
    ),
}
"""Networks that together use every block: both ways to shift, one and two banks, layers of fewer
bits and crossbars than others, ADCs that saturate and such that do not.

A page puts out more sums than it takes cycles, so that the tile's queue fills. Columns an ADC,
pixels, vectors of an image are odd in number, in one of them at least: a bit that is inverted
twice is as it was.
"""
