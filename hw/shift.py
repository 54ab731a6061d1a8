# SPDX-License-Identifier: Apache-2.0
"""The shift in hardware: one channel in place, a whole shift block, or no data moved at all.

Source: DATE 2024, section IV-A and IV-B (read-first memory; idle, config and shift states; 0 at
the boundary) for ShiftModule, and its latency table for ShiftArray. ShiftedReader goes beyond it.
The module behind AXI4-Stream is in ``hw.stream``.
"""

from __future__ import annotations

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.address import AddressWalk, neighbour
from hw.memory import ReadFirstMemory
from hw.params import ArrayParams, Direction, ShiftParams, address_bits

__all__ = ["ShiftArray", "ShiftModule", "ShiftedReader"]


class ShiftModule(wiring.Component):
    """Shifts one channel by one pixel in one of eight directions, one pixel a cycle.

    Each cycle of SHIFT reads a pixel and overwrites it with the pixel read one cycle earlier, or
    with 0 at a boundary; the walk steps in the direction in which the content moves, so that this
    is the shift. n channels back to back take n·H·W + 2 cycles (``hw.timing.shift_cycles``).

    ======  ============================================  =========================
    state   what happens                                  next
    ======  ============================================  =========================
    IDLE    the walk goes to the first pixel              CONFIG with ``start``
    CONFIG  memory is not touched                         SHIFT
    SHIFT   one pixel a cycle; the last raises ``done``   IDLE, or SHIFT with ``start``
    ======  ============================================  =========================

    Parameters
    ----------
    params : ShiftParams
        Shape of the channel; keyword only.

    Members
    -------
    start : In
        Strobe: begin a channel. Taken in a cycle with ``start & ready``, otherwise ignored.
    direction : In, 3
        ``Direction`` 0…7, taken with ``start``.
    ready : Out
        Level: IDLE, or the last cycle of SHIFT.
    done : Out
        Strobe: the last cycle of SHIFT; the channel is complete after this clock edge.
    mem_addr : Out, ⌈log2 H⌉ + ⌈log2 W⌉
        {row, column} of the access. Between channels it rests on a first pixel.
    mem_we : Out
        Level: SHIFT. The access reads and writes.
    mem_wdata : Out, bits
    mem_rdata : In, bits
        From a read-first memory (``hw.memory``): the old word at the previous cycle's address.

    Notes
    -----
    With several channels in one memory their base address is added outside. It changes on the
    edge that takes a ``start`` and holds until ``done``.
    """

    def __init__(self, *, params: ShiftParams) -> None:
        self._params = params
        super().__init__(
            {
                "start": In(1),
                "direction": In(3),
                "ready": Out(1),
                "done": Out(1),
                "mem_addr": Out(params.addr_bits),
                "mem_we": Out(1),
                "mem_wdata": Out(params.bits),
                "mem_rdata": In(params.bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walk = walk = AddressWalk(self._params)

        # Two flip-flops hold the state: IDLE is neither, CONFIG is `boundary` alone (the first
        # pixel is always one), SHIFT is `shifting`, where `boundary` speaks of the current pixel.
        # In IDLE the walk is on a first pixel, never on a last one: so `ready` may compare.
        shifting = Signal()
        boundary = Signal()
        stop = Signal()
        m.d.comb += [
            self.done.eq(shifting & walk.last),
            self.ready.eq((shifting == walk.last) & ~(boundary & ~shifting)),
            stop.eq(self.ready & ~self.start),
        ]
        with m.If(stop):
            m.d.sync += [shifting.eq(0), boundary.eq(0)]
        with m.Else():
            m.d.sync += boundary.eq(~shifting | walk.wraps)
            with m.If(boundary):
                m.d.sync += shifting.eq(1)

        m.d.comb += [
            walk.direction.eq(self.direction),
            walk.load.eq(self.ready),
            walk.step.eq(shifting),
            self.mem_addr.eq(Cat(walk.column, walk.row)),
            self.mem_we.eq(shifting),
            self.mem_wdata.eq(Mux(boundary, 0, self.mem_rdata)),
        ]
        return m


class ShiftArray(wiring.Component):
    """A whole shift block: eight lanes, each a ShiftModule on its own bank of g channels.

    All lanes run together, one direction each, so that a block takes g·H·W + 2 cycles
    (``hw.timing.array_cycles``). The channels that stay are not stored here.

    Parameters
    ----------
    params : ArrayParams
        Shape of a channel and number of channels C; g = C // 12. Keyword only.

    Members
    -------
    start : In
        Strobe: shift the block. Taken in a cycle with ``start & ready``, otherwise ignored.
    ready : Out
        Level: at rest, or the last cycle of the block.
    done : Out
        Strobe: the last cycle; the block is complete after this clock edge.
    lane : In, 3
        Bank that the host accesses: the ``Direction`` in which its channels move.
    addr : In, ⌈log2 g⌉ + ⌈log2 H⌉ + ⌈log2 W⌉
        {channel, row, column} of the host's access.
    we : In
        Level: the word becomes ``wdata``. While the lanes are in SHIFT (from the second cycle
        after a ``start`` at rest, to ``done``) the host's access is ignored.
    wdata : In, bits
    rdata : Out, bits
        The word that the host addressed one cycle earlier.
    """

    def __init__(self, *, params: ArrayParams) -> None:
        self._params = params
        super().__init__(
            {
                "start": In(1),
                "ready": Out(1),
                "done": Out(1),
                "lane": In(3),
                "addr": In(params.addr_bits),
                "we": In(1),
                "wdata": In(params.shift.bits),
                "rdata": Out(params.shift.bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift = self._params.shift
        channel = Signal(address_bits(self._params.group), init=self._params.group - 1)
        lane_start = Signal()
        lanes = [ShiftModule(params=shift) for _ in Direction.moving()]
        words = []
        for direction, lane in zip(Direction.moving(), lanes, strict=True):
            bank = ReadFirstMemory(width=shift.bits, depth=self._params.depth)
            m.submodules[f"lane_{direction.name.lower()}"] = lane
            m.submodules[f"bank_{direction.name.lower()}"] = bank
            m.d.comb += [
                lane.start.eq(lane_start),
                lane.direction.eq(direction),
                lane.mem_rdata.eq(bank.rdata),
            ]
            host_we = self.we & (self.lane == direction)
            moves = lane.mem_we
            m.d.comb += [
                bank.addr.eq(Mux(moves, Cat(lane.mem_addr, channel), self.addr)),
                bank.we.eq(moves | host_we),
                bank.wdata.eq(Mux(moves, lane.mem_wdata, self.wdata)),
            ]
            words.append(bank.rdata)

        # The counter rests on the last channel, so that no further state is needed: a lane that
        # ends any other channel goes straight on to the next.
        on_last = channel == self._params.group - 1
        m.d.comb += [
            self.ready.eq(lanes[0].ready & on_last),
            self.done.eq(lanes[0].done & on_last),
            lane_start.eq(self.start | ~on_last),
        ]
        with m.If(lanes[0].ready & lane_start):
            m.d.sync += channel.eq(Mux(on_last, 0, channel + 1))

        read_lane = Signal.like(self.lane)
        m.d.sync += read_lane.eq(self.lane)
        m.d.comb += self.rdata.eq(Array(words)[read_lane])
        return m


class ShiftedReader(wiring.Component):
    """Reads a channel as if it had been shifted: nothing is moved, written or waited for.

    The consumer's row and column are turned into the address from which the shift would have
    brought the pixel, row − dy and column − dx; from outside the map it brings 0. It takes as long
    as a plain read, one cycle (``hw.timing.reader_cycles``: 0 more).

    Parameters
    ----------
    params : ShiftParams
        Shape of the channel; keyword only.

    Members
    -------
    direction : In, 4
        ``Direction`` 0…8; STAY (8) reads plainly. Codes above 8 read plainly too.
    row, column : In
        Pixel of the shifted channel, inside the map.
    data : Out, bits
        That pixel, one cycle later.
    mem_addr : Out, ⌈log2 H⌉ + ⌈log2 W⌉
        {row, column} of the word to read; a word that is not used where ``data`` will be 0.
    mem_rdata : In, bits
        The word at the previous cycle's address.
    """

    def __init__(self, *, params: ShiftParams) -> None:
        self._params = params
        super().__init__(
            {
                "direction": In(4),
                "row": In(params.row_bits),
                "column": In(params.column_bits),
                "data": Out(params.bits),
                "mem_addr": Out(params.addr_bits),
                "mem_rdata": In(params.bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()

        def moves(axis: str, sign: int) -> Value:
            codes = [d for d in Direction.moving() if getattr(d, axis) == sign]
            return self.direction.matches(*(f"{code:04b}" for code in codes))

        source = []
        outside = Signal()
        leaves = []
        for index, axis, count in (
            (self.column, "dx", self._params.width),
            (self.row, "dy", self._params.height),
        ):
            # Content moved on by +1 comes from the index before, and the first has none before it.
            onward, back = moves(axis, 1), moves(axis, -1)
            source.append(Mux(onward | back, neighbour(index, back), index))
            leaves.append((onward & (index == 0)) | (back & (index == count - 1)))
        m.d.comb += self.mem_addr.eq(Cat(source))
        m.d.sync += outside.eq(Cat(leaves).any())
        m.d.comb += self.data.eq(Mux(outside, 0, self.mem_rdata))
        return m
