# SPDX-License-Identifier: Apache-2.0
"""AXI4-Streams of a block, driven by cocotbext-axi, whose reading of the protocol is not ours.

It does not look whether a block holds a beat that waits, nor count cycles: `Watch` does.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

from cosim.bench import Port

__all__ = ["Watch", "sink", "source"]

# It is written for cocotb 1 as well, in words that cocotb 2 still takes but would rather not.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"cocotbext\.axi\.")


def source(dut: Any, port: Port, stream: str, pauses: Iterator[bool]) -> AxiStreamSource:
    """Return a source on a stream such as ``s_axis``; it waits in the cycles that pause."""
    return _endpoint(AxiStreamSource, dut, port, stream, pauses)


def sink(dut: Any, port: Port, stream: str, pauses: Iterator[bool]) -> AxiStreamSink:
    """Return a sink on a stream such as ``m_axis``; it takes nothing in the cycles that pause."""
    return _endpoint(AxiStreamSink, dut, port, stream, pauses)


def _endpoint(kind: type, dut: Any, port: Port, stream: str, pauses: Iterator[bool]) -> Any:
    bus = AxiStreamBus.from_prefix(dut, f"{port.block}__{stream}")
    # A beat is one number, however many bytes it has.
    end = kind(bus, port.clk, port.rst, byte_lanes=1)
    end.log.setLevel(logging.WARNING)
    end.set_pause_generator(pauses)
    return end


class Watch:
    """Looks at streams in every cycle: a beat that waits must hold, unless the block is reset.

    Parameters
    ----------
    port : Port
    streams : sequence of str
        Names, such as ``s_axis`` and ``m_axis``; all have TLAST.
    strobe : str, optional
        An output whose cycles are noted as well.
    """

    def __init__(self, port: Port, streams: Sequence[str], strobe: str | None = None) -> None:
        self._port = port
        self._waiting: dict[str, tuple[int, int] | None] = dict.fromkeys(streams)
        self._strobe = strobe
        self._now = 0
        self.cycles: dict[str, list[int]] = {name: [] for name in streams}  # in which beats passed
        self.strobes: list[int] = []

    def clear(self) -> None:
        """Forget what has been noted."""
        self.strobes.clear()
        for cycles in self.cycles.values():
            cycles.clear()

    async def run(self) -> None:
        """Watch for ever."""
        port = self._port
        while True:
            await port.settle()
            resets = port.read("rst")
            if self._strobe and not resets and port.read(self._strobe):
                self.strobes.append(self._now)
            for name, waiting in self._waiting.items():
                beat = None
                if not resets and port.read(f"{name}_tvalid"):
                    beat = (port.read(f"{name}_tdata"), port.read(f"{name}_tlast"))
                assert resets or waiting in (None, beat), (
                    f"cycle {self._now}: {name}: a beat that waits must hold, {waiting}, not {beat}"
                )
                if beat is not None and port.read(f"{name}_tready"):
                    self.cycles[name].append(self._now)
                    beat = None
                self._waiting[name] = beat
            await port.rise()
            self._now += 1
