# SPDX-License-Identifier: Apache-2.0
"""The channels' parameters: the memory that holds them, and its writes, slot after slot.

Nothing here counts pixels: parameters wait for their sums.
"""

from __future__ import annotations

from collections.abc import Iterable

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.accelerator_params import AcceleratorParams
from hw.params import address_bits
from hw.requant import channel_layout
from hw.sequencer import entry_layout

__all__ = ["ChannelFeed", "load_slots", "slot_layout"]


def slot_layout(params: AcceleratorParams, content: data.StructLayout) -> data.StructLayout:
    """Return a write into the channels' parameters: slot group·outputs + output, and its word."""
    return data.StructLayout({"content": content, "slot": address_bits(params.slots)})


def load_slots(m: Module, memory: Memory, load: stream.Interface) -> None:
    """Let a stream of `slot_layout`, always ready, write a memory."""
    write = memory.write_port()
    m.d.comb += [
        load.ready.eq(1),
        write.addr.eq(load.payload.slot),
        write.data.eq(load.payload.content),
        write.en.eq(load.valid),
    ]


class ChannelFeed(wiring.Component):
    """Holds the parameters of all channels, and gives the tile those of a layer again and again.

    Parameters
    ----------
    params : AcceleratorParams
        Keyword only.
    channels : iterable of dict
        First contents: fields of `hw.requant.channel_layout`, slot after slot.

    Members
    -------
    entry : In, `hw.sequencer.entry_layout`
    begin : In
        Strobe: go to the layer's first slot.
    channels : Out, stream of `hw.requant.channel_layout`
        Always valid, one a cycle; the layer's from two cycles after ``begin`` on, when none of
        its sums is there yet.
    load : In, stream of `slot_layout` (always ready)
        Writes a word; not while the tile runs.
    """

    def __init__(
        self, *, params: AcceleratorParams, channels: Iterable[dict[str, int]] = ()
    ) -> None:
        self._params = params
        self._channels = channels
        word = channel_layout(params.tile)
        super().__init__(
            {
                "entry": In(entry_layout(params)),
                "begin": In(1),
                "channels": Out(stream.Signature(word)),
                "load": In(stream.Signature(slot_layout(params, word))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = channel_layout(self._params.tile)
        memory = Memory(shape=word, depth=max(2, self._params.slots), init=self._channels)
        m.submodules.memory = memory
        load_slots(m, memory, self.load)
        read = memory.read_port()
        slot = Signal(address_bits(self._params.slots))
        after = Signal.like(slot)
        # The word after the one that is taken is read in the same cycle.
        m.d.comb += [
            after.eq(Mux(slot == self.entry.last_slot, self.entry.first_slot, slot + 1)),
            read.addr.eq(Mux(self.channels.ready, after, slot)),
            read.en.eq(1),
            self.channels.valid.eq(1),
            self.channels.payload.eq(read.data),
        ]
        m.d.sync += slot.eq(read.addr)
        with m.If(self.begin):
            m.d.sync += slot.eq(self.entry.first_slot)
        return m
