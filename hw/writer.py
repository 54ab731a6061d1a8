# SPDX-License-Identifier: Apache-2.0
"""The accelerator's write: an operand added, SP's second affine, the pool, the logits.

Steps 6 and 7 of ``docs/intnet.md``, and its ``sum_pool``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.accelerator_params import AcceleratorParams
from hw.channel_feed import load_slots, slot_layout
from hw.params import Direction, address_bits
from hw.pixels import PixelCounter
from hw.requant import output_layout, round_shift, saturate, scale
from hw.sequencer import entry_layout
from hw.shift import ShiftedReader
from hw.tile_params import ACC_BITS
from hw.timing import WRITE_LATENCY

__all__ = ["Writer", "affine_layout", "write_layout"]


def write_layout(params: AcceleratorParams) -> data.StructLayout:
    """Return a write into a bank; of the pooled map, ``addr`` is the channel."""
    return data.StructLayout(
        {
            "valid": 1,
            "bank": address_bits(params.banks),
            "addr": params.bank_bits,
            "data": signed(params.shift.bits),
        }
    )


def affine_layout() -> data.StructLayout:
    """Return the parameters of a second affine."""
    return data.StructLayout(
        {"sign": signed(2), "exponent": 3, "offset": signed(16), "fraction_bits": 4}
    )


def place_layout(params: AcceleratorParams) -> data.StructLayout:
    """Return where an output belongs, and whether it ``ends`` the layer."""
    return data.StructLayout(
        {
            "valid": 1,
            "ends": 1,
            "first_pixel": 1,
            "last_pixel": 1,
            "output": entry_layout(params)["outputs"].width,
            "bank": address_bits(params.banks),
            "addr": params.bank_bits,
        }
    )


class Writer(wiring.Component):
    """Takes the tile's outputs, one a cycle, and writes them where the schedule says.

    A pipeline that never waits: 1. the operand to add is read; 2. ``first`` write, saturated;
    4. ``second`` and ``pooled`` write, all in cycles after the output. What a column group
    computes beyond the layer's outputs is dropped.

    Parameters
    ----------
    params : AcceleratorParams
        Keyword only.
    affines : iterable of dict
        First contents: fields of `affine_layout`, slot after slot.

    Members
    -------
    entry : In, `entry_layout`
        Holds until ``finished``.
    outputs : In, stream of `hw.requant.output_layout` (always ready)
    add_addr : Out
        {channel, row, column} of the operand to add.
    add_bank : Out
        Its bank, one cycle later, when its word is wanted.
    add_rdata : In
        The word at the previous cycle's ``add_addr``.
    first, second, pooled : Out, `write_layout`
        ``first`` also of the last layer's outputs, which go into no buffer.
    logits : Out, of ``valid``, ``index`` and ``value``
    finished : Out
        Strobe: the layer's last writes are made in this cycle,
        ``hw.timing.WRITE_LATENCY`` cycles after its last output.
    load : In, stream of `slot_layout` of `affine_layout` (always ready)
        Writes the second affine of a channel.
    """

    def __init__(
        self, *, params: AcceleratorParams, affines: Iterable[dict[str, int]] = ()
    ) -> None:
        self._params = params
        self._affines = affines
        write = write_layout(params)
        logit = data.StructLayout(
            {"valid": 1, "index": address_bits(params.classes), "value": signed(ACC_BITS)}
        )
        super().__init__(
            {
                "entry": In(entry_layout(params)),
                "outputs": In(stream.Signature(output_layout(params.tile))),
                "add_addr": Out(params.bank_bits),
                "add_bank": Out(address_bits(params.banks)),
                "add_rdata": In(signed(params.shift.bits)),
                "first": Out(write),
                "second": Out(write),
                "pooled": Out(write),
                "logits": Out(logit),
                "finished": Out(1),
                "load": In(stream.Signature(slot_layout(params, affine_layout()))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params, entry = self._params, self.entry
        stream_bits = params.tile.stream_bits
        m.submodules.pixel = pixel = PixelCounter(params=params.shift)
        m.d.comb += self.outputs.ready.eq(1)

        output = Signal(len(entry.outputs))
        bank = Signal(address_bits(params.banks))
        channel = Signal(address_bits(params.tile.rows))
        last_output = Signal()
        full_bank = Signal()
        m.d.comb += [
            last_output.eq(output == entry.last_output),
            full_bank.eq(channel == params.tile.rows - 1),
            pixel.single.eq(entry.single),
            pixel.step.eq(self.outputs.valid & last_output),
        ]
        with m.If(self.outputs.valid):
            m.d.sync += [
                output.eq(Mux(last_output, 0, output + 1)),
                channel.eq(Mux(last_output | full_bank, 0, channel + 1)),
                bank.eq(Mux(last_output, 0, bank + full_bank)),
            ]

        # Where an output belongs, travelling along with it.
        place = [Signal(place_layout(params), name=f"place_{n}") for n in range(WRITE_LATENCY + 1)]
        m.d.comb += [
            place[0].valid.eq(self.outputs.valid & (output < entry.outputs)),
            place[0].ends.eq(pixel.step & pixel.last),
            place[0].first_pixel.eq(pixel.first),
            place[0].last_pixel.eq(pixel.last),
            place[0].output.eq(output),
            place[0].bank.eq(bank),
            place[0].addr.eq(Cat(pixel.column, pixel.row, channel)),
        ]
        m.d.sync += [later.eq(now) for now, later in itertools.pairwise(place)]

        value = Signal(signed(stream_bits), reset_less=True)
        acc = Signal(signed(ACC_BITS), reset_less=True)
        written = Signal(signed(stream_bits), reset_less=True)
        m.d.sync += [
            value.eq(self.outputs.payload.value),
            acc.eq(self.outputs.payload.acc),
            written.eq(saturate(m, value + self._operand(m, pixel, channel, output), stream_bits)),
        ]
        m.d.comb += [
            self.add_bank.eq(place[1].bank),
            self.logits.valid.eq(place[1].valid & entry.last),
            self.logits.index.eq(place[1].output),
            self.logits.value.eq(acc),
            self.first.valid.eq(place[2].valid),
            self.first.bank.eq(place[2].bank),
            self.first.addr.eq(place[2].addr),
            self.first.data.eq(written),
            self.finished.eq(place[WRITE_LATENCY].ends),
        ]
        if any(layer.second is not None for layer in params.layers):
            self._double(m, place, written)
        else:
            m.d.comb += self.load.ready.eq(1)
        self._pool(m, place, written)
        return m

    def _operand(self, m: Module, pixel: PixelCounter, channel: Signal, output: Signal) -> Value:
        """Read the operand to add; return its word, one cycle later."""
        params, entry = self._params, self.entry
        adds = [layer.add for layer in params.layers if layer.add is not None]
        if not adds:
            return Const(0, signed(1))
        m.submodules.reader = reader = ShiftedReader(params=params.shift)
        directions = Array(map(int, params.directions))
        m.d.comb += [
            reader.direction.eq(Mux(entry.add_shifted, directions[output], Direction.STAY)),
            reader.row.eq(pixel.row),
            reader.column.eq(pixel.column),
            reader.mem_rdata.eq(self.add_rdata),
            self.add_addr.eq(Cat(reader.mem_addr, channel)),
        ]
        return Mux(entry.adds, reader.data.as_signed(), 0)

    def _double(self, m: Module, place: list[Signal], written: Signal) -> None:
        """Write what was written once more, through its second affine, into another map."""
        params = self._params
        memory = Memory(shape=affine_layout(), depth=max(2, params.slots), init=self._affines)
        m.submodules.affines = memory
        load_slots(m, memory, self.load)
        read = memory.read_port()
        scaled = scale(written, read.data)
        moved = Signal(scaled.shape(), reset_less=True)
        fraction_bits = Signal(4, reset_less=True)
        value = Signal(signed(params.tile.stream_bits), reset_less=True)
        narrowed = saturate(m, round_shift(m, moved, fraction_bits), params.tile.stream_bits)
        m.d.comb += [
            read.addr.eq(self.entry.first_slot + place[1].output),
            read.en.eq(1),
            self.second.valid.eq(place[4].valid & self.entry.doubles),
            self.second.bank.eq(place[4].bank),
            self.second.addr.eq(place[4].addr),
            self.second.data.eq(value),
        ]
        m.d.sync += [
            moved.eq(scaled),
            fraction_bits.eq(read.data.fraction_bits),
            value.eq(narrowed),
        ]

    def _pool(self, m: Module, place: list[Signal], written: Signal) -> None:
        """Add up each channel's writes; at the last pixel, round the sum by p and write it."""
        params = self._params
        sum_bits = params.pool_sum_bits
        m.submodules.sums = sums = Memory(shape=signed(sum_bits), depth=params.channels, init=[])
        write, read = sums.write_port(), sums.read_port()
        total = Signal(signed(sum_bits))
        held = Signal(signed(sum_bits), reset_less=True)
        value = Signal(signed(params.pooled_bits), reset_less=True)
        p = params.pool_shift
        rounded = round_shift(m, Cat(Const(0, max(0, -p)), held), Const(max(0, p), 5))
        m.d.comb += [
            total.eq(Mux(place[2].first_pixel, 0, read.data) + written),
            read.addr.eq(place[1].output),
            read.en.eq(1),
            write.addr.eq(place[2].output),
            write.data.eq(total),
            write.en.eq(place[2].valid & self.entry.pools),
            self.pooled.valid.eq(place[4].valid & place[4].last_pixel & self.entry.pools),
            self.pooled.bank.eq(place[4].bank),
            self.pooled.addr.eq(place[4].addr[params.shift.addr_bits :]),
            self.pooled.data.eq(value),
        ]
        m.d.sync += [held.eq(total), value.eq(saturate(m, rounded, params.pooled_bits))]
