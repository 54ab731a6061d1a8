# SPDX-License-Identifier: Apache-2.0
"""The pixels of a map in row order, as fetch and write count them."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.params import ShiftParams

__all__ = ["PixelCounter"]


class PixelCounter(wiring.Component):
    """Counts the pixels of a map, row after row, again and again.

    Parameters
    ----------
    params : ShiftParams
        Rows and columns; keyword only.

    Members
    -------
    single : In
        Level: the map has one pixel instead.
    step : In
        Strobe: go to the next pixel; after the last one, to the first.
    row, column : Out
    first, last : Out
        Level: this is the first, the last pixel.
    """

    def __init__(self, *, params: ShiftParams) -> None:
        self._params = params
        super().__init__(
            {
                "single": In(1),
                "step": In(1),
                "row": Out(params.row_bits),
                "column": Out(params.column_bits),
                "first": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last_row = (self.row == self._params.height - 1) | self.single
        last_column = (self.column == self._params.width - 1) | self.single
        m.d.comb += [
            self.first.eq((self.row == 0) & (self.column == 0)),
            self.last.eq(last_row & last_column),
        ]
        with m.If(self.step):
            m.d.sync += self.column.eq(Mux(last_column, 0, self.column + 1))
            with m.If(last_column):
                m.d.sync += self.row.eq(Mux(last_row, 0, self.row + 1))
        return m
