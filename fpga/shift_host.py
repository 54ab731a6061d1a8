# SPDX-License-Identifier: Apache-2.0
"""The shift design from the host's side: a map there, one shift, the map back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fpga.target import DeviceError, Target
from hw import timing
from hw.params import Direction, ParameterError, ShiftParams
from model import golden

__all__ = ["DESIGN", "random_map", "selftest", "shift", "shift_params"]

DESIGN = "shift"
SLACK = 1000
"""Cycles beyond the formula's after which a shift is given up."""


def shift_params(target: Target) -> ShiftParams:
    """Return the shape of the device's map.

    Raises
    ------
    DeviceError
        If it is no shift design.
    """
    if target.info.design != DESIGN:
        raise DeviceError(f"the device must be the design {DESIGN}, not {target.info.design}")
    wanted = ("height", "width", "bits")
    try:
        params = ShiftParams(**{name: target.info.parameters[name] for name in wanted})
    except (KeyError, ParameterError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise DeviceError(f"the device must say what shape it shifts: {reason}") from None
    if params.bits > 8:
        raise DeviceError(f"a pixel must have at most 8 bits to be a byte, not {params.bits}")
    return params


def random_map(params: ShiftParams, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return random pixels, uint8 [H, W]."""
    shape = (params.height, params.width)
    return generator.integers(0, 1 << params.bits, shape, dtype=np.uint8)


def shift(
    target: Target, pixels: npt.NDArray[np.uint8], direction: Direction
) -> tuple[npt.NDArray[np.uint8], int]:
    """Shift a map on the device.

    Parameters
    ----------
    target : Target
    pixels : numpy.ndarray
        uint8 [H, W], values of the device's bits.
    direction : Direction
        One of the eight that move.

    Returns
    -------
    pixels : numpy.ndarray
        The shifted map, uint8 [H, W].
    cycles : int
        That the device counted.

    Raises
    ------
    ParameterError
        If the map has another shape, dtype or larger values.
    LinkError
        If the device does not do it.
    """
    params = shift_params(target)
    shape = (params.height, params.width)
    if pixels.dtype != np.uint8 or pixels.shape != shape:
        raise ParameterError(
            f"a map must be uint8 {list(shape)}, not {pixels.dtype} {list(pixels.shape)}"
        )
    if pixels.max() >> params.bits:
        raise ParameterError(f"a pixel must be below {1 << params.bits}, not {pixels.max()}")
    # Rows lie a power of two apart.
    there = np.zeros((params.height, 1 << params.column_bits), np.uint8)
    there[:, : params.width] = pixels
    sent = there.tobytes()[: params.address(params.height - 1, params.width - 1) + 1]

    def piece() -> tuple[bytes, int]:
        target.write("map", 0, sent)
        cycles = target.run(direction, limit=timing.shift_cycles(params) + SLACK)
        return target.read("map", 0, len(sent)), cycles

    received, cycles = target.work(piece)
    back = np.frombuffer(received.ljust(there.size, b"\0"), np.uint8).reshape(there.shape)
    return back[:, : params.width].copy(), cycles


def selftest(
    target: Target, *, seed: int, advance: Callable[[], object] = lambda: None
) -> list[str]:
    """Shift a random map in each direction; compare with the golden shift and ``hw.timing``.

    Returns
    -------
    list of str
        What differs, a line each.
    """
    params = shift_params(target)
    generator = np.random.Generator(np.random.PCG64(seed))
    wanted_cycles = timing.shift_cycles(params)
    differences = []
    for direction in Direction.moving():
        pixels = random_map(params, generator)
        found, cycles = shift(target, pixels, direction)
        wanted = golden.shift_channel(pixels, direction)
        wrong = int((found != wanted).sum())
        if wrong:
            row, column = np.argwhere(found != wanted)[0]
            differences.append(
                f"{direction.name}: {wrong} pixels differ from the golden shift; row {row}, column "
                f"{column} must be {wanted[row, column]}, not {found[row, column]}"
            )
        if cycles != wanted_cycles:
            differences.append(
                f"{direction.name}: cycles must be {wanted_cycles} as in hw.timing, not {cycles}"
            )
        advance()
    return differences
