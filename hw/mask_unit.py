# SPDX-License-Identifier: Apache-2.0
"""The mask unit: makes the masks of a layer again, from a seed and a count for each page."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.lfsr import Lfsr
from hw.mask import mask_layout
from hw.params import address_bits
from hw.row_masks import Masks
from hw.tile_params import TileParams

__all__ = ["MaskUnit"]


class MaskUnit(wiring.Component):
    """Runs a register for each crossbar, side by side, through the column groups of a layer.

    A group takes one cycle to load and a period of 2^width − 1; no mask is stored, and of a page
    only its seed and count. Crossbars that a layer does not use keep no row.

    Parameters
    ----------
    params : TileParams
        With ``masks``.
    layers : tuple of `hw.row_masks.Masks`
        Masks of all layers, in the order in which they run. Those of a layer have as many
        positions and the same taps.

    Members
    -------
    run : In
        Level: make the masks of the layer to come, up to ``done``.
    done : Out
        Strobe: these were its last rows. Afterwards the next layer is to come, after the last one
        the first.
    masks : Out, `mask_layout`
    """

    def __init__(self, *, params: TileParams, layers: tuple[Masks, ...]) -> None:
        self._params = params
        self._layers = layers
        super().__init__({"run": In(1), "done": Out(1), "masks": Out(mask_layout(params))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = max(masks[0][0].width for masks in self._layers)
        page = data.StructLayout({"seed": width, "count": width})
        layout = data.StructLayout(
            {
                "positions": width,
                "taps": width,
                "last": 1,
                "pages": data.ArrayLayout(page, self._params.crossbars),
            }
        )
        table = [
            self._fields(masks, group) for masks in self._layers for group in range(len(masks))
        ]
        number = Signal(range(len(table)))
        now = Signal(layout)
        with m.Switch(number):
            for place, fields in enumerate(table[:-1]):
                with m.Case(place):
                    m.d.comb += now.eq(layout.const(fields))
            with m.Default():
                m.d.comb += now.eq(layout.const(table[-1]))

        loaded = Signal()
        group = Signal(address_bits(self._params.masks))
        registers = []
        for crossbar in range(self._params.crossbars):
            m.submodules[f"register_{crossbar}"] = register = Lfsr(width=width)
            registers.append(register)
            row = self.masks.rows[crossbar]
            m.d.comb += [
                register.load.eq(~loaded),
                register.seed.eq(now.pages[crossbar].seed),
                register.taps.eq(now.taps),
                register.positions.eq(now.positions),
                register.count.eq(now.pages[crossbar].count),
                row.valid.eq(register.valid),
                row.keep.eq(register.keep),
                row.position.eq(register.position),
            ]
        # All periods are of one length, so one register ends them all.
        ends = Signal()
        m.d.comb += [
            ends.eq(loaded & registers[0].last),
            self.done.eq(ends & now.last),
            self.masks.valid.eq(loaded),
            self.masks.last.eq(ends),
            self.masks.group.eq(group),
        ]
        m.d.sync += loaded.eq(self.run & ~ends)
        with m.If(ends):
            m.d.sync += [
                group.eq(Mux(now.last, 0, group + 1)),
                number.eq(Mux(number == len(table) - 1, 0, number + 1)),
            ]
        return m

    def _fields(self, masks: Masks, group: int) -> dict[str, Any]:
        """Return what the registers need for a column group of a layer."""
        pages = masks[group]
        unused = [{"seed": 1, "count": 0}] * (self._params.crossbars - len(pages))
        return {
            "positions": pages[0].positions,
            "taps": pages[0].taps,
            "last": group == len(masks) - 1,
            "pages": [{"seed": mask.seed, "count": mask.count} for mask in pages] + unused,
        }
