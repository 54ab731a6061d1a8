# SPDX-License-Identifier: Apache-2.0
"""What is proven of the accelerator's control: no address ever leaves its memory.

Sequencer, fetch, channels' parameters and write, connected as in ``hw.accelerator`` but for the
tile, whose place is taken by anything that keeps three rules: a command is taken when its vector
has been delivered; outputs and their parameters belong to vectors that have been delivered; the
last output of a vector comes after its last command. `cosim.properties_driver` proves them of it.
"""

from __future__ import annotations

from typing import ClassVar

from amaranth.hdl import Array, Assert, Assume, Cat, Cover, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from cosim.properties_link import assert_holds
from cosim.properties_walk import source_of
from cosim.small_accelerator import small_accelerator
from hw.channel_feed import ChannelFeed
from hw.dac import activation_layout
from hw.fetch import Fetch
from hw.params import Direction, ShiftParams, address_bits
from hw.sequencer import Sequencer, entry_layout, entry_of
from hw.tile import command_layout
from hw.writer import Writer, place_layout

__all__ = ["ControlAddresses"]

RUN, STATES = 2, 5  # of the sequencer, as Amaranth numbers them: a layer runs; how many there are


class ControlAddresses(wiring.Component):
    """All layers, image after image: pages, parameters, maps and logits are addressed in range.

    Of reads, those that are used; where a shift brings a 0 from outside the map, none is. Commands
    name the pages of the schedule, also if the network is ``pruned``. What is offered holds until
    it is taken, and each layer ends once. By invariants that say where
    fetch and write are, in how many vectors have been delivered, released and put out. Covered: a
    layer ends, and the one after it writes.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_state": "sequencer.fsm_state",
        "probe_busy": "fetch.busy",
        "probe_read": "fetch.read",
        "probe_read_last": "fetch.read_last",
        "probe_channel": "fetch.channel",
        "probe_row": "fetch.pixel.row",
        "probe_column": "fetch.pixel.column",
        "probe_group": "sequencer.group",
        "probe_slot": "feed.slot",
        "probe_slot_read": "feed.read__addr",
        "probe_output": "writer.output",
        "probe_bank": "writer.bank",
        "probe_write_channel": "writer.channel",
        "probe_write_row": "writer.pixel.row",
        "probe_write_column": "writer.pixel.column",
        **{f"probe_place_{n}": f"writer.place_{n}" for n in range(1, 5)},
    }

    def __init__(self, shift: ShiftParams, *, pruned: bool = False) -> None:
        self._params = params = small_accelerator(shift, pruned=pruned)
        tile = params.tile
        slot = In(address_bits(params.slots))
        row, column = In(shift.row_bits), In(shift.column_bits)
        super().__init__(
            {
                "start": In(1),
                "step": In(1),
                "shift_done": In(1),
                "activations_ready": In(1),
                "commands_ready": In(1),
                "channels_ready": In(1),
                "outputs_valid": In(1),
                "probe_state": In(3),
                "probe_busy": In(1),
                "probe_read": In(1),
                "probe_read_last": In(1),
                "probe_channel": In(address_bits(tile.rows)),
                "probe_row": row,
                "probe_column": column,
                "probe_group": In(params.group_bits),
                "probe_slot": slot,
                "probe_slot_read": slot,
                "probe_output": In(entry_layout(params)["outputs"].width),
                "probe_bank": In(address_bits(params.banks)),
                "probe_write_channel": In(address_bits(tile.rows)),
                "probe_write_row": row,
                "probe_write_column": column,
                **{f"probe_place_{n}": In(place_layout(params)) for n in range(1, 5)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the control, what stands for the tile, the invariants and the claims."""
        m = Module()
        params = self._params
        m.submodules.sequencer = self._sequencer = sequencer = Sequencer(params=params)
        m.submodules.fetch = self._fetch = fetch = Fetch(params=params)
        m.submodules.feed = feed = ChannelFeed(params=params)
        m.submodules.writer = self._writer = writer = Writer(params=params)
        self._entry = entry = sequencer.entry
        m.d.comb += [
            sequencer.start.eq(self.start),
            sequencer.step.eq(self.step),
            sequencer.shift_done.eq(self.shift_done),
            sequencer.finished.eq(writer.finished),
            *(block.entry.eq(entry) for block in (fetch, feed, writer)),
            *(block.begin.eq(sequencer.begin) for block in (fetch, feed)),
            fetch.activations.ready.eq(self.activations_ready),
            sequencer.commands.ready.eq(self.commands_ready),
            feed.channels.ready.eq(self.channels_ready),
            writer.outputs.valid.eq(self.outputs_valid),
        ]
        self._offers(m)
        self._tile(m)
        self._invariants(m)
        self._claims(m)
        return m

    def _offers(self, m: Module) -> None:
        """Claim that what a layer offers holds until it is taken, and that it ends once."""
        beats, commands = self._fetch.activations, self._sequencer.commands
        ends = self._writer.finished
        running, was_running, finished = Signal(), Signal(), Signal()
        m.d.comb += running.eq(self.probe_state == RUN)
        m.d.sync += [was_running.eq(running), finished.eq(ends)]
        # Commands are offered before a layer begins, and wait for it.
        assert_holds(m, beats.valid, self.activations_ready, beats.payload.as_value())
        assert_holds(m, running, self.commands_ready | ends, commands.payload.as_value())
        m.d.comb += [Assert(~ends | running), Assert((was_running & ~running) == finished)]

    def _tile(self, m: Module) -> None:
        """Count vectors: delivered, released, put out; assume what the tile keeps to."""
        params, sequencer = self._params, self._sequencer
        beats, commands = self._fetch.activations, sequencer.commands
        beat = data.View(activation_layout(params.tile), beats.payload)
        command = data.View(command_layout(params.tile), commands.payload)
        self._counts = [Signal(range(params.shift.pixels + 1), name=f"count_{n}") for n in range(3)]
        delivered, released, out = self._counts
        ends = self.outputs_valid & (self.probe_output == self._entry.last_output)
        with m.If(sequencer.begin):
            m.d.sync += [count.eq(0) for count in self._counts]
        with m.Else():
            m.d.sync += [
                delivered.eq(delivered + (beats.valid & beats.ready & beat.last)),
                released.eq(released + (commands.valid & commands.ready & command.release)),
                out.eq(out + ends),
            ]
        m.d.comb += [
            Assume(~commands.ready | (released < delivered)),
            Assume(~(self.outputs_valid | self.channels_ready) | (out < delivered)),
            Assume(~ends | (out < released)),
        ]

    def _invariants(self, m: Module) -> None:
        """Say where everybody is."""
        params, entry, shift = self._params, self._entry, self._params.shift
        delivered, released, out = self._counts
        sequencer, fetch = self._sequencer, self._fetch
        beat = data.View(activation_layout(params.tile), fetch.activations.payload)
        layout = entry_layout(params)
        entries = Array(layout.const(entry_of(params, e)).as_value() for e in params.layers)
        running = self.probe_state == RUN
        count = Mux(entry.single, 1, shift.pixels)
        fetched = Mux(self.probe_busy, self.probe_row * shift.width + self.probe_column, count)
        valid = fetch.activations.valid
        flying = (self.probe_read & self.probe_read_last) + (valid & beat.last)
        place = [getattr(self, f"probe_place_{n}") for n in range(1, 5)]
        at = self.probe_write_row * shift.width + self.probe_write_column
        counters = Cat(self.probe_channel, self.probe_row, self.probe_column, self.probe_group)
        writes = Cat(self.probe_output, self.probe_write_channel, self.probe_bank, at)
        m.d.comb += [
            Assert(self.probe_state < STATES),
            Assert(sequencer.layer < len(params.layers)),
            Assert(entry.as_value() == entries[sequencer.layer]),
            *(Assert(row < shift.height) for row in (self.probe_row, self.probe_write_row)),
            *(Assert(c < shift.width) for c in (self.probe_column, self.probe_write_column)),
            Assert(self.probe_slot < params.slots),
        ]
        for number, later in enumerate(place):
            for earlier in place[:number]:
                m.d.comb += Assert(~later.ends | ~(earlier.ends | earlier.valid))
            m.d.comb += Assert(~later.ends | (running & (out == count)))
            with m.If(later.valid):
                m.d.comb += [Assert(running), *self._element(later.bank, later.addr, later.output)]
                m.d.comb += Assert(later.output < entry.outputs)
        with m.If(~running):
            m.d.comb += [
                Assert(~(self.probe_busy | self.probe_read | valid)),
                Assert(counters == 0),
                Assert(writes == 0),
                Assert((out == released) & (released == delivered)),
            ]
        with m.Else():
            m.d.comb += [
                Assert((out <= released) & (released <= delivered) & (delivered <= count)),
                Assert(delivered + flying == fetched),
                Assert(self.probe_channel <= entry.last_channel),
                Assert(self.probe_busy | (counters[: len(counters) - len(self.probe_group)] == 0)),
                Assert(self.probe_busy | ~self.probe_read | self.probe_read_last),
                Assert(self.probe_busy | self.probe_read | ~valid | beat.last),
                Assert(~entry.single | ((self.probe_row == 0) & (self.probe_column == 0))),
                Assert(self.probe_group <= entry.last_group),
                Assert((self.probe_group == 0) | (released < delivered)),
                Assert(at == Mux(out == count, 0, out)),
                Assert(~entry.single | (at == 0)),
                Assert(self.probe_output <= entry.last_output),
                Assert((out < count) | (writes == 0)),
                Assert(self.probe_write_channel < params.tile.rows),
                Assert((self.probe_output != 0) | (writes[: len(writes) - len(at)] == 0)),
                Assert(self.probe_slot >= entry.first_slot),
                Assert(self.probe_slot <= entry.last_slot),
            ]
            with m.If(self.probe_output < entry.outputs):
                number = self.probe_bank * params.tile.rows + self.probe_write_channel
                m.d.comb += Assert(self.probe_output == number)

    def _element(self, bank: Value, addr: Value, channel: Value) -> list[Value]:
        """Claim that a bank's address is that of a channel's element."""
        params, shift = self._params, self._params.shift
        column = addr[: shift.column_bits]
        row = addr[shift.column_bits : shift.addr_bits]
        return [
            Assert(bank < params.banks),
            Assert(addr < params.bank_depth),
            Assert((row < shift.height) & (column < shift.width)),
            Assert(bank * params.tile.rows + addr[shift.addr_bits :] == channel),
            Assert(channel < params.channels),
        ]

    def _claims(self, m: Module) -> None:
        """Claim that each address that is used is in range."""
        params, entry, shift = self._params, self._entry, self._params.shift
        fetch, writer, sequencer = self._fetch, self._writer, self._sequencer
        command = data.View(command_layout(params.tile), sequencer.commands.payload)
        m.d.comb += Assert(self.probe_slot_read < params.slots)
        with m.If(sequencer.commands.ready):
            m.d.comb += [Assert(page < params.tile.pages) for page in command.pages]
        for layer, each in enumerate(params.layers):
            for group, pages in enumerate(each.pages):
                with m.If((sequencer.layer == layer) & (self.probe_group == group)):
                    for crossbar in range(params.tile.crossbars):
                        page = pages[crossbar] if crossbar < len(pages) else None
                        m.d.comb += Assert(command.stored[crossbar] == (page is not None))
                        if page is not None:
                            m.d.comb += Assert(command.pages[crossbar] == page)

        directions = [*map(int, params.directions)]
        for bank in range(params.banks):
            first = bank * params.tile.rows
            own = Array(directions[first : first + params.tile.rows])
            for addr, shifted in (
                (fetch.a_addr[bank], entry.a_shifted), (fetch.b_addr[bank], entry.b_shifted),
            ):  # fmt: skip
                code = Mux(shifted, own[self.probe_channel], Direction.STAY)
                self._read(m, self.probe_busy, addr, code, self.probe_row, self.probe_column)
        adds = self.outputs_valid & (self.probe_output < entry.outputs) & entry.adds
        code = Mux(entry.add_shifted, Array(directions)[self.probe_output], Direction.STAY)
        at = self.probe_write_row, self.probe_write_column
        self._read(m, adds, writer.add_addr, code, *at)

        for write in (writer.first, writer.second):
            with m.If(write.valid & ~entry.last):
                channel = write.bank * params.tile.rows + write.addr[shift.addr_bits :]
                m.d.comb += self._element(write.bank, write.addr, channel)
        with m.If(writer.pooled.valid):
            channel = writer.pooled.bank * params.tile.rows + writer.pooled.addr
            m.d.comb += [
                Assert(writer.pooled.bank < params.banks),
                Assert(writer.pooled.addr < params.bank_channels),
                Assert(channel < params.channels),
            ]
        with m.If(writer.logits.valid):
            m.d.comb += Assert(writer.logits.index < params.classes)
        with m.If(self.probe_place_1.valid):
            m.d.comb += Assert(entry.first_slot + self.probe_place_1.output < params.slots)
        m.d.comb += Cover(writer.first.valid & (sequencer.layer == 1))

    def _read(
        self, m: Module, wanted: Value, addr: Value, code: Value, row: Value, column: Value
    ) -> None:
        """Claim that a read is in range, if the shift brings its word from inside the map."""
        params, shift = self._params, self._params.shift
        inside, source = source_of(m, shift, code, row, column)
        with m.If(wanted & inside):
            m.d.comb += [
                Assert(addr[: shift.addr_bits] == source),
                Assert(addr < params.bank_depth),
                Assert(addr[shift.addr_bits :] < params.bank_channels),
            ]
