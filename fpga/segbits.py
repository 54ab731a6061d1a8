# SPDX-License-Identifier: Apache-2.0
"""Project X-Ray's files about a type of tile: which bits its features are.

A configuration frame is 101 words of 32 bits and has an address; the frames of a column follow one
another. Here a bit has one number, its *position*: 3232 · (rank of its frame) + 32 · word + bit;
for a type of tile, counted from the tile's first word in the tile's first frame.

Source: prjxray documentation, "File formats": segbits, ppips.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hw.disk import content

__all__ = [
    "COLUMN_FRAMES",
    "FRAME_BITS",
    "FRAME_WORDS",
    "Bits",
    "DatabaseError",
    "TileType",
    "checked_word",
    "read_text",
]

FRAME_WORDS = 101
FRAME_BITS = 32 * FRAME_WORDS
COLUMN_FRAMES = 128
"""Frames of a column, at most: its addresses have 7 bits."""

_MAX_BYTES = 1 << 27
_FILES = (("CLB_IO_CLK", ".db"), ("BLOCK_RAM", ".block_ram.db"))
_FEATURE = re.compile(r"(\w+)\.([^\s\[]+)(?:\[(\d{1,4})\])? (\S.*)", re.ASCII)
_ONES = re.compile(r"\d{1,3}_\d{1,4}(?: \d{1,3}_\d{1,4})*", re.ASCII)
_BIT = re.compile(r"(!?)(\d{1,3})_(\d{1,4})", re.ASCII)


class DatabaseError(Exception):
    """The database lacks the part, or a file of it breaks a rule of its format."""


class Bits(NamedTuple):
    """The bits of one feature, counted from bit 0 of frame 0 of its type's tiles.

    Parameters
    ----------
    bus : str
        Configuration bus, ``CLB_IO_CLK`` or ``BLOCK_RAM``.
    ones, zeros : tuple of int
        Positions that it sets, and positions that must stay 0.
    low, high, frames : int
        Lowest and highest bit within a frame, and frames needed.
    """

    bus: str
    ones: tuple[int, ...]
    zeros: tuple[int, ...]
    low: int
    high: int
    frames: int


class TileType:
    """The features of one type of tile.

    Parameters
    ----------
    folder : Path
        The family's folder.
    name : str
        ``CLBLL_L`` and the like.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = checked_word(name)
        self.pips = _pips(folder, name)
        """Features without bits: connections that are always there, or hints."""
        self._features: dict[str, dict[int, tuple[str, str]]] = {}
        for bus, suffix in _FILES:
            file = folder / f"segbits_{name.lower()}{suffix}"
            for line in read_text(file, missing="").splitlines():
                match = _FEATURE.fullmatch(line)
                if match is None or match[1] != name:
                    raise DatabaseError(
                        f"{file}: a line must be {name}.FEATURE BITS, not {line[:60]!r}"
                    )
                indices = self._features.setdefault(match[2], {})
                index = int(match[3] or 0)
                if index in indices:
                    raise DatabaseError(f"{file}: a feature must be there once: {line[:60]!r}")
                indices[index] = bus, match[4]
        self._bits: dict[tuple[str, int], Bits] = {}
        self._vectors: dict[str, tuple[Bits, npt.NDArray[np.int64]] | None] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features with bits, without tile and index."""
        return tuple(self._features)

    def bits(self, name: str, index: int) -> Bits | None:
        """Return the bits of a feature, or None if there is none of this name and index.

        Raises
        ------
        DatabaseError
            If the database does not list them as it must.
        """
        if (name, index) in self._bits:
            return self._bits[name, index]
        found = self._features.get(name, {}).get(index)
        if found is None:
            return None
        bits = self._bits[name, index] = _bits(f"{self.name}.{name}", *found)
        return bits

    def vector(self, name: str) -> tuple[Bits, npt.NDArray[np.int64]] | None:
        """Return a feature whose indices 0…n − 1 are one bit each: all of them, and by index.

        None if the feature is not like that.
        """
        if name not in self._vectors:
            self._vectors[name] = self._vector(name)
        return self._vectors[name]

    def _vector(self, name: str) -> tuple[Bits, npt.NDArray[np.int64]] | None:
        indices = self._features.get(name, {})
        found = [indices[index] for index in range(len(indices)) if index in indices]
        text = " ".join(places for _, places in found)
        if len(found) < len(indices) or len({bus for bus, _ in found}) != 1:
            return None
        if not _ONES.fullmatch(text) or text.count("_") != len(found):
            return None
        columns, bits = np.fromstring(text.replace("_", " "), np.int64, sep=" ").reshape(-1, 2).T
        if columns.max() >= COLUMN_FRAMES or bits.max() >= FRAME_BITS:
            raise DatabaseError(f"{self.name}.{name}: a bit must be within its column and frame")
        ones = columns * FRAME_BITS + bits
        low, high = int(bits.min()), int(bits.max())
        return Bits(found[0][0], tuple(ones.tolist()), (), low, high, int(columns.max()) + 1), ones


def _pips(folder: Path, kind: str) -> frozenset[str]:
    file = folder / f"ppips_{kind.lower()}.db"
    names = set()
    for line in read_text(file, missing="").splitlines():
        name, _, what = line.partition(" ")
        if what not in {"always", "default", "hint"} or not name.startswith(f"{kind}."):
            raise DatabaseError(
                f"{file}: a line must be {kind}.FEATURE always, default or hint, not {line[:60]!r}"
            )
        names.add(name.removeprefix(f"{kind}."))
    return frozenset(names)


def _bits(feature: str, bus: str, text: str) -> Bits:
    ones: list[int] = []
    zeros: list[int] = []
    columns, bits = [], []
    for word in text.split():
        match = _BIT.fullmatch(word)
        if match is None or int(match[2]) >= COLUMN_FRAMES or int(match[3]) >= FRAME_BITS:
            raise DatabaseError(
                f"{feature}: a bit must be FRAME_BIT or !FRAME_BIT, not {word!r:.60}"
            )
        column, bit = int(match[2]), int(match[3])
        columns.append(column)
        bits.append(bit)
        (zeros if match[1] else ones).append(column * FRAME_BITS + bit)
    return Bits(bus, tuple(ones), tuple(zeros), min(bits), max(bits), max(columns) + 1)


def checked_word(name: object) -> str:
    """Return a name that is to become a part of a path."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]{1,100}", name, re.ASCII):
        raise DatabaseError(
            f"a name in the database must be a word of at most 100 letters, not {name!r:.60}"
        )
    return name


def read_text(file: Path, missing: str | None = None) -> str:
    """Return the text of a file; of a missing one ``missing``, if it may be missing."""
    if missing is not None and not file.exists():
        return missing
    try:
        return content(file, _MAX_BYTES, DatabaseError).decode()
    except UnicodeDecodeError:
        raise DatabaseError(f"{file}: must be UTF-8") from None
