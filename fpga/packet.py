# SPDX-License-Identifier: Apache-2.0
"""The host link's frames: a body, its CRC-32, COBS, and a zero byte; ``fpga/protocol.md``.

Pure functions. What comes in may be anything: it is an `Answer`, or a `PacketError` says why not.
"""

from __future__ import annotations

import dataclasses
import zlib

from cobs import cobs

from fpga.protocol import MAX_DATA, Operation, Status

__all__ = [
    "MAX_FRAME",
    "Answer",
    "PacketError",
    "answer",
    "frame",
    "read_operands",
    "request",
    "unframe",
    "write_operands",
]

_HEADER = 3
_CRC_BYTES = 4
MAX_PACKET = _HEADER + MAX_DATA + _CRC_BYTES
MAX_FRAME = MAX_PACKET + -(-MAX_PACKET // 254)
"""Bytes of an answer's frame at most, without the zero byte: COBS adds one for each 254 begun."""


class PacketError(ValueError):
    """Bytes are no frame or no answer; the message states the rule, then the value."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the device says to a request.

    Parameters
    ----------
    sequence : int
        That of the request, 16 bits.
    status : Status
    data : bytes
        At most `MAX_DATA`.
    """

    sequence: int
    status: Status
    data: bytes


def request(sequence: int, operation: Operation, operands: bytes = b"") -> bytes:
    """Return a request as it goes over the line; a zero byte ends what noise may have begun."""
    body = sequence.to_bytes(2, "little") + bytes([operation]) + operands
    return b"\0" + frame(body)


def read_operands(region: int, address: int, count: int) -> bytes:
    """Return the operands of READ: ``count`` bytes, 1…256."""
    return _place(region, address) + count.to_bytes(2, "little")


def write_operands(region: int, address: int, data: bytes) -> bytes:
    """Return the operands of WRITE: 1…256 bytes."""
    return _place(region, address) + data


def _place(region: int, address: int) -> bytes:
    return bytes([region]) + address.to_bytes(4, "little")


def answer(received: bytes) -> Answer:
    """Return the answer that a frame, without its zero byte, holds.

    Raises
    ------
    PacketError
        If it holds none, or is longer than `MAX_FRAME`.
    """
    if len(received) > MAX_FRAME:
        raise PacketError(f"a frame must have at most {MAX_FRAME} bytes, not {len(received)}")
    body = unframe(received)
    if len(body) < _HEADER:
        raise PacketError(f"an answer must have at least {_HEADER} bytes, not {len(body)}")
    try:
        status = Status(body[2])
    except ValueError:
        raise PacketError(f"a status must be one of 0 to {max(Status)}, not {body[2]}") from None
    return Answer(int.from_bytes(body[:2], "little"), status, body[_HEADER:])


def frame(body: bytes) -> bytes:
    """Return a body with its CRC-32 under COBS, and the zero byte."""
    return bytes(cobs.encode(body + zlib.crc32(body).to_bytes(_CRC_BYTES, "little"))) + b"\0"


def unframe(received: bytes) -> bytes:
    """Return the body of a frame without its zero byte.

    Raises
    ------
    PacketError
        If it is no COBS, or its CRC is wrong.
    """
    try:
        packet = bytes(cobs.decode(received))
    except cobs.DecodeError as error:
        raise PacketError(f"a frame must be whole under COBS: {error}") from None
    body, crc = packet[:-_CRC_BYTES], packet[-_CRC_BYTES:]
    wanted = zlib.crc32(body).to_bytes(_CRC_BYTES, "little")
    if crc != wanted:
        raise PacketError(f"the CRC-32 must be {wanted.hex()}, not {crc.hex() or 'missing'}")
    return body
