# SPDX-License-Identifier: Apache-2.0
"""What the demo does inside the simulator: it runs each block, and compares nothing.

Array: ``feature_map`` [C, H, W], port values. Each test writes what came out as ``<test>.npy``, and
the cycles that it took as ``<test>.json``.
"""

from __future__ import annotations

import json
from typing import Any

import cocotb
import numpy as np

from cosim.array_port import ArrayPort
from cosim.bench import PERIOD, Port, array, idle, parameters, reset, run_folder
from cosim.body_shift_reader import read_pixels
from cosim.shift_port import Operation, ShiftPort
from cosim.waveform import Recorder
from hw.params import ArrayParams, Direction, ShiftParams, channel_directions


def prepare() -> tuple[ArrayParams, Any]:
    """Return the shape, and the feature map."""
    feature_map = array("feature_map")
    channels, height, width = feature_map.shape
    shift = ShiftParams(height=height, width=width, bits=parameters()["bits"])
    return ArrayParams(shift=shift, channels=channels), feature_map


def report(name: str, values: Any, cycles: int) -> None:
    """Write what came out."""
    np.save(run_folder() / f"{name}.npy", values, allow_pickle=False)
    (run_folder() / f"{name}.json").write_text(json.dumps({"cycles": cycles}), encoding="utf-8")


@cocotb.test()
async def shift_module(dut: Any) -> None:
    """All channels that move, through one module, back to back."""
    params, feature_map = prepare()
    shift = ShiftPort(Port(dut, "shift_module"), params.shift, seed=0)
    await shift.begin()
    operations = [
        Operation(direction, pixels.ravel().tolist())
        for direction, pixels in zip(channel_directions(params.channels), feature_map, strict=True)
        if direction is not Direction.STAY
    ]
    cycles = await shift.back_to_back(operations)
    moved = np.stack([operation.result(params.shift) for operation in operations])
    report("shift_module", moved, cycles)


@cocotb.test()
async def shift_array(dut: Any) -> None:
    """Load, shift and read back the same channels, in the banks of eight lanes."""
    params, feature_map = prepare()
    host = ArrayPort(Port(dut, "shift_array"), params)
    shape = (8, params.group, params.shift.height, params.shift.width)
    await host.begin()
    await host.load(feature_map[: 8 * params.group].reshape(shape))
    cycles = await host.run(1)
    report("shift_array", (await host.dump()).reshape(-1, *shape[2:]), cycles)


@cocotb.test()
async def shifted_reader(dut: Any) -> None:
    """All channels, those that stay too, read as if shifted."""
    params, feature_map = prepare()
    port = Port(dut, "shifted_reader")
    await reset(port, direction=0, row=0, column=0, mem_rdata=0)
    pixels: list[int] = []
    cycles = 0
    for direction, words in zip(channel_directions(params.channels), feature_map, strict=True):
        requests = [(int(direction), row, column) for row, column in np.ndindex(words.shape)]
        found, taken = await read_pixels(port, params.shift, words, requests, seed=0)
        pixels += found
        cycles += taken
    report("shifted_reader", np.array(pixels).reshape(feature_map.shape), cycles)


@cocotb.test()
async def waveform(dut: Any) -> None:
    """One operation on a 4×4 channel with the pixels 1…16, recorded from before to after."""
    params = ShiftParams(height=4, width=4, bits=8)
    port = Port(dut, "shift_4x4")
    shift = ShiftPort(port, params, seed=0)
    widths = {
        "start": 1,
        "direction": 3,
        "ready": 1,
        "done": 1,
        "mem_addr": params.addr_bits,
        "mem_we": 1,
        "mem_wdata": params.bits,
        "mem_rdata": params.bits,
    }
    await shift.begin()
    await idle(port, 1)
    with open(run_folder() / "shift_4x4.vcd", "w", encoding="ascii") as file:
        recorder = Recorder(file, "shift_module", widths, PERIOD)

        async def record() -> None:
            while True:
                await port.settle()
                recorder.cycle({name: port.read(name) for name in widths})

        recording = cocotb.start_soon(record())
        operation = Operation(Direction[parameters()["direction"]], list(range(1, 17)))
        await shift.put(operation, gap=2)
        await shift.finish(operation)
        await idle(port, 2)
        recording.cancel()
        recorder.close()
