# SPDX-License-Identifier: Apache-2.0
"""Wordline drivers: one-bit DACs that drive a vector of activations bit plane by bit plane."""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.mask import MaskStore, mask_layout
from hw.params import address_bits
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

    With masks, the wordlines of a row are low for a page whose mask does not keep it, and ΣQ leaves
    it out: as a row comes, it is added for each of the masks that keep it.

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
        ΣQ over the vector's rows; not with masks.
    masks : In, `hw.mask.mask_layout`
        With masks only, as the rest: those of all vectors to come, of which the first
        activation comes three cycles after the last row at the earliest.
    advance : In
        Strobe: this was the last cycle of a page. The n-th page of a vector takes the n-th mask.
    total : Out, signed
        ΣQ over the rows that the page's masks keep, of all crossbars.
    """

    def __init__(self, *, params: TileParams) -> None:
        self._params = params
        members: dict[str, wiring.Member] = {
            "activations": In(stream.Signature(activation_layout(params))),
            "ready": Out(1),
            "release": In(1),
            "plane": In(params.plane_bits),
            "wordlines": Out(data.ArrayLayout(params.rows, params.crossbars)),
        }
        if params.masks:
            members["masks"] = In(mask_layout(params))
            members["advance"] = In(1)
            members["total"] = Out(signed(params.vector_total_bits))
        else:
            members["totals"] = Out(data.ArrayLayout(signed(params.total_bits), params.crossbars))
        super().__init__(members)

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

        if params.masks:
            store = self._masked(m, taken, ends, full)
        for crossbar in range(params.crossbars):
            value = beat.values[crossbar]
            planes: list[Signal] = []
            totals: list[Signal] = []
            for buffer in range(2):
                name = f"{crossbar}_{buffer}"
                total = Signal(signed(params.total_bits), name=f"total_{name}")
                own = [] if params.masks else [total]
                words = [
                    Signal(params.rows, name=f"plane_{name}_{bit}") for bit in range(len(value))
                ]
                # A bit of its own enable each costs no logic before the flip-flop.
                with m.If(taken & (loaded == buffer)):
                    m.d.sync += [total.eq(total + value) for total in own]
                    for place in range(params.rows):
                        with m.If(row[place]):
                            m.d.sync += [
                                word[place].eq(bit) for word, bit in zip(words, value, strict=True)
                            ]
                # Rows that get no activation are 0.
                with m.If(self.release & (driven == buffer)):
                    m.d.sync += [word.eq(0) for word in (*own, *words)]
                totals += own
                planes += words + [words[-1]] * ((1 << params.plane_bits) - len(words))
            lines = Array(planes)[Cat(self.plane, driven)]
            if params.masks:
                m.d.comb += self.wordlines[crossbar].eq(lines & store.words[crossbar])
            else:
                m.d.comb += [
                    self.wordlines[crossbar].eq(lines),
                    self.totals[crossbar].eq(Array(totals)[driven]),
                ]
        return m

    def _masked(self, m: Module, taken: Value, ends: Value, full: Signal) -> MaskStore:
        """Add ΣQ up for each mask as rows come; return the masks, which follow the pages."""
        params, beat = self._params, self.activations.payload
        m.submodules.store = store = MaskStore(params=params)
        place, page = Signal(address_bits(params.rows)), Signal(address_bits(params.masks))
        m.d.comb += [
            store.masks.eq(self.masks),
            store.row.eq(Mux(ends, 0, place + taken)),
            store.group.eq(Mux(self.release, 0, page + self.advance)),
        ]
        m.d.sync += [place.eq(store.row), page.eq(store.group)]

        # The vector that is loaded will be driven next: now that it ends, or that the one before
        # is done with.
        rises = Signal()
        m.d.comb += rises.eq(Mux(ends, ~self.ready | self.release, self.release & full.all()))
        totals = []
        for mask in range(params.masks):
            loading = Signal(signed(params.vector_total_bits), name=f"loading_{mask}")
            driving = Signal.like(loading, name=f"total_{mask}")
            kept = [
                Mux(taken & store.kept[crossbar][mask], value, 0)
                for crossbar, value in enumerate(beat.values)
            ]
            following = Signal.like(loading, name=f"following_{mask}")
            m.d.comb += following.eq(loading + sum(kept[1:], start=kept[0]))
            m.d.sync += loading.eq(Mux(rises, 0, following))
            with m.If(rises):
                m.d.sync += driving.eq(following)
            totals.append(driving)
        m.d.comb += self.total.eq(Array(totals)[page])
        return store
