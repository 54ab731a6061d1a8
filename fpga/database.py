# SPDX-License-Identifier: Apache-2.0
"""Project X-Ray's database of a 7-series part: its tiles, frames, pads and I/O banks.

A tile owns some words in some consecutive frames; `fpga.segbits` says what is where in them. Only
what is asked for is read, and checked when it is.

Source: prjxray documentation, "File formats": tilegrid.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fpga.fasm import Feature, parse
from fpga.segbits import (
    COLUMN_FRAMES,
    FRAME_BITS,
    FRAME_WORDS,
    Bits,
    DatabaseError,
    TileType,
    checked_word,
    read_text,
)
from hw.params import ParameterError

__all__ = ["Database", "Segment", "Tile", "add_option", "chosen"]

_MAX_FRAMES = 1 << 16


class Segment(NamedTuple):
    """What a tile owns on one bus.

    Parameters
    ----------
    origin : int
        Position of bit 0 of frame 0, as `Bits` count.
    low, high : int
        Bits within a frame that are the tile's own, low <= bit < high.
    frames : int
    """

    origin: int
    low: int
    high: int
    frames: int

    def holds(self, bits: Bits) -> bool:
        """Whether all of a feature's bits are the tile's own."""
        return self.low <= bits.low and bits.high < self.high and bits.frames <= self.frames


class Tile(NamedTuple):
    """A tile of a part.

    Parameters
    ----------
    kind : TileType
        Whose features it has; an alias has another type's.
    pips : frozenset of str
        Features without bits: connections that are always there, or hints.
    segments : mapping of str to Segment
        By bus.
    sites : mapping of str to str
        Sites that its type calls otherwise.
    """

    kind: TileType
    pips: frozenset[str]
    segments: Mapping[str, Segment]
    sites: Mapping[str, str]

    def local(self, feature: str) -> str:
        """Return a feature's name as the tile's type has it."""
        if not self.sites:
            return feature
        site, dot, rest = feature.partition(".")
        return self.sites.get(site, site) + dot + rest


class Database:
    """One part.

    Parameters
    ----------
    folder : Path
        The family's folder, ``…/prjxray/database/artix7``.
    part : str
        ``xc7a35tcsg324-1`` and the like.

    Raises
    ------
    DatabaseError
        If there is no such part, or a file breaks a rule. So do all methods.
    """

    def __init__(self, folder: Path, part: str) -> None:
        self.folder = folder
        self.part = part
        device = _entry(folder, "part", part, "device")
        fabric = _entry(folder, "device", device, "fabric")
        self._grid_file = folder / fabric / "tilegrid.json"
        self._grid = _json(self._grid_file)
        self._tiles: dict[str, Tile | None] = {}
        self._places: dict[tuple[int, int], tuple[str, Mapping[str, str]]] | None = None
        self._types: dict[str, TileType] = {}
        columns: dict[int, int] = {}
        try:
            for tile in self._grid.values():
                for bits in tile["bits"].values():
                    base, frames = int(bits["baseaddr"], 16), bits["frames"]
                    if type(frames) is not int:
                        raise TypeError
                    columns[base] = max(frames, columns.get(base, 0))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._broken("a tile must have bits with baseaddr and frames") from None
        bad = [
            base
            for base, frames in columns.items()
            if base % COLUMN_FRAMES or not 0 <= base < 1 << 32 or not 0 < frames <= COLUMN_FRAMES
        ]
        if bad:
            raise self._broken(f"a column must have 1 to {COLUMN_FRAMES} frames: 0x{bad[0]:08X}")
        if not 0 < sum(columns.values()) <= _MAX_FRAMES:
            raise self._broken(f"a part must have 1 to {_MAX_FRAMES} frames")
        self.addresses = np.array(
            [base + frame for base in sorted(columns) for frame in range(columns[base])], np.uint32
        )
        """uint32 [frames], ascending: the addresses of all frames of the grid."""
        ranks = np.concatenate(([0], np.cumsum([columns[base] for base in sorted(columns)])))
        self._ranks = dict(zip(sorted(columns), ranks.tolist(), strict=False))

    def _broken(self, rule: str) -> DatabaseError:
        return DatabaseError(f"{self._grid_file}: {rule}")

    def tiles(self, kinds: tuple[str, ...]) -> list[str]:
        """Return the names of the tiles of some types."""
        return [name for name, tile in self._grid.items() if tile.get("type") in kinds]

    def tile_at(self, column: int, row: int) -> tuple[str, Mapping[str, str]]:
        """Return the name of the tile at a place of the grid, and its sites with their types."""
        if self._places is None:
            try:
                self._places = {
                    (tile["grid_x"], tile["grid_y"]): (name, tile["sites"])
                    for name, tile in self._grid.items()
                }
            except (KeyError, TypeError):
                raise self._broken("a tile must have a place and sites") from None
        if (column, row) not in self._places:
            raise self._broken(f"there is no tile at ({column}, {row})")
        return self._places[column, row]

    def tile(self, name: str) -> Tile | None:
        """Return a tile, or None if the part has none of this name."""
        if name not in self._tiles:
            entry = self._grid.get(name)
            try:
                self._tiles[name] = None if entry is None else self._tile(entry)
            except (AttributeError, KeyError, TypeError, ValueError):
                raise self._broken(f"{name} must be a tile with type and bits") from None
        return self._tiles[name]

    def _tile(self, entry: Mapping[str, Any]) -> Tile:
        kind = self._type(entry["type"])
        pips = kind.pips
        segments = {}
        sites: dict[str, str] = {}
        for bus, bits in entry["bits"].items():
            start = 0
            if "alias" in bits:
                alias = bits["alias"]
                kind, start = self._type(alias["type"]), alias["start_offset"]
                pips |= kind.pips
                # The grid names sites by their type, features by what every such type is.
                sites |= {_site(a): _site(b) for a, b in alias["sites"].items()}
            offset, words = bits["offset"], bits["words"]
            if not all(type(number) is int for number in (offset, words, start)):
                raise TypeError
            if not (0 <= offset < offset + words <= FRAME_WORDS and 0 <= start < FRAME_WORDS):
                raise ValueError
            segments[bus] = Segment(
                self._ranks[int(bits["baseaddr"], 16)] * FRAME_BITS + 32 * (offset - start),
                32 * start, 32 * (start + words), bits["frames"],
            )  # fmt: skip
        return Tile(kind, pips, segments, sites)

    def _type(self, name: str) -> TileType:
        if name not in self._types:
            self._types[name] = TileType(self.folder, name)
        return self._types[name]

    @functools.cached_property
    def pads(self) -> dict[tuple[str, str], str]:
        """The I/O bank of each bonded pad: by tile and ``IOB_Y0`` or ``IOB_Y1``."""
        file = self.folder / self.part / "package_pins.csv"
        pads = {}
        try:
            for pin in csv.DictReader(read_text(file).splitlines()):
                if "IOB33" in pin["tile"]:
                    row = int(pin["site"].rpartition("Y")[2])
                    pads[pin["tile"], f"IOB_Y{row % 2}"] = pin["bank"]
        except (KeyError, TypeError, ValueError, AttributeError, csv.Error):
            raise DatabaseError(f"{file}: a pin must have bank, site and tile") from None
        return pads

    @functools.cached_property
    def bank_tiles(self) -> dict[str, str]:
        """The HCLK_IOI3 tile of each I/O bank."""
        file = self.folder / self.part / "part.json"
        banks = _json(file).get("iobanks")
        if not isinstance(banks, dict) or not all(isinstance(at, str) for at in banks.values()):
            raise DatabaseError(f"{file}: iobanks must map banks to places")
        return {bank: f"HCLK_IOI3_{place}" for bank, place in banks.items()}

    @functools.cached_property
    def required(self) -> list[Feature]:
        """The features that every design for the part needs."""
        file = self.folder / self.part / "required_features.fasm"
        return parse(read_text(file, missing=""), file.name)


def add_option(command: argparse.ArgumentParser) -> None:
    """Let a command be told where the database lies."""
    command.add_argument(
        "--database", metavar="DIR", type=Path, default=argparse.SUPPRESS,
        help="Project X-Ray's database of the family, such as /usr/share/prjxray/database/artix7 "
        "(default: the toolchain's)",
    )  # fmt: skip


def chosen(options: argparse.Namespace) -> Path:
    """Return the folder that a command was told, or else the toolchain's.

    Raises
    ------
    DatabaseError
        If there is neither.
    """
    if "database" in options:
        folder: Path = options.database
        return folder
    # Here, because it takes as long to import as a small design to assemble.
    from fpga.toolchain import ToolchainError, find

    try:
        return find().database
    except (ParameterError, ToolchainError) as error:
        raise DatabaseError(f"{error}, or give --database") from None


def _site(name: str) -> str:
    kind, _, row = name.rpartition("_")
    return f"{kind.rstrip('0123456789')}_{row}"


def _entry(folder: Path, kind: str, name: str, key: str) -> str:
    """Return ``name: key`` of the YAML file of a kind: two levels, and nothing else of YAML."""
    file = folder / "mapping" / f"{kind}s.yaml"
    section, known = None, []
    for line in read_text(file).splitlines():
        entry, _, value = line.partition(":")
        if not line.startswith(" "):
            section = entry.strip("\"'")
            known.append(section)
        elif section == name and entry.strip() == key:
            return checked_word(value.strip().strip("\"'"))
    # A damaged file may have any number of names, of any length.
    near = difflib.get_close_matches(name, [each for each in known[:1000] if len(each) < 100], n=1)
    raise DatabaseError(
        f"a {kind} must be one of those that have a {key} in {file}, not {name!r:.60}"
        + "".join(f"; the nearest is {each}" for each in near)
    )


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(file))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DatabaseError(f"{file}: must be a JSON object")
    return found
