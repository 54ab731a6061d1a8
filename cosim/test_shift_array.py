# SPDX-License-Identifier: Apache-2.0
"""ShiftArray's RTL against the PyTorch block: whole feature maps, of real images too."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cosim import vectors
from cosim.design import Block, Design, bundle, emit_block
from cosim.runner import SimulationError, run
from cosim.suites import VERILATOR_IS_SLOW, SeededFault, faulty, more
from hw.params import ArrayParams, ShiftParams
from hw.shift import ShiftArray
from model.images import embed, zoo_images

BODY = "cosim.body_shift_array"

SMALL = [
    ArrayParams(shift=ShiftParams(height=height, width=width, bits=bits), channels=channels)
    for height, width, bits, channels in [(4, 4, 8, 12), (3, 5, 16, 40), (8, 4, 1, 24)]
]
LARGE = [
    ArrayParams(shift=ShiftParams(height=16, width=16), channels=channels)
    for channels in (128, 256)
]

# In the shape 3×5×16, 40 channels, which has three channels a lane.
FAULTS = [
    SeededFault("no_zero_at_boundary", "boundary ? 16'h0000 :", "1'h0 ? 16'h0000 :"),
    SeededFault("one_channel_left_out", "channel == 2'h2", "channel == 2'h1"),
    SeededFault("channels_on_top_of_each_other", "? { channel, ", "? { 2'h0, "),
    SeededFault("host_sees_the_wrong_bank", "lane == 3'h5", "lane == 3'h6"),
    SeededFault("reset_ignored", "if (rst) begin", "if (1'h0) begin"),
]


@functools.cache
def design() -> Design:
    """All small shapes and all faults, in one build."""
    blocks = [block(params) for params in SMALL]
    return bundle("shift_array", blocks + faulty(blocks[1], FAULTS))


@functools.cache
def large_design() -> Design:
    """Return the arrays for feature maps of networks."""
    return bundle("shift_array_large", [block(params) for params in LARGE])


def block(params: ArrayParams) -> Block:
    """Return one shape's block."""
    return emit_block(ShiftArray(params=params), f"array_{params.name}")


def check(
    design: Design,
    simulator: str,
    params: ArrayParams,
    feature_map: npt.NDArray[Any],
    folder: Path,
    **options: str,
) -> list[str]:
    """Run the tests with a feature map [C, H, W] of port values."""
    shift = params.shift
    maps = [feature_map]
    for _ in range(2):
        maps.append(vectors.shifted(maps[-1]))
    moving = np.stack(maps)[:, : 8 * params.group]
    return run(
        design,
        simulator,
        BODY,
        folder=folder,
        parameters={
            "block": options.get("block", f"array_{params.name}"),
            "height": shift.height,
            "width": shift.width,
            "bits": shift.bits,
            "channels": params.channels,
            "seed": params.channels,
        },
        arrays={"banks": moving.reshape(3, 8, params.group, shift.height, shift.width)},
        tests=options.get("tests"),
    )


@VERILATOR_IS_SLOW
@pytest.mark.parametrize("params", SMALL, ids=lambda params: params.name)
def test_rtl_equals_pytorch_on_any_content(
    simulator: str, params: ArrayParams, tmp_path: Path
) -> None:
    """All tests of the body pass on small arrays."""
    feature_map = vectors.random_maps(params.shift, params.channels, seed=params.channels)
    passed = check(design(), simulator, params, feature_map, tmp_path)
    assert len(passed) == 3, f"all three tests must run, not {passed}"


@VERILATOR_IS_SLOW
@pytest.mark.parametrize("params", [LARGE[0], *more(LARGE[1:])], ids=lambda params: params.name)
def test_rtl_equals_pytorch_on_an_image(
    simulator: str, params: ArrayParams, tmp_path: Path
) -> None:
    """Two blocks on a whole feature map equal PyTorch, those channels that stay included."""
    images, _ = zoo_images()
    image = embed(images[1:2], params.channels, seed=1)[0]
    feature_map = vectors.to_ports(image, params.shift.bits)
    check(large_design(), simulator, params, feature_map, tmp_path, tests="two_blocks")
    # The whole map, as signed pixels: what the array did, and the channels that it never had.
    moving = 8 * params.group
    after = np.load(tmp_path / "after.npy", allow_pickle=False).reshape(moving, 16, 16)
    got = np.concatenate([vectors.from_ports(after, params.shift.bits), image[moving:]])
    expected = vectors.shifted(vectors.shifted(image))
    assert np.array_equal(got, expected), f"{np.count_nonzero(got != expected)} pixels differ"


@VERILATOR_IS_SLOW
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_seeded_fault_is_noticed(simulator: str, fault: SeededFault, tmp_path: Path) -> None:
    """Negative control: a test fails on a faulty block."""
    params = SMALL[1]
    feature_map = vectors.random_maps(params.shift, params.channels, seed=1)
    with pytest.raises(SimulationError, match="3x5x16_c40"):
        check(design(), simulator, params, feature_map, tmp_path, block=fault.name)
