# SPDX-License-Identifier: Apache-2.0
"""FASM, the text in which a router says what it wants configured.

A line sets a feature of the fabric, or some bits of one: ``TILE.SITE.FEATURE``, ``….INIT[3]``,
``….INIT[63:0] = 64'b01…``. Setting a bit to 0 is the same as not naming it. A text is hostile until
it has been read: sizes are bounded, and what is not FASM is an error with its line.

Source: SymbiFlow, "FPGA Assembly (FASM) Specification", sections "Lines" and "Canonicalization".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from hw.disk import content

__all__ = ["MAX_BITS", "MAX_BYTES", "FasmError", "Feature", "parse", "read"]

MAX_BYTES = 1 << 26
"""A full XC7A200T, every block RAM initialised, takes about 30 MB."""

MAX_BITS = 1024
MAX_LINE = 4096
"""Characters; the longest useful line holds 256 binary digits."""

_BASES = {"b": 2, "o": 8, "d": 10, "h": 16}
_NOTE = r'[.A-Za-z]\w*\s*+=\s*+"(?:[^"\\]|\\.)*"'
_PLAIN = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*", re.ASCII)
# Spaces are never given back: runs of them would be tried in all ways, for minutes.
_LINE = re.compile(
    rf"\s*+(?:(?P<name>{_PLAIN.pattern})"
    r"\s*+(?:\[\s*+(?P<high>\d{1,9})\s*+(?::\s*+(?P<low>\d{1,9})\s*+)?\])?"
    r"\s*+(?:=\s*+(?P<value>[\w']+))?)?"
    rf"\s*+(?:\{{\s*+(?:{_NOTE}(?:\s*+,\s*+{_NOTE})*\s*+)?\}})?"
    r"\s*+(?:#.*)?",
    re.ASCII,
)
_VALUE = re.compile(r"(?:(?P<width>\d{1,9})?'(?P<base>[bodh]))?(?P<digits>[0-9A-Fa-f_]+)", re.ASCII)


class FasmError(Exception):
    """A text is not FASM; the message starts with the place."""


class Feature(NamedTuple):
    """What one line sets.

    Parameters
    ----------
    file : str
        Who asks for it, for messages.
    line : int
        From 1; 0 if no line of a text asks for it.
    name : str
        ``TILE.SITE.FEATURE``, without an index.
    low : int
        Index of the value's bit 0.
    value : int
        Bits of the feature, from index ``low`` up.
    """

    file: str
    line: int
    name: str
    low: int
    value: int

    @property
    def where(self) -> str:
        """The place, for messages."""
        return f"{self.file} line {self.line}" if self.line else self.file


def read(file: Path) -> str:
    """Read a text of bounded size.

    Raises
    ------
    FasmError
        If it cannot be read, is too large or no UTF-8.
    """
    data = content(file, MAX_BYTES, FasmError)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FasmError(f"{file} line {line}: FASM must be UTF-8") from None


def parse(text: str, file: str = "FASM") -> list[Feature]:
    """Return what the lines of a text set, in their order; comments and annotations go.

    Parameters
    ----------
    text : str
    file : str
        Name of the text, for messages.

    Raises
    ------
    FasmError
        At the first line that is not FASM.
    """
    features = []
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) <= MAX_LINE and _PLAIN.fullmatch(line):
            # Most lines, and nearly all that a router writes.
            features.append(Feature(file, number, line, 0, 1))
            continue
        match = _LINE.fullmatch(line) if len(line) <= MAX_LINE else None
        if match is None:
            shown = line if len(line) <= 60 else f"{line[:60]}…"
            raise FasmError(
                f"{file} line {number}: a line must be a feature, FEATURE[HIGH:LOW] = VALUE, "
                f"an annotation or a comment of at most {MAX_LINE} characters, not {shown!r}"
            )
        name, high, low, value = match.groups()
        if name is None:
            continue
        if high is None and value is None:
            features.append(Feature(file, number, name, 0, 1))
            continue
        try:
            features.append(Feature(file, number, name, *_bits(high, low, value)))
        except ValueError as error:
            raise FasmError(f"{file} line {number}: {error}") from None
    return features


def _bits(high_text: str | None, low_text: str | None, value_text: str | None) -> tuple[int, int]:
    """Return the lowest index and the value of ``[high:low] = value``."""
    high = int(high_text or 0)
    low = high if low_text is None else int(low_text)
    if not low <= high < MAX_BITS:
        raise ValueError(
            f"an index must be [HIGH:LOW] with {MAX_BITS} > HIGH >= LOW, not [{high}:{low}]"
        )
    value = 1 if value_text is None else _value(value_text)
    if value_text is None and high > low:
        raise ValueError(f"a range of bits must have a value: [{high}:{low}]")
    if value >> high - low + 1:
        raise ValueError(f"a value for [{high}:{low}] must fit into {high - low + 1} bits")
    return low, value


def _value(text: str) -> int:
    match = _VALUE.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        value = int(match["digits"], _BASES[match["base"] or "d"])
    except ValueError:
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise ValueError(f"a value must be N, 'bN, 'oN, 'dN or 'hN, not {shown!r}") from None
    if match["width"] is not None and value >> min(int(match["width"]), MAX_LINE * 4):
        raise ValueError(f"a value must fit into its own {match['width']} bits")
    return value
