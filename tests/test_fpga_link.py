# SPDX-License-Identifier: Apache-2.0
"""The protocol, rule by rule, and every damage that a frame can take."""

import json
import random
import struct
import zlib

import link_bench
from link_bench import BUSY, OK, OPERATION, RANGE, SEQUENCE, read, run, sync, write
from link_design import RUN_CYCLES, RecordingDesign

from fpga.device import Core

CLOCK_HZ = 100_000_000
HEAD = struct.Struct("<HB")


def play(script, **how):
    design = RecordingDesign()
    link_bench.play(Core(design, clock_hz=CLOCK_HZ), design, script, **how)


def answers(*cases, start=100):
    """After a SYNC: ask for each case with the next sequence; compare status and data."""

    async def script(line):
        assert await line.ask(sync(start)) == HEAD.pack(start, OK)
        for number, (request, *wanted) in enumerate(cases, start + 1):
            operation, *operands = request
            status, data = wanted[0], wanted[1] if len(wanted) > 1 else b""
            body = operation(number, *operands)
            assert await line.ask(body) == HEAD.pack(number, status) + data, (request, number)

    play(script)


def raw(sequence, operation, operands=b""):
    return HEAD.pack(sequence, operation) + operands


def test_info_names_regions_and_parameters():
    texts = []

    async def script(line):
        await line.ask(sync(7))
        data = b""
        for number in range(2):
            data += (await line.ask(read(8 + number, 0, 256 * number, 256)))[3:]
        length = int.from_bytes(data[:4], "little")
        texts.append(data[4 : 4 + length])
        assert not any(data[4 + length :])

    play(script)
    assert json.loads(texts[0]) == {
        "protocol": 1,
        "design": "record",
        "clock_hz": CLOCK_HZ,
        "regions": [
            {"name": "info", "number": 0, "bytes": 512, "word_bytes": 1, "access": "r"},
            {"name": "registers", "number": 1, "bytes": 48, "word_bytes": 8, "access": "r"},
            {"name": "bytes", "number": 2, "bytes": 320, "word_bytes": 1, "access": "rw"},
            {"name": "words", "number": 3, "bytes": 40, "word_bytes": 4, "access": "r"},
            {"name": "beats", "number": 9, "bytes": 303, "word_bytes": 3, "access": "w"},
        ],
        "parameters": {"registers": ["begun", "argument"]},
    }


def test_what_is_written_is_read():
    data = random.Random(1).randbytes(256)
    answers(
        ((write, 2, 3, data), OK),
        ((write, 2, 319, b"\0"), OK),
        ((read, 2, 3, 256), OK, data),
        ((write, 2, 5, b"\xaa\xbb"), OK),
        ((read, 2, 4, 4), OK, data[1:2] + b"\xaa\xbb" + data[4:5]),
        ((read, 3, 36, 4), OK, bytes([0xE4, 0xE5, 0xE6, 0xE7])),
    )


def refused(status, *requests):
    """Each of the requests is answered with a status, and nothing is done."""

    async def script(line):
        await line.ask(sync(0))
        for number, (operation, *operands) in enumerate(requests, 1):
            answer = await line.ask(operation(number, *operands))
            assert answer == HEAD.pack(number, status), (operation.__name__, operands)
        assert line.get("writes") == line.get("begun") == 0
        assert registers(await line.ask(read(len(requests) + 1, 1, 0, 32)))[2] == 0

    play(script)


def registers(answer):
    return struct.unpack(f"<{(len(answer) - 3) // 8}Q", answer[3:])


def test_out_of_range():
    refused(
        RANGE,
        *((read, 2, address, 1) for address in (320, 512, 1 << 16, 1 << 31, 0xFFFFFFFF)),
        *((read, 2, 319, 2), (read, 2, 65, 256), (read, 2, 0, 0), (read, 2, 0, 257)),
        *((read, 2, 0, 0x8001), (write, 2, 320, b"x"), (write, 2, 65, bytes(256))),
    )


def test_not_what_the_region_allows():
    refused(
        RANGE,
        *((read, 4, 0, 1), (read, 15, 0, 1), (read, 0x12, 0, 1), (write, 8, 0, b"x")),  # no region
        *((read, 9, 0, 3), (write, 3, 0, bytes(4)), (write, 0, 0, b"x"), (write, 1, 0, bytes(8))),
    )


def test_parts_of_words():
    refused(
        RANGE,
        *((read, 3, 0, 3), (read, 3, 2, 4), (read, 3, 36, 8), (read, 1, 4, 8), (read, 1, 0, 9)),
        *((write, 9, 0, bytes(4)), (write, 9, 0, b"x"), (write, 9, 300, bytes(6))),
    )


def test_no_operation_and_wrong_lengths():
    refused(
        OPERATION,
        *((raw, code) for code in (4, 5, 0x80, 0xFF)),
        (raw, 1, bytes(6)),
        (raw, 1, bytes(8)),
        *((raw, 2, bytes(length)) for length in (0, 1, 5)),
        *((raw, 3, bytes(length)) for length in (0, 2)),
        *((run, 2), (run, 0xFF)),
    )


def test_sync_takes_no_operand_but_its_sequence():
    async def script(line):
        assert await line.ask(raw(5, 0, b"x")) == HEAD.pack(5, OPERATION)
        assert await line.ask(read(6, 3, 0, 4)) == HEAD.pack(6, OK) + bytes([192, 193, 194, 195])

    play(script)


def test_whole_words_and_whole_beats():
    answers(
        ((read, 3, 0, 40), OK, bytes(range(0xC0, 0xC0 + 40))),
        ((write, 9, 1, bytes(3)), OK),
        ((write, 9, 48, bytes(255)), OK),
        ((read, 1, 24, 8), OK, struct.pack("<Q", zlib.crc32(bytes(258)))),
    )


def test_loaded_is_of_what_cannot_be_read_since_sync():
    async def script(line):
        async def loaded(sequence):
            return registers(await line.ask(read(sequence, 1, 24, 8)))

        await line.ask(sync(1))
        assert await loaded(2) == (0,)
        await line.ask(write(3, 2, 0, b"not this"))
        await line.ask(write(4, 9, 0, b"abc"))
        await line.ask(write(5, 9, 3, b"defghi"))
        assert await loaded(6) == (zlib.crc32(b"abcdefghi"),)
        await line.ask(write(6, 9, 3, b"defghi"))  # not taken twice
        assert await loaded(7) == (zlib.crc32(b"abcdefghi"),)
        await line.ask(raw(8, 0, b"x"))
        assert await loaded(9) == (zlib.crc32(b"abcdefghi"),)
        await line.ask(sync(9))
        assert await loaded(10) == (0,)

    play(script)


def test_a_run_is_counted_and_keeps_others_out():
    async def script(line):
        await line.ask(sync(1))
        await line.ask(write(2, 2, 0, b"abcd"))
        assert await line.ask(run(3, 1)) == HEAD.pack(3, OK)
        busy, cycles, runs = registers(await line.ask(read(4, 1, 0, 24)))
        assert (busy, runs) == (1, 1)
        assert 0 < cycles < RUN_CYCLES
        assert await line.ask(read(5, 2, 0, 4)) == HEAD.pack(5, BUSY)
        assert await line.ask(write(6, 2, 0, b"x")) == HEAD.pack(6, BUSY)
        assert await line.ask(run(7, 0)) == HEAD.pack(7, BUSY)
        assert line.get("running")
        while line.get("running"):
            await line.wait(100)
        # What is repeated is answered as before; a READ is checked again.
        assert await line.ask(run(7, 0)) == HEAD.pack(7, BUSY)
        words = registers(await line.ask(read(8, 1, 0, 48)))
        assert words == (0, RUN_CYCLES, 1, 0, line.get("begun"), 0x04030202)
        assert await line.ask(read(9, 2, 0, 4)) == HEAD.pack(9, OK) + b"abcd"

    play(script)


def test_after_a_reset_all_but_sync_is_refused():
    async def script(line):
        for sequence in (0, 0xFFFF, 5):
            for body in (read(sequence, 0, 0, 1), write(sequence, 2, 0, b"x"), run(sequence, 0)):
                assert await line.ask(body) == HEAD.pack(sequence, SEQUENCE) + b"\0\0"
        assert line.get("writes") == 0
        assert await line.ask(sync(0xFFFF)) == HEAD.pack(0xFFFF, OK)
        assert await line.ask(write(0, 2, 0, b"x")) == HEAD.pack(0, OK)

    play(script)


def test_only_the_next_or_the_last_sequence_is_taken():
    async def script(line):
        await line.ask(sync(0xFFFE))
        assert await line.ask(write(0xFFFF, 2, 0, b"a")) == HEAD.pack(0xFFFF, OK)
        for sequence in (1, 2, 0xFFFE, 0x00FF, 0xFF00, 0x7FFF):
            body = write(sequence, 2, 0, b"b")
            assert await line.ask(body) == HEAD.pack(sequence, SEQUENCE) + b"\0\0"
        assert await line.ask(read(0, 2, 0, 1)) == HEAD.pack(0, OK) + b"a"
        assert await line.ask(run(2, 0)) == HEAD.pack(2, SEQUENCE) + b"\1\0"

    play(script)


def test_repeated_requests_do_nothing_twice():
    async def script(line):
        await line.ask(sync(1))
        assert await line.ask(write(2, 2, 0, b"ab")) == HEAD.pack(2, OK)
        assert (line.get("writes"), line.get("begun")) == (2, 1)
        assert await line.ask(write(2, 2, 0, b"ab")) == HEAD.pack(2, OK)
        assert await line.ask(write(2, 2, 0, b"xy")) == HEAD.pack(2, OK)
        assert (line.get("writes"), line.get("begun")) == (2, 1)
        for _ in range(2):
            assert await line.ask(read(3, 2, 0, 2)) == HEAD.pack(3, OK) + b"ab"
        for _ in range(2):
            assert await line.ask(write(4, 2, 320, b"ab")) == HEAD.pack(4, RANGE)
            assert await line.ask(run(9, 0)) == HEAD.pack(9, SEQUENCE) + b"\5\0"
        for _ in range(2):
            assert await line.ask(run(5, 0)) == HEAD.pack(5, OK)
        assert registers(await line.ask(read(6, 1, 16, 8))) == (1,)

    play(script)
