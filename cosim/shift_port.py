# SPDX-License-Identifier: Apache-2.0
"""The contract of ShiftModule's ports, checked in every cycle, with the memory that it works on.

The memory is the read-first memory of `hw.memory` as seen from outside. The monitor counts cycles
from accepted starts alone, and so predicts each output: it never asks the block where it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import Event

from cosim.bench import Port, idle, reset
from hw.address import walk
from hw.params import Direction, ShiftParams

__all__ = ["Operation", "ShiftPort"]


@dataclasses.dataclass
class Operation:
    """A channel that is to be shifted: its pixels, in row order, are changed in place."""

    direction: Direction
    pixels: list[int]
    accepted: int | None = None  # cycle
    done: int | None = None  # cycle
    finished: Event = dataclasses.field(default_factory=Event)

    @property
    def cycles(self) -> int:
        """Cycles from the one that took the start to the one with done, both included."""
        assert self.accepted is not None, "the operation must have begun"
        assert self.done is not None, "the operation must have ended"
        return self.done - self.accepted + 1

    def result(self, params: ShiftParams) -> npt.NDArray[np.int64]:
        """Pixels [H, W]."""
        return np.array(self.pixels, np.int64).reshape(params.height, params.width)


class ShiftPort:
    """Driver, memory and monitor of one ShiftModule.

    Parameters
    ----------
    port : Port
    params : ShiftParams
    seed : int
        Of the words that the memory returns where the module must not look.
    """

    def __init__(self, port: Port, params: ShiftParams, *, seed: int) -> None:
        self.port = port
        self.params = params
        self.cycle = 0
        self._walks = {
            direction: [
                params.address(visit.row, visit.column) for visit in walk(params, direction)
            ]
            for direction in Direction.moving()
        }
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._mask = (1 << params.column_bits) - 1
        self._offer: Operation | None = None  # what `start` asks for, if it is high
        self._resetting = False
        self._loaded = False
        self._phase: int | None = None  # None: IDLE; −1: CONFIG; otherwise the pixel of SHIFT
        self._operation: Operation | None = None

    @property
    def ready(self) -> bool:
        """What the module's ``ready`` must be in this cycle."""
        return self._phase is None or self._phase == self.params.pixels - 1

    async def begin(self) -> None:
        """Reset, and watch the ports from then on."""
        await reset(self.port, start=0, direction=0, mem_rdata=0)
        cocotb.start_soon(self._watch())

    async def reset(self) -> None:
        """One cycle of reset; an operation in flight is lost."""
        self._resetting = True
        self.port.drive(rst=1)
        await self.port.rise()
        self._resetting = False
        self.port.drive(rst=0)

    def drive_start(self, operation: Operation | None) -> None:
        """Raise ``start`` with an operation's direction, or lower it and leave the direction."""
        self._offer = operation
        if operation is None:
            self.port.drive(start=0)
        else:
            self.port.drive(start=1, direction=int(operation.direction))

    async def put(self, operation: Operation, *, gap: int = 0) -> None:
        """After ``gap`` idle cycles, raise ``start`` until it is taken; then lower it again."""
        await idle(self.port, gap)
        self.drive_start(operation)
        for _ in range(self.params.pixels + 3):
            await self.port.settle()
            taken = self.port.read("ready")
            await self.port.rise()
            if taken:
                break
        else:
            raise AssertionError(f"start must be taken within H·W + 3 cycles: {self.where()}")
        self.drive_start(None)

    async def finish(self, operation: Operation) -> None:
        """Wait until an operation is done."""
        if operation.done is None:
            await operation.finished.wait()  # `done` in time is the monitor's business
            await self.port.rise()

    async def back_to_back(self, operations: Sequence[Operation]) -> int:
        """Run operations without a gap; cycles from the first taken start to the last done."""
        for operation in operations:
            await self.put(operation)
        await self.finish(operations[-1])
        whole = Operation(operations[0].direction, [], operations[0].accepted, operations[-1].done)
        return whole.cycles

    def where(self) -> str:
        """Shape, direction and cycle, for messages."""
        name = self._operation.direction.name if self._operation else "no operation"
        phase = {None: "IDLE", -1: "CONFIG"}.get(self._phase, f"SHIFT pixel {self._phase}")
        return f"{self.params.name} {name}, cycle {self.cycle}, {phase}"

    async def _watch(self) -> None:
        while True:
            await self.port.settle()
            word = self._check()
            self._advance()
            await self.port.rise()
            self.port.drive(mem_rdata=word)
            self.cycle += 1

    def _check(self) -> int:
        """Compare this cycle's outputs with the contract; return the word for the next cycle."""
        port, phase, pixels = self.port, self._phase, self.params.pixels
        pixel = None if phase is None or phase < 0 else phase
        expected = {"ready": self.ready, "done": phase == pixels - 1, "mem_we": pixel is not None}
        for name, value in expected.items():
            found = port.read(name)
            assert found == value, f"{self.where()}: {name} must be {int(value)}, not {found}"
        if not self._loaded:
            return 0  # the address means nothing before the first ready cycle has passed
        address = port.read("mem_addr")
        row, column = address >> self.params.column_bits, address & self._mask
        inside = row < self.params.height and column < self.params.width
        assert inside, (
            f"{self.where()}: mem_addr must lie in the map, not at row {row}, column {column}"
        )
        if pixel is None:
            # Nobody may use what is read now.
            return int(self._generator.integers(1 << self.params.bits))
        assert self._operation is not None
        wanted = self._walks[self._operation.direction][pixel]
        assert address == wanted, f"{self.where()}: mem_addr must be {wanted}, not {address}"
        place = row * self.params.width + column
        old = self._operation.pixels[place]
        self._operation.pixels[place] = port.read("mem_wdata")
        return old

    def _advance(self) -> None:
        """Go to the phase of the next cycle."""
        last = self._phase == self.params.pixels - 1
        if last:
            assert self._operation is not None
            self._operation.done = self.cycle
            self._operation.finished.set()
        self._loaded = self._loaded or self.ready
        if self._resetting:
            self._phase = None
        elif self.ready and self._offer is not None:
            self._phase = 0 if last else -1
            self._operation = self._offer
            self._operation.accepted = self.cycle
        elif last:
            self._phase = None
        elif self._phase is not None:
            self._phase += 1
