# SPDX-License-Identifier: Apache-2.0
"""ShiftedReader's RTL against the PyTorch block: every pixel, no extra cycle, no write."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from cosim.design import Block, Design, bundle, emit_block
from cosim.runner import SimulationError
from cosim.suites import SMALL, SeededFault, each_fault, faulty, more, run_on_maps
from hw.params import ShiftParams
from hw.shift import ShiftedReader

BODY = "cosim.body_shift_reader"
SEED = 3000

SHAPES = [
    ShiftParams(height=height, width=width, bits=bits)
    for height, width, bits in [
        (2, 2, 8),
        (7, 14, 16),
        (16, 16, 8),
    ]
]
MORE_SHAPES = [
    ShiftParams(height=height, width=width, bits=bits)
    for height, width, bits in [
        (3, 5, 5),
        (4, 4, 8),
        (8, 4, 1),
    ]
]

FAULTS = [
    SeededFault(
        "no_zero_outside",
        "assign data = outside ? 8'h00 : mem_rdata;",
        "assign data = mem_rdata;",
    ),
    SeededFault("last_row_mistaken", "row == 2'h3", "row == 2'h2"),
    SeededFault("address_inverted", "assign mem_addr = {", "assign mem_addr = ~{"),
    SeededFault(
        "zero_not_held", "assign data = outside ?", "assign data = (outside & direction[0]) ?"
    ),
]


@functools.cache
def design() -> Design:
    """Bundle the shapes of the fast tests and all faults, in one build."""
    return bundle("shift_reader", [*map(block, SHAPES), *faulty(block(SMALL), FAULTS)])


@functools.cache
def more_design() -> Design:
    """Bundle the shapes of the slow tests, in one build."""
    return bundle("shift_reader_more", [*map(block, MORE_SHAPES)])


def block(params: ShiftParams) -> Block:
    """Return one shape's block."""
    return emit_block(ShiftedReader(params=params), f"reader_{params.name}")


@pytest.mark.parametrize("params", [*SHAPES, *more(MORE_SHAPES)], ids=lambda params: params.name)
def test_rtl_equals_pytorch_pixel_by_pixel(
    simulator: str, params: ShiftParams, tmp_path: Path
) -> None:
    """Every pixel of every direction is right, a cycle after its request."""
    name, chosen = f"reader_{params.name}", design() if params in SHAPES else more_design()
    passed = run_on_maps(chosen, simulator, BODY, params, name, tmp_path, seed=SEED, count=3)
    assert passed == ["every_pixel_of_every_direction"]


def test_the_reader_has_no_write_port() -> None:
    """Nothing can be written: zero writes."""
    ports = block(SMALL).ports
    outputs = {name for kind, name, _ in ports if kind == "output"}
    assert outputs == {"data", "mem_addr"}, f"nothing may be written, but there is {outputs}"


@each_fault(FAULTS)
def test_seeded_fault_is_noticed(simulator: str, fault: SeededFault, tmp_path: Path) -> None:
    """Negative control: the test fails on a faulty block."""
    with pytest.raises(SimulationError, match=fault.message):
        run_on_maps(design(), simulator, BODY, SMALL, fault.name, tmp_path, seed=SEED, count=3)
