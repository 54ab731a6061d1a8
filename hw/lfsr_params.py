# SPDX-License-Identifier: Apache-2.0
"""Pseudo-random masks: which positions of a crossbar a linear feedback shift register keeps.

Four numbers are the whole mask: positions (hence the register's width), taps, seed, count. The
register (Galois form, shifting right) runs through all states but 0; a state s up to the number of
positions stands for position s − 1, a greater one for none. The first ``count`` positions are kept.
So hardware makes the mask again (`hw.lfsr`), and none is stored. Masks from such registers:
F. Karimzadeh et al., "Twofold Sparsity"; the polynomials and the rest are this project's.

A leaf: NumPy and ``hw.params`` only.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from hw.params import ParameterError, check_integer

__all__ = ["MAX_POSITIONS", "TAPS", "LfsrMask", "page_seed", "states"]

TAPS = {
    3: 0x6, 4: 0xC, 5: 0x14, 6: 0x30, 7: 0x60, 8: 0xB8, 9: 0x110, 10: 0x240, 11: 0x500,
    12: 0xE08, 13: 0x1C80, 14: 0x3802, 15: 0x6000, 16: 0xD008, 17: 0x12000, 18: 0x20400,
    19: 0x72000, 20: 0x90000,
}  # fmt: skip
"""Of each width, taps with which a register runs through all 2^width − 1 states."""

MIN_POSITIONS, MAX_POSITIONS = 4, (1 << max(TAPS)) - 1


@functools.cache
def states(width: int, taps: int) -> npt.NDArray[np.int64]:
    """Return the states of a register, from 1 until it is 1 again, in their order.

    Parameters
    ----------
    width : int
        Bits, 3…20.
    taps : int
        What is added (exclusive or) if the bit that is shifted out is 1.

    Raises
    ------
    ParameterError
        If a number is out of range, or the register leaves out a state: the taps are not maximal.
    """
    check_integer("width", width, min(TAPS), max(TAPS))
    check_integer("taps", taps, 1, (1 << width) - 1)
    period = (1 << width) - 1
    found = np.empty(period, np.int64)
    state = 1
    for number in range(period):
        found[number] = state
        state = state >> 1 ^ (taps if state & 1 else 0)
        if state == 1 and number < period - 1:
            raise ParameterError(
                f"taps must be maximal, of period {period}, not {taps:#x} with {number + 1}; "
                f"{TAPS[width]:#x} would be"
            )
    found.setflags(write=False)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class LfsrMask:
    """A mask over positions that a register keeps.

    Parameters
    ----------
    positions : int
        N, 4…2^20 − 1. The register has ⌈log2(N + 1)⌉ bits.
    count : int
        Positions that are kept, 0…N.
    seed : int
        First state, 1…2^width − 1.
    taps : int, optional
        Default: `TAPS` of the width.

    Raises
    ------
    ParameterError, ParameterTypeError
        If a number is out of range, or the taps are not maximal.
    """

    positions: int
    count: int
    seed: int
    taps: int = 0

    def __post_init__(self) -> None:
        check_integer("positions", self.positions, MIN_POSITIONS, MAX_POSITIONS)
        check_integer("count", self.count, 0, self.positions)
        check_integer("seed", self.seed, 1, (1 << self.width) - 1)
        if self.taps == 0:
            object.__setattr__(self, "taps", TAPS[self.width])
        states(self.width, self.taps)

    @property
    def width(self) -> int:
        """Bits of the register."""
        return self.positions.bit_length()

    def order(self) -> npt.NDArray[np.int64]:
        """Return the positions, int64 [N], in the order in which the register comes to them."""
        cycle = states(self.width, self.taps)
        start = int(np.flatnonzero(cycle == self.seed)[0])
        turned = np.roll(cycle, -start)
        return turned[turned <= self.positions] - 1

    def kept(self) -> npt.NDArray[np.bool_]:
        """Return the mask, bool [N]: what is kept."""
        mask = np.zeros(self.positions, np.bool_)
        mask[self.order()[: self.count]] = True
        return mask


def page_seed(positions: int, layer: int, crossbar: int, group: int) -> int:
    """Return the seed of a page's register: a mask for each, and none to be stored.

    Parameters
    ----------
    positions : int
        N of its masks.
    layer, crossbar, group : int
        Numbers of the crossbar layer in its network (0…4095), of the row tile and of the column
        group in it (0…255).
    """
    number = (
        check_integer("layer", layer, 0, 4095) << 16
        | check_integer("crossbar", crossbar, 0, 255) << 8
        | check_integer("group", group, 0, 255)
    )
    # Fibonacci hashing (Knuth): neighbours are spread over all states.
    return 1 + (number * 0x9E3779B1 % (1 << 32) >> 8) % ((1 << positions.bit_length()) - 1)
