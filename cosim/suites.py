# SPDX-License-Identifier: Apache-2.0
"""What the suites ``cosim/test_*.py`` have in common: seeded faults, and runs on whole channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cosim import simulators, vectors
from cosim.design import Block, Design
from cosim.runner import run
from hw.params import ShiftParams

__all__ = [
    "SMALL",
    "VERILATOR_IS_SLOW",
    "SeededFault",
    "each_fault",
    "faulty",
    "more",
    "run_on_maps",
]

SMALL = ShiftParams(height=4, width=4, bits=8)
"""The channel of the blocks in which faults of the shift are seeded."""

_ALONE = simulators.missing("icarus") is not None
VERILATOR_IS_SLOW = pytest.mark.parametrize(
    "simulator",
    ["icarus", pytest.param("verilator", marks=() if _ALONE else pytest.mark.slow)],
    indirect=True,
)
"""For a design that Verilator builds for longer than it runs: it is slow, unless it is alone."""


class SeededFault(NamedTuple):
    """A fault in emitted Verilog, and what must notice it: a negative control.

    Parameters
    ----------
    name, old, new : str
        As `cosim.design.Block.with_fault` takes them.
    test : str, optional
        The test that notices (default: any of the body).
    message : str
        Pattern of what it says.
    """

    name: str
    old: str
    new: str
    test: str | None = None
    message: str = "must be"


def each_fault(faults: Sequence[SeededFault]) -> pytest.MarkDecorator:
    """Give a test ``simulator`` and ``fault``: each fault in Verilator, the first in Icarus too."""
    return pytest.mark.parametrize(
        ("simulator", "fault"),
        [("icarus", faults[0]), *(("verilator", fault) for fault in faults)],
        ids=lambda value: value if isinstance(value, str) else value.name,
        indirect=["simulator"],
    )


def more(cases: Iterable[Any]) -> list[Any]:
    """Mark cases as slow: more of a kind of which the fast tests have some."""
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]


def faulty(sound: Block, faults: Iterable[SeededFault]) -> list[Block]:
    """Return a block once for each fault, with it, under the fault's name."""
    return [sound.with_fault(fault.name, fault.old, fault.new) for fault in faults]


def run_on_maps(
    design: Design,
    simulator: str,
    body: str,
    params: ShiftParams,
    block: str,
    folder: Path,
    *,
    seed: int,
    count: int = 16,
    tests: str | None = None,
) -> list[str]:
    """Run a body on a block of that name, with random channels and what PyTorch makes of them.

    Parameters
    ----------
    design, simulator, body, folder, tests
        As `cosim.runner.run` takes them.
    params : ShiftParams
        Shape of the block's channels.
    block : str
    seed : int
        Of the suite; each shape has its own, seed·H + W, for the channels and for what the body
        leaves open.
    count : int
        Channels.

    Returns
    -------
    list of str
        Names of the tests that passed.
    """
    seed = seed * params.height + params.width
    maps = vectors.random_maps(params, count, seed=seed)
    return run(
        design,
        simulator,
        body,
        folder=folder,
        parameters={
            "block": block,
            "height": params.height,
            "width": params.width,
            "bits": params.bits,
            "seed": seed,
        },
        arrays={"maps": maps, "moved": vectors.moved(maps)},
        tests=tests,
    )
