# SPDX-License-Identifier: Apache-2.0
"""What is proven of ``hw.lfsr``: a register keeps what its twin in Python keeps."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hw.lfsr import Lfsr
from hw.lfsr_params import TAPS, LfsrMask, states

__all__ = ["MaskOrder", "RegisterParams"]


@dataclasses.dataclass(frozen=True)
class RegisterParams:
    """A register for masks of that many positions."""

    positions: int

    @property
    def name(self) -> str:
        """For the name of a proof."""
        return str(self.positions)

    @property
    def width(self) -> int:
        """Bits of the register."""
        return self.positions.bit_length()


class MaskOrder(wiring.Component):
    """The register, loaded at any time, and after the last state of a period at the latest.

    For any seed and count: each state stands for the position for which it does in the twin, as
    many of them are kept as are to be, the first ones of `LfsrMask.order`, and ``last`` is in the
    last of 2^width − 1 states. By tables of the twin, from state 1 on: where a state stands in the
    period, and how many positions come before it. Covered: a whole period in which one is kept.
    """

    PROBES: ClassVar[dict[str, str]] = {"probe_state": "dut.state", "probe_left": "dut.left"}

    def __init__(self, params: RegisterParams) -> None:
        self._params = params
        width = In(params.width)
        super().__init__({"load": In(1), "probe_state": width, "probe_left": width})

    def elaborate(self, platform: object) -> Module:
        """Build the register, its place in the twin's order, the invariants and the claims."""
        m = Module()
        width, positions = self._params.width, self._params.positions
        period = (1 << width) - 1
        cycle = states(width, TAPS[width])
        stands = np.zeros(period + 1, int)
        stands[cycle] = np.arange(period)
        before = np.zeros(period + 1, int)
        order = LfsrMask(positions=positions, count=0, seed=1).order()
        before[cycle] = np.cumsum(cycle <= positions) - (cycle <= positions)

        m.submodules.dut = dut = Lfsr(width=width)
        seed, count = AnyConst(width), AnyConst(width)
        loaded = Signal()
        with m.If(self.load):
            m.d.sync += loaded.eq(1)
        m.d.comb += [
            dut.load.eq(self.load),
            dut.seed.eq(seed),
            dut.count.eq(count),
            dut.taps.eq(TAPS[width]),
            dut.positions.eq(positions),
            Assume((seed != 0) & (count <= positions)),
            Assume(self.load | ~(loaded & dut.last)),
        ]

        stands_at, before_it = Array(stands.tolist()), Array(before.tolist())
        age, rank = Signal(range(period)), Signal(range(positions + 1))
        here, first = stands_at[self.probe_state], stands_at[seed]
        round_once = here < first
        m.d.comb += [
            age.eq(here - first + Mux(round_once, period, 0)),
            rank.eq(before_it[self.probe_state] - before_it[seed] + Mux(round_once, positions, 0)),
        ]
        place = Array(order.tolist())[before_it[self.probe_state]]
        with m.If(loaded):
            m.d.comb += [
                Assert(self.probe_state != 0),
                Assert(self.probe_left == Mux(rank < count, count - rank, 0)),
                Assert(dut.last == (age == period - 1)),
                Assert(dut.valid == (self.probe_state <= positions)),
                Assert(~dut.valid | (dut.position == place)),
                Assert(dut.keep == (dut.valid & (rank < count))),
            ]
        m.d.comb += Cover(loaded & dut.last & (count != 0) & (self.probe_left == 0))
        return m
