# SPDX-License-Identifier: Apache-2.0
"""Wordline drivers: one-bit DACs that drive a vector of activations bit plane by bit plane."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.tile_params import TileParams

__all__ = ["WordlineDriver", "activation_layout"]


def activation_layout(params: TileParams) -> data.StructLayout:
    """Return a beat of activations: ``values``, one a crossbar for the same row, and ``last``."""
    values = data.ArrayLayout(signed(params.act_bits), params.crossbars)
    return data.StructLayout({"values": values, "last": 1})


class WordlineDriver(wiring.Component):
    """Holds two vectors of activations: one is loaded, row by row, while the other is driven.

    A vector is ready one cycle after its last beat. It ends with the beat that says so, at the
    latest with that of the last row; rows that got no activation are driven 0. Both buffers are
    used in turn. A bit plane is stored as one word a crossbar, so that driving it is one read.

    Parameters
    ----------
    params : TileParams
        Keyword only.

    Members
    -------
    activations : In, stream of `activation_layout`
        A row a beat. Ready while a buffer is free.
    ready : Out
        Level: a vector is being driven.
    release : In
        Strobe: this was the last cycle of the vector that is driven. Only with ``ready``.
    plane : In, ⌈log2 act_bits⌉ bits
        Bit plane to drive.
    wordlines : Out, rows bits a crossbar
        That plane of the vector, in the same cycle.
    totals : Out, signed, one a crossbar
        ΣQ over the vector's rows.
    """

    def __init__(self, *, params: TileParams) -> None:
        self._params = params
        super().__init__(
            {
                "activations": In(stream.Signature(activation_layout(params))),
                "ready": Out(1),
                "release": In(1),
                "plane": In(params.plane_bits),
                "wordlines": Out(data.ArrayLayout(params.rows, params.crossbars)),
                "totals": Out(data.ArrayLayout(signed(params.total_bits), params.crossbars)),
            }
        )

    @property
    def params(self) -> TileParams:
        """Sizes of the tile."""
        return self._params

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params = self._params
        loaded = Signal()  # which buffer is being loaded
        driven = Signal()  # which one is driven
        full = Signal(2)
        row = Signal(params.rows, init=1)  # one bit is high: that of the row to come
        beat = self.activations.payload
        taken = Signal()
        ends = Signal()
        m.d.comb += [
            self.activations.ready.eq(~Mux(loaded, full[1], full[0])),
            taken.eq(self.activations.valid & self.activations.ready),
            ends.eq(taken & (beat.last | row[-1])),
            self.ready.eq(Mux(driven, full[1], full[0])),
        ]
        with m.If(taken):
            m.d.sync += row.eq(Mux(ends, 1, row << 1))
        with m.If(ends):
            m.d.sync += loaded.eq(~loaded)
        with m.If(self.release):
            m.d.sync += driven.eq(~driven)
        for buffer in range(2):
            with m.If(ends & (loaded == buffer)):
                m.d.sync += full[buffer].eq(1)
            with m.If(self.release & (driven == buffer)):
                m.d.sync += full[buffer].eq(0)

        for crossbar in range(params.crossbars):
            value = beat.values[crossbar]
            planes, totals = [], []
            for buffer in range(2):
                name = f"{crossbar}_{buffer}"
                total = Signal(signed(params.total_bits), name=f"total_{name}")
                words = [
                    Signal(params.rows, name=f"plane_{name}_{bit}") for bit in range(len(value))
                ]
                # A bit of its own enable each costs no logic before the flip-flop.
                with m.If(taken & (loaded == buffer)):
                    m.d.sync += total.eq(total + value)
                    for place in range(params.rows):
                        with m.If(row[place]):
                            m.d.sync += [
                                word[place].eq(bit) for word, bit in zip(words, value, strict=True)
                            ]
                # Rows that get no activation are 0.
                with m.If(self.release & (driven == buffer)):
                    m.d.sync += [total.eq(0), *(word.eq(0) for word in words)]
                totals.append(total)
                planes += words + [words[-1]] * ((1 << params.plane_bits) - len(words))
            m.d.comb += [
                self.wordlines[crossbar].eq(Array(planes)[Cat(self.plane, driven)]),
                self.totals[crossbar].eq(Array(totals)[driven]),
            ]
        return m
