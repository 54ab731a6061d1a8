# SPDX-License-Identifier: Apache-2.0
"""Tests of ShiftedReader inside the simulator.

Parameters of a run: ``block``, ``height``, ``width``, ``bits``, ``seed``. Arrays: ``maps``
[N, H, W], port values, and ``moved`` [N, 9, H, W], what PyTorch makes of them by direction.
"""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from cosim.bench import Port, array, parameters, reset
from hw.params import Direction, ShiftParams
from hw.timing import reader_cycles

TIMEOUT = 5  # ms: 500,000 cycles

PLAIN_READ = 1  # cycles from an address to its word


async def read_pixels(
    port: Port, params: ShiftParams, words: Any, requests: list[tuple[int, int, int]], seed: int
) -> tuple[list[int], int]:
    """Read pixels, one request (direction, row, column) a cycle, from a channel [H, W].

    The memory returns random words, seeded, where the module must not look.

    Returns
    -------
    list of int
        What ``data`` is, for each request, a plain read's one cycle later.
    int
        Cycles from the first request to the last pixel, the first not included.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    mask = (1 << params.column_bits) - 1
    found: list[int] = []
    cycles = 0
    for direction, row, column in [*requests, (Direction.STAY, 0, 0)]:
        port.drive(direction=direction, row=row, column=column)
        await port.settle()
        if cycles:
            found.append(port.read("data"))
        address = port.read("mem_addr")
        source_row, source_column = address >> params.column_bits, address & mask
        if source_row < params.height and source_column < params.width:
            word = int(words[source_row, source_column])
        else:
            word = int(generator.integers(1 << params.bits))  # a gap: nobody may use it
        await port.rise()
        port.drive(mem_rdata=word)
        cycles += 1
    return found, cycles - 1


@cocotb.test(timeout_time=TIMEOUT, timeout_unit="ms")
async def every_pixel_of_every_direction(dut: Any) -> None:
    """Each pixel by each direction, in random order, costs exactly a plain read."""
    given = parameters()
    params = ShiftParams(height=given["height"], width=given["width"], bits=given["bits"])
    generator = np.random.Generator(np.random.PCG64(given["seed"]))
    maps, moved = array("maps"), array("moved")
    port = Port(dut, given["block"])
    await reset(port, direction=0, row=0, column=0, mem_rdata=0)
    for index, words in enumerate(maps):
        requests = [
            (code, row, column)
            for code in range(16)  # above 8, any code reads plainly
            for row in range(params.height)
            for column in range(params.width)
        ]
        generator.shuffle(requests)
        found, cycles = await read_pixels(port, params, words, requests, given["seed"])
        assert cycles == len(requests) * PLAIN_READ + reader_cycles(), (
            f"{params.name}: {len(requests)} pixels must take as many cycles, not {cycles}"
        )
        for (code, row, column), pixel in zip(requests, found, strict=True):
            direction = Direction(min(code, Direction.STAY))
            expected = moved[index, direction, row, column]
            assert pixel == expected, (
                f"{params.name} direction {code}, map {index}: row {row}, column {column} must be "
                f"{expected}, not {pixel}"
            )
