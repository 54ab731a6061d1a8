# SPDX-License-Identifier: Apache-2.0
"""COBS in hardware against the package `cobs`, and what damaged frames come to."""

import random

import pytest
from amaranth.sim import Simulator
from cobs import cobs

from fpga.cobs import CobsDecoder, CobsEncoder

LONGEST = 520


def packets():
    """Packets around every border: blocks of 254 bytes, zeros first, last and in a row."""
    source = random.Random(1)
    plain = bytes(range(1, 255))  # one block to the brim
    yield from (b"\0", b"\1", b"\0\0\0", b"\0\1", b"\1\0", b"\1\2\0\0\3")
    yield from (plain[:253], plain[:253] + b"\0", plain, plain + b"\0", plain + b"\1\0")
    yield plain * 2 + b"\0"
    yield from (bytes(source.choices(range(256), k=source.randint(1, 20))) for _ in range(10))
    yield from (bytes(source.choices(range(3), k=source.randint(1, 20))) for _ in range(10))


PACKETS = list(packets())


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def encoded(packets, stall=lambda: False):
    """Return the bytes that come out for packets fed one after the other."""
    dut = CobsEncoder(longest=LONGEST)
    line = bytearray()

    async def bench(ctx):
        left = [(byte, n == len(p) - 1) for p in packets for n, byte in enumerate(p)][::-1]
        while line.count(0) < len(packets):
            valid, ready = bool(left) and not stall(), not stall()
            ctx.set(dut.packet.valid, valid)
            if valid:
                ctx.set(dut.packet.payload, dict(zip(("byte", "last"), left[-1], strict=True)))
            ctx.set(dut.frame.ready, ready)
            if valid and ctx.get(dut.packet.ready):
                left.pop()
            if ready and ctx.get(dut.frame.valid):
                line.append(ctx.get(dut.frame.payload))
            await ctx.tick()

    simulate(dut, bench)
    return bytes(line)


def decoded(line, errors=(), gap=0):
    """Return what comes out for bytes of a line: packets; None for a frame that is not good."""
    dut = CobsDecoder()
    packets = []

    async def bench(ctx):
        packet = bytearray()
        for number, byte in enumerate(line):
            ctx.set(dut.data, byte)
            ctx.set(dut.valid, number not in errors)
            ctx.set(dut.error, number in errors)
            for _ in range(1 + gap):
                await ctx.tick()
                if ctx.get(dut.strobe):
                    packet.append(ctx.get(dut.byte))
                if ctx.get(dut.end):
                    packets.append(bytes(packet) if ctx.get(dut.good) else None)
                    packet.clear()
                ctx.set(dut.valid, 0)
                ctx.set(dut.error, 0)

    simulate(dut, bench)
    return packets


def test_encoder_is_the_packages():
    assert encoded(PACKETS) == b"".join(cobs.encode(packet) + b"\0" for packet in PACKETS)


def test_encoder_with_pauses_on_both_sides():
    source = random.Random(2)
    line = encoded(PACKETS[-20:], stall=lambda: source.random() < 0.4)
    assert line == b"".join(cobs.encode(packet) + b"\0" for packet in PACKETS[-20:])


@pytest.mark.parametrize("gap", [0, 2])
def test_decoder_is_the_packages(gap):
    some = PACKETS if gap == 0 else PACKETS[-20:]
    assert decoded(b"".join(cobs.encode(packet) + b"\0" for packet in some), gap=gap) == some


def test_any_bytes_decode_as_in_the_package():
    source = random.Random(3)
    frames = [bytes(source.choices(range(1, 9), k=source.randint(1, 12))) for _ in range(400)]
    expected = []
    for frame in frames:
        try:
            expected.append(cobs.decode(frame))
        except cobs.DecodeError:
            expected.append(None)
    assert None in expected
    assert any(expected)
    assert decoded(b"".join(frame + b"\0" for frame in frames)) == expected


def test_empty_frames_are_nothing():
    assert decoded(b"\0\0\0" + cobs.encode(b"abc") + b"\0\0") == [b"abc"]


def test_a_lost_byte_spoils_its_frame_and_no_other():
    line = b"".join(cobs.encode(packet) + b"\0" for packet in (b"ab", b"cd", b"ef"))
    for place in range(4, 7):
        assert decoded(line, errors={place}) == [b"ab", None, b"ef"]
    # Without the zero between them two frames are one.
    assert decoded(line, errors={3}) == [None, b"ef"]
    assert decoded(line, errors={7}) == [b"ab", None]


def test_a_lost_byte_alone_is_a_frame_that_is_not_good():
    assert decoded(b"\0x\0" + cobs.encode(b"ab") + b"\0", errors={1}) == [None, b"ab"]


def test_a_fault_in_one_byte_is_seen():
    line = bytearray(cobs.encode(b"\1\0\2") + b"\0")
    for place in range(len(line) - 1):
        for bit in range(8):
            faulty = bytearray(line)
            faulty[place] ^= 1 << bit
            assert decoded(faulty) != [b"\1\0\2"]
