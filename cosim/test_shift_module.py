# SPDX-License-Identifier: Apache-2.0
"""ShiftModule's RTL against the PyTorch block, in every direction and at every wrong moment."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from cosim import vectors
from cosim.design import Block, Design, bundle, emit_block
from cosim.runner import SimulationError, run
from hw.params import ShiftParams
from hw.shift import ShiftModule

BODY = "cosim.body_shift_module"

# Square and not, wider and higher, sides with every kind of greatest common divisor, powers of
# two and not; 1 to 16 bits.
SHAPES = [
    ShiftParams(height=height, width=width, bits=bits)
    for height, width, bits in [
        (2, 2, 8),
        (2, 3, 1),
        (4, 4, 8),
        (3, 5, 5),
        (5, 3, 16),
        (8, 4, 8),
        (4, 8, 1),
        (6, 10, 8),
        (10, 6, 7),
        (7, 14, 8),
        (14, 7, 3),
        (9, 9, 12),
        (16, 16, 8),
        (28, 28, 8),
        (5, 32, 16),
    ]
]

# Name, old text, new text, the test that notices, a word of its message.
FAULTS = [
    (
        "no_zero_at_boundary",
        "assign mem_wdata = boundary ? 8'h00 : mem_rdata;",
        "assign mem_wdata = mem_rdata;",
        "every_direction_on_any_content",
        "values differ",
    ),
    (
        "left_and_right_swapped",
        "    .direction(direction),",
        "    .direction(direction ^ {2'b00, ~direction[2] & ~direction[1]}),",
        "every_direction_on_any_content",
        "mem_addr must be",
    ),
    (
        "done_one_cycle_early",
        "assign last = row_end & column_end;",
        "assign last = row_end & (column == (column_forward ? 2'h2 : 2'h1));",
        "every_direction_on_any_content",
        "must be",
    ),
    (
        "busy_start_reloads",
        "    .load(ready),",
        "    .load(ready | start),",
        "start_at_every_wrong_moment",
        "mem_addr must be",
    ),
    (
        "direction_not_held",
        "assign vertical = \\$3  & \\$5 ;",
        "assign vertical = ~direction[2] & \\$5 ;",
        "direction_changes_after_acceptance",
        "mem_addr must be|values differ",
    ),
    ("reset_ignored", "if (rst) begin", "if (1'b0) begin", "reset_at_every_moment", "must be"),
]


@functools.cache
def design() -> Design:
    """All shapes and all faults, in one build."""
    blocks = [block(params) for params in SHAPES]
    sound = block(ShiftParams(height=4, width=4, bits=8))
    return bundle("shift_module", blocks + [sound.with_fault(*fault[:3]) for fault in FAULTS])


def block(params: ShiftParams) -> Block:
    """Return one shape's block."""
    return emit_block(ShiftModule(params=params), f"shift_{params.name}")


def check(simulator: str, params: ShiftParams, folder: Path, **options: str) -> list[str]:
    """Run the tests on one shape, or on the block named in the options."""
    seed = 1000 * params.height + params.width
    maps = vectors.random_maps(params, 16, seed=seed)
    return run(
        design(),
        simulator,
        BODY,
        folder=folder,
        parameters={
            "block": options.get("block", f"shift_{params.name}"),
            "height": params.height,
            "width": params.width,
            "bits": params.bits,
            "seed": seed,
        },
        arrays={"maps": maps, "moved": vectors.moved(maps)},
        tests=options.get("tests"),
    )


@pytest.mark.parametrize("params", SHAPES, ids=lambda params: params.name)
def test_rtl_equals_pytorch_cycle_by_cycle(
    simulator: str, params: ShiftParams, tmp_path: Path
) -> None:
    """All tests of the body pass on every shape."""
    passed = check(simulator, params, tmp_path)
    assert len(passed) == 6, f"all six tests must run, not {passed}"


@pytest.mark.parametrize(
    ("simulator", "fault"),
    [("icarus", FAULTS[0]), *(("verilator", fault) for fault in FAULTS)],
    ids=lambda value: value if isinstance(value, str) else value[0],
    indirect=["simulator"],
)
def test_seeded_fault_is_noticed(
    simulator: str, fault: tuple[str, str, str, str, str], tmp_path: Path
) -> None:
    """Negative control: the named test fails on a faulty block."""
    name, _, _, test, message = fault
    params = ShiftParams(height=4, width=4, bits=8)
    with pytest.raises(SimulationError, match=message):
        check(simulator, params, tmp_path, block=name, tests=test)
