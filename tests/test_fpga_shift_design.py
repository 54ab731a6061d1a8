# SPDX-License-Identifier: Apache-2.0
"""The shift module behind the link: maps, all directions, cycles; a whole device at its pins."""

import gc
import struct

import link_bench
import numpy as np
import pytest
from amaranth.sim import Simulator
from cobs import cobs
from link_bench import OK, OPERATION, RANGE, frame, packet, read, run, sync, write

from fpga.device import Core, Device, main
from fpga.shift_design import ShiftDesign
from hw.params import Direction, ParameterError, ShiftParams
from hw.timing import shift_cycles

CLOCK_HZ = 100_000_000


def shifted(pixels, direction):
    """Move content by (dy, dx); zeros come in."""
    padded = np.pad(pixels, 1)
    rows, columns = pixels.shape
    return padded[1 - direction.dy :, 1 - direction.dx :][:rows, :columns]


def shift_all(params, directions, expect=shifted):
    """Write a map, shift it in each direction in turn, compare it and the cycles."""
    pixels = np.random.default_rng(1).integers(0, 1 << params.bits, (params.height, params.width))
    stored = np.zeros((params.height, 1 << params.column_bits), np.uint8)

    async def script(line):
        nonlocal pixels

        def image():
            stored[:, : params.width] = pixels
            return stored.reshape(-1)[: params.address(params.height - 1, params.width - 1) + 1]

        sequence = 0
        await line.ask(sync(sequence))

        async def ask(operation, *operands):
            nonlocal sequence
            sequence += 1
            answer = await line.ask(operation(sequence, *operands))
            assert answer[:3] == struct.pack("<HB", sequence, OK)
            return answer[3:]

        await ask(write, 2, 0, image().tobytes())
        for count, direction in enumerate(directions, 1):
            await ask(run, direction)
            words = struct.unpack("<3Q", await ask(read, 1, 0, 24))
            assert words == (0, shift_cycles(params), count)
            pixels = expect(pixels, direction)
            assert await ask(read, 2, 0, len(image())) == image().tobytes(), direction

    design = ShiftDesign(params=params)
    link_bench.play(Core(design, clock_hz=CLOCK_HZ), design, script)


@pytest.mark.parametrize(("height", "width", "bits"), [(4, 4, 8), (3, 5, 8), (7, 2, 3)])
def test_all_directions_one_after_the_other(height, width, bits):
    shift_all(ShiftParams(height=height, width=width, bits=bits), Direction.moving())


def test_the_paper_s_map():
    shift_all(ShiftParams(height=16, width=16), [Direction.RIGHT_UP])


def test_a_direction_swapped_is_noticed():
    swapped = {Direction.LEFT: Direction.RIGHT}
    with pytest.raises(AssertionError):
        shift_all(
            ShiftParams(height=4, width=4),
            [Direction.LEFT],
            lambda pixels, direction: shifted(pixels, swapped[direction]),
        )


def test_what_the_design_has_not():
    async def script(line):
        await line.ask(sync(0))
        assert await line.ask(run(1, 8)) == struct.pack("<HB", 1, OPERATION)
        assert await line.ask(read(2, 2, 16, 1)) == struct.pack("<HB", 2, RANGE)
        assert await line.ask(read(3, 3, 0, 1)) == struct.pack("<HB", 3, RANGE)

    design = ShiftDesign(params=ShiftParams(height=4, width=4))
    link_bench.play(Core(design, clock_hz=CLOCK_HZ), design, script)


@pytest.mark.filterwarnings("ignore:.*created but never used")
def test_pixels_wider_than_a_byte_are_refused():
    with pytest.raises(ParameterError) as error:
        ShiftDesign(params=ShiftParams(height=4, width=4, bits=9))
    assert str(error.value) == "a pixel must fit a byte, not take 9 bits"
    del error
    gc.collect()


@pytest.mark.parametrize("clocks_per_bit", [4, 7])
def test_a_device_answers_at_its_pins(clocks_per_bit):
    params = ShiftParams(height=4, width=4)
    device = Device(
        ShiftDesign(params=params), clocks_per_bit=clocks_per_bit, clock_hz=CLOCK_HZ
    )  # fmt: skip
    bodies = [sync(5), write(6, 2, 0, range(16)), read(7, 2, 3, 2)]
    wanted = [(5, b""), (6, b""), (7, b"\3\4")]
    got = []

    async def bench(ctx):
        async def wait(bits):
            for _ in range(round(bits * clocks_per_bit)):
                await ctx.tick()

        async def byte():
            while ctx.get(device.tx):
                await ctx.tick()
            await wait(1.5)
            bits = 0
            for number in range(8):
                bits |= ctx.get(device.tx) << number
                await wait(1)
            assert ctx.get(device.tx)
            return bits

        for body in bodies:
            for value in b"\0" + frame(body):
                for bit in [0, *(value >> number & 1 for number in range(8)), 1]:
                    ctx.set(device.rx, bit)
                    await wait(1)
            answer = bytearray()
            while not answer.endswith(b"\0"):
                answer.append(await byte())
            got.append(cobs.decode(bytes(answer[:-1])))

    simulator = Simulator(device)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert got == [packet(struct.pack("<HB", number, OK) + data) for number, data in wanted]


def test_verilog_of_the_device(capsys):
    assert main(["--height", "4", "--width", "4"]) == 0
    text = capsys.readouterr().out
    assert "module device(clk, rst, tx, busy, error, rx);" in text
    assert main(["--height", "4", "--width", "4"]) == 0
    assert capsys.readouterr().out == text
