# SPDX-License-Identifier: Apache-2.0
"""AxisShift's RTL against the PyTorch block: handshakes, stalls, damaged packets, cycles."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from cosim import vectors
from cosim.design import Block, Design, bundle, emit_block
from cosim.runner import SimulationError, run
from hw.params import ShiftParams
from hw.stream import AxisShift

BODY = "cosim.body_axis_shift"

SHAPES = [
    ShiftParams(height=height, width=width, bits=bits)
    for height, width, bits in [
        (2, 2, 8),
        (3, 5, 5),
        (4, 4, 8),
        (4, 8, 1),
        (7, 14, 12),
        (6, 10, 16),
        (16, 16, 8),
    ]
]

# Name, old text, new text, the test that notices, a word of its message.
FAULTS = [
    (
        "map_never_ends",
        "assign m_axis_tlast = ",
        "assign m_axis_tlast = 1'h0 & ",
        "maps_with_random_stalls",
        "12 maps must come out, not 0",
    ),
    (
        "beat_lost_while_waiting",
        "= sent ? {",
        "= m_axis_tvalid ? {",
        "maps_with_random_stalls",
        "a beat that waits must hold|beats differ",
    ),
    (
        "direction_of_every_beat",
        "if (first_beat) begin",
        "if (1'h1) begin",
        "maps_with_random_stalls",
        "beats differ",
    ),
    (
        "error_never_raised",
        "assign error = ",
        "assign error = 1'h0 & ",
        "packets_of_wrong_length",
        "maps must come out|error must strobe",
    ),
    ("reset_ignored", "if (rst) begin", "if (1'h0) begin", "reset_at_every_moment", "axis"),
]


@functools.cache
def design() -> Design:
    """All shapes and all faults, in one build."""
    sound = block(ShiftParams(height=4, width=4, bits=8))
    blocks = [block(params) for params in SHAPES]
    return bundle("axis_shift", blocks + [sound.with_fault(*fault[:3]) for fault in FAULTS])


def block(params: ShiftParams) -> Block:
    """Return one shape's block."""
    return emit_block(AxisShift(params=params), f"axis_{params.name}")


def check(simulator: str, params: ShiftParams, folder: Path, **options: str) -> list[str]:
    """Run the tests on one shape, or on the block named in the options."""
    seed = 2000 * params.height + params.width
    maps = vectors.random_maps(params, 16, seed=seed)
    return run(
        design(),
        simulator,
        BODY,
        folder=folder,
        parameters={
            "block": options.get("block", f"axis_{params.name}"),
            "height": params.height,
            "width": params.width,
            "bits": params.bits,
            "seed": seed,
        },
        arrays={"maps": maps, "moved": vectors.moved(maps)},
        tests=options.get("tests"),
    )


@pytest.mark.parametrize("params", SHAPES, ids=lambda params: params.name)
def test_rtl_equals_pytorch_beat_by_beat(
    simulator: str, params: ShiftParams, tmp_path: Path
) -> None:
    """All tests of the body pass on every shape."""
    passed = check(simulator, params, tmp_path)
    assert len(passed) == 4, f"all four tests must run, not {passed}"


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
