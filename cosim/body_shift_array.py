# SPDX-License-Identifier: Apache-2.0
"""Tests of ShiftArray inside the simulator.

Parameters of a run: ``block``, ``height``, ``width``, ``bits``, ``channels``, ``seed``. Array:
``banks`` [3, 8, g, H, W], port values before, after one and after two shift blocks, from PyTorch.
``two_blocks`` writes ``after.npy``, what it read back.
"""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from cosim.array_port import ArrayPort
from cosim.bench import Port, array, first_difference, idle, parameters, run_folder
from hw.params import ArrayParams, ShiftParams
from hw.timing import array_cycles

TIMEOUT = 10  # ms: 1,000,000 cycles


def prepare(dut: Any) -> tuple[ArrayPort, Any, np.random.Generator]:
    """Return the array, its banks, and a seeded generator."""
    given = parameters()
    shift = ShiftParams(height=given["height"], width=given["width"], bits=given["bits"])
    params = ArrayParams(shift=shift, channels=given["channels"])
    generator = np.random.Generator(np.random.PCG64(given["seed"]))
    return ArrayPort(Port(dut, given["block"]), params), array("banks"), generator


async def expect(host: ArrayPort, banks: Any, what: str) -> Any:
    """Read the banks and compare them with PyTorch's."""
    got = await host.dump()
    difference = first_difference(got, banks)
    assert difference is None, (
        f"{host.params.name}, {what}: [lane, channel, row, column] {difference}"
    )
    return got


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def two_blocks(dut: Any) -> None:
    """Two shift blocks back to back, in exactly the cycles of hw.timing."""
    host, banks, _ = prepare(dut)
    await host.begin()
    await host.load(banks[0])
    cycles = await host.run(2)
    expected = array_cycles(host.params, blocks=2)
    assert cycles == expected, f"two blocks must take {expected} cycles, not {cycles}"
    np.save(run_folder() / "after.npy", await expect(host, banks[2], "after two blocks"))


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def host_cannot_interfere(dut: Any) -> None:
    """Ignored are writes while the lanes shift; one in the cycle before they begin counts."""
    host, banks, generator = prepare(dut)
    shift, group = host.params.shift, host.params.group
    await host.begin()
    await host.load(banks[0])

    def interfere(cycle: int) -> dict[str, int]:
        row, column = (int(generator.integers(n)) for n in (shift.height, shift.width))
        lane, channel = int(generator.integers(8)), int(generator.integers(group))
        word = int(generator.integers(1 << shift.bits))
        if cycle < 2:  # IDLE and CONFIG: the word that is there
            word = int(banks[0][lane, channel, row, column])
        address = channel << shift.addr_bits | shift.address(row, column)
        return {"lane": lane, "addr": address, "wdata": word, "we": 1}

    await host.run(1, interfere)
    await expect(host, banks[1], "after a block with writes during it")
    # The last cycle before the lanes begin: a write of another word, at its new place afterwards.
    await host.load(banks[0] ^ 1)
    changed = (banks[0][0, 0, 1, 1], shift.address(1, 1))
    await host.run(
        1,
        lambda cycle: {
            "lane": 0,
            "addr": changed[1],
            "wdata": int(changed[0]),
            "we": int(cycle == 1),
        },
    )
    got = await host.dump()
    assert got[0, 0, 1, 0] == changed[0], f"{host.params.name}: a write in CONFIG must count"


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def reset_at_random_moments(dut: Any) -> None:
    """Reset ends a block at once, in whichever channel; the next one is right."""
    host, banks, generator = prepare(dut)
    await host.begin()
    last = array_cycles(host.params)
    moments = [1, 2, *sorted(generator.integers(3, last, size=6).tolist()), last]
    for moment in moments:
        host.port.drive(start=1)
        await host.port.rise()
        host.port.drive(start=0)
        await idle(host.port, moment - 1)
        await host.reset()
        await host.load(banks[0])
        await host.run(1)
        await expect(host, banks[1], f"after a reset in cycle {moment} of the block before")
