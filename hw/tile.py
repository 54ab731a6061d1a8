# SPDX-License-Identifier: Apache-2.0
"""The crossbar tile: drivers, crossbars, shift and add, requantisation, and their controller.

Activations go in row by row, outputs come out one by one; a command a page says what is multiplied
with what. ``docs/tile.md`` has the ports and the cycles; what the integers are, ``docs/intnet.md``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.crossbar import AnalogCrossbar, Crossbar, Lanes, popcount, program_layout
from hw.dac import WordlineDriver, activation_layout
from hw.mask import mask_layout
from hw.requant import Requant, channel_layout, output_layout, table_layout
from hw.shift_add import ShiftAdd, sample_layout
from hw.sum_queue import queue_sums
from hw.tile_params import TileParams
from hw.timing import CROSSBAR_LATENCY

__all__ = ["COUNTER_BITS", "Tile", "command_layout"]

COUNTER_BITS = 48
"""Width of an activity counter: at 100 MHz and a thousand events a cycle, three quarters of an
hour."""


def command_layout(params: TileParams) -> data.StructLayout:
    """Return a command: one page of each crossbar, times the vector that is driven.

    ``stored``: the crossbars whose page exists, and ``pages``, its number in each; the others add
    neither a sum nor their Z·ΣQ. ``zero_point``: Z. ``top_plane``: act_bits − 1 of the layer, the
    bit plane that is subtracted, at least 1. ``begin`` new sums, otherwise add to those of the
    commands before, whose sums were not ``complete``. ``complete``: put the sums out. ``release``
    the vector; the next command drives the next one.
    """
    return data.StructLayout(
        {
            "release": 1,
            "begin": 1,
            "complete": 1,
            "top_plane": params.plane_bits,
            "zero_point": params.weight_bits,
            "stored": params.crossbars,
            "pages": data.ArrayLayout(params.page_bits, params.crossbars),
        }
    )


class Tile(wiring.Component):
    """Crossbars side by side, one a row tile, whose sums are added and requantised.

    A command takes (top_plane + 1)·columns_per_adc cycles, and the next one follows without a
    gap (``hw.timing.page_cycles`` has the exceptions); meanwhile the next vector is loaded. So
    vectors of R rows with G commands each follow each other every
    max(R, G·act_bits·columns_per_adc) cycles.

    Parameters
    ----------
    params : TileParams
        Keyword only.
    analog : bool
        Leave room for analog macros (black boxes) instead of the digital stand-in.
    cells : sequence
        First contents of the stand-in: `hw.crossbar.Lanes` of each crossbar.
    tables : iterable of int
        First contents of the tables; see `Requant`.
    counter_bits : int
        Width of the activity counters.
    skips : bool
        A command that begins and completes sums, and whose page no crossbar stores, takes a cycle.

    Members
    -------
    activations : In, stream of `activation_layout`
        The vectors; see `WordlineDriver`.
    commands : In, stream of `command_layout`
        A command waits for its vector, runs while it is at the stream's head and is taken with
        its last sample.
    channels : In, stream of `hw.requant.channel_layout`
        The parameters of each output, in their order.
    outputs : Out, stream of `hw.requant.output_layout`
        ``TileParams.outputs`` of them a ``complete`` command: those of its columns, in order.
    conversions : Out, 48
        ADC codes since reset: one an ADC, sample and stored page. Counters wrap around.
    active_wordlines : Out, 48
        High wordlines since reset, over all bit planes driven into stored pages.
    sampled_pages : Out, 48
        Stored pages sampled since reset.
    program : In, stream of `program_layout` (always ready)
        Writes a column of cells; not with ``analog``.
    entries : In, stream of `hw.requant.table_layout` (always ready)
        Writes an entry of a non-linearity's table.
    masks : In, `hw.mask.mask_layout`
        Rows that the commands of a vector keep, the n-th mask the n-th command's; between layers,
        as `WordlineDriver`. Only if the tile takes masks: then they leave crossbars out of ΣQ,
        not ``stored``.
    """

    def __init__(
        self,
        *,
        params: TileParams,
        analog: bool = False,
        cells: Sequence[Lanes] = (),
        tables: Iterable[int] = (),
        counter_bits: int = COUNTER_BITS,
        skips: bool = False,
    ) -> None:
        self._params = params
        self._skips = skips
        self._analog = analog
        self._cells = cells
        self._tables = tables
        members: dict[str, wiring.Member] = {
            "activations": In(stream.Signature(activation_layout(params))),
            "commands": In(stream.Signature(command_layout(params))),
            "channels": In(stream.Signature(channel_layout(params))),
            "outputs": Out(stream.Signature(output_layout(params))),
            "entries": In(stream.Signature(table_layout(params))),
            "conversions": Out(counter_bits),
            "active_wordlines": Out(counter_bits),
            "sampled_pages": Out(counter_bits),
        }
        if params.masks:
            members["masks"] = In(mask_layout(params))
        if not analog:
            members["program"] = In(stream.Signature(program_layout(params)))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params = self._params
        m.submodules.driver = driver = WordlineDriver(params=params)
        m.submodules.shift_add = shift_add = ShiftAdd(params=params)
        m.submodules.requant = requant = Requant(params=params, tables=self._tables)
        wiring.connect(m, wiring.flipped(self.activations), driver.activations)
        wiring.connect(m, wiring.flipped(self.channels), requant.channels)
        wiring.connect(m, wiring.flipped(self.entries), requant.entries)
        wiring.connect(m, requant.outputs, wiring.flipped(self.outputs))

        # The command at the stream's head is run in place: all state is where it has got to.
        command = self.commands.payload
        select = Signal(params.select_bits)
        plane = Signal(params.plane_bits)
        room = Signal()
        settled = Signal()
        absent = Signal()
        last_select = Signal()
        last_plane = Signal()
        sample = Signal()
        taken = Signal()
        runs = self.commands.valid & driver.ready
        samples = runs & (~last_plane | ((room | ~command.complete) & (settled | absent)))
        ends = sample & last_select & last_plane
        reserved = sample & command.complete & last_plane
        skipped = None
        if self._skips:
            # No sample, so that the sums in their ring do not turn.
            skipped = Signal()
            skip = absent & command.begin & command.complete
            m.d.comb += skipped.eq(runs & skip & room)
            samples, ends, reserved = samples & ~skip, ends | skipped, reserved | skipped
        m.d.comb += [
            absent.eq(~command.stored.any()),
            last_select.eq(select == params.columns_per_adc - 1),
            # A page that no crossbar stores still turns the sums round once, and puts them out.
            last_plane.eq((plane == command.top_plane) | absent),
            sample.eq(samples),
            taken.eq(ends),
            self.commands.ready.eq(taken),
            driver.plane.eq(plane),
            driver.release.eq(taken & command.release),
        ]
        with m.If(sample):
            m.d.sync += select.eq(Mux(last_select, 0, select + 1))
            with m.If(last_select):
                m.d.sync += plane.eq(Mux(last_plane, 0, plane + 1))

        # Where a crossbar is always in use, nothing is left of its bit.
        every = {"stored": (1 << params.crossbars) - 1}
        flight = [
            Signal(sample_layout(params), name=f"flight_{age}", init=every)
            for age in range(CROSSBAR_LATENCY + 1)
        ]
        if params.masks:
            total = driver.total
            m.d.comb += [driver.masks.eq(self.masks), driver.advance.eq(taken)]
        else:
            totals = [
                Mux(stored, total, 0)
                for stored, total in zip(command.stored, driver.totals, strict=True)
            ]
            total = sum(totals[1:], start=totals[0])
        m.d.comb += [
            flight[0].valid.eq(sample),
            flight[0].start.eq((select == 0) & (plane == 0)),
            flight[0].begin.eq(command.begin & (plane == 0)),
            flight[0].negative.eq(plane == command.top_plane),
            flight[0].complete.eq(command.complete & last_plane),
            flight[0].plane.eq(plane),
            flight[0].stored.eq(command.stored),
            flight[0].zero_point.eq(command.zero_point),
            flight[0].total.eq(total),
            shift_add.sample.eq(flight[-1]),
        ]
        m.d.sync += [later.eq(now) for now, later in itertools.pairwise(flight)]

        if not self._analog:
            m.d.comb += self.program.ready.eq(1)
        for number in range(params.crossbars):
            crossbar = self._crossbar(m, number)
            m.submodules[f"crossbar_{number}"] = crossbar
            m.d.comb += [
                crossbar.page.eq(command.pages[number]),
                crossbar.wordlines.eq(driver.wordlines[number]),
                crossbar.column_select.eq(select),
                crossbar.sample.eq(sample & command.stored[number]),
                shift_add.codes[number].eq(crossbar.codes),
            ]

        self._settle(m, settled, sample, taken)
        queue_sums(
            m, params, requant.sums, valid=shift_add.valid, sums=Value.cast(shift_add.sums),
            room=room, reserved=reserved, skipped=skipped,
        )  # fmt: skip
        self._count(m, sample, taken, (select == 0), driver.wordlines)
        return m

    def _crossbar(self, m: Module, number: int) -> AnalogCrossbar | Crossbar:
        """Return a crossbar, its cells connected to the program port if they are digital."""
        if self._analog:
            return AnalogCrossbar(params=self._params)
        lanes = self._cells[number] if self._cells else ()
        crossbar = Crossbar(params=self._params, lanes=lanes)
        m.d.comb += [
            crossbar.program.payload.eq(self.program.payload),
            crossbar.program.valid.eq(
                self.program.valid & (self.program.payload.crossbar == number)
            ),
        ]
        return crossbar

    def _settle(self, m: Module, settled: Signal, sample: Value, taken: Value) -> None:
        """Hold the last plane back until Z·ΣQ is there, weight_bits cycles after the first sample.

        The planes before take as long in any tile of usual size.
        """
        weight_bits = self._params.weight_bits
        if self._params.columns_per_adc >= weight_bits:
            m.d.comb += settled.eq(1)
            return
        left = Signal(range(weight_bits + 1), init=weight_bits)
        m.d.comb += settled.eq(left == 0)
        with m.If(taken):
            m.d.sync += left.eq(weight_bits)
        with m.Elif((sample | (left != weight_bits)) & ~settled):
            m.d.sync += left.eq(left - 1)

    def _count(
        self, m: Module, sample: Value, taken: Value, first: Value, wordlines: data.View
    ) -> None:
        """Count what costs energy in the analog part."""
        stored = self.commands.payload.stored
        crossbars = popcount(m, stored)
        converted = Signal.like(crossbars)
        with m.If(taken):
            m.d.sync += self.sampled_pages.eq(self.sampled_pages + crossbars)
        m.d.sync += [
            converted.eq(Mux(sample, crossbars, 0)),
            self.conversions.eq(self.conversions + converted * self._params.adcs),
        ]
        # Behind a register as the crossbar's own: driving and counting do not fit into one cycle.
        driven = Signal(data.ArrayLayout(self._params.rows, self._params.crossbars))
        counted = Signal.like(stored)
        high = [
            Mux(crossbar, popcount(m, lines), 0)
            for crossbar, lines in zip(counted, driven, strict=True)
        ]
        active = Signal.like(sum(high[1:], start=high[0]))
        m.d.sync += [
            driven.eq(wordlines),
            counted.eq(Mux(sample & first, stored, 0)),
            active.eq(sum(high[1:], start=high[0])),
            self.active_wordlines.eq(self.active_wordlines + active),
        ]
