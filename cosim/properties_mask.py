# SPDX-License-Identifier: Apache-2.0
"""What is proven of masks: a register keeps what its twin does, and has the page's parameters."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Assert, Assume, Cover, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from cosim.small_accelerator import small_accelerator
from hw.accelerator_params import AcceleratorParams, LayerEntry
from hw.lfsr import Lfsr
from hw.lfsr_params import TAPS, LfsrMask, page_seed, states
from hw.mask_unit import MaskUnit
from hw.params import ShiftParams
from hw.sequencer import Sequencer

__all__ = ["MaskOrder", "MaskSchedule", "RegisterParams", "masked_accelerator"]

IDLE, MASKS, BEGIN = range(3)  # states of the sequencer, as Amaranth numbers them


@dataclasses.dataclass(frozen=True)
class RegisterParams:
    """A register for masks of that many positions."""

    positions: int

    @property
    def name(self) -> str:
        """For the name of a proof."""
        return str(self.positions)

    @property
    def width(self) -> int:
        """Bits of the register."""
        return self.positions.bit_length()


class MaskOrder(wiring.Component):
    """The register, loaded at any time, and after the last state of a period at the latest.

    For any seed and count: each state stands for the position for which it does in the twin, as
    many of them are kept as are to be, the first ones of `LfsrMask.order`, and ``last`` is in the
    last of 2^width − 1 states. By tables of the twin, from state 1 on: where a state stands in the
    period, and how many positions come before it. Covered: a whole period in which one is kept.
    """

    PROBES: ClassVar[dict[str, str]] = {"probe_state": "dut.state", "probe_left": "dut.left"}

    def __init__(self, params: RegisterParams) -> None:
        self._params = params
        width = In(params.width)
        super().__init__({"load": In(1), "probe_state": width, "probe_left": width})

    def elaborate(self, platform: object) -> Module:
        """Build the register, its place in the twin's order, the invariants and the claims."""
        m = Module()
        width, positions = self._params.width, self._params.positions
        period = (1 << width) - 1
        cycle = states(width, TAPS[width])
        stands = np.zeros(period + 1, int)
        stands[cycle] = np.arange(period)
        before = np.zeros(period + 1, int)
        order = LfsrMask(positions=positions, count=0, seed=1).order()
        before[cycle] = np.cumsum(cycle <= positions) - (cycle <= positions)

        m.submodules.dut = dut = Lfsr(width=width)
        seed, count = AnyConst(width), AnyConst(width)
        loaded = Signal()
        with m.If(self.load):
            m.d.sync += loaded.eq(1)
        m.d.comb += [
            dut.load.eq(self.load),
            dut.seed.eq(seed),
            dut.count.eq(count),
            dut.taps.eq(TAPS[width]),
            dut.positions.eq(positions),
            Assume((seed != 0) & (count <= positions)),
            Assume(self.load | ~(loaded & dut.last)),
        ]

        stands_at, before_it = Array(stands.tolist()), Array(before.tolist())
        age, rank = Signal(range(period)), Signal(range(positions + 1))
        here, first = stands_at[self.probe_state], stands_at[seed]
        round_once = here < first
        m.d.comb += [
            age.eq(here - first + Mux(round_once, period, 0)),
            rank.eq(before_it[self.probe_state] - before_it[seed] + Mux(round_once, positions, 0)),
        ]
        place = Array(order.tolist())[before_it[self.probe_state]]
        with m.If(loaded):
            m.d.comb += [
                Assert(self.probe_state != 0),
                Assert(self.probe_left == Mux(rank < count, count - rank, 0)),
                Assert(dut.last == (age == period - 1)),
                Assert(dut.valid == (self.probe_state <= positions)),
                Assert(~dut.valid | (dut.position == place)),
                Assert(dut.keep == (dut.valid & (rank < count))),
            ]
        m.d.comb += Cover(loaded & dut.last & (count != 0) & (self.probe_left == 0))
        return m


def masked_accelerator(shift: ShiftParams) -> AcceleratorParams:
    """Return `small_accelerator`, some pages absent, the others with masks of all counts."""
    params = small_accelerator(shift, pruned=True)
    layers = []
    for number, layer in enumerate(params.layers):
        rows = max(4, layer.rows)  # a register has no fewer positions
        masks = tuple(
            tuple(
                LfsrMask(
                    positions=rows,
                    count=0 if page is None else 1 + (layer.group + group) % rows,
                    seed=page_seed(rows, number, crossbar, group),
                )
                for crossbar, page in enumerate(pages)
            )
            for group, pages in enumerate(layer.pages)
        )
        layers.append(dataclasses.replace(layer, rows=rows, masks=masks))
    tile = dataclasses.replace(params.tile, masks=max(layer.groups for layer in layers))
    return dataclasses.replace(params, tile=tile, layers=tuple(layers))


class MaskSchedule(wiring.Component):
    """Sequencer and mask unit: as masks come, they are those of the layer that is about to begin.

    Each register has positions, taps, seed and count of the page that the schedule says, of the
    group for which its rows are meant; rows are in range; a layer begins when all its groups are
    made. Whoever waits, stop after stop, image after image. Covered: the second layer's pass.
    """

    PROBES: ClassVar[dict[str, str]] = {
        "probe_state": "sequencer.fsm_state",
        "probe_number": "unit.number",
        "probe_group": "unit.group",
        "probe_loaded": "unit.loaded",
        **{
            f"probe_{name}_{crossbar}": f"unit.register_{crossbar}.{name}"
            for crossbar in range(2)
            for name in ("positions", "taps", "seed", "count")
        },
    }

    def __init__(self, shift: ShiftParams) -> None:
        self._params = masked_accelerator(shift)
        inputs = ("start", "step", "shift_done", "finished", "commands_ready", "probe_loaded")
        narrow = ("probe_state", "probe_group")
        registers = [name for name in self.PROBES if name[-1].isdigit()]
        super().__init__(
            {name: In(1) for name in inputs}
            | {name: In(3) for name in (*narrow, *registers)}
            | {"probe_number": In(5)}
        )

    def elaborate(self, platform: object) -> Module:
        """Build both, the invariants and the claims."""
        m = Module()
        params = self._params
        m.submodules.sequencer = sequencer = Sequencer(params=params)
        layers = tuple(layer.masks for layer in params.layers)
        m.submodules.unit = unit = MaskUnit(params=params.tile, layers=layers)
        m.d.comb += [
            *(getattr(sequencer, name).eq(getattr(self, name))
              for name in ("start", "step", "shift_done", "finished")),
            sequencer.commands.ready.eq(self.commands_ready),
            sequencer.masks_done.eq(unit.done),
            unit.run.eq(sequencer.masks_run),
        ]  # fmt: skip
        for number, layer in enumerate(params.layers):
            with m.If(sequencer.layer == number):
                self._layer(m, unit, layer, params.layers[(number + 1) % len(params.layers)])
        m.d.comb += [
            Assert(sequencer.layer < len(params.layers)),
            Assert(sequencer.entry.last == (sequencer.layer == len(params.layers) - 1)),
            Assert(self.probe_state < 6),
            Assert(~self.probe_loaded | (self.probe_state == MASKS)),
            Assert((self.probe_state == MASKS) | (self.probe_group == 0)),
            Cover(sequencer.shift_start & (sequencer.layer == 1)),
        ]
        return m

    def _layer(self, m: Module, unit: MaskUnit, layer: LayerEntry, after: LayerEntry) -> None:
        """Claim what holds from the end of the layer before to the end of this one."""
        made = self.probe_state >= BEGIN
        m.d.comb += [
            Assert(self.probe_number == Mux(made, after.group, layer.group + self.probe_group)),
            Assert(self.probe_group < layer.groups),
        ]
        for crossbar in range(self._params.tile.crossbars):
            row = unit.masks.rows[crossbar]
            with m.If(unit.masks.valid & row.valid):
                m.d.comb += Assert(row.position < layer.rows)
            for group, masks in enumerate(layer.masks):
                with m.If(unit.masks.valid & (unit.masks.group == group)):
                    for name in ("positions", "taps", "seed", "count"):
                        if crossbar < len(masks):
                            wanted = getattr(masks[crossbar], name)
                        elif name == "count":
                            wanted = 0
                        else:
                            continue
                        m.d.comb += Assert(getattr(self, f"probe_{name}_{crossbar}") == wanted)
