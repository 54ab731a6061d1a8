# SPDX-License-Identifier: Apache-2.0
"""ShiftedReader's RTL against the PyTorch block: every pixel, no extra cycle, no write."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from cosim import vectors
from cosim.design import Block, Design, bundle, emit_block
from cosim.runner import SimulationError, run
from hw.params import ShiftParams
from hw.shift import ShiftedReader

BODY = "cosim.body_shift_reader"

SHAPES = [
    ShiftParams(height=height, width=width, bits=bits)
    for height, width, bits in [
        (2, 2, 8),
        (3, 5, 5),
        (4, 4, 8),
        (8, 4, 1),
        (7, 14, 16),
        (16, 16, 8),
    ]
]

# Name, old text, new text.
FAULTS = [
    (
        "no_zero_outside",
        "assign data = outside ? 8'h00 : mem_rdata;",
        "assign data = mem_rdata;",
    ),
    ("last_row_mistaken", "row == 2'h3", "row == 2'h2"),
    ("address_inverted", "assign mem_addr = {", "assign mem_addr = ~{"),
    ("zero_not_held", "assign data = outside ?", "assign data = (outside & direction[0]) ?"),
]


@functools.cache
def design() -> Design:
    """All shapes and all faults, in one build."""
    sound = block(ShiftParams(height=4, width=4, bits=8))
    blocks = [block(params) for params in SHAPES]
    return bundle("shift_reader", blocks + [sound.with_fault(*fault) for fault in FAULTS])


def block(params: ShiftParams) -> Block:
    """Return one shape's block."""
    return emit_block(ShiftedReader(params=params), f"reader_{params.name}")


def check(simulator: str, params: ShiftParams, name: str, folder: Path) -> list[str]:
    """Run the tests on one shape, in the block of the given name."""
    seed = 3000 * params.height + params.width
    maps = vectors.random_maps(params, 3, seed=seed)
    return run(
        design(),
        simulator,
        BODY,
        folder=folder,
        parameters={
            "block": name,
            "height": params.height,
            "width": params.width,
            "bits": params.bits,
            "seed": seed,
        },
        arrays={"maps": maps, "moved": vectors.moved(maps)},
    )


@pytest.mark.parametrize("params", SHAPES, ids=lambda params: params.name)
def test_rtl_equals_pytorch_pixel_by_pixel(
    simulator: str, params: ShiftParams, tmp_path: Path
) -> None:
    """Every pixel of every direction is right, a cycle after its request."""
    passed = check(simulator, params, f"reader_{params.name}", tmp_path)
    assert passed == ["every_pixel_of_every_direction"]


def test_the_reader_has_no_write_port() -> None:
    """Nothing can be written: zero writes."""
    ports = block(ShiftParams(height=4, width=4, bits=8)).ports
    outputs = {name for kind, name, _ in ports if kind == "output"}
    assert outputs == {"data", "mem_addr"}, f"nothing may be written, but there is {outputs}"


@pytest.mark.parametrize(
    ("simulator", "fault"),
    [("icarus", FAULTS[0]), *(("verilator", fault) for fault in FAULTS)],
    ids=lambda value: value if isinstance(value, str) else value[0],
    indirect=["simulator"],
)
def test_seeded_fault_is_noticed(
    simulator: str, fault: tuple[str, str, str], tmp_path: Path
) -> None:
    """Negative control: the test fails on a faulty block."""
    params = ShiftParams(height=4, width=4, bits=8)
    with pytest.raises(SimulationError, match="must be"):
        check(simulator, params, fault[0], tmp_path)
