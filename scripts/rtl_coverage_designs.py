# SPDX-License-Identifier: Apache-2.0
"""The designs whose RTL is covered, and why some of it need not move.

Accelerators run the networks on which faults are seeded, all of them in one model, loaded one after
the other, and one more; shift module and tile run their own tests of co-simulation.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cosim import fast, runner, vectors
from cosim.design import Block, bundle, emit_block
from cosim.run import check_in_one_go, rtl
from cosim.tile_jobs import job
from cosim.tile_vectors import draw
from hw.accelerator import Accelerator
from hw.image import build
from hw.params import ShiftParams
from hw.shift import ShiftModule
from hw.tile import Tile
from hw.tile_params import TileParams
from hw.timing import tile_cycles
from model import agreement
from model.intnet import Crossbar
from model.random_intnet import change
from scripts import mutate_networks
from scripts.mutate_accelerator import COUNTER_BITS
from scripts.mutate_networks import Case
from scripts.rtl_coverage_reasons import FUSED, IN_PLACE, TILE_ALONE, Reasons

__all__ = ["DESIGNS", "Measured"]

SHIFT = ShiftParams(height=16, width=16, bits=8)
TILE = TileParams(
    rows=6, columns=16, columns_per_adc=2, cell_bits=2, weight_bits=4, act_bits=4, adc_bits=3,
    crossbars=2, passes=2, pages=3, tables=2, stream_bits=6,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Measured:
    """A design that is measured.

    Parameters
    ----------
    block : callable
        Returns its Verilog.
    run : callable
        Runs it, and returns what Verilator has written; takes the block.
    reasons : tuple of (str, str)
        Why something need not move, and a pattern of its whole name: ``module: bit``, or
        ``module: line``.
    """

    block: Callable[[], Block]
    run: Callable[[Block], list[str]]
    reasons: Reasons = ()


def accelerator(name: str, reasons: Reasons) -> Measured:
    """Return one of the accelerators of `scripts.mutate_networks`."""

    def block() -> Block:
        params = cases_of(name)[0].image.params
        return emit_block(Accelerator(params=params, counter_bits=COUNTER_BITS), "accelerator")

    return Measured(block, lambda block: run_networks(block, cases_of(name)), reasons)


@functools.cache
def cases_of(name: str) -> list[Case]:
    """Return an accelerator's networks, and the first again with other second affines, if any."""
    cases = mutate_networks.DESIGNS[name]()
    net = cases[0].net
    for number, layer in enumerate(each for each in net.layers if isinstance(each, Crossbar)):
        second = layer.periphery.second if layer.periphery is not None else None
        if second is not None:
            affine = dataclasses.replace(second.affine, fraction_bits=15 - number)
            net = change(net, layer.name, second=dataclasses.replace(second, affine=affine))
    if net is cases[0].net:
        return cases
    params = cases[0].image.params
    tile = params.tile
    image = build(net, columns=tile.columns, columns_per_adc=tile.columns_per_adc, mode=params.mode)
    return [*cases, Case(net, image, cases[0].pixels)]


def run_networks(block: Block, cases: Sequence[Case]) -> list[str]:
    """Run networks on their images, which must be right."""
    library = fast.build(block, coverage=True)
    with tempfile.TemporaryDirectory() as folder, fast.Model(library, cases[-1].image) as model:
        buffers = range(len(cases[0].image.params.buffers))
        for number, case in enumerate(cases, 1):
            print(f"network {number} of {len(cases)}", file=sys.stderr)
            model.load(case.image)
            model.fill(-1)
            for buffer in buffers:
                model.get_map(buffer)
            agreement.agree(case.net, case.pixels, [rtl(case.net, case.image, model)])
            last = case.pixels[-1]
            check_in_one_go(case.net, case.image, model, last, counter_bits=COUNTER_BITS)
        file = Path(folder, "coverage.dat")
        model.coverage(file)
        return [file.read_text(encoding="utf-8")]


def run_shift(block: Block) -> list[str]:
    """Run all tests of the shift module."""
    maps = vectors.random_maps(SHIFT, 16, seed=1)
    parameters = {"block": block.name, "seed": 1} | dataclasses.asdict(SHIFT)
    arrays = {"maps": maps, "moved": vectors.moved(maps)}
    return [simulate(block, "cosim.body_shift_module", parameters, arrays)]


def run_tile(block: Block) -> list[str]:
    """Run all tests of the tile, on mixed work and on such whose cycles are known."""
    mixed = draw(TILE, seed=1, vectors=16)
    jobs = [job(mixed, None)]
    for count in (1, 6):
        steady = draw(TILE, seed=1, vectors=count, steady=True)
        jobs.append(job(steady, tile_cycles(TILE, vectors=count)))
    widths = {
        port.removesuffix("__payload"): width
        for kind, port, width in block.ports
        if kind == "input" and port.endswith("__payload")
    }
    contents = {"program": mixed.program(), "entries": mixed.entries()}
    parameters = {"block": block.name, "seed": 1, "widths": widths}
    return [
        simulate(block, "cosim.body_tile", parameters | {"contents": contents, "jobs": jobs}, {})
    ]


def simulate(
    block: Block, body: str, parameters: dict[str, object], arrays: dict[str, np.ndarray]
) -> str:
    """Run cocotb's tests, which must pass, and return what Verilator has written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        design = bundle(f"{block.name}_coverage", [block])
        runner.run(
            design, "verilator", body, folder=folder, parameters=parameters, arrays=arrays,
            coverage=True,
        )  # fmt: skip
        return (folder / "coverage.dat").read_text(encoding="utf-8")


DESIGNS: dict[str, Measured] = {
    "SP, in place": accelerator("SP, in place", IN_PLACE),
    "residual, two crossbars": accelerator("residual, two crossbars", FUSED),
    "shift module": Measured(
        lambda: emit_block(ShiftModule(params=SHIFT), "shift_module"), run_shift
    ),
    "tile": Measured(
        lambda: emit_block(Tile(params=TILE, counter_bits=16), "tile"), run_tile, TILE_ALONE
    ),
}
