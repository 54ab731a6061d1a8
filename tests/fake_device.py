# SPDX-License-Identifier: Apache-2.0
"""A device of fpga/protocol.md in Python, and scripted ports: what host tests speak to."""

import json
import zlib

import numpy as np

from fpga import packet
from fpga.protocol import INFO, REGISTERS, Operation, Status
from hw import timing
from hw.params import Direction, ShiftParams
from model import golden

__all__ = ["FakeDevice", "ScriptedPort", "answer", "info", "requests", "shift_device"]

SHIFT = ShiftParams(height=3, width=5, bits=6)


def answer(sequence, status=Status.OK, data=b""):
    """Return the frame of an answer."""
    return packet.frame((sequence % (1 << 16)).to_bytes(2, "little") + bytes([status]) + data)


def requests(sent):
    """Return sequence, operation and operands of each request in what was sent."""
    bodies = [packet.unframe(frame) for frame in sent.split(b"\0") if frame]
    return [(int.from_bytes(body[:2], "little"), body[2], body[3:]) for body in bodies]


class ScriptedPort:
    """Answers the n-th write with the n-th bytes of a script, then with nothing.

    An entry may be a function of the request's sequence.
    """

    def __init__(self, *script):
        self.sent = []
        self._script = list(script)
        self._received = b""

    @property
    def in_waiting(self):
        return len(self._received)

    def write(self, data):
        [(sequence, _, _)] = requests(data)
        self.sent.append(data)
        entry = self._script.pop(0) if self._script else b""
        self._received += entry(sequence) if callable(entry) else entry

    def read(self, size=1):
        data, self._received = self._received[:size], self._received[size:]
        return data


def info(design, regions, parameters):
    """Return what region info holds; regions as name, number, bytes, word_bytes, access."""
    names = ("name", "number", "bytes", "word_bytes", "access")
    own = [("info", 0, 4096, 1, "r"), ("registers", 1, 72, 8, "r")]
    value = {
        "protocol": 1,
        "design": design,
        "clock_hz": 100_000_000,
        "regions": [dict(zip(names, region, strict=True)) for region in (*own, *regions)],
        "parameters": parameters,
    }
    text = json.dumps(value).encode()
    return len(text).to_bytes(4, "little") + text


class FakeDevice:
    """Follows the rules for requests; what regions and runs do is the design's.

    Parameters
    ----------
    info : bytes
    read, write : callables of region, address, and count or data
    run : callable of the argument; returns the cycles
    """

    def __init__(self, info, *, read, write, run, own=()):
        self.registers = {"busy": 0, "cycles": 0, "runs": 0, "loaded": 0, **dict.fromkeys(own, 0)}
        self.loaded = b""
        self._info, self._read, self._write, self._run = info, read, write, run
        self._last = None
        self._received = b""

    @property
    def in_waiting(self):
        return len(self._received)

    def read(self, size=1):
        data, self._received = self._received[:size], self._received[size:]
        return data

    def write(self, data):
        for sequence, operation, operands in requests(data):
            self._received += self._respond(sequence, operation, operands)

    def forget(self):
        """Be reset."""
        self._last = None

    def _respond(self, sequence, operation, operands):
        known = self._last
        if operation == Operation.SYNC:
            self._last, self.loaded = sequence, b""
            return answer(sequence)
        if known is None or (sequence - known) % (1 << 16) > 1:
            following = ((known or 0) + 1) % (1 << 16)
            return answer(sequence, Status.SEQUENCE, following.to_bytes(2, "little"))
        self._last = sequence
        region, address = operands[0], int.from_bytes(operands[1:5], "little")
        if operation == Operation.READ:
            count = int.from_bytes(operands[5:], "little")
            return answer(sequence, Status.OK, self._bytes(region, address, count))
        if sequence != known:
            if operation == Operation.WRITE:
                self._write(region, address, operands[5:])
            else:
                self.registers["cycles"] = self._run(operands[0])
                self.registers["runs"] += 1
        return answer(sequence)

    def _bytes(self, region, address, count):
        if region == INFO:
            return self._info[address : address + count]
        if region == REGISTERS:
            self.registers["loaded"] = zlib.crc32(self.loaded)
            words = b"".join(value.to_bytes(8, "little") for value in self.registers.values())
            return words[address : address + count]
        return self._read(region, address, count)


def shift_device(**changes):
    """Return a device with the shift design, and its memory."""
    memory = bytearray(SHIFT.address(SHIFT.height - 1, SHIFT.width - 1) + 1)
    parameters = {"height": SHIFT.height, "width": SHIFT.width, "bits": SHIFT.bits} | changes

    def write(region, address, data):
        assert region == 2
        memory[address : address + len(data)] = data

    def run(argument):
        whole = np.frombuffer(bytes(memory).ljust(24, b"\0"), np.uint8).reshape(3, 8)
        moved = np.zeros_like(whole)
        moved[:, :5] = golden.shift_channel(whole[:, :5], Direction(argument))
        memory[:] = moved.tobytes()[: len(memory)]
        return timing.shift_cycles(SHIFT)

    description = info("shift", [("map", 2, len(memory), 1, "rw")], parameters)
    return FakeDevice(
        description,
        read=lambda region, address, count: bytes(memory[address : address + count]),
        write=write,
        run=run,
    ), memory
