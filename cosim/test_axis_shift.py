# SPDX-License-Identifier: Apache-2.0
"""AxisShift's RTL against the PyTorch block: handshakes, stalls, damaged packets, cycles."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from cosim.design import Block, Design, bundle, emit_block
from cosim.runner import SimulationError
from cosim.suites import SMALL, SeededFault, each_fault, faulty, more, run_on_maps
from hw.params import ShiftParams
from hw.stream import AxisShift

BODY = "cosim.body_axis_shift"
SEED = 2000

SHAPES = [
    ShiftParams(height=height, width=width, bits=bits)
    for height, width, bits in [
        (2, 2, 8),
        (3, 5, 5),
    ]
]
MORE_SHAPES = [
    ShiftParams(height=height, width=width, bits=bits)
    for height, width, bits in [
        (4, 4, 8),
        (4, 8, 1),
        (7, 14, 12),
        (6, 10, 16),
        (16, 16, 8),
    ]
]

FAULTS = [
    SeededFault(
        "map_never_ends",
        "assign m_axis_tlast = ",
        "assign m_axis_tlast = 1'h0 & ",
        "maps_with_random_stalls",
        "12 maps must come out, not 0",
    ),
    SeededFault(
        "beat_lost_while_waiting",
        "= sent ? {",
        "= m_axis_tvalid ? {",
        "maps_with_random_stalls",
        "a beat that waits must hold|beats differ",
    ),
    SeededFault(
        "direction_of_every_beat",
        "if (first_beat) begin",
        "if (1'h1) begin",
        "maps_with_random_stalls",
        "beats differ",
    ),
    SeededFault(
        "error_never_raised",
        "assign error = ",
        "assign error = 1'h0 & ",
        "packets_of_wrong_length",
        "maps must come out|error must strobe",
    ),
    SeededFault(
        "reset_ignored", "if (rst) begin", "if (1'h0) begin", "reset_at_every_moment", "axis"
    ),
]


@functools.cache
def design() -> Design:
    """Bundle the shapes of the fast tests and all faults, in one build."""
    return bundle("axis_shift", [*map(block, SHAPES), *faulty(block(SMALL), FAULTS)])


@functools.cache
def more_design() -> Design:
    """Bundle the shapes of the slow tests, in one build."""
    return bundle("axis_shift_more", [*map(block, MORE_SHAPES)])


def block(params: ShiftParams) -> Block:
    """Return one shape's block."""
    return emit_block(AxisShift(params=params), f"axis_{params.name}")


@pytest.mark.parametrize("params", [*SHAPES, *more(MORE_SHAPES)], ids=lambda params: params.name)
def test_rtl_equals_pytorch_beat_by_beat(
    simulator: str, params: ShiftParams, tmp_path: Path
) -> None:
    """All tests of the body pass on every shape."""
    name, chosen = f"axis_{params.name}", design() if params in SHAPES else more_design()
    passed = run_on_maps(chosen, simulator, BODY, params, name, tmp_path, seed=SEED)
    assert len(passed) == 4, f"all four tests must run, not {passed}"


@each_fault(FAULTS)
def test_seeded_fault_is_noticed(simulator: str, fault: SeededFault, tmp_path: Path) -> None:
    """Negative control: the named test fails on a faulty block."""
    with pytest.raises(SimulationError, match=fault.message):
        run_on_maps(
            design(), simulator, BODY, SMALL, fault.name, tmp_path, seed=SEED, tests=fault.test
        )
