# SPDX-License-Identifier: Apache-2.0
"""What is proven of the tile's control: the rules that `cosim.properties_control` assumes of it.

A whole small tile runs one command after the other, ``groups`` a vector, each of which begins and
completes its sums, as the sequencer gives them. Ghosts count vectors: delivered, released, put out.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from amaranth.hdl import Assert, Assume, Cat, Const, Cover, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from cosim.properties_link import assert_holds
from hw.dac import activation_layout
from hw.requant import channel_layout
from hw.shift_add import sample_layout
from hw.tile import Tile, command_layout
from hw.tile_params import TileParams
from hw.timing import CROSSBAR_LATENCY, queue_depth

__all__ = ["RulesParams", "SkippingTileRules", "TileRules"]


@dataclasses.dataclass(frozen=True)
class RulesParams:
    """A tile, and the commands that a vector gets."""

    tile: TileParams
    groups: int

    @property
    def name(self) -> str:
        """For the name of a proof."""
        return f"{self.tile.name}_{self.groups}"


def _ones(bits: Value) -> Value:
    return sum(bits[1:], start=bits[0])


class TileRules(wiring.Component):
    """Drivers, controller, queue and requantisation, whoever waits.

    - A command is taken while a vector is driven, which was delivered and is not yet released.
    - Outputs, and the parameters that they need, belong to vectors that have been delivered; a
      vector's last output comes after its last command has been taken.
    - Nothing is written into a full queue. Row, buffers, column select, bit plane and unit stay in
      range. Outputs hold until they are taken.

    The invariants are balances: each word of the queue is free, in flight or stored; what has been
    sampled and not put out lies between crossbars and requantisation. Covered: a vector's last
    output.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_row": "dut.driver.row",
        "probe_full": "dut.driver.full",
        "probe_loaded": "dut.driver.loaded",
        "probe_driven": "dut.driver.driven",
        "probe_select": "dut.select",
        "probe_plane": "dut.plane",
        **{f"probe_flight_{age}": f"dut.flight_{age}" for age in range(1, CROSSBAR_LATENCY + 1)},
        "probe_sample": "dut.shift_add.sample",
        "probe_free": "dut.free",
        "probe_unit": "dut.unit",
        "probe_inner": "dut.queue.inner_level",
        "probe_stored": "dut.queue.r_rdy",
        "probe_write": "dut.queue.w_en",
        "probe_valid": "dut.requant.valid",
    }
    _skips = False

    def __init__(self, params: RulesParams) -> None:
        self._tile, self._groups = params.tile, params.groups
        tile = params.tile
        sample = sample_layout(tile)
        wide = {
            "probe_row": tile.rows,
            "probe_full": 2,
            "probe_select": tile.select_bits,
            "probe_plane": tile.plane_bits,
            **{f"probe_flight_{age}": sample for age in range(1, CROSSBAR_LATENCY + 1)},
            "probe_sample": sample,
            "probe_free": range(queue_depth(tile) + 1),
            "probe_unit": range(tile.units),
            "probe_inner": range(queue_depth(tile)),
            "probe_valid": 5,
            "probe_marks": CROSSBAR_LATENCY + 1,
        }
        super().__init__(
            {
                "activation": In(activation_layout(tile)),
                "activation_valid": In(1),
                "command": In(command_layout(tile)),
                "command_valid": In(1),
                "channel": In(channel_layout(tile)),
                "channel_valid": In(1),
                "ready": In(1),
                **{name: In(wide.get(name, 1)) for name in self.PROBES},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the tile, what gives it commands, the counts, the invariants and the claims."""
        m = Module()
        tile = self._tile
        m.submodules.dut = self._dut = dut = Tile(params=tile, skips=self._skips, counter_bits=1)
        for name in ("activation", "command", "channel"):
            port = getattr(dut, f"{name}s")
            m.d.comb += port.payload.eq(getattr(self, name))
            m.d.comb += port.valid.eq(getattr(self, f"{name}_valid"))
        m.d.comb += dut.outputs.ready.eq(self.ready)
        self._group = group = Signal(range(self._groups))
        self._commands(m, group)

        # Vectors: delivered and not released; released, and not all put out.
        self._waiting, self._behind = waiting, behind = Signal(2), Signal(6)
        self._number = number = Signal(range(self._groups * tile.outputs + 1))
        taken = dut.activations.valid & dut.activations.ready
        delivers = taken & (self.activation.last | self.probe_row[-1])
        releases = dut.commands.ready & self.command.release
        self._ends = ends = dut.outputs.valid & (number == self._groups * tile.outputs - 1)
        leaves = dut.outputs.valid & self.ready
        m.d.sync += [
            waiting.eq(waiting + delivers - releases),
            behind.eq(behind + releases - (ends & leaves)),
        ]
        with m.If(leaves):
            m.d.sync += number.eq(Mux(ends, 0, number + 1))
        self._drivers(m)
        self._queue(m)
        self._balance(m)
        assert_holds(m, dut.outputs.valid, self.ready, dut.outputs.payload.as_value())
        m.d.comb += Cover(ends)
        return m

    def _commands(self, m: Module, group: Signal) -> None:
        """Assume what the sequencer gives; claim that a command waits for its vector."""
        tile, command = self._tile, self.command
        running = self.command_valid & (self.probe_full.bit_select(self.probe_driven, 1) != 0)
        began, before = Signal(), Signal(command_layout(tile))
        m.d.sync += [began.eq(running & ~self._dut.commands.ready), before.eq(command)]
        with m.If(self._dut.commands.ready):
            m.d.sync += group.eq(Mux(command.release, 0, group + 1))
        begun = (self.probe_select != 0) | (self.probe_plane != 0)
        absent = ~command.stored.any()
        m.d.comb += [
            Assume(command.begin & command.complete),
            Assume(command.release == (group == self._groups - 1)),
            Assume((command.top_plane >= 1) & (command.top_plane < tile.act_bits)),
            Assume(~began | (self.command_valid & (command.as_value() == before.as_value()))),
            Assert(~self._dut.commands.ready | running),
            Assert(group < self._groups),
            Assert(~begun | began),
            Assert(self.probe_select < tile.columns_per_adc),
            Assert(~begun | (self.probe_plane <= before.top_plane)),
            Assert(~begun | before.stored.any() | self._may_be_absent()),
        ]
        self._last_plane = (self.probe_plane == command.top_plane) | absent

    def _may_be_absent(self) -> Value:
        """Whether a command that has begun may be one whose page no crossbar stores."""
        return self.probe_plane == 0

    def _drivers(self, m: Module) -> None:
        """Claim that buffers are filled and emptied in turn."""
        waiting, full, row = self._waiting, self.probe_full, self.probe_row
        driven = Mux(self.probe_driven, full[1], full[0])
        begun = (self.probe_select != 0) | (self.probe_plane != 0) | (self._group != 0)
        m.d.comb += [
            Assert(waiting == full[0] + full[1]),
            Assert((self.probe_loaded == self.probe_driven) == (waiting != 1)),
            Assert((waiting == 0) | driven),
            Assert((row != 0) & ((row & (row - 1)) == 0)),
            Assert(~begun | (waiting != 0)),
        ]

    def _queue(self, m: Module) -> None:
        """Claim that a word on its way finds a place."""
        depth = queue_depth(self._tile)
        ages = [getattr(self, f"probe_flight_{age}") for age in range(1, CROSSBAR_LATENCY + 1)]
        flights = [sample.valid & sample.complete for sample in (*ages, self.probe_sample)]
        self._words = self._flying(m, flights) + self.probe_inner + self.probe_stored
        m.d.comb += [
            Assert(self.probe_free + self._words == depth),
            Assert(~self.probe_write | (self.probe_inner < depth - 1)),
            Assert(self.probe_stored | (self.probe_inner <= 1)),
            Assert(self.probe_unit < self._tile.units),
            Assert((self.probe_unit == 0) | self.probe_stored),
        ]

    def _flying(self, m: Module, flights: list[Value]) -> Value:
        """Return the words on their way."""
        return _ones(Cat(flights))

    def _balance(self, m: Module) -> None:
        """Claim when outputs come, from how many sums are still to come out."""
        tile, dut = self._tile, self._dut
        owed = self._words * tile.units - self.probe_unit + _ones(self.probe_valid)
        sampled = Mux(self._last_plane, self.probe_select * tile.units, 0)
        vectors = self._behind * (self._groups * tile.outputs)
        m.d.comb += [
            Assert(vectors + self._group * tile.outputs + sampled == owed + self._number),
            Assert(self._number < self._groups * tile.outputs),
            Assert(~(dut.outputs.valid | dut.channels.ready) | (self._waiting + self._behind != 0)),
            Assert(~self._ends | (self._behind != 0)),
        ]


class SkippingTileRules(TileRules):
    """A tile that skips pages: all but the balance of sums, which their marks in the queue say."""

    PROBES: ClassVar[dict[str, str]] = {**TileRules.PROBES, "probe_marks": "dut.flight"}
    _skips = True

    def _flying(self, m: Module, flights: list[Value]) -> Value:
        m.d.comb += Assert((Cat(flights) & self.probe_marks) == 0)
        return _ones(Cat(flights)) + _ones(self.probe_marks)

    def _may_be_absent(self) -> Value:
        return Const(0)  # such a command takes one cycle

    def _balance(self, m: Module) -> None:
        """Leave to `cosim.properties_queue` what a word stands for, which is proven bounded."""
