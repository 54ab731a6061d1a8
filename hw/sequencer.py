# SPDX-License-Identifier: Apache-2.0
"""The accelerator's control: layer after layer, and within one the tile's commands.

Nothing here counts pixels: a command waits for its vector.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.accelerator_params import AcceleratorParams, LayerEntry
from hw.params import address_bits
from hw.tile import command_layout

__all__ = ["Sequencer", "entry_layout", "entry_of"]


def entry_layout(params: AcceleratorParams) -> data.StructLayout:
    """Return an entry of the schedule as the hardware sees it; see `entry_of`."""
    tile = params.tile
    buffer = address_bits(len(params.buffers) + 1)
    slot = address_bits(params.slots)
    output = address_bits(max(layer.groups for layer in params.layers) * tile.outputs + 1)
    if params.pruned:
        pages = {"group": params.group_bits, "last_group": params.group_bits}
    else:
        bits = tile.page_bits
        pages = {"page": bits, "last_group": bits, "stored": tile.crossbars}
    return data.StructLayout(
        {
            "a": buffer,
            "b": buffer,
            "two": 1,
            "a_shifted": 1,
            "b_shifted": 1,
            "rounding": address_bits(len(params.roundings)),
            "last_channel": address_bits(tile.rows),
            "single": 1,
            "shifts": 1,
            "shift_buffer": buffer,
            **pages,
            "zero_point": tile.weight_bits,
            "top_plane": tile.plane_bits,
            "first_slot": slot,
            "last_slot": slot,
            "outputs": output,
            "last_output": output,
            "out": len(params.buffers),
            "adds": 1,
            "add": buffer,
            "add_shifted": 1,
            "doubles": 1,
            "second": buffer,
            "pools": 1,
            "last": 1,
        }
    )


def entry_of(params: AcceleratorParams, layer: LayerEntry) -> dict[str, Any]:
    """Return the fields of a layer's entry.

    ``two`` operands, else ``a`` alone; ``rounding``, the number of the pair of widths; ``single``,
    one pixel instead of a whole map; a pass ``shifts`` a buffer first; ``page``, the first one in
    each of the ``stored`` crossbars, or, of a pruned network, ``group``, the first column group;
    ``outputs`` that are written of ``last_output`` + 1 that are computed; ``out``, a bit a buffer,
    that of the one that is written; ``adds`` an operand at the write; ``doubles``, the second
    affine is written as well; ``pools`` what is written; the ``last`` layer writes accumulators
    as logits, and no buffer.
    """
    tile = params.tile
    computed = layer.groups * tile.outputs
    last = layer is params.layers[-1]
    a, b = layer.operands[0], layer.operands[-1]
    pages = {"group" if params.pruned else "page": layer.group, "last_group": layer.groups - 1}
    if not params.pruned:
        pages["stored"] = (1 << layer.crossbars) - 1
    return {
        "a": a.buffer,
        "b": b.buffer,
        "two": len(layer.operands) == 2,
        "a_shifted": a.shifted,
        "b_shifted": b.shifted,
        "rounding": params.roundings.index((layer.bits, layer.act_bits)),
        "last_channel": layer.rows - 1,
        "single": last,
        "shifts": layer.shift_first is not None,
        "shift_buffer": layer.shift_first or 0,
        **pages,
        "zero_point": layer.zero_point,
        "top_plane": layer.act_bits - 1,
        "first_slot": layer.group * tile.outputs,
        "last_slot": layer.group * tile.outputs + computed - 1,
        "outputs": layer.outputs,
        "last_output": computed - 1,
        "out": 0 if layer.out is None else 1 << layer.out,
        "adds": layer.add is not None,
        "add": layer.add.buffer if layer.add else 0,
        "add_shifted": bool(layer.add and layer.add.shifted),
        "doubles": layer.second is not None,
        "second": layer.second or 0,
        "pools": layer is params.layers[-2],
        "last": last,
    }


class Sequencer(wiring.Component):
    """Runs the layers of the schedule one after the other.

    Parameters
    ----------
    params : AcceleratorParams
        Keyword only.

    Members
    -------
    start : In
        Strobe: run the layers from ``layer`` on. Taken in a cycle with ``ready``.
    step : In
        Level: stop after each layer; the next ``start`` goes on with the one after it.
    ready : Out
        Level: at rest.
    layer : Out
        Number of the layer that runs, or, at rest, of the one to come.
    entry : Out, `entry_layout`
        Its entry.
    shift_start : Out
        Strobe: shift the buffer ``entry.shift_buffer`` in place.
    shift_done : In
        Strobe: it is.
    masks_run : Out
        Level: make the masks of the layer's pages. Only if there are any, as the next one.
    masks_done : In
        Strobe: they are made.
    begin : Out
        Strobe: fetch the layer's first vector.
    finished : In
        Strobe: the layer's last write has been made.
    commands : Out, stream of `command_layout`
        Always valid, column group after column group. More are offered than there are vectors;
        they wait.
    """

    def __init__(self, *, params: AcceleratorParams) -> None:
        self._params = params
        members: dict[str, wiring.Member] = {
            "start": In(1),
            "step": In(1),
            "ready": Out(1),
            "layer": Out(address_bits(len(params.layers))),
            "entry": Out(entry_layout(params), init=entry_of(params, params.layers[0])),
            "shift_start": Out(1),
            "shift_done": In(1),
            "begin": Out(1),
            "finished": In(1),
            "commands": Out(stream.Signature(command_layout(params.tile))),
        }
        if params.tile.masks:
            members |= {"masks_run": Out(1), "masks_done": In(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params = self._params
        entry = self.entry
        following = Signal.like(self.layer)
        coming = Signal(entry_layout(params))
        m.d.comb += following.eq(Mux(entry.last, 0, self.layer + 1))
        *others, last = params.layers
        with m.Switch(following):
            for number, layer in enumerate(others):
                with m.Case(number):
                    m.d.comb += coming.eq(entry_layout(params).const(entry_of(params, layer)))
            with m.Default():
                m.d.comb += coming.eq(entry_layout(params).const(entry_of(params, last)))

        first = "MASKS" if params.tile.masks else "BEGIN"
        with m.FSM() as fsm:
            with m.State("IDLE"), m.If(self.start):
                m.next = first
            if params.tile.masks:
                with m.State("MASKS"), m.If(self.masks_done):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.next = "RUN"
                with m.If(self.shift_start):
                    m.next = "PASS"
            with m.State("PASS"), m.If(self.shift_done):
                m.next = "SHIFTED"
            with m.State("SHIFTED"):
                m.next = "RUN"
            with m.State("RUN"), m.If(self.finished):
                m.d.sync += [self.layer.eq(following), entry.eq(coming)]
                m.next = first
                with m.If(entry.last | self.step):
                    m.next = "IDLE"
        # Outside the states, so that they are known before the state has ever changed, also to a
        # simulator that waits for a change.
        m.d.comb += [
            self.ready.eq(fsm.ongoing("IDLE")),
            self.shift_start.eq(fsm.ongoing("BEGIN") & entry.shifts),
            self.begin.eq((fsm.ongoing("BEGIN") & ~entry.shifts) | fsm.ongoing("SHIFTED")),
            self.commands.valid.eq(1),
        ]
        if params.tile.masks:
            m.d.comb += self.masks_run.eq(fsm.ongoing("MASKS"))

        group = Signal(params.group_bits)
        command = self.commands.payload
        m.d.comb += [
            command.release.eq(group == entry.last_group),
            command.begin.eq(1),
            command.complete.eq(1),
            command.top_plane.eq(entry.top_plane),
            command.zero_point.eq(entry.zero_point),
        ]
        if params.pruned:
            self._look_up(m, entry.group + group)
        else:
            m.d.comb += command.stored.eq(entry.stored)
            m.d.comb += [page.eq(entry.page + group) for page in command.pages]
        with m.If(self.commands.ready):
            m.d.sync += group.eq(Mux(command.release, 0, group + 1))
        return m

    def _look_up(self, m: Module, group: Value) -> None:
        """Say which page of each crossbar a column group has, and which of them have none."""
        command = self.commands.payload
        fields = {name: command.shape()[name].shape for name in ("stored", "pages")}
        layout = data.StructLayout(fields)
        found = Signal(layout)
        with m.Switch(group):
            for layer in self._params.layers:
                for number, pages in enumerate(layer.pages, layer.group):
                    stored = sum(1 << n for n, page in enumerate(pages) if page is not None)
                    numbers = [page or 0 for page in pages]
                    with m.Case(number):
                        m.d.comb += found.eq(layout.const({"stored": stored, "pages": numbers}))
        m.d.comb += [command.stored.eq(found.stored), command.pages.eq(found.pages)]
