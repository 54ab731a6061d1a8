# SPDX-License-Identifier: Apache-2.0
"""The shift register behind a mask, in hardware; its twin in Python is `hw.lfsr_params`."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Lfsr"]


class Lfsr(wiring.Component):
    """A Galois register that comes to each position of a mask once a period, a state a cycle.

    A register of fewer bits is one whose taps and seed have no more.

    Parameters
    ----------
    width : int
        Bits, 3…20.

    Members
    -------
    load : In
        Strobe: the state becomes ``seed`` and nothing has been kept; otherwise it moves on.
    seed, taps, positions, count : In, width bits
        As of `hw.lfsr_params.LfsrMask`; they hold from ``load`` to ``last``.
    position : Out, width bits
        What the state stands for, from the cycle after ``load`` on.
    valid : Out
        Level: ``position`` is one; it is none in states above ``positions``.
    keep : Out
        Level: the mask keeps it.
    last : Out
        Level: the state is the last one of its period.
    """

    def __init__(self, *, width: int) -> None:
        self._width = width
        super().__init__(
            {
                "load": In(1),
                "seed": In(width),
                "taps": In(width),
                "positions": In(width),
                "count": In(width),
                "position": Out(width),
                "valid": Out(1),
                "keep": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        state = Signal(self._width)
        following = Signal.like(state)
        left = Signal(self._width)  # positions to be kept
        m.d.comb += [
            following.eq((state >> 1) ^ Mux(state[0], self.taps, 0)),
            self.position.eq(state - 1),
            # Never so before the first load: of state 0 the position would be the largest.
            self.valid.eq(self.position < self.positions),
            self.keep.eq(self.valid & (left != 0)),
            self.last.eq(following == self.seed),
        ]
        m.d.sync += [state.eq(following), left.eq(left - self.keep)]
        with m.If(self.load):
            m.d.sync += [state.eq(self.seed), left.eq(self.count)]
        return m
