# SPDX-License-Identifier: Apache-2.0
"""A simulated device with a serial line on its pins, and a port to it like pyserial's.

The device is `fpga.device.Device` as a compiled model. Bits go in and out at its pins, each for as
many clock cycles as is asked, so that a wrong rate or a flipped bit can be tried; ``serial.cpp`` is
the other side.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cosim import compiled
from cosim.design import Block, emit_block
from fpga.bus import Design
from fpga.device import Device

__all__ = ["BITS", "CLOCKS_PER_BIT", "Line", "SimulatedPort", "build", "device_block", "levels"]

HARNESS = Path(__file__).with_suffix(".cpp")

CLOCKS_PER_BIT = 8

BITS = 10
"""Of a byte on the line: start, eight data bits, stop."""

FOREVER = 1 << 62
_BUFFER = 1 << 12

_Levels = npt.NDArray[np.uint8]


def device_block(
    design: Design, *, clocks_per_bit: int = CLOCKS_PER_BIT, clock_hz: int = 100_000_000
) -> Block:
    """Return the Verilog of a design behind the host link."""
    device = Device(design, clocks_per_bit=clocks_per_bit, clock_hz=clock_hz)
    return emit_block(device, "device")


def build(block: Block, *, optimise: str = "-O1") -> Path:
    """Compile a model of a device, or of one with a seeded fault; as `compiled.build`."""
    return compiled.build(block, HARNESS, optimise=optimise)


def levels(data: bytes) -> _Levels:
    """Return the levels of bytes on the line, `BITS` each, uint8."""
    bits = np.ones((len(data), BITS), np.uint8)
    bits[:, 0] = 0
    values = np.frombuffer(data, np.uint8)[:, None]
    bits[:, 1:-1] = np.unpackbits(values, axis=1, bitorder="little")
    return bits.reshape(-1)


class Line:
    """A running device, reset, and the serial line on its pins.

    Parameters
    ----------
    library : Path
        As `build` returns it.
    clocks_per_bit : float
        At which the host's side sends and samples; the device has its own.
    """

    def __init__(self, library: Path, *, clocks_per_bit: float = CLOCKS_PER_BIT) -> None:
        self._clocks_per_bit = clocks_per_bit
        self._library = ctypes.CDLL(str(library))
        self._library.line_open.restype = ctypes.c_void_p
        self._library.line_run.restype = ctypes.c_size_t
        self._line = ctypes.c_void_p(self._library.line_open(ctypes.c_double(clocks_per_bit)))
        self._buffer = (ctypes.c_uint8 * _BUFFER)()
        self.cycles = 0  # run so far

    def close(self) -> None:
        """End the simulation."""
        if self._line:
            self._library.line_close(self._line)
            self._line = ctypes.c_void_p()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def busy(self) -> bool:
        """Whether the device is in a run."""
        return bool(self._library.line_busy(self._line))

    def send(self, line_levels: _Levels, *, clocks_per_bit: float | None = None) -> None:
        """Put levels on the line after those that are still on their way; it rests at 1."""
        clocks = self._clocks_per_bit if clocks_per_bit is None else clocks_per_bit
        self._library.line_send(
            self._line, line_levels.tobytes(), ctypes.c_size_t(len(line_levels)),
            ctypes.c_double(clocks),
        )  # fmt: skip

    def run(self, *, silence: int, limit: int = FOREVER) -> bytes:
        """Run to the next zero byte that comes, or to a silence; returns all that has come.

        Parameters
        ----------
        silence : int
            Cycles in which nothing moves on the line.
        limit : int
            Cycles at most.
        """
        cycles = ctypes.c_uint64()
        count = self._library.line_run(
            self._line, self._buffer, ctypes.c_size_t(_BUFFER), ctypes.c_uint64(silence),
            ctypes.c_uint64(limit), ctypes.byref(cycles),
        )  # fmt: skip
        self.cycles += cycles.value
        return bytes(self._buffer[:count])

    def clear(self) -> None:
        """Forget what is on its way, in both directions: the plug is pulled."""
        self._library.line_clear(self._line)

    def sample(self, clocks_per_bit: float | None = None) -> None:
        """Sample what comes at another rate; without one, at the line's own."""
        clocks = self._clocks_per_bit if clocks_per_bit is None else clocks_per_bit
        self._library.line_sample(self._line, ctypes.c_double(clocks))

    def reset(self, *, after: int = 1) -> None:
        """Reset the device in that many cycles, which go by in `run`."""
        self._library.line_reset(self._line, ctypes.c_uint64(after))


class SimulatedPort:
    """A line as `fpga.session.Port`; its time-out is a number of cycles.

    Parameters
    ----------
    line : Line
    silence : int
        Cycles in which nothing moves on the line: then `read` comes back.
    """

    def __init__(self, line: Line, *, silence: int = 4000) -> None:
        self._line = line
        self._silence = silence
        self._received = b""

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        return len(self._received)

    def read(self, size: int = 1, /) -> bytes:
        """Return up to so many bytes; none after a silence."""
        if not self._received:
            self._received = self._line.run(silence=self._silence)
        data, self._received = self._received[:size], self._received[size:]
        return data

    def write(self, data: bytes, /) -> int:
        """Send bytes."""
        self._line.send(levels(data))
        return len(data)
