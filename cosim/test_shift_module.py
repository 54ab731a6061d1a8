# SPDX-License-Identifier: Apache-2.0
"""ShiftModule's RTL against the PyTorch block, in every direction and at every wrong moment."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from cosim.design import Block, Design, bundle, emit_block
from cosim.runner import SimulationError
from cosim.suites import SMALL, SeededFault, each_fault, faulty, more, run_on_maps
from hw.params import ShiftParams
from hw.shift import ShiftModule

BODY = "cosim.body_shift_module"
SEED = 1000

# Square and not, wider and higher, sides with every kind of greatest common divisor, powers of
# two and not; 1 to 16 bits.
SHAPES = [
    ShiftParams(height=height, width=width, bits=bits)
    for height, width, bits in [
        (2, 2, 8),
        (7, 14, 8),
        (16, 16, 8),
    ]
]
MORE_SHAPES = [
    ShiftParams(height=height, width=width, bits=bits)
    for height, width, bits in [
        (2, 3, 1),
        (3, 5, 5),
        (4, 4, 8),
        (4, 8, 1),
        (5, 3, 16),
        (8, 4, 8),
        (6, 10, 8),
        (10, 6, 7),
        (14, 7, 3),
        (9, 9, 12),
        (28, 28, 8),
        (5, 32, 16),
    ]
]

FAULTS = [
    SeededFault(
        "no_zero_at_boundary",
        "assign mem_wdata = boundary ? 8'h00 : mem_rdata;",
        "assign mem_wdata = mem_rdata;",
        "every_direction_on_any_content",
        "values differ",
    ),
    SeededFault(
        "left_and_right_swapped",
        "    .direction(direction),",
        "    .direction(direction ^ {2'b00, ~direction[2] & ~direction[1]}),",
        "every_direction_on_any_content",
        "mem_addr must be",
    ),
    SeededFault(
        "done_one_cycle_early",
        "assign last = row_end & column_end;",
        "assign last = row_end & (column == (column_forward ? 2'h2 : 2'h1));",
        "every_direction_on_any_content",
        "must be",
    ),
    SeededFault(
        "busy_start_reloads",
        "    .load(ready),",
        "    .load(ready | start),",
        "start_at_every_wrong_moment",
        "mem_addr must be",
    ),
    SeededFault(
        "direction_not_held",
        "assign vertical = \\$3  & \\$5 ;",
        "assign vertical = ~direction[2] & \\$5 ;",
        "direction_changes_after_acceptance",
        "mem_addr must be|values differ",
    ),
    SeededFault(
        "reset_ignored", "if (rst) begin", "if (1'b0) begin", "reset_at_every_moment", "must be"
    ),
]


@functools.cache
def design() -> Design:
    """Bundle the shapes of the fast tests and all faults, in one build."""
    return bundle("shift_module", [*map(block, SHAPES), *faulty(block(SMALL), FAULTS)])


@functools.cache
def more_design() -> Design:
    """Bundle the shapes of the slow tests, in one build."""
    return bundle("shift_module_more", [*map(block, MORE_SHAPES)])


def block(params: ShiftParams) -> Block:
    """Return one shape's block."""
    return emit_block(ShiftModule(params=params), f"shift_{params.name}")


@pytest.mark.parametrize("params", [*SHAPES, *more(MORE_SHAPES)], ids=lambda params: params.name)
def test_rtl_equals_pytorch_cycle_by_cycle(
    simulator: str, params: ShiftParams, tmp_path: Path
) -> None:
    """All tests of the body pass on every shape."""
    name, chosen = f"shift_{params.name}", design() if params in SHAPES else more_design()
    passed = run_on_maps(chosen, simulator, BODY, params, name, tmp_path, seed=SEED)
    assert len(passed) == 6, f"all six tests must run, not {passed}"


@each_fault(FAULTS)
def test_seeded_fault_is_noticed(simulator: str, fault: SeededFault, tmp_path: Path) -> None:
    """Negative control: the named test fails on a faulty block."""
    with pytest.raises(SimulationError, match=fault.message):
        run_on_maps(
            design(), simulator, BODY, SMALL, fault.name, tmp_path, seed=SEED, tests=fault.test
        )
