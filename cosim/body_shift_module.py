# SPDX-License-Identifier: Apache-2.0
"""Tests of ShiftModule inside the simulator.

Parameters of a run: ``block``, ``height``, ``width``, ``bits``, ``seed``. Arrays: ``maps``
[N, H, W], port values, and ``moved`` [N, 9, H, W], what PyTorch makes of them by direction.
"""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from cosim.bench import Port, array, first_difference, idle, parameters
from cosim.shift_port import Operation, ShiftPort
from hw.params import Direction, ShiftParams
from hw.timing import shift_cycles

TIMEOUT = 5  # ms: 500,000 cycles


class Scenario:
    """One block, its vectors, and a seeded generator for what a test leaves open."""

    def __init__(self, dut: Any) -> None:
        given = parameters()
        self.params = ShiftParams(height=given["height"], width=given["width"], bits=given["bits"])
        self.seed = given["seed"]
        self.random = np.random.Generator(np.random.PCG64(self.seed))
        self.maps = array("maps")
        self.moved = array("moved")
        self.shift = ShiftPort(Port(dut, given["block"]), self.params, seed=self.seed)
        self._used = 0
        self._index: dict[int, int] = {}

    def operation(self, direction: Direction, index: int | None = None) -> Operation:
        """Return an operation on one of the maps, or on the next one."""
        if index is None:
            index = self._used % len(self.maps)
            self._used += 1
        operation = Operation(direction, self.maps[index].ravel().tolist())
        self._index[id(operation)] = index
        return operation

    def some_direction(self, other_than: Direction | None = None) -> Direction:
        """Return a random direction."""
        choices = [each for each in Direction.moving() if each is not other_than]
        return choices[int(self.random.integers(len(choices)))]

    def check(self, operation: Operation) -> None:
        """Compare an operation's result with PyTorch's."""
        index = self._index[id(operation)]
        got = operation.result(self.params)
        difference = first_difference(got, self.moved[index, operation.direction])
        assert difference is None, (
            f"{self.params.name} {operation.direction.name}, map {index}, seed {self.seed}, "
            f"done in cycle {operation.done}: {difference}"
        )

    def moments(self) -> list[int]:
        """Cycles after the accepting one, up to the last; of a large map a random choice."""
        last = self.params.pixels + 1
        most = 24 if last <= 100 else 8
        if last <= most:
            return list(range(1, last + 1))
        inner = self.random.choice(np.arange(2, last), most - 2, replace=False)
        return [1, *sorted(int(moment) for moment in inner), last]


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def every_direction_on_any_content(dut: Any) -> None:
    """Each direction on all ones, all zeros and random content, after idle gaps."""
    scenario = Scenario(dut)
    await scenario.shift.begin()
    for index in range(3):
        for direction in Direction.moving():
            operation = scenario.operation(direction, index)
            await scenario.shift.put(operation, gap=int(scenario.random.integers(5)))
            await scenario.shift.finish(operation)
            scenario.check(operation)
            cycles = operation.cycles
            expected = shift_cycles(scenario.params)
            assert cycles == expected, (
                f"{scenario.params.name} {direction.name} must take {expected} cycles, not {cycles}"
            )


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def channels_back_to_back(dut: Any) -> None:
    """Every direction follows every other without a gap, in exactly the cycles of hw.timing."""
    scenario = Scenario(dut)
    await scenario.shift.begin()
    order = [
        direction
        for first in Direction.moving()
        for second in Direction.moving()
        for direction in (first, second)
    ]
    most = max(8, 6_000 // scenario.params.pixels)
    if len(order) > most:
        order = [*Direction.moving(), *(scenario.some_direction() for _ in range(most - 8))]
    for count in (1, 2, len(order)):
        operations = [scenario.operation(direction) for direction in order[:count]]
        cycles = await scenario.shift.back_to_back(operations)
        expected = shift_cycles(scenario.params, channels=count)
        assert cycles == expected, (
            f"{scenario.params.name}: {count} channels must take {expected} cycles, not {cycles}"
        )
        for operation in operations:
            scenario.check(operation)


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def start_at_every_wrong_moment(dut: Any) -> None:
    """Without ready, a start with another direction changes nothing."""
    scenario = Scenario(dut)
    shift, params = scenario.shift, scenario.params
    await shift.begin()
    single = [[moment] for moment in scenario.moments() if moment <= params.pixels]
    for number, moments in enumerate([list(range(1, params.pixels + 1)), *single]):
        operation = scenario.operation(Direction(number % 8))
        await shift.put(operation)
        for moment in range(1, params.pixels + 2):
            if moment in moments:
                shift.drive_start(Operation(scenario.some_direction(operation.direction), []))
            else:
                shift.drive_start(None)
            await shift.port.rise()
        shift.drive_start(None)
        await shift.finish(operation)
        scenario.check(operation)


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def direction_changes_after_acceptance(dut: Any) -> None:
    """Only in the cycle with start and ready does the direction count."""
    scenario = Scenario(dut)
    shift, params = scenario.shift, scenario.params
    await shift.begin()
    for direction in Direction.moving():
        operation = scenario.operation(direction)
        await shift.put(operation)
        for _ in range(params.pixels + 1):
            shift.port.drive(direction=int(scenario.random.integers(8)))
            await shift.port.rise()
        await shift.finish(operation)
        scenario.check(operation)


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def reset_at_every_moment(dut: Any) -> None:
    """Reset ends an operation at once; the next one is right, whichever phase was cut off."""
    scenario = Scenario(dut)
    shift = scenario.shift
    await shift.begin()
    for moment in scenario.moments():
        lost = scenario.operation(scenario.some_direction())
        await shift.put(lost)
        await idle(shift.port, moment - 1)
        await shift.reset()
        operation = scenario.operation(scenario.some_direction())
        await shift.put(operation, gap=int(scenario.random.integers(3)))
        await shift.finish(operation)
        scenario.check(operation)


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def random_mix(dut: Any) -> None:
    """Gaps, runs without a gap, unwanted starts and restless directions, all at once."""
    scenario = Scenario(dut)
    shift, params, random = scenario.shift, scenario.params, scenario.random
    await shift.begin()
    for _ in range(min(150, max(8, 5_000 // params.pixels))):
        operation = scenario.operation(scenario.some_direction())
        gap = int(random.integers(1, 2 * params.width)) if random.random() < 0.3 else 0
        await shift.put(operation, gap=gap)
        if random.random() < 0.7:
            while operation.done is None:
                shift.port.drive(direction=int(random.integers(8)))
                if not shift.ready and random.random() < 0.3:
                    shift.drive_start(Operation(scenario.some_direction(), []))
                else:
                    shift.drive_start(None)
                await shift.port.rise()
            shift.drive_start(None)
        await shift.finish(operation)
        scenario.check(operation)
