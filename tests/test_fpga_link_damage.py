# SPDX-License-Identifier: Apache-2.0
"""Every damage that a frame can take on its way to the device: it is dropped."""

import random
import struct
import zlib

import link_bench
import pytest
from cobs import cobs
from link_bench import OK, frame, packet, read, sync, write
from link_design import RecordingDesign

from fpga.device import Core

HEAD = struct.Struct("<HB")


def play(script, **how):
    design = RecordingDesign()
    link_bench.play(Core(design, clock_hz=100_000_000), design, script, **how)


def silent(*damaged, good=True):
    """No damaged line is answered or changes anything; the frame after it is taken."""

    async def script(line):
        await line.ask(sync(1))
        for number, (bytes_, errors) in enumerate(damaged, 1):
            await line.send(bytes_, errors=errors)
            assert await line.answer(limit=400) is None, bytes_
            assert line.dropped >= number, bytes_
        assert line.get("writes") == line.get("begun") == 0
        assert await line.ask(b"") is None
        assert await line.ask(write(2, 2, 0, b"ok")) == HEAD.pack(2, OK)
        assert await line.ask(read(3, 2, 0, 2)) == HEAD.pack(3, OK) + b"ok"

    play(script)


WRITE_FRAME = frame(write(2, 2, 0, b"no\0no"))


def test_a_frame_with_one_wrong_bit_is_dropped():
    source = random.Random(1)
    damaged = []
    for place in range(len(WRITE_FRAME) - 1):
        line = bytearray(WRITE_FRAME)
        line[place] ^= 1 << source.randrange(8)
        damaged.append((bytes(line), ()))
    silent(*damaged)


def test_a_frame_without_some_of_its_bytes_is_dropped():
    body = WRITE_FRAME[:-1]
    cuts = [body[:length] for length in (1, 2, 8, len(body) - 5, len(body) - 4, len(body) - 1)]
    cuts += [body[length:] for length in (1, 2, len(body) - 1)]
    cuts += [body[:3] + body[4:], body[:5] + body[5:6] + body[5:]]
    silent(*((cut + b"\0", ()) for cut in cuts))


def test_a_frame_with_a_zero_inside_is_two_and_neither_is_taken():
    silent(*((WRITE_FRAME[:place] + b"\0" + WRITE_FRAME[place:], ()) for place in (1, 4, 9, 14)))


def test_two_frames_without_the_zero_between_them_are_dropped():
    silent((WRITE_FRAME[:-1] + WRITE_FRAME, ()))


def test_a_wrong_stop_bit_spoils_the_frame():
    silent(*((WRITE_FRAME[:n] + b"\xff" + WRITE_FRAME[n:], (n,)) for n in (0, 5, 18)))


def test_short_packets_are_dropped():
    packets = [packet(b""), packet(b"\2"), packet(b"\2\0"), b"\1", b"\1\2\3"]
    silent(*((cobs.encode(content) + b"\0", ()) for content in packets))


@pytest.mark.parametrize("length", [257, 510])
def test_long_packets_are_dropped(length):
    silent((frame(write(2, 2, 0, bytes(length))), ()))


def test_the_longest_packet_is_not():
    async def script(line):
        await line.ask(sync(1))
        assert await line.ask(write(2, 9, 0, bytes(255))) == HEAD.pack(2, OK)
        assert await line.ask(write(3, 2, 0, bytes(256))) == HEAD.pack(3, OK)

    play(script)


def test_a_crc_of_wrong_bytes_or_order_is_wrong():
    body = write(2, 2, 0, b"no")
    crc = zlib.crc32(body)
    wrong = [crc ^ 1 << 31, crc ^ 0xFFFFFFFF, zlib.crc32(body[:-1]), 0]
    contents = [body + struct.pack("<I", value) for value in wrong] + [
        body + struct.pack(">I", crc)
    ]
    silent(*((cobs.encode(content) + b"\0", ()) for content in contents))


def test_a_frame_doubled_is_carried_out_once():
    async def script(line):
        await line.ask(sync(1))
        await line.send(frame(write(2, 2, 0, b"ab")) * 2)
        assert await line.answer() == HEAD.pack(2, OK)
        assert await line.answer(limit=600) is None  # came while the first was worked on
        assert line.dropped == 1
        assert await line.ask(write(2, 2, 0, b"ab")) == HEAD.pack(2, OK)
        assert line.get("writes") == 2

    play(script)


def test_a_frame_that_comes_too_early_is_dropped_whole():
    late = frame(write(3, 2, 0, b"xy"))

    async def script(line):
        await line.ask(sync(1))
        # Its beginning comes while the answer leaves, its end long after.
        await line.send(frame(read(2, 2, 0, 64)) + late[:2])
        assert (await line.answer())[:3] == HEAD.pack(2, OK)
        await line.wait(50)
        await line.send(late[2:])
        assert await line.answer(limit=600) is None
        assert line.dropped == 1
        assert line.get("writes") == 0
        assert await line.ask(write(3, 2, 0, b"ab")) == HEAD.pack(3, OK)

    play(script)


def test_a_line_that_waits_loses_nothing():
    source = random.Random(1)

    async def script(line):
        await line.ask(sync(1))
        await line.ask(write(2, 2, 0, bytes(range(40))))
        assert await line.ask(read(3, 2, 0, 40)) == HEAD.pack(3, OK) + bytes(range(40))

    play(script, ready=lambda: source.random() < 0.2)
