# SPDX-License-Identifier: Apache-2.0
"""Host and monitor of a ShiftArray: loads its banks, runs blocks, reads the banks back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cosim.bench import Port, idle, reset
from hw.params import ArrayParams
from hw.timing import array_cycles

__all__ = ["ArrayPort", "Host"]

Host = Callable[[int], dict[str, int] | None]
"""What the host drives in a cycle, counted from the first start; ``None``: nothing new."""


class ArrayPort:
    """Driver and monitor of one ShiftArray.

    Parameters
    ----------
    port : Port
    params : ArrayParams
    """

    def __init__(self, port: Port, params: ArrayParams) -> None:
        self.port = port
        self.params = params
        self._places = [
            (lane, channel << params.shift.addr_bits | params.shift.address(row, column))
            for lane in range(8)
            for channel in range(params.group)
            for row in range(params.shift.height)
            for column in range(params.shift.width)
        ]

    async def begin(self) -> None:
        """Reset."""
        await reset(self.port, start=0, lane=0, addr=0, we=0, wdata=0)

    async def reset(self) -> None:
        """One cycle of reset."""
        self.port.drive(rst=1, start=0)
        await self.port.rise()
        self.port.drive(rst=0)

    async def load(self, banks: npt.NDArray[np.int64]) -> None:
        """Write port values [8, g, H, W] into the banks, one a cycle."""
        for (lane, address), word in zip(self._places, banks.ravel().tolist(), strict=True):
            self.port.drive(lane=lane, addr=address, wdata=word, we=1)
            await self.port.rise()
        self.port.drive(we=0)

    async def dump(self) -> npt.NDArray[np.int64]:
        """Read the banks, one word a cycle: port values [8, g, H, W]."""
        words = []
        for lane, address in [*self._places, (0, 0)]:
            self.port.drive(lane=lane, addr=address)
            await self.port.settle()
            words.append(self.port.read("rdata"))  # of the address before
            await self.port.rise()
        shift = self.params.shift
        shape = (8, self.params.group, shift.height, shift.width)
        return np.array(words[1:], np.int64).reshape(shape)

    async def run(self, blocks: int, host: Host = lambda _: None) -> int:
        """Shift blocks back to back, with ``ready`` and ``done`` checked in every cycle.

        ``start`` stays high until the last block has been taken, so that it is also high in every
        cycle in which it must not count.

        Returns
        -------
        int
            Cycles from the one that takes the first start to the last done, both included.
        """
        port, name = self.port, self.params.name
        one = array_cycles(self.params) - 2
        total = array_cycles(self.params, blocks=blocks)
        port.drive(start=1)
        cycle, done = 0, 0
        while done < blocks:
            inputs = host(cycle)
            if inputs is not None:
                port.drive(**inputs)
            await port.settle()
            last = cycle > 1 and (cycle - 1) % one == 0
            for output, expected in (("done", last), ("ready", last or cycle == 0)):
                found = port.read(output)
                assert found == expected, (
                    f"{name}, cycle {cycle}: {output} must be {int(expected)}, not {found}"
                )
            done += last
            await port.rise()
            cycle += 1
            if cycle == total - one:  # just after the last block was taken
                port.drive(start=0)
        port.drive(we=0)
        await idle(port, 1)
        return cycle
