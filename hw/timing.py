# SPDX-License-Identifier: Apache-2.0
"""Cycles of every block, as functions of its parameters.

A leaf: the standard library and ``hw.params`` only.

Co-simulation asserts that these are *equal* to what the RTL takes, the proofs use them as bounds,
and the cost model charges them. A formula is written once, as terms; its text is in the JSON beside
the generated Verilog.
"""

from __future__ import annotations

import dataclasses

from hw.params import ArrayParams, ShiftParams, check_integer

__all__ = [
    "ARRAY",
    "AXIS",
    "PAPER",
    "READER",
    "SHIFT",
    "Formula",
    "array_cycles",
    "axis_cycles",
    "paper_cycles",
    "reader_cycles",
    "shift_cycles",
]


@dataclasses.dataclass(frozen=True)
class Formula:
    """Cycles as a sum of terms, each a coefficient times a product of named counts.

    Parameters
    ----------
    terms : tuple of (int, tuple of str)
        ``(3, ("maps", "height", "width"))`` stands for 3·maps·height·width, ``(2, ())`` for 2.
    """

    terms: tuple[tuple[int, tuple[str, ...]], ...]

    def __str__(self) -> str:
        return " + ".join(
            "*".join([str(factor)] * (factor != 1 or not names) + list(names))
            for factor, names in self.terms
        )

    def __call__(self, **counts: int) -> int:
        """Cycles for the given counts."""
        total = 0
        for factor, names in self.terms:
            for name in names:
                factor *= counts[name]
            total += factor
        return total


SHIFT = Formula(((1, ("channels", "height", "width")), (2, ())))
ARRAY = Formula(((1, ("blocks", "group", "height", "width")), (2, ())))
AXIS = Formula(((3, ("maps", "height", "width")), (2, ("maps",))))
READER = Formula(((0, ()),))
PAPER = Formula(((1, ("group", "height", "width")),))


def shift_cycles(params: ShiftParams, *, channels: int = 1) -> int:
    """Cycles of a ShiftModule for channels back to back: channels·H·W + 2, in every direction.

    Counted from the cycle that takes the first ``start`` to the last ``done``, both included:
    one cycle in IDLE, one in CONFIG, then one a pixel; a ``start`` in a channel's last cycle
    costs nothing (hardware: the next first address is set up by the edge that ends it).
    """
    check_integer("channels", channels, 1, 1 << 32)
    return SHIFT(channels=channels, height=params.height, width=params.width)


def array_cycles(params: ArrayParams, *, blocks: int = 1) -> int:
    """Cycles of a ShiftArray for shift blocks back to back: blocks·g·H·W + 2."""
    check_integer("blocks", blocks, 1, 1 << 32)
    shift = params.shift
    return ARRAY(blocks=blocks, group=params.group, height=shift.height, width=shift.width)


def axis_cycles(params: ShiftParams, *, maps: int = 1) -> int:
    """Cycles of the AXI4-Stream wrapper: maps·(3·H·W + 2), if neither side ever waits.

    Counted from a map's first beat in to its last beat out, both included, maps back to back:
    H·W beats in, the module's H·W pixels with its CONFIG, one cycle to fetch the first pixel,
    H·W beats out. Each cycle in which a side holds the other up adds one.
    """
    check_integer("maps", maps, 1, 1 << 32)
    return AXIS(maps=maps, height=params.height, width=params.width)


def reader_cycles() -> int:
    """Cycles that a ShiftedReader adds to a plain read: 0. It writes nothing either."""
    return READER()


def paper_cycles(params: ArrayParams) -> int:
    """Cycles of a shift block in the paper's latency table: g·H·W, with no overhead.

    Its figures (DATE 2024, Table IV) are exactly 21·256 ns a block at 1 GHz: 21 channels a group,
    one pixel a cycle, eight lanes.
    """
    shift = params.shift
    return PAPER(group=params.group, height=shift.height, width=shift.width)
