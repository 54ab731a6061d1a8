# SPDX-License-Identifier: Apache-2.0
"""The shift with line buffers: the design that the paper argues against, for comparison only.

DATE 2024, section IV-A, holds that line buffers cost too much for this job. So here is one that is
as lean as we could make it; ``scripts.size`` synthesises both in one run.
"""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.params import Direction, ShiftParams, address_bits

__all__ = ["LineBufferShift"]


class LineBufferShift(wiring.Component):
    """Shifts a channel that streams through: one pixel in and one out a cycle, W + 1 cycles later.

    A delay line of two rows and three pixels holds every neighbour of the pixel that leaves; the
    direction chooses its tap. Channels follow each other without a gap: H·W cycles each.
    Compared with ShiftModule it has no address generator: whoever feeds it needs two.

    Members
    -------
    enable : In
        Level: a pixel enters, and one leaves.
    direction : In, 3
        ``Direction`` 0…7 of the channel that leaves; constant while it does.
    pixel_in : In, bits
        Row by row.
    pixel_out : Out, bits
        Of the pixel that entered W + 1 enabled cycles earlier.
    """

    def __init__(self, *, params: ShiftParams) -> None:
        self._params = params
        super().__init__(
            {
                "enable": In(1),
                "direction": In(3),
                "pixel_in": In(params.bits),
                "pixel_out": Out(params.bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        height, width = self._params.height, self._params.width

        delayed = [self.pixel_in]
        for _ in range(2 * width + 2):
            stage = Signal(self._params.bits, reset_less=True)
            with m.If(self.enable):
                m.d.sync += stage.eq(delayed[-1])
            delayed.append(stage)

        # Position of the pixel that leaves: W + 1 pixels behind the one that enters.
        row = Signal(self._params.row_bits, init=height - 2)
        column = Signal(address_bits(width), init=width - 1)
        with m.If(self.enable):
            m.d.sync += column.eq(Mux(column == width - 1, 0, column + 1))
            with m.If(column == width - 1):
                m.d.sync += row.eq(Mux(row == height - 1, 0, row + 1))

        taps = []
        outside = []
        for direction in Direction.moving():
            taps.append(delayed[width + 1 + direction.dy * width + direction.dx])
            row_edge = row == (0 if direction.dy > 0 else height - 1) if direction.dy else 0
            column_edge = column == (0 if direction.dx > 0 else width - 1) if direction.dx else 0
            outside.append(row_edge | column_edge)
        chosen = Array(taps)[self.direction]
        m.d.comb += self.pixel_out.eq(Mux(Array(outside)[self.direction], 0, chosen))
        return m
