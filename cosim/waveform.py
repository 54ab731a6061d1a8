# SPDX-License-Identifier: Apache-2.0
"""Waveforms of a block's ports: recorded in the simulator as VCD, drawn from it afterwards.

Recorded by the testbench, so that every simulator gives the same file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import vcd
import vcd.reader

__all__ = ["Recorder", "Trace", "read_trace"]

Trace = dict[str, list[int | None]]
"""Values of each signal by cycle."""


class Recorder:
    """Writes signals to a VCD, one value a cycle, with the clock that they belong to.

    Parameters
    ----------
    file : text file
    scope : str
        Name of the block.
    widths : mapping of str to int
        Bits of each signal.
    period : int
        Nanoseconds of a cycle, even.
    """

    def __init__(self, file: TextIO, scope: str, widths: Mapping[str, int], period: int) -> None:
        self._writer = vcd.VCDWriter(file, timescale="1 ns", date="", version="")
        self._period = period
        self._cycle = 0
        self._clock = self._writer.register_var(scope, "clk", "wire", size=1, init=0)
        self._signals = {
            name: self._writer.register_var(scope, name, "wire", size=size)
            for name, size in widths.items()
        }

    def cycle(self, values: Mapping[str, int]) -> None:
        """Add a cycle, from its rising edge on."""
        start = self._cycle * self._period
        self._writer.change(self._clock, start, 1)
        for name, value in values.items():
            self._writer.change(self._signals[name], start, value)
        self._writer.change(self._clock, start + self._period // 2, 0)
        self._cycle += 1

    def close(self) -> None:
        """Finish the file; it is not closed."""
        self._writer.close(self._cycle * self._period)


def read_trace(file: Path, names: Sequence[str], period: int) -> Trace:
    """Read signals of a VCD, as they are when each cycle's clock falls.

    A name may have scopes before it, ``crossbar_0.page``; it is then the signal of that scope.

    Raises
    ------
    KeyError
        If a signal is not in the file.
    """
    identifiers: dict[str, str] = {}
    scopes: list[str] = []
    now: dict[str, int | None] = {}
    trace: Trace = {name: [] for name in names}
    # The reader does not take names that begin with a dollar: Verilator's scope above the top, and
    # nets without a name.
    dollar = rb"(\$scope \w+ |\$var \w+ \d+ \S+ )\$"
    text = re.sub(dollar, rb"\1_", file.read_bytes())
    with io.BytesIO(text) as stream:
        for token in vcd.reader.tokenize(stream):
            if token.kind is vcd.reader.TokenKind.SCOPE:
                scopes.append(token.scope.ident)
            elif token.kind is vcd.reader.TokenKind.UPSCOPE:
                scopes.pop()
            elif token.kind is vcd.reader.TokenKind.VAR:
                path = [*scopes, token.var.reference]
                for depth in range(len(path)):
                    identifiers[".".join(path[depth:])] = token.var.id_code
            elif token.kind is vcd.reader.TokenKind.CHANGE_SCALAR:
                now[token.scalar_change.id_code] = _number(token.scalar_change.value)
            elif token.kind is vcd.reader.TokenKind.CHANGE_VECTOR:
                now[token.vector_change.id_code] = _number(token.vector_change.value)
            elif (
                token.kind is vcd.reader.TokenKind.CHANGE_TIME
                and token.time_change % period == period // 2
            ):
                for name in names:
                    trace[name].append(now.get(identifiers[name]))
    return trace


def _number(value: int | str) -> int | None:
    """Return a value as a number, if all of its bits are known."""
    return value if isinstance(value, int) else int(value) if value in "01" else None
