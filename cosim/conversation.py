# SPDX-License-Identifier: Apache-2.0
"""What is said to a device with the shift design, whatever it is made of, and what it answers.

One list of requests for RTL and netlists: all that the host's self-test asks, and what it never
does: requests that must be refused, one that is damaged, one that is repeated.
"""

from __future__ import annotations

import dataclasses

from cosim.serial import Line, SimulatedPort
from fpga import packet, shift_host
from fpga.protocol import Operation
from fpga.session import LinkError, RefusedError, Session
from fpga.target import Target

__all__ = ["Transcript", "converse"]

SEQUENCE = 0x1234
SEED = 1


@dataclasses.dataclass(frozen=True)
class Transcript:
    """A conversation.

    Parameters
    ----------
    said : tuple of (str, bytes)
        ``host`` or ``device``, and what it sent, in order; a silence of the device is no bytes.
    cycles : int
        That it took.
    faults : tuple of str
        What the host did not find as it should be.
    """

    said: tuple[tuple[str, bytes], ...]
    cycles: int
    faults: tuple[str, ...]

    @property
    def answered(self) -> int:
        """Bytes that the device sent."""
        return sum(len(data) for who, data in self.said if who == "device")

    def difference(self, other: Transcript) -> str | None:
        """Say in one line where another conversation differs from this; None if it does not."""
        for number, (mine, its) in enumerate(zip(self.said, other.said, strict=False)):
            if mine != its:
                return (
                    f"turn {number}: {its[0]} must say {_shown(mine[1])} as in RTL, "
                    f"not {_shown(its[1])}"
                )
        if len(self.said) != len(other.said):
            return f"it must have {len(self.said)} turns as in RTL, not {len(other.said)}"
        if self.cycles != other.cycles:
            return f"it must take {self.cycles} cycles as in RTL, not {other.cycles}"
        return None


class _Recorder:
    """A port that remembers."""

    def __init__(self, port: SimulatedPort) -> None:
        self._port = port
        self.said: list[tuple[str, bytes]] = []

    @property
    def in_waiting(self) -> int:
        return self._port.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        data = self._port.read(size)
        self.said.append(("device", data))
        return data

    def write(self, data: bytes, /) -> int:
        self.said.append(("host", data))
        return self._port.write(data)


def converse(line: Line, *, silence: int) -> Transcript:
    """Talk to a device that was just reset.

    Parameters
    ----------
    line : Line
        To the device.
    silence : int
        Cycles after which an answer does not come any more.
    """
    port = _Recorder(SimulatedPort(line, silence=silence))
    faults: list[str] = []
    try:
        session = Session(port, attempts=1, repeats=1, sequence=SEQUENCE)
        target = Target(session)
        faults += shift_host.selftest(target, seed=SEED)
        faults += _unusual(session, port)
    except LinkError as error:
        faults.append(str(error))
    return Transcript(tuple(port.said), line.cycles, tuple(faults))


def _unusual(session: Session, port: _Recorder) -> list[str]:
    """Ask what must be refused, or not be answered; return what was done all the same."""
    faults = []
    for what, ask in (
        ("a region that is not there", lambda: session.read(15, 0, 1)),
        ("bytes past the end of the map", lambda: session.write(2, 255, b"ab")),
        ("a direction that is none", lambda: session.run(8)),
    ):
        try:
            ask()
            faults.append(f"{what} must be refused")
        except RefusedError:
            pass
    last = next(data for who, data in reversed(port.said) if who == "host")
    port.write(last)
    if not port.read(packet.MAX_FRAME):
        faults.append("a repeated request must be answered")
    damaged = bytearray(packet.request(SEQUENCE, Operation.SYNC))
    damaged[2] ^= 1
    port.write(bytes(damaged))
    if port.read(packet.MAX_FRAME):
        faults.append("a damaged request must not be answered")
    return faults


def _shown(data: bytes) -> str:
    return f"{data[:12].hex()}{'…' * (len(data) > 12)}" if data else "nothing"
