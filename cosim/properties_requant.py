# SPDX-License-Identifier: Apache-2.0
"""What is proven of ``hw.requant.Requant``: it computes steps 1 and 3 to 5 of ``docs/intnet.md``.

For all sums, all parameters of a channel and all tables, whoever waits: a ghost carries each sum
through the steps as they are written there, and an output is what the ghost holds.
"""

from __future__ import annotations

from typing import ClassVar

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cat, Cover, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from hw.requant import Requant, channel_layout, output_layout, table_layout
from hw.tile_params import ACC_BITS, TileParams

__all__ = ["RequantSteps"]

K = range(-7, 24)
"""Exponents k of the first rounding."""


def _clipped(value: Value, bits: int) -> Value:
    """sat: clip to two's complement."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return Mux(value < low, low, Mux(value > high, high, value)).as_signed()


def _rounded(m: Module, value: Value, by: Value, amounts: range) -> Signal:
    """round(value·2^−by) = (value + 2^(by−1)) >> by, and value << −by for by ≤ 0."""
    result = Signal(signed(len(value) + 1 - min(amounts)))
    with m.Switch(by):
        for amount in amounts:
            with m.Case(amount):
                half = (1 << amount) >> 1 if amount > 0 else 0
                exact = (value + half) >> amount if amount > 0 else value << -amount
                m.d.comb += result.eq(exact)
    return result


def _allowed(channel: data.View) -> Value:
    """Whether k and the sign are in their ranges."""
    k, sign = channel.k, channel.sign
    return (k >= min(K)) & (k <= max(K)) & (sign >= -1) & (sign <= 1)


class _Looked(Requant):
    """The requantisation, with ports that only look into its tables."""

    def __init__(self, *, params: TileParams) -> None:
        super().__init__(params=params)
        self._peeks: list[tuple[Value, Signal]] = []

    def peek(self, table: Value, entry: Value) -> Value:
        """Return the entry that is stored now."""
        word = Signal(signed(self._params.act_bits))
        self._peeks.append((Cat(entry, table), word))
        return word

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        for addr, word in self._peeks:
            port = m.submodules.tables.read_port(domain="comb")
            m.d.comb += [port.addr.eq(addr), word.eq(port.data)]
        return m


class RequantSteps(wiring.Component):
    """Requantisation, fed with anything that its contract allows, and a ghost beside it.

    The registers of each of the five stages are compared with the ghost's, which makes the proof
    1-inductive. Tables begin with any content and are written at any time; what is looked up is
    what the table held when the sum came to it. Covered: both ends of the range come out.
    """

    PROBES: ClassVar[dict[str, str]] = {
        **{f"probe_channel_{stage}": f"dut.channel_{stage}" for stage in range(1, 5)},
        **{f"probe_acc_{stage}": f"dut.acc_{stage}" for stage in range(1, 6)},
        "probe_valid": "dut.valid",
        "probe_rounded": "dut.rounded",
        "probe_act": "dut.read__data",
        "probe_moved": "dut.moved",
        "probe_value": "dut.value",
    }

    def __init__(self, params: TileParams) -> None:
        self._params = params
        channel = channel_layout(params)
        members = {
            "sum": In(signed(params.sum_bits)),
            "sum_valid": In(1),
            "channel": In(channel),
            "channel_valid": In(1),
            "ready": In(1),
            "write": In(table_layout(params)),
            "write_valid": In(1),
            "probe_valid": In(5),
            # One bit wider than the exact result of k = −7, since a half is added to it.
            "probe_rounded": In(signed(ACC_BITS - min(K) + 2)),
            "probe_act": In(signed(params.act_bits)),
            "probe_moved": In(signed(17)),
            "probe_value": In(signed(params.stream_bits)),
        }
        for stage in range(1, 5):
            members[f"probe_channel_{stage}"] = In(channel.size)
        for stage in range(1, 6):
            members[f"probe_acc_{stage}"] = In(signed(ACC_BITS))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the requantisation, the steps that it must take, and the claims."""
        m = Module()
        params = self._params
        m.submodules.dut = dut = _Looked(params=params)
        result = data.View(output_layout(params), dut.outputs.payload)
        m.d.comb += [
            dut.sums.payload.eq(self.sum),
            dut.sums.valid.eq(self.sum_valid),
            dut.channels.payload.eq(self.channel),
            dut.channels.valid.eq(self.channel_valid),
            dut.outputs.ready.eq(self.ready),
            dut.entries.payload.eq(self.write),
            dut.entries.valid.eq(self.write_valid),
        ]
        total = self.sum + self.channel.bias
        m.d.comb += [
            Assume(_allowed(self.channel)),
            Assume(total == total[:ACC_BITS].as_signed()),
        ]

        # Five places; who is in the last one leaves when it is taken, and only then does it move.
        full = [Signal(name=f"full_{stage}") for stage in range(6)]
        channel = [self.channel, *(Signal(channel_layout(params)) for _ in range(5))]
        acc = [total, *(Signal(signed(ACC_BITS), name=f"ghost_acc_{n}") for n in range(1, 6))]
        moves = ~full[5] | self.ready
        m.d.comb += full[0].eq(self.sum_valid & self.channel_valid & moves)
        rounded = Signal(signed(ACC_BITS - min(K) + 2))
        act, moved = Signal(signed(params.act_bits)), Signal(signed(17))
        value = Signal(signed(params.stream_bits))
        pre = Signal(signed(params.act_bits))
        entry = (pre + (1 << (params.act_bits - 1)))[: params.act_bits]
        scaled = act * (1 << channel[3].exponent)
        sign = channel[3].sign
        affine = Mux(sign == 1, scaled, Mux(sign == -1, -scaled, 0)) + channel[3].offset
        narrowed = _rounded(m, moved, channel[4].fraction_bits, range(16))
        m.d.comb += pre.eq(_clipped(rounded, params.act_bits))
        with m.If(moves):
            for stage in range(1, 6):
                m.d.sync += [
                    full[stage].eq(full[stage - 1]),
                    channel[stage].eq(channel[stage - 1]),
                    acc[stage].eq(acc[stage - 1]),
                ]
            m.d.sync += [
                rounded.eq(_rounded(m, acc[1], channel[1].k, K)),
                act.eq(dut.peek(channel[2].table, entry)),
                moved.eq(affine),
                value.eq(_clipped(narrowed, params.stream_bits)),
            ]

        m.d.comb += [
            Assert(dut.sums.ready == (self.channel_valid & moves)),
            Assert(dut.channels.ready == (self.sum_valid & moves)),
            Assert(dut.outputs.valid == full[5]),
            Assert(self.probe_valid == Cat(full[1:])),
        ]
        with m.If(full[5]):
            m.d.comb += [Assert(result.value == value), Assert(result.acc == acc[5])]
            m.d.comb += [
                Cover(value == (1 << (params.stream_bits - 1)) - 1),
                Cover(value == -(1 << (params.stream_bits - 1))),
            ]
        registers = {
            2: [(self.probe_rounded, rounded)],
            3: [(self.probe_act, act)],
            4: [(self.probe_moved, moved)],
            5: [(self.probe_value, value)],
        }
        for stage in range(1, 6):
            pairs = [(getattr(self, f"probe_acc_{stage}"), acc[stage]), *registers.get(stage, [])]
            if stage < 5:
                pairs.append((getattr(self, f"probe_channel_{stage}"), channel[stage].as_value()))
            with m.If(full[stage]):
                m.d.comb += Assert(_allowed(channel[stage]))
                m.d.comb += [Assert(probe == ghost) for probe, ghost in pairs]

        # Whatever is written stays, until the same entry is written again.
        place = AnyConst(table_layout(params).size)
        place = data.View(table_layout(params), place)
        known, kept = Signal(), Signal(signed(params.act_bits))
        hit = (self.write.table == place.table) & (self.write.entry == place.entry)
        with m.If(self.write_valid & hit):
            m.d.sync += [known.eq(1), kept.eq(self.write.value)]
        m.d.comb += Assert(~known | (dut.peek(place.table, place.entry) == kept))
        return m
