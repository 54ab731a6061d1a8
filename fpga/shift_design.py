# SPDX-License-Identifier: Apache-2.0
"""The shift module with the memory of one map, behind the bus."""

from __future__ import annotations

import dataclasses

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from fpga.bus import Bus
from fpga.protocol import Region
from hw.memory import ReadFirstMemory
from hw.params import Direction, ParameterError, ShiftParams
from hw.shift import ShiftModule

__all__ = ["MAP", "ShiftDesign"]

MAP = 2
"""Number of the region."""

_BYTE = 8


class ShiftDesign(wiring.Component):
    """Region ``map`` is one channel; RUN shifts it in place, in the direction of the argument.

    ``busy`` is high from the cycle that starts the shift module to the one in which it is done:
    ``hw.timing.shift_cycles``.

    Parameters
    ----------
    params : ShiftParams
        Shape of the channel; keyword only. A pixel is a byte of the map, in its low bits.

    Members
    -------
    bus : In, Bus

    Raises
    ------
    ParameterError
        If a pixel has more than 8 bits.
    """

    name = "shift"
    arguments = len(Direction.moving())
    registers: tuple[str, ...] = ()

    def __init__(self, *, params: ShiftParams) -> None:
        if params.bits > _BYTE:
            raise ParameterError(f"a pixel must fit a byte, not take {params.bits} bits")
        self._params = params
        self._depth = params.address(params.height - 1, params.width - 1) + 1
        super().__init__({"bus": In(Bus())})

    @property
    def regions(self) -> tuple[Region, ...]:
        """The map; a pixel's address is {row, column}."""
        return (Region("map", MAP, self._depth, 1, "rw"),)

    @property
    def parameters(self) -> dict[str, object]:
        """Shape of the channel."""
        return dataclasses.asdict(self._params)

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        bus = self.bus
        m.submodules.shift = shift = ShiftModule(params=self._params)
        m.submodules.memory = memory = ReadFirstMemory(width=self._params.bits, depth=self._depth)
        start = Signal()
        busy = Signal()
        m.d.sync += start.eq(bus.run)
        with m.If(bus.run):
            m.d.sync += busy.eq(1)
        with m.Elif(shift.done):
            m.d.sync += busy.eq(0)
        m.d.comb += [
            bus.busy.eq(busy),
            shift.start.eq(start),
            shift.direction.eq(bus.argument),
            shift.mem_rdata.eq(memory.rdata),
            memory.addr.eq(Mux(busy, shift.mem_addr, bus.address)),
            memory.we.eq(Mux(busy, shift.mem_we, bus.we & (bus.region == MAP))),
            memory.wdata.eq(Mux(busy, shift.mem_wdata, bus.wdata)),
        ]
        m.d.sync += bus.rdata.eq(memory.rdata)
        return m
