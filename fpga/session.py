# SPDX-License-Identifier: Apache-2.0
"""A conversation with a device: one request at a time, asked again until its answer comes.

``fpga/protocol.md`` has the rules. Nothing is taken for an answer that is not one to the request
just made; what a device has forgotten is done again from the start.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol, TypeVar

from fpga import packet
from fpga.packet import MAX_FRAME, Answer, PacketError
from fpga.protocol import INFO, MAX_DATA, Operation, Status

__all__ = [
    "CutError",
    "ForgottenError",
    "LinkError",
    "NoAnswerError",
    "Port",
    "RefusedError",
    "Session",
]

ATTEMPTS = 9
REPEATS = 9
NOISE = 4 * MAX_FRAME
"""Bytes without the answer among them after which a request is made again."""

_Result = TypeVar("_Result")


class LinkError(Exception):
    """A device does not do what was asked; the message is one line."""


class CutError(LinkError):
    """The port is gone; it must be opened again."""


class NoAnswerError(LinkError):
    """No answer came to a request, however often it was made."""


class RefusedError(LinkError):
    """The device has answered that it cannot do this.

    Parameters
    ----------
    status : Status
    what : str
        The request, in words.
    """

    def __init__(self, status: Status, what: str) -> None:
        super().__init__(f"the device refuses {what}: {status.name}")
        self.status = status


class ForgottenError(LinkError):
    """The device knows nothing of the requests before: it has been reset.

    Parameters
    ----------
    expected : int
        Sequence of the next request that it would take.
    """

    def __init__(self, expected: int) -> None:
        super().__init__("the device must know the requests before this one")
        self.expected = expected


class Port(Protocol):
    """A serial line: that of pyserial, or to a simulated device. OSError means that it is gone."""

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""

    def read(self, size: int = 1, /) -> bytes:
        """Return up to so many bytes; none if the line is silent for the port's time-out."""

    def write(self, data: bytes, /) -> int | None:
        """Send bytes."""


class Session:
    """Requests to one device. It begins with SYNC, unless it only looks on.

    Parameters
    ----------
    port : Port
    attempts : int
        How often a request is made before it is given up.
    repeats : int
        How often a piece of work is done before it is given up.
    sequence : int, optional
        Of the first request, 16 bits; random by default, so that no late answer to an earlier
        session has it.
    look : bool
        Go on from the session before, so that what SYNC clears can still be read. Only to read: a
        request of that session, still on its way, could pass for one of this.

    Raises
    ------
    CutError, NoAnswerError
        If nobody answers.
    """

    def __init__(
        self,
        port: Port,
        *,
        attempts: int = ATTEMPTS,
        repeats: int = REPEATS,
        sequence: int | None = None,
        look: bool = False,
    ) -> None:
        self._port = port
        self._attempts = attempts
        self._repeats = repeats
        self._sequence = secrets.randbelow(1 << 16) if sequence is None else sequence
        self._received = bytearray()
        self.requests = 0  # so far, each counted once
        self.retries = 0  # made again, as no answer came
        self.restarts = 0  # pieces of work begun again
        if not (look and self._resume()):
            self.sync()

    def _resume(self) -> bool:
        """Take up the sequence that the device expects; False if it has none, after a reset."""
        own = self._sequence
        for _ in range(2):
            try:
                self._ask(Operation.READ, packet.read_operands(INFO, 0, 1), 1, "to begin")
            except ForgottenError as error:
                self._sequence = (error.expected - 1) % (1 << 16)
            else:
                return True
        self._sequence = own
        return False

    def sync(self) -> None:
        """Tell the device where the sequence goes on.

        It goes on: a sequence that has been used would let late answers to its first user in.
        """
        self._ask(Operation.SYNC, b"", 0, "to begin")

    def work(self, piece: Callable[[], _Result]) -> _Result:
        """Do a whole piece of work, again from its start if the device forgets in between.

        Parameters
        ----------
        piece : callable
            Must depend on nothing that was done on the device before.

        Raises
        ------
        LinkError
            If the device does not answer, refuses, or forgets too often, or the line is cut.
        """
        for _ in range(self._repeats):
            try:
                return piece()
            except ForgottenError:
                self.restarts += 1
                self.sync()
        raise LinkError(f"the device forgets again and again: given up after {self._repeats} times")

    def read(self, region: int, address: int, count: int, *, word_bytes: int = 1) -> bytes:
        """Return ``count`` bytes of a region, read in pieces of whole words."""
        data = bytearray()
        step = _step(word_bytes)
        for first in range(0, count, step):
            size = min(step, count - first)
            operands = packet.read_operands(region, address + first, size)
            what = f"to read {size} bytes at {address + first} of region {region}"
            data += self._ask(Operation.READ, operands, size, what)
        return bytes(data)

    def write(
        self,
        region: int,
        address: int,
        data: bytes,
        *,
        word_bytes: int = 1,
        advance: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Write bytes into a region, in pieces of whole words; ``advance`` gets each one's size."""
        step = _step(word_bytes)
        for first in range(0, len(data), step):
            piece = data[first : first + step]
            operands = packet.write_operands(region, address + first, piece)
            what = f"to write {len(piece)} bytes at {address + first} of region {region}"
            self._ask(Operation.WRITE, operands, 0, what)
            advance(len(piece))

    def run(self, argument: int) -> None:
        """Begin a run."""
        self._ask(Operation.RUN, bytes([argument]), 0, f"to run with argument {argument}")

    def _ask(self, operation: Operation, operands: bytes, count: int, what: str) -> bytes:
        """Make the next request until it is answered; return the ``count`` bytes of data."""
        self._sequence = (self._sequence + 1) % (1 << 16)
        self.requests += 1
        sent = packet.request(self._sequence, operation, operands)
        for attempt in range(self._attempts):
            self.retries += attempt > 0
            try:
                self._port.write(sent)
                answer = self._answer(count)
            except OSError as error:
                raise CutError(f"the line is cut: {error}") from None
            if answer is None:
                continue
            if answer.status is Status.SEQUENCE:
                raise ForgottenError(int.from_bytes(answer.data, "little"))
            if answer.status is not Status.OK:
                raise RefusedError(answer.status, what)
            return answer.data
        raise NoAnswerError(f"the device does not answer: asked {self._attempts} times {what}")

    def _answer(self, count: int) -> Answer | None:
        """Return the answer to the request just made, or None if it does not come."""
        quota = NOISE
        while quota > 0:
            end = self._received.find(0)
            if end < 0:
                data = self._port.read(max(1, min(self._port.in_waiting, quota)))
                if not data:
                    break
                quota -= len(data)
                self._received += data
                # One byte more than a frame may have: enough to see that it is too long.
                if 0 not in data:
                    del self._received[: -MAX_FRAME - 1]
                continue
            received = bytes(self._received[:end])
            del self._received[: end + 1]
            try:
                answer = packet.answer(received)
            except PacketError:
                continue
            sizes = {Status.OK: count, Status.SEQUENCE: 2}
            if answer.sequence == self._sequence and len(answer.data) == sizes.get(
                answer.status, 0
            ):
                return answer
        # After a silence, what has begun to arrive will not go on.
        self._received.clear()
        return None


def _step(word_bytes: int) -> int:
    """Return how many bytes a request carries at most."""
    if not 1 <= word_bytes <= MAX_DATA:
        raise LinkError(f"a word of a region must have 1 to {MAX_DATA} bytes, not {word_bytes}")
    return MAX_DATA // word_bytes * word_bytes
