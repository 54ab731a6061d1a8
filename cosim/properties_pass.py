# SPDX-License-Identifier: Apache-2.0
"""What is proven of those who start shift modules: a pass, the array, the device on a board.

Each counts channels around lanes of `hw.shift.ShiftModule`; the lanes are at the pixels that
`cosim.properties_walk.Operation` says, which makes the proofs 1-inductive.
"""

from __future__ import annotations

from typing import Any, ClassVar

from amaranth.hdl import Array, Assert, Assume, Cat, Cover, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from cosim.properties_walk import Operation, assert_walk
from cosim.small_accelerator import small_accelerator
from fpga.shift_design import MAP, ShiftDesign
from hw.params import ArrayParams, Direction, ShiftParams, address_bits
from hw.shift import ShiftArray
from hw.shift_pass import ShiftPass
from hw.timing import array_cycles, shift_cycles

__all__ = ["ArrayRules", "DeviceRules", "PassRules"]

_LANE: dict[str, str] = {
    **{name: name for name in ("ready", "done", "start", "mem_we", "mem_addr", "boundary")},
    "direction_in": "direction",
    **{name: f"walk.{name}" for name in ("diagonal", "row_forward", "column_forward")},
}


def _probes(lane: str) -> dict[str, str]:
    """Return the probes of a lane, by name."""
    return {f"probe_{lane}_{name}": f"dut.{lane}.{net}" for name, net in _LANE.items()}


def _members(lane: str, shift: ShiftParams) -> dict[str, wiring.Member]:
    wide = {"mem_addr": shift.addr_bits, "direction_in": 3}
    return {f"probe_{lane}_{name}": In(wide.get(name, 1)) for name in _LANE}


def _operation(m: Module, harness: Any, lane: str, shift: ShiftParams) -> Operation:
    """Add what a lane must do, and claim that it does."""
    probe = {name: getattr(harness, f"probe_{lane}_{name}") for name in _LANE}
    m.submodules[f"operation_{lane}"] = operation = Operation(shift)
    m.d.comb += [
        operation.start.eq(probe["start"]),
        operation.direction.eq(probe["direction_in"]),
    ]
    assert_walk(m, shift, operation, probe)
    return operation


class _Age(wiring.Component):
    """A count of the cycles of a run, from the one after ``start`` on; 0 at rest."""

    def __init__(self, cycles: int) -> None:
        self._cycles = cycles
        self.age = Signal(range(cycles + 1))
        super().__init__({"start": In(1)})

    def elaborate(self, platform: object) -> Module:
        """Build the counter."""
        m = Module()
        last = self.age == self._cycles - 1
        with m.If(self.start):
            m.d.sync += self.age.eq(1)
        with m.Elif(last):
            m.d.sync += self.age.eq(0)
        with m.Elif(self.age != 0):
            m.d.sync += self.age.eq(self.age + 1)
        return m


class PassRules(wiring.Component):
    """A pass: each bank's moving channels in their order, each in its direction, then at rest.

    ``done`` once a pass, in its last cycle, n·H·W + 2 with the one of ``start``; words are written
    in a pass only, in channels that the bank has and that move. Covered: a pass ends.
    """

    PROBES: ClassVar[dict[str, str]] = {
        **_probes("lane_0"),
        **_probes("lane_1"),
        "probe_channel_0": "dut.channel_0",
        "probe_channel_1": "dut.channel_1",
    }

    def __init__(self, shift: ShiftParams) -> None:
        self._params = params = small_accelerator(shift)
        members: dict[str, wiring.Member] = {"start": In(1)}
        for bank, count in enumerate(params.moved):
            members |= _members(f"lane_{bank}", shift)
            members[f"probe_channel_{bank}"] = In(address_bits(count))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the pass, the count of its cycles, and the claims."""
        m = Module()
        params, shift = self._params, self._params.shift
        m.submodules.dut = dut = ShiftPass(params=params)
        m.submodules.run = run = _Age(shift_cycles(shift, channels=params.moved[0]))
        m.d.comb += [
            dut.start.eq(self.start),
            run.start.eq(self.start),
            Assume(~self.start | (run.age == 0)),
            Assert(dut.done == (run.age == shift_cycles(shift, channels=params.moved[0]) - 1)),
            Cover(dut.done),
        ]
        for bank, count in enumerate(params.moved):
            operation = _operation(m, self, f"lane_{bank}", shift)
            self._bank(m, run.age, operation, bank, count)
            channel = dut.addr[bank][shift.addr_bits :]
            with m.If(dut.we[bank]):
                m.d.comb += [Assert(run.age > 1), Assert(channel < count)]
                m.d.comb += Assert(dut.addr[bank] < params.bank_depth)
        return m

    def _bank(self, m: Module, age: Signal, operation: Operation, bank: int, count: int) -> None:
        """Claim where a bank is in that cycle of the pass."""
        pixels, first = self._params.shift.pixels, bank * self._params.tile.rows
        channel = getattr(self, f"probe_channel_{bank}")
        directions = Array(map(int, self._params.directions[first : first + count]))
        m.d.comb += Assert(channel < count)
        with m.If(operation.config | operation.moving):
            m.d.comb += Assert(operation.code == directions[channel])
        with m.If((age == 0) | (age > count * pixels + 1)):
            m.d.comb += Assert(~(operation.config | operation.moving))
            m.d.comb += Assert(channel == count - 1)
        with m.Elif(age == 1):
            m.d.comb += [Assert(operation.config), Assert(channel == 0)]
        with m.Else():
            m.d.comb += Assert(operation.moving)
            m.d.comb += Assert(age == 2 + channel * pixels + operation.pixel)


class ArrayRules(wiring.Component):
    """An array: all lanes together, each in its direction; blocks of g·H·W + 2 cycles, any number.

    ``done`` once a block; ``ready`` at rest, and with ``done``; no channel but the bank's is
    addressed, and nothing but a lane in SHIFT takes the memory from the host. Covered: a block
    after another.
    """

    LANES = tuple(f"lane_{direction.name.lower()}" for direction in Direction.moving())
    PROBES: ClassVar[dict[str, str]] = {
        "probe_channel": "dut.channel",
        **{name: net for lane in LANES for name, net in _probes(lane).items()},
    }

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        members: dict[str, wiring.Member] = {
            "start": In(1),
            "probe_channel": In(address_bits(params.group)),
        }
        for lane in self.LANES:
            members |= _members(lane, params.shift)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the array, and the claims."""
        m = Module()
        params, shift = self._params, self._params.shift
        m.submodules.dut = dut = ShiftArray(params=params)
        m.d.comb += dut.start.eq(self.start)
        operations = [_operation(m, self, lane, shift) for lane in self.LANES]
        first = operations[0]
        busy = first.config | first.moving
        channel = self.probe_channel
        on_last = channel == params.group - 1
        ends = first.last & on_last
        followed = Signal()
        with m.If(dut.ready):
            m.d.sync += followed.eq(ends & self.start)
        # Cycles of the block, were it the first: those after another have no CONFIG.
        age = Signal(range(array_cycles(params)))
        with m.If(dut.ready):
            m.d.sync += age.eq(Cat(self.start & ~ends, self.start & ends))
        with m.Elif(busy):
            m.d.sync += age.eq(age + 1)
        m.d.comb += [
            Assert(channel < params.group),
            Assert(busy | on_last),
            Assert(dut.ready == (ends | ~busy)),
            Assert(dut.done == ends),
            Assert(ends == (busy & (age == array_cycles(params) - 1))),
            Assert(busy == (age != 0)),
            Assert(first.config == (age == 1)),
            Assert(~first.moving | (age == 2 + channel * shift.pixels + first.pixel)),
            Assert(~first.config | (channel == 0)),
            Cover(followed & ends),
        ]
        for direction, operation in zip(Direction.moving(), operations, strict=True):
            m.d.comb += [
                Assert(operation.moving == first.moving),
                Assert(operation.config == first.config),
                Assert(operation.pixel == first.pixel),
                Assert(~busy | (operation.code == direction)),
            ]
        return m


class DeviceRules(wiring.Component):
    """The shift module behind the bus: busy for n·H·W + 2 cycles a run, and the map to itself then.

    The host's writes land at rest only, inside the map, whatever is on the bus during a run.
    Covered: a run ends.
    """

    PROBES: ClassVar[dict[str, str]] = {
        **_probes("shift"),
        "probe_start": "dut.start",
        "probe_we": "dut.memory.we",
        "probe_addr": "dut.memory.addr",
    }

    def __init__(self, shift: ShiftParams) -> None:
        self._shift = shift
        super().__init__(
            {
                **{name: In(1) for name in ("run", "we", "probe_start", "probe_we")},
                "argument": In(8),
                "region": In(4),
                "address": In(shift.addr_bits),
                "wdata": In(8),
                "probe_addr": In(shift.addr_bits),
                **_members("shift", shift),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the device, the count of a run's cycles, and the claims."""
        m = Module()
        shift = self._shift
        m.submodules.dut = dut = ShiftDesign(params=shift)
        m.d.comb += [
            getattr(dut.bus, name).eq(getattr(self, name))
            for name in ("run", "we", "argument", "region", "address", "wdata")
        ]
        operation = _operation(m, self, "shift", shift)
        cycles = shift_cycles(shift)
        age = Signal(range(cycles + 1))  # of ``busy``
        with m.If(self.run):
            m.d.sync += age.eq(1)
        with m.Elif(age == cycles):
            m.d.sync += age.eq(0)
        with m.Elif(age != 0):
            m.d.sync += age.eq(age + 1)
        busy = operation.config | operation.moving
        direction = Signal(3)
        with m.If(self.run):
            m.d.sync += direction.eq(self.argument)
        in_map = _in_map(self.address, shift)
        m.d.comb += [
            # What the bus promises.
            Assume(~self.run | ~dut.bus.busy),
            Assume(~self.we | (self.region != MAP) | in_map),
            Assume((age != 1) | (self.argument[:3] == direction)),
            Assert(dut.bus.busy == (age != 0)),
            Assert(self.probe_start == (age == 1)),
            Assert(busy == (age > 1)),
            Assert(operation.config == (age == 2)),
            Assert(~operation.moving | (age == 3 + operation.pixel)),
            Assert(~busy | (operation.code == direction)),
            Assert(~self.probe_we | (age > 2) | (self.we & (self.region == MAP) & (age == 0))),
            Assert(~self.probe_we | _in_map(self.probe_addr, shift)),
            Cover(age == cycles),
        ]
        return m


def _in_map(address: Value, shift: ShiftParams) -> Value:
    """Whether an address is inside the region."""
    return address <= shift.address(shift.height - 1, shift.width - 1)
