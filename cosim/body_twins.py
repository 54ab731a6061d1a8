# SPDX-License-Identifier: Apache-2.0
"""Two blocks with the same ports, driven alike at random: their outputs must be alike.

Parameters of a run: ``blocks``, their names; ``inputs`` and ``outputs``, bits by port; ``cycles``;
``seed``.
"""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from cosim.bench import Port, parameters, reset

TIMEOUT = 5  # ms: 500,000 cycles


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def alike_in_every_cycle(dut: Any) -> None:
    """Every output of every cycle after reset."""
    given = parameters()
    random = np.random.Generator(np.random.PCG64(given["seed"]))
    first, second = twins = [Port(dut, name) for name in given["blocks"]]
    for port in twins:
        await reset(port, **dict.fromkeys(given["inputs"], 0))
    for cycle in range(given["cycles"]):
        for name, bits in given["inputs"].items():
            value = int.from_bytes(random.bytes(-(-bits // 8)), "little") % (1 << bits)
            for port in twins:
                port.drive(**{name: value})
        await second.settle()
        for name in given["outputs"]:
            wanted, found = first.read(name), second.read(name)
            assert wanted == found, f"cycle {cycle}: {name} must be {wanted}, not {found}"
        await second.rise()
