# SPDX-License-Identifier: Apache-2.0
"""A pass that shifts a feature map in place: one shift module a bank, all banks side by side."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.accelerator_params import AcceleratorParams
from hw.params import address_bits
from hw.shift import ShiftModule

__all__ = ["ShiftPass"]


class ShiftPass(wiring.Component):
    """Shifts the channels of a map that move, those of one bank one after the other.

    A pass takes n·H·W + 2 cycles (``hw.timing.shift_cycles``), n the channels of the first bank
    that move; no bank has more.

    Parameters
    ----------
    params : AcceleratorParams
        Keyword only.

    Members
    -------
    start : In
        Strobe: shift the map. Only at rest.
    done : Out
        Strobe: the last cycle of the pass.
    addr : Out, one a bank
        {channel, row, column} of the access.
    we : Out, one a bank
        Level: the bank's word is replaced. Low at rest.
    wdata, one a bank : Out
    rdata, one a bank : In
        From a read-first memory: the old word at the previous cycle's address.
    """

    def __init__(self, *, params: AcceleratorParams) -> None:
        self._params = params
        word = data.ArrayLayout(params.shift.bits, params.banks)
        super().__init__(
            {
                "start": In(1),
                "done": Out(1),
                "addr": Out(data.ArrayLayout(params.bank_bits, params.banks)),
                "we": Out(params.banks),
                "wdata": Out(word),
                "rdata": In(word),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params = self._params
        for bank, count in enumerate(params.moved):
            if not count:
                continue
            m.submodules[f"lane_{bank}"] = lane = ShiftModule(params=params.shift)
            first = bank * params.tile.rows
            directions = Array(map(int, params.directions[first : first + count]))
            # The counter rests on the last channel, as in `hw.shift.ShiftArray`.
            channel = Signal(address_bits(count), init=count - 1, name=f"channel_{bank}")
            following = Signal.like(channel)
            on_last = channel == count - 1
            m.d.comb += [
                following.eq(Mux(on_last, 0, channel + 1)),
                lane.start.eq(self.start | ~on_last),
                lane.direction.eq(directions[following]),
                lane.mem_rdata.eq(self.rdata[bank]),
                self.addr[bank].eq(Cat(lane.mem_addr, channel)),
                self.we[bank].eq(lane.mem_we),
                self.wdata[bank].eq(lane.mem_wdata),
            ]
            with m.If(lane.ready & lane.start):
                m.d.sync += channel.eq(following)
            if bank == 0:
                m.d.comb += self.done.eq(lane.done & on_last)
        return m
