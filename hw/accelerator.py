# SPDX-License-Identifier: Apache-2.0
"""The accelerator: a tile, the maps' memories around it, and what moves data between them.

``docs/accelerator.md`` has the whole in one picture; what is computed, ``docs/intnet.md``.
"""

from __future__ import annotations

from amaranth.hdl import Const, Module, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.accelerator_params import AcceleratorParams
from hw.buffers import Buffers
from hw.channel_feed import ChannelFeed
from hw.fetch import Fetch
from hw.load import Contents, payloads
from hw.mask_unit import MaskUnit
from hw.params import address_bits
from hw.sequencer import Sequencer
from hw.shift_pass import ShiftPass
from hw.tile import COUNTER_BITS, Tile
from hw.tile_params import ACC_BITS
from hw.writer import Writer

__all__ = ["DIGEST_BITS", "Accelerator"]

DIGEST_BITS = 256


class Accelerator(wiring.Component):
    """Runs one integer network, image after image.

    Pages, tables and parameters are there from the start, or the host loads them. It writes an
    image into its buffer, starts, and reads the logits when the accelerator is ``ready``. With
    ``step`` it stops after each layer, and every map can be read.
    ``hw.timing.accelerator_cycles`` says how long it takes.

    Parameters
    ----------
    params : AcceleratorParams
        Keyword only.
    digest : int
        sha256 of the integer network, for the host to compare.
    contents : Contents
        What memories hold when the hardware is configured; reset does not bring it back.
    counter_bits : int
        Width of the activity counters: fewer bits overflow while one simulates.

    Members
    -------
    start, step, ready, layer
        As of `Sequencer`.
    host_buffer, host_bank, host_addr : In
        A word of a buffer, {channel, row, column}; after the buffers, the pooled map, by channel.
        At rest only, as all that the host does.
    host_we : In
        Level: it becomes ``host_wdata``; the pooled map can only be read.
    host_wdata : In, signed
    host_rdata : Out, signed
        The word that was addressed one cycle earlier.
    logit : In
        A class.
    logit_value : Out, 32, signed
        The logit of the class of one cycle earlier.
    program, entries : In
        Cells and tables, as of `Tile`.
    channels, affines : In, streams of `slot_layout` (always ready)
        Parameters of the channels, and of their second affines.
    conversions, active_wordlines, sampled_pages : Out, 48
        Activity, as of `Tile`.
    map_writes : Out, 48
        Words written into buffers by layers and passes since reset; the pooled map not counted.
    digest : Out, 256
        Constant.
    """

    def __init__(
        self,
        *,
        params: AcceleratorParams,
        digest: int = 0,
        contents: Contents | None = None,
        counter_bits: int = COUNTER_BITS,
    ) -> None:
        self._params = params
        self._counter_bits = counter_bits
        self._digest = digest
        self._contents = contents or Contents()
        counter = Out(counter_bits)
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "ready": Out(1),
                "layer": Out(address_bits(len(params.layers))),
                "host_buffer": In(address_bits(len(params.buffers) + 1)),
                "host_bank": In(address_bits(params.banks)),
                "host_addr": In(params.bank_bits),
                "host_we": In(1),
                "host_wdata": In(signed(params.shift.bits)),
                "host_rdata": Out(signed(params.shift.bits)),
                "logit": In(address_bits(params.classes)),
                "logit_value": Out(signed(ACC_BITS)),
                **{name: In(stream.Signature(word)) for name, word in payloads(params).items()},
                "conversions": counter,
                "active_wordlines": counter,
                "sampled_pages": counter,
                "map_writes": counter,
                "digest": Out(DIGEST_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params, contents = self._params, self._contents
        m.submodules.sequencer = sequencer = Sequencer(params=params)
        m.submodules.fetch = fetch = Fetch(params=params)
        m.submodules.feed = feed = ChannelFeed(params=params, channels=contents.channels)
        m.submodules.tile = tile = Tile(
            params=params.tile,
            cells=contents.cells,
            tables=contents.tables,
            counter_bits=self._counter_bits,
            skips=params.skips,
        )
        m.submodules.writer = writer = Writer(params=params, affines=contents.affines)
        m.submodules.buffers = buffers = Buffers(params=params, counter_bits=self._counter_bits)
        wiring.connect(m, fetch.activations, tile.activations)
        wiring.connect(m, sequencer.commands, tile.commands)
        wiring.connect(m, feed.channels, tile.channels)
        wiring.connect(m, tile.outputs, writer.outputs)
        wiring.connect(m, wiring.flipped(self.program), tile.program)
        wiring.connect(m, wiring.flipped(self.entries), tile.entries)
        wiring.connect(m, wiring.flipped(self.channels), feed.load)
        wiring.connect(m, wiring.flipped(self.affines), writer.load)
        # From one block to another, under the same names.
        for source, target, names in (
            (self, sequencer, ("start", "step")),
            (sequencer, self, ("ready", "layer")),
            (sequencer, fetch, ("entry", "begin")),
            (sequencer, feed, ("entry", "begin")),
            (sequencer, writer, ("entry",)),
            (sequencer, buffers, ("entry",)),
            (fetch, buffers, ("a_addr", "b_addr", "reads")),
            (buffers, fetch, ("a_rdata", "b_rdata")),
            (writer, buffers, ("add_addr", "add_bank", "first", "second", "pooled")),
            (buffers, writer, ("add_rdata",)),
            (writer, sequencer, ("finished",)),
            (self, buffers, ("host_buffer", "host_bank", "host_addr", "host_we", "host_wdata")),
            (buffers, self, ("host_rdata", "map_writes")),
            (tile, self, ("conversions", "active_wordlines", "sampled_pages")),
        ):
            m.d.comb += [getattr(target, name).eq(getattr(source, name)) for name in names]
        m.d.comb += [
            buffers.rest.eq(sequencer.ready),
            self.digest.eq(Const(self._digest, DIGEST_BITS)),
        ]
        if params.mode == "in_place":
            m.submodules.shift = shift = ShiftPass(params=params)
            m.d.comb += [
                shift.start.eq(sequencer.shift_start),
                shift.rdata.eq(buffers.shift_rdata),
                buffers.shift_addr.eq(shift.addr),
                buffers.shift_we.eq(shift.we),
                buffers.shift_wdata.eq(shift.wdata),
                sequencer.shift_done.eq(shift.done),
            ]
        if params.tile.masks:
            layers = tuple(layer.masks for layer in params.layers)
            m.submodules.mask_unit = masks = MaskUnit(params=params.tile, layers=layers)
            m.d.comb += [
                masks.run.eq(sequencer.masks_run),
                sequencer.masks_done.eq(masks.done),
                tile.masks.eq(masks.masks),
            ]
        m.submodules.logits = logits = Memory(
            shape=signed(ACC_BITS), depth=max(2, params.classes), init=[]
        )
        write, read = logits.write_port(), logits.read_port()
        m.d.comb += [
            write.addr.eq(writer.logits.index),
            write.data.eq(writer.logits.value),
            write.en.eq(writer.logits.valid),
            read.addr.eq(self.logit),
            read.en.eq(1),
            self.logit_value.eq(read.data),
        ]
        return m
