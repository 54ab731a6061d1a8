# SPDX-License-Identifier: Apache-2.0
"""Requantisation: from sums to activations with shifts, one addition each, and a table.

Steps 1 (bias) and 3 to 5 of ``docs/intnet.md``, with no multiplier anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.params import address_bits
from hw.tile_params import ACC_BITS, TileParams
from hw.timing import REQUANT_LATENCY

__all__ = [
    "Requant", "channel_layout", "output_layout", "round_shift", "saturate", "scale",
    "table_layout",
]  # fmt: skip

MIN_K = -7


def round_shift(m: Module, value: Value, amount: Value) -> Value:
    """Return round(value·2^−amount), halves up, for a signed value and an amount without a sign.

    The bit below the point is kept through the shift and then added: it is the half.
    """
    shifted = Signal(signed(len(value) + 1))
    m.d.comb += shifted.eq(Cat(Const(0, 1), value).as_signed() >> amount)
    return (shifted >> 1) + shifted[0]


def saturate(m: Module, value: Value, bits: int) -> Value:
    """Clip a signed value to the two's complement range of ``bits``."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    whole = Signal(value.shape())
    clipped = Signal(signed(bits))
    m.d.comb += [
        whole.eq(value),
        clipped.eq(Mux(whole < low, low, Mux(whole > high, high, whole))),
    ]
    return clipped


def scale(value: Value, affine: data.View) -> Value:
    """Return sign·(value << exponent) + offset of a view with these three fields."""
    scaled = value << affine.exponent
    return Mux(affine.sign[1], -scaled, Mux(affine.sign[0], scaled, 0)) + affine.offset


def channel_layout(params: TileParams) -> data.StructLayout:
    """Return what belongs to an output channel: its bias, its k, its table and its affine."""
    return data.StructLayout(
        {
            "bias": signed(ACC_BITS),
            "k": signed(6),
            "table": address_bits(params.tables),
            "sign": signed(2),
            "exponent": 3,
            "offset": signed(16),
            "fraction_bits": 4,
        }
    )


def output_layout(params: TileParams) -> data.StructLayout:
    """Return an output: ``value``, and ``acc``, the accumulator it was made of."""
    return data.StructLayout({"value": signed(params.stream_bits), "acc": signed(ACC_BITS)})


def table_layout(params: TileParams) -> data.StructLayout:
    """Return a write into a table: ``entry`` belongs to the value entry − 2^(act_bits−1)."""
    return data.StructLayout(
        {
            "value": signed(params.act_bits),
            "entry": params.act_bits,
            "table": address_bits(params.tables),
        }
    )


class Requant(wiring.Component):
    """acc = bias + sum; pre = sat(round(acc·2^−k)); act = table[pre]; then the affine and sat.

    A pipeline of five stages that takes a sum a cycle, and stands still while an output waits.
    Each sum meets the parameters of its channel, which come as a stream in the same order.

    Parameters
    ----------
    params : TileParams
        Keyword only; ``act_bits`` is the width of pre and of the tables.
    tables : iterable of int
        First contents: entries, table after table.

    Members
    -------
    sums : In, stream of signed, sum_bits
    channels : In, stream of `channel_layout`
        ``k`` −7…23, ``sign`` −1…1. bias + sum must fit in 32 bits.
    outputs : Out, stream of `output_layout`
        ``hw.timing.REQUANT_LATENCY`` cycles after the sum. The logits of a last layer are ``acc``.
    entries : In, stream of `table_layout` (always ready)
        Writes an entry; not of a table that is in use.
    """

    def __init__(self, *, params: TileParams, tables: Iterable[int] = ()) -> None:
        self._params = params
        self._tables = tables
        super().__init__(
            {
                "sums": In(stream.Signature(signed(params.sum_bits))),
                "channels": In(stream.Signature(channel_layout(params))),
                "outputs": Out(stream.Signature(output_layout(params))),
                "entries": In(stream.Signature(table_layout(params))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params = self._params
        moves = Signal()
        taken = Signal()
        valid = Signal(REQUANT_LATENCY)
        m.d.comb += [
            self.outputs.valid.eq(valid[-1]),
            moves.eq(self.outputs.ready | ~self.outputs.valid),
            taken.eq(self.sums.valid & self.channels.valid & moves),
            self.sums.ready.eq(self.channels.valid & moves),
            self.channels.ready.eq(self.sums.valid & moves),
        ]
        with m.If(moves):
            m.d.sync += valid.eq(Cat(taken, valid))

        def register(value: Value, name: str) -> Signal:
            """Return the value, one stage later."""
            later = Signal(value.shape(), name=name)
            with m.If(moves):
                m.d.sync += later.eq(value)
            return later

        # What a stage does not change travels along with it.
        channel = [self.channels.payload]
        acc = [(self.sums.payload + channel[0].bias)[:ACC_BITS].as_signed()]
        for stage in range(1, REQUANT_LATENCY):
            channel.append(register(channel[-1], f"channel_{stage}"))
            acc.append(register(acc[-1], f"acc_{stage}"))

        # Seven zeros below the accumulator, so that the amount of the shift has no sign.
        amount = (channel[1].k - MIN_K)[:5]
        rounded = register(round_shift(m, Cat(Const(0, -MIN_K), acc[1]), amount), "rounded")

        pre = saturate(m, rounded, params.act_bits)
        entry_read = Cat(pre[:-1], ~pre[-1])  # pre + 2^(act_bits − 1)
        m.submodules.tables = tables = Memory(
            shape=signed(params.act_bits),
            depth=params.tables << params.act_bits,
            init=self._tables,
        )
        read = tables.read_port()
        write = tables.write_port()
        entry = self.entries.payload
        m.d.comb += [
            read.addr.eq(Cat(entry_read, channel[2].table)),
            read.en.eq(moves),
            write.addr.eq(Cat(entry.entry, entry.table)),
            write.data.eq(entry.value),
            write.en.eq(self.entries.valid),
            self.entries.ready.eq(1),
        ]

        moved = register(scale(read.data, channel[3]), "moved")
        narrowed = round_shift(m, moved, channel[4].fraction_bits)
        value = register(saturate(m, narrowed, params.stream_bits), "value")
        m.d.comb += [
            self.outputs.payload.value.eq(value),
            self.outputs.payload.acc.eq(register(acc[4], "acc_5")),
        ]
        return m
