# SPDX-License-Identifier: Apache-2.0
"""The accelerator's fetch: one or two maps, as they lie there or shifted, added and rounded.

Step 0 of ``docs/intnet.md``; what a shifted read is, `hw.shift.ShiftedReader`.
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.accelerator_params import AcceleratorParams
from hw.dac import activation_layout
from hw.params import Direction
from hw.pixels import PixelCounter
from hw.requant import round_shift, saturate
from hw.sequencer import entry_layout
from hw.shift import ShiftedReader

__all__ = ["Fetch"]


class Fetch(wiring.Component):
    """Gives the tile a layer's vectors, pixel after pixel in row order, a channel a cycle.

    The first activation is offered three cycles after ``begin``. All banks are read side by side.
    A pipeline of two stages that stands still while the tile does not take what is offered.

    Parameters
    ----------
    params : AcceleratorParams
        Keyword only.

    Members
    -------
    entry : In, `entry_layout`
    begin : In
        Strobe: begin the layer.
    a_addr, b_addr : Out, one a bank
        Addresses {channel, row, column} of the two operands.
    reads : Out
        Level: read them; otherwise the words read last must stay.
    a_rdata, b_rdata : In, one a bank
        Words at the addresses of the last cycle with ``reads``.
    activations : Out, stream of `hw.dac.activation_layout`
    """

    def __init__(self, *, params: AcceleratorParams) -> None:
        self._params = params
        address = data.ArrayLayout(params.bank_bits, params.banks)
        word = data.ArrayLayout(signed(params.shift.bits), params.banks)
        super().__init__(
            {
                "entry": In(entry_layout(params)),
                "begin": In(1),
                "a_addr": Out(address),
                "b_addr": Out(address),
                "reads": Out(1),
                "a_rdata": In(word),
                "b_rdata": In(word),
                "activations": Out(stream.Signature(activation_layout(params.tile))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params = self._params
        shift, entry = params.shift, self.entry
        moves = Signal()
        m.d.comb += [
            moves.eq(self.activations.ready | ~self.activations.valid),
            self.reads.eq(moves),
        ]

        busy = Signal()
        channel = Signal(len(entry.last_channel))
        last_channel = Signal()
        m.submodules.pixel = pixel = PixelCounter(params=shift)
        m.d.comb += [
            last_channel.eq(channel == entry.last_channel),
            pixel.single.eq(entry.single),
            pixel.step.eq(busy & moves & last_channel),
        ]
        with m.If(busy & moves):
            m.d.sync += channel.eq(Mux(last_channel, 0, channel + 1))
        with m.If(self.begin):
            m.d.sync += busy.eq(1)
        with m.Elif(pixel.step & pixel.last):
            m.d.sync += busy.eq(0)

        read = Signal()
        read_last = Signal()
        with m.If(moves):
            m.d.sync += [
                read.eq(busy),
                read_last.eq(last_channel),
                self.activations.valid.eq(read),
                self.activations.payload.last.eq(read_last),
            ]

        operands = [(self.a_addr, self.a_rdata, entry.a_shifted)]
        if any(len(layer.operands) == 2 for layer in params.layers):
            operands.append((self.b_addr, self.b_rdata, entry.b_shifted))
        for bank in range(params.banks):
            first = bank * params.tile.rows
            directions = Array(map(int, params.directions[first : first + params.tile.rows]))
            words = []
            for name, (addr, rdata, shifted) in zip("ab", operands, strict=False):
                reader = ShiftedReader(params=shift)
                m.submodules[f"reader_{name}_{bank}"] = EnableInserter(moves)(reader)
                m.d.comb += [
                    reader.direction.eq(Mux(shifted, directions[channel], Direction.STAY)),
                    reader.row.eq(pixel.row),
                    reader.column.eq(pixel.column),
                    reader.mem_rdata.eq(rdata[bank]),
                    addr[bank].eq(Cat(reader.mem_addr, channel)),
                ]
                words.append(reader.data.as_signed())
            total = words[0] if len(words) == 1 else words[0] + Mux(entry.two, words[1], 0)
            with m.If(moves):
                m.d.sync += self.activations.payload.values[bank].eq(self._rounded(m, total))
        return m

    def _rounded(self, m: Module, total: Value) -> Value:
        """Saturate to the operands' bits, and to act_bits, rounded, if there are fewer of them."""
        values = []
        for bits, act_bits in self._params.roundings:
            value = saturate(m, total, bits)
            if bits > act_bits:
                rounded = round_shift(m, value, Const(self._params.fetch_shift, 4))
                value = saturate(m, rounded, act_bits)
            values.append(value)
        return Array(values)[self.entry.rounding]
