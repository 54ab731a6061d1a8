# SPDX-License-Identifier: Apache-2.0
"""The tile's queue: complete sums come in bursts, and leave one by one."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFOBuffered

from hw.params import address_bits
from hw.tile_params import TileParams
from hw.timing import CROSSBAR_LATENCY, queue_depth

__all__ = ["queue_sums"]


def queue_sums(
    m: Module,
    params: TileParams,
    out: stream.Interface,
    *,
    valid: Value,
    sums: Value,
    room: Signal,
    reserved: Value,
    skipped: Signal | None,
) -> None:
    """Queue the sums of shift and add, a word of all units at a time, and hand them on.

    Nothing can stop a sample on its way, so its place in the queue is reserved beforehand.

    Parameters
    ----------
    m : Module
        The tile's.
    params : TileParams
    out : stream of signed, sum_bits
        Driven: the sums, one by one.
    valid, sums : Value
        Of `ShiftAdd`: a word is complete.
    room : Signal
        Driven: level, a place is free.
    reserved : Value
        Strobe, with ``room`` only: a place is taken.
    skipped : Signal, optional
        Strobe, with ``reserved``: for a page that is skipped. The word comes when that of a sample
        would; it is marked, and stands for all sums of the page, 0.
    """
    depth = queue_depth(params)
    width = params.units * params.sum_bits + (skipped is not None)
    m.submodules.queue = queue = SyncFIFOBuffered(width=width, depth=depth)
    free = Signal(range(depth + 1), init=depth)
    unit = Signal(address_bits(params.units))
    word = [queue.r_data.word_select(n, params.sum_bits) for n in range(params.units)]
    handed = Signal()
    leaves = Signal()
    ends = leaves  # a word's last sum is handed on
    last_unit = unit == params.units - 1
    written = valid
    first, leaving = Array(word)[unit], handed & last_unit
    if skipped is not None:
        flight = Signal(CROSSBAR_LATENCY + 1)
        zero = queue.r_data[-1]
        turn = Signal(params.select_bits)
        ends = Signal()
        m.d.sync += flight.eq(Cat(skipped, flight))
        m.d.comb += ends.eq(handed & last_unit)
        with m.If(ends & zero):
            m.d.sync += turn.eq(Mux(leaves, 0, turn + 1))
        written, sums = valid | flight[-1], Cat(sums, flight[-1])
        first, leaving = Mux(zero, 0, first), ends & (~zero | (turn == params.columns_per_adc - 1))
    m.d.comb += [
        room.eq(free != 0),
        queue.w_en.eq(written),
        queue.w_data.eq(sums),
        queue.r_en.eq(leaves),
        out.valid.eq(queue.r_rdy),
        out.payload.eq(first),
        handed.eq(out.valid & out.ready),
        leaves.eq(leaving),
    ]
    m.d.sync += free.eq(free - reserved + leaves)
    if params.units > 1:
        with m.If(handed):
            m.d.sync += unit.eq(Mux(ends, 0, unit + 1))
