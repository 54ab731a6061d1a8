# SPDX-License-Identifier: Apache-2.0
"""Where a tile keeps the masks of a layer, as wordlines take them and as ΣQ takes them."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.params import address_bits
from hw.tile_params import TileParams

__all__ = ["MaskStore", "mask_layout"]


def mask_layout(params: TileParams) -> data.StructLayout:
    """Return what the masks of a column group are made of, a row of each crossbar at a time.

    ``valid``, a row comes of each crossbar for which ``rows[crossbar].valid``; ``keep`` says
    whether the mask keeps it. ``group``: number of the masks; ``last``: these are its last rows.
    """
    row = data.StructLayout({"valid": 1, "keep": 1, "position": address_bits(params.rows)})
    return data.StructLayout(
        {
            "valid": 1,
            "last": 1,
            "group": address_bits(params.masks),
            "rows": data.ArrayLayout(row, params.crossbars),
        }
    )


class MaskStore(wiring.Component):
    """Masks of a layer: a memory that is read by column group, and one that is read by row.

    Rows come in any order. The first memory takes a word a group, which is put together in a
    register; in the second one each row's word is read, one bit of it replaced, and written back.
    Rows that a layer does not have keep what they were: nothing is ever driven there. Three cycles
    after ``last``, both hold what came.

    Parameters
    ----------
    params : TileParams
        With ``masks``.

    Members
    -------
    masks : In, `mask_layout`
        Each row of a group once; the same row not in two cycles on end.
    group : In
        Masks whose words are wanted in the next cycle.
    words : Out, rows bits a crossbar
        High: the row is kept.
    row : In
        Row whose bits are wanted in the next cycle; not while masks come.
    kept : Out, a bit a group, for each crossbar
    """

    def __init__(self, *, params: TileParams) -> None:
        self._params = params
        super().__init__(
            {
                "masks": In(mask_layout(params)),
                "group": In(address_bits(params.masks)),
                "words": Out(data.ArrayLayout(params.rows, params.crossbars)),
                "row": In(address_bits(params.rows)),
                "kept": Out(data.ArrayLayout(params.masks, params.crossbars)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params, came = self._params, self.masks
        before = Signal(mask_layout(params))
        m.d.sync += before.eq(came)
        words = [Signal(params.rows, name=f"word_{n}") for n in range(params.crossbars)]
        m.submodules.by_group = by_group = Memory(
            shape=params.rows * params.crossbars, depth=max(2, params.masks), init=[]
        )
        write, read = by_group.write_port(), by_group.read_port()
        m.d.comb += [
            write.addr.eq(before.group),
            write.data.eq(Cat(words)),
            write.en.eq(before.valid & before.last),
            read.addr.eq(self.group),
            read.en.eq(1),
            self.words.as_value().eq(read.data),
        ]
        for crossbar, word in enumerate(words):
            new, old = came.rows[crossbar], before.rows[crossbar]
            with m.If(came.valid & new.valid):
                m.d.sync += word.bit_select(new.position, 1).eq(new.keep)
            by_row = Memory(shape=params.masks, depth=params.rows, init=[])
            m.submodules[f"by_row_{crossbar}"] = by_row
            write, read = by_row.write_port(), by_row.read_port()
            m.d.comb += [
                read.addr.eq(Mux(came.valid, new.position, self.row)),
                read.en.eq(1),
                self.kept[crossbar].eq(read.data),
                write.addr.eq(old.position),
                write.en.eq(before.valid & old.valid),
            ]
            # The last group comes last: what others write in its place is written over.
            *others, last = range(params.masks)
            for group in others:
                kept = Mux(before.group == group, old.keep, read.data[group])
                m.d.comb += write.data[group].eq(kept)
            m.d.comb += write.data[last].eq(old.keep)
        return m
