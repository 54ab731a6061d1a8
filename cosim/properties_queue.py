# SPDX-License-Identifier: Apache-2.0
"""What is proven of ``hw.sum_queue``: sums leave in order, those of skipped pages as zeros."""

from __future__ import annotations

from typing import ClassVar

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, ResetSignal, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

from hw.sum_queue import queue_sums
from hw.tile_params import TileParams
from hw.timing import CROSSBAR_LATENCY

__all__ = ["QueueOrder"]


class QueueOrder(wiring.Component):
    """From reset on, whatever is reserved while there is room, and whoever waits.

    A ghost counts the sums ahead of one word, reserved in any cycle: when none is left, its own
    come, in their order. Covered: all sums of a skipped page have left, those of a sampled word,
    and such that came after there was no room.
    """

    PROBES: ClassVar[dict[str, str]] = {}

    def __init__(self, params: TileParams) -> None:
        self._params = params
        width = params.units * params.sum_bits
        super().__init__({"sample": In(1), "skip": In(1), "ready": In(1), "sums": In(width)})

    def elaborate(self, platform: object) -> Module:
        """Build the queue, what drives it, the ghost and its claim."""
        m = Module()
        params = self._params
        out = stream.Signature(signed(params.sum_bits)).create(path=("out",))
        room = Signal()
        skipped = Signal()
        flight = Signal(CROSSBAR_LATENCY + 1)
        m.d.sync += flight.eq(Cat(self.sample, flight))
        m.d.comb += [out.ready.eq(self.ready), skipped.eq(self.skip)]
        queue_sums(
            m, params, out, valid=flight[-1], sums=self.sums, room=room,
            reserved=self.sample | skipped, skipped=skipped,
        )  # fmt: skip

        cycle = Signal(5)
        at = AnyConst(5)
        chosen = cycle == at
        arrives = cycle == at + len(flight)
        handed = out.valid & out.ready
        ahead, left = Signal(6), Signal(4)
        known, zeros = Signal(), Signal()
        word = Signal(len(self.sums))
        size = Mux(skipped, params.outputs, Mux(self.sample, params.units, 0))
        own = known & (ahead == 0) & (left != 0)
        number = params.units - left
        wanted = Mux(zeros, 0, word.word_select(number[:2], params.sum_bits))
        wrong, waited = Signal(), Signal()
        m.d.sync += cycle.eq(cycle + 1)
        m.d.comb += [
            Assume(~ResetSignal()),
            Assume(~(self.sample & self.skip)),
            Assume(~(self.sample | self.skip) | room),
        ]
        with m.If(~known):
            m.d.sync += ahead.eq(ahead - handed + Mux(chosen, 0, size))
        with m.Elif(ahead != 0):
            m.d.sync += ahead.eq(ahead - handed)
        with m.If(chosen):
            m.d.sync += [known.eq(1), left.eq(size), zeros.eq(skipped)]
        with m.If(arrives):
            m.d.sync += word.eq(self.sums)
        with m.If(handed & (ahead == 0) & ~known):  # nothing was reserved
            m.d.sync += wrong.eq(1)
        with m.If(handed & own):
            m.d.sync += left.eq(left - 1)
            with m.If(out.payload != wanted.as_signed()):
                m.d.sync += wrong.eq(1)
        with m.If(~room):
            m.d.sync += waited.eq(1)
        m.d.comb += [
            Assert(~wrong),
            Cover(handed & own & (left == 1) & zeros),
            Cover(handed & own & (left == 1) & ~zeros & (word != 0)),
            Cover(waited & handed & own),
        ]
        return m
