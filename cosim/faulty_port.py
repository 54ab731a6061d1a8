# SPDX-License-Identifier: Apache-2.0
"""A serial line that fails: each frame on it, in either direction, may meet a random fault.

What is damaged on the way to the device are levels on its pin; on the way back, bytes.
"""

from __future__ import annotations

import collections
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cosim.serial import BITS, CLOCKS_PER_BIT, Line, levels
from fpga import packet

__all__ = ["KINDS", "FaultyPort", "UnpluggedError"]

_Levels = npt.NDArray[np.uint8]

LATEST = 4
"""Frames that may overtake a late one."""


class UnpluggedError(OSError):
    """The port is gone; it must be opened again."""


class FaultyPort:
    """A port, as of `cosim.serial.SimulatedPort`, with faults.

    Parameters
    ----------
    line : Line
    generator : numpy.random.Generator
        What happens is drawn from it.
    rate : float
        Probability of a fault, for each frame in each direction.
    silence : int
        Cycles in which nothing moves on the line: then `read` comes back.
    """

    def __init__(
        self, line: Line, generator: np.random.Generator, *, rate: float, silence: int = 2000
    ) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self._line = line
        self._generator = generator
        self._rate = rate
        self._silence = silence
        self._received = b""
        self._late_there: list[tuple[int, bytes]] = []  # frames to go until then, frame
        self._late_back: list[tuple[int, bytes]] = []

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        return len(self._received)

    def replug(self) -> None:
        """Open the port again: what was on its way is lost."""
        self._line.clear()
        self._received = b""
        self._late_there.clear()
        self._late_back.clear()

    def write(self, frame: bytes, /) -> int:
        """Send a frame; a fault may happen to it.

        Raises
        ------
        UnpluggedError
            If that is the fault.
        """
        kind = self._fault(tuple(_THERE))
        if kind is None:
            self._line.send(levels(frame))
        else:
            _THERE[kind](self, frame)
        for late in _due(self._late_there):
            self._line.send(levels(late))
        return len(frame)

    def read(self, size: int = 1, /) -> bytes:
        """Return up to so many bytes; none after a silence. A fault may happen to a frame.

        Raises
        ------
        UnpluggedError
            If that is the fault.
        """
        if not self._received:
            kind = self._fault(tuple(_BACK))
            if kind == "back: rate":
                self._line.sample(self._other_rate())
                self._received = self._line.run(silence=self._silence)
                self._line.sample()
            else:
                self._received = self._line.run(silence=self._silence)
                if kind is not None:
                    self._received = _BACK[kind](self, self._received)
            self._received += b"".join(_due(self._late_back))
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _fault(self, kinds: tuple[str, ...]) -> str | None:
        if self._generator.random() >= self._rate:
            return None
        kind = kinds[self._generator.integers(len(kinds))]
        self.counts[kind] += 1
        return kind

    def _below(self, count: int) -> int:
        return int(self._generator.integers(max(1, count)))

    def _noise(self, most: int) -> bytes:
        return self._generator.bytes(1 + self._below(most))

    def _other_rate(self) -> float:
        return float(CLOCKS_PER_BIT * 2 ** self._generator.uniform(-1, 1))

    def _damaged_levels(self, line_levels: _Levels, most: int) -> _Levels:
        """Return levels of which a run, of ``most`` at most, is random."""
        damaged = line_levels.copy()
        first = self._below(len(damaged))
        part = damaged[first : first + 1 + self._below(most)]
        part[:] = self._generator.integers(2, size=len(part))
        return damaged

    def _flipped(self, frame: bytes) -> bytes:
        if not frame:
            return frame
        data = bytearray(frame)
        data[self._below(len(data))] ^= 1 << self._below(8)
        return bytes(data)

    def _replaced(self, frame: bytes, most: int) -> bytes:
        first = self._below(len(frame))
        part = frame[first : first + 1 + self._below(most)]
        return frame[:first] + self._generator.bytes(len(part)) + frame[first + len(part) :]

    def _inserted(self, frame: bytes) -> bytes:
        at = self._below(len(frame) + 1)
        return frame[:at] + self._noise(600) + frame[at:]

    def _delayed(self, queue: list[tuple[int, bytes]], frame: bytes) -> None:
        queue.append((1 + self._below(LATEST), frame))

    def _hostile(self, frame: bytes) -> bytes:
        """Return a frame that no side would send, its CRC mostly right."""
        sequence = _sequence(frame) + 1000 + self._below(1000)
        head = (sequence % (1 << 16)).to_bytes(2, "little")
        number = self._below(6)
        if number == 0:  # lengths that no packet has
            length = self._below(3) if self._below(2) else 256 + self._below(2000)
            return b"\0" + packet.frame((head + self._generator.bytes(length))[:length])
        if number == 1:  # operations and operands that there are not
            return b"\0" + packet.frame(head + self._generator.bytes(self._below(12)))
        if number == 2:  # a code that leads beyond the end
            return b"\0" + bytes([2 + self._below(254)]) + b"\1" * self._below(3) + b"\0"
        if number == 3:  # a frame without an end
            return b"\0" + b"\xff" * (300 + self._below(2000))
        if number == 4:  # nothing but ends
            return bytes(1 + self._below(300))
        operands = packet.read_operands(
            self._below(256), self._below(1 << 32), self._below(1 << 16)
        )
        return b"\0" + packet.frame(head + bytes([packet.Operation.READ]) + operands)

    def _reset(self, frame: bytes) -> None:
        """Reset the device while it gets the frame, works on it, or answers."""
        self._line.reset(after=1 + self._below(2 * CLOCKS_PER_BIT * BITS * (len(frame) + 20)))
        self._line.send(levels(frame))

    def _unplug(self, frame: bytes) -> None:
        self._line.send(levels(frame))
        duration = 2 * CLOCKS_PER_BIT * BITS * (len(frame) + 20)
        self._line.run(silence=self._silence, limit=1 + self._below(duration))
        raise UnpluggedError("unplugged")

    def _cut_levels(self, frame: bytes) -> None:
        self._line.send(levels(frame)[: self._below(BITS * len(frame))])

    def _bit(self, frame: bytes) -> None:
        damaged = levels(frame)
        damaged[self._below(len(damaged))] ^= 1
        self._line.send(damaged)

    def _unplug_back(self, _: bytes) -> bytes:
        raise UnpluggedError("unplugged")

    def _late(self, frame: bytes) -> bytes:
        self._delayed(self._late_back, frame)
        return b""


def _sequence(frame: bytes) -> int:
    try:
        return int.from_bytes(packet.unframe(frame.strip(b"\0"))[:2], "little")
    except packet.PacketError:
        return 0


def _due(queue: list[tuple[int, bytes]]) -> list[bytes]:
    """Count a frame down; return the late ones whose time has come."""
    due = [frame for left, frame in queue if left == 0]
    queue[:] = [(left - 1, frame) for left, frame in queue if left]
    return due


_THERE: dict[str, Callable[[FaultyPort, bytes], None]] = {
    "there: a bit": FaultyPort._bit,
    "there: a burst": lambda port, frame: port._line.send(port._damaged_levels(levels(frame), 64)),
    "there: many bytes": lambda port, frame: port._line.send(levels(port._replaced(frame, 300))),
    "there: cut": FaultyPort._cut_levels,
    "there: lost": lambda port, frame: None,
    "there: doubled": lambda port, frame: port._line.send(levels(frame + frame)),
    "there: late": lambda port, frame: port._delayed(port._late_there, frame),
    "there: garbage": lambda port, frame: port._line.send(levels(port._inserted(frame))),
    "there: rate": lambda port, frame: port._line.send(
        levels(frame), clocks_per_bit=port._other_rate()
    ),
    "there: hostile": lambda port, frame: port._line.send(levels(port._hostile(frame) + frame)),
    "there: unplugged": FaultyPort._unplug,
    "there: reset": FaultyPort._reset,
}

_BACK: dict[str, Callable[[FaultyPort, bytes], bytes]] = {
    "back: a bit": FaultyPort._flipped,
    "back: a burst": lambda port, frame: port._replaced(frame, 8),
    "back: many bytes": lambda port, frame: port._replaced(frame, 300),
    "back: cut": lambda port, frame: frame[: port._below(len(frame))],
    "back: lost": lambda port, frame: b"",
    "back: doubled": lambda port, frame: frame + frame,
    "back: late": FaultyPort._late,
    "back: garbage": FaultyPort._inserted,
    "back: rate": lambda port, frame: frame,
    "back: hostile": lambda port, frame: port._hostile(frame) + frame,
    "back: unplugged": FaultyPort._unplug_back,
}

KINDS = (*_THERE, *_BACK)
"""What may happen to a frame on its way to the device, and back."""
