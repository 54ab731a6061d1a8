# SPDX-License-Identifier: Apache-2.0
"""Frames of the host link: what is taken for an answer, and that nothing else is."""

import re

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from fpga import packet
from fpga.packet import Answer, PacketError
from fpga.protocol import Operation, Status


def test_a_frame_by_hand():
    # The catalogue's check value of this CRC, and COBS with one code for all 13 bytes.
    assert packet.frame(b"123456789") == b"\x0e123456789\x26\x39\xf4\xcb\x00"


def test_a_request_by_hand():
    sent = packet.request(0x0102, Operation.READ, packet.read_operands(3, 0x10000, 256))
    assert sent[0] == 0 == sent[-1]
    body = cobs.decode(sent[1:-1])[:-4]
    assert body == b"\x02\x01" + b"\x01" + b"\x03" + b"\x00\x00\x01\x00" + b"\x00\x01"
    assert packet.write_operands(2, 5, b"ab") == b"\x02\x05\x00\x00\x00ab"


@given(st.builds(Answer, st.integers(0, 0xFFFF), st.sampled_from(Status), st.binary(max_size=256)))
def test_an_answer_comes_back(answer):
    body = answer.sequence.to_bytes(2, "little") + bytes([answer.status]) + answer.data
    sent = packet.frame(body)
    assert sent.index(0) == len(sent) - 1
    assert packet.answer(sent[:-1]) == answer


@pytest.mark.parametrize("size", [0, 2, 40])
def test_every_flipped_bit_and_every_cut_is_noticed(size):
    sent = packet.frame(b"\x07\x00\x00" + bytes(range(size)))[:-1]
    for bit in range(8 * len(sent)):
        damaged = bytearray(sent)
        damaged[bit // 8] ^= 1 << bit % 8
        for part in damaged.split(b"\0"):
            with pytest.raises(PacketError):
                packet.answer(bytes(part))
    for end in range(len(sent)):
        with pytest.raises(PacketError):
            packet.answer(sent[:end])


@given(st.binary(max_size=600))
def test_noise_is_no_answer(noise):
    with pytest.raises(PacketError):
        packet.answer(noise)


def test_the_longest_answer_fits_and_one_byte_more_does_not():
    for data in (b"\x01" * 256, bytes(256), bytes(range(256))):
        assert len(packet.frame(b"\x01\x01\0" + data)) <= packet.MAX_FRAME + 1
    longest = packet.frame(b"\x01\x01\0" + b"\x01" * packet.MAX_DATA)[:-1]
    assert len(longest) == packet.MAX_FRAME
    assert packet.answer(longest).data == b"\x01" * 256


@pytest.mark.parametrize(
    ("received", "message"),
    [
        (b"\x01" * 266, "a frame must have at most 265 bytes, not 266"),
        (b"\x05\x01", "a frame must be whole under COBS: not enough input bytes for length code"),
        (b"", "the CRC-32 must be 00000000, not missing"),
        (cobs.encode(b"\x01\x02\x03\x04\x05"), "the CRC-32 must be 1bdf05a5, not 02030405"),
        (packet.frame(b"\x01\x02")[:-1], "an answer must have at least 3 bytes, not 2"),
        (packet.frame(b"\0\0\x05")[:-1], "a status must be one of 0 to 4, not 5"),
    ],
)
def test_what_is_wrong_is_said(received, message):
    with pytest.raises(PacketError, match=f"^{re.escape(message)}$"):
        packet.answer(received)
