# SPDX-License-Identifier: Apache-2.0
"""The crossbar tile behind AXI4-Streams.

The tile's streams keep the rules of AMBA AXI4-Stream (ARM IHI 0051) as they are: this gives them
their names, whole bytes, and TLAST.
"""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.params import address_bits
from hw.tile import COUNTER_BITS, Tile
from hw.tile_params import TileParams

__all__ = ["AxisTile"]

OWN = {"activations": "last", "masks": "valid"}
"""Fields of payloads that have a signal of their own."""


def tdata_layouts(tile: Tile) -> dict[str, data.StructLayout]:
    """Return what TDATA holds by stream, from bit 0 on; above, up to a whole byte, 0.

    That is the payload of the tile's stream, but for ``last`` of an activation, which is TLAST, and
    ``valid`` of masks, which is TVALID.
    """
    members = tile.signature.members
    layouts = {
        name: member.signature.members["payload"].shape
        for name, member in members.items()
        if member.is_signature
    }
    if "masks" in members:
        layouts["masks"] = members["masks"].shape
    return {
        name: data.StructLayout(
            {key: shape for key, shape in layout.members.items() if key != OWN.get(name)}
        )
        for name, layout in layouts.items()
    }


class AxisTile(wiring.Component):
    """A tile whose streams have AXI's names and whole bytes; it adds no cycle.

    Parameters
    ----------
    params : TileParams
        Keyword only.
    analog : bool
        As of `Tile`.

    Attributes
    ----------
    tile : Tile
        What is wrapped.
    layouts : dict of str to StructLayout
        `tdata_layouts`.

    Members
    -------
    s_axis_{name}_tdata : In, `tdata_layouts` filled up to whole bytes
        Of ``activations``, ``commands``, ``channels``, ``entries``; of ``program`` unless
        ``analog``; of ``masks`` if the tile takes them. The bits that fill the last byte are
        ignored.
    s_axis_{name}_tvalid : In
    s_axis_{name}_tready : Out
    s_axis_activations_tlast : In
        A packet is a vector, of ``rows`` beats at most.
    m_axis_outputs_tdata, m_axis_outputs_tvalid : Out
    m_axis_outputs_tlast : Out
        A packet is the ``TileParams.outputs`` outputs of a command.
    m_axis_outputs_tready : In
    conversions, active_wordlines, sampled_pages : Out, 48
        As of `Tile`.
    """

    def __init__(self, *, params: TileParams, analog: bool = False) -> None:
        self._params = params
        self.tile = Tile(params=params, analog=analog)
        self.layouts = tdata_layouts(self.tile)
        members: dict[str, wiring.Member] = {}
        for name, layout in self.layouts.items():
            taken, given, prefix = In, Out, f"s_axis_{name}"
            if name == "outputs":
                taken, given, prefix = Out, In, f"m_axis_{name}"
            members[f"{prefix}_tdata"] = taken(-(-layout.size // 8) * 8)
            members[f"{prefix}_tvalid"] = taken(1)
            members[f"{prefix}_tready"] = given(1)
            if name in ("activations", "outputs"):
                members[f"{prefix}_tlast"] = taken(1)
        counters = ("conversions", "active_wordlines", "sampled_pages")
        super().__init__(members | {name: Out(COUNTER_BITS) for name in counters})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.tile = tile = self.tile
        for name, layout in self.layouts.items():
            if name != "outputs":
                self._take(m, name, layout)
        outputs = tile.outputs
        number = Signal(address_bits(self._params.outputs))
        last = number == self._params.outputs - 1
        with m.If(outputs.valid & outputs.ready):
            m.d.sync += number.eq(number + 1)
            with m.If(last):
                m.d.sync += number.eq(0)
        m.d.comb += [
            self.m_axis_outputs_tdata.eq(Value.cast(outputs.payload)),
            self.m_axis_outputs_tvalid.eq(outputs.valid),
            self.m_axis_outputs_tlast.eq(last),
            outputs.ready.eq(self.m_axis_outputs_tready),
            self.conversions.eq(tile.conversions),
            self.active_wordlines.eq(tile.active_wordlines),
            self.sampled_pages.eq(tile.sampled_pages),
        ]
        return m

    def _take(self, m: Module, name: str, layout: data.StructLayout) -> None:
        """Connect an input, field by field."""
        port = getattr(self.tile, name)
        prefix = f"s_axis_{name}"
        tdata, tvalid, tready = (
            getattr(self, f"{prefix}_{signal}") for signal in ("tdata", "tvalid", "tready")
        )
        if name == "masks":  # taken in any cycle
            payload = port
            m.d.comb += [payload.valid.eq(tvalid), tready.eq(1)]
        else:
            payload = port.payload
            m.d.comb += [port.valid.eq(tvalid), tready.eq(port.ready)]
        for key, field in layout:
            m.d.comb += Value.cast(payload[key]).eq(tdata.bit_select(field.offset, field.width))
        if name == "activations":
            m.d.comb += payload.last.eq(self.s_axis_activations_tlast)
