# SPDX-License-Identifier: Apache-2.0
"""What a bitstream holds: block-RAM contents and LUT equations, back out of its bits.

``bitread -y`` lists the bits of a ``.bit`` that are 1. The same database that says where a feature
goes says what is there, so that contents can be compared with the FASM from which they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from fpga.database import Database, add_option, chosen
from fpga.fasm import FasmError, Feature, parse, read
from fpga.segbits import FRAME_BITS, FRAME_WORDS, DatabaseError
from hw.cli import Parser, bad_input, run

__all__ = ["BitsError", "asked", "contents", "difference", "read_bits"]

PROGRAM = "python -m fpga.bits"

_KINDS = ("BRAM_L", "BRAM_R", "CLBLL_L", "CLBLL_R", "CLBLM_L", "CLBLM_R")
_MEMORY = re.compile(r"RAMB18_Y[01]\.INITP?_[0-9A-F]{2}|SLICE[LM]_X[01]\.[A-D]LUT\.INIT")
_LINE = b"bit_00000000_000_00\n"
_HEXADECIMAL = list(range(4, 12))
_DECIMAL = [13, 14, 15, 17, 18]
_FIXED = [0, 1, 2, 3, 12, 16, 19]
_LINES_A_TIME = 1 << 18


class BitsError(Exception):
    """A list of bits is damaged, or not of this part."""


def read_bits(stream: BinaryIO, addresses: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
    """Read what ``bitread -y`` writes: a line ``bit_FRAME_WORD_BIT`` for each bit that is 1.

    Parameters
    ----------
    stream : binary file
        Frame in 8 hexadecimal digits, word in 3 decimal ones, bit in 2; ascending.
    addresses : numpy.ndarray
        uint32 [frames], ascending: the part's frames.

    Returns
    -------
    numpy.ndarray
        bool [frames · 3232], by position.

    Raises
    ------
    BitsError
        If a line is something else, or a frame is not the part's.
    """
    state = np.zeros(len(addresses) * FRAME_BITS, np.bool_)
    line = 0
    last = -1
    while data := stream.read(_LINES_A_TIME * len(_LINE)):
        positions = _positions(data, addresses, line)
        falls = np.diff(positions, prepend=last) <= 0
        if falls.any():
            raise BitsError(f"line {line + int(falls.argmax()) + 1}: bits must be in their order")
        state[positions] = True
        last = positions[-1]
        line += len(positions)
    return state


def _positions(data: bytes, addresses: npt.NDArray[np.uint32], line: int) -> npt.NDArray[np.int64]:
    """Return the positions in some whole lines, the first of which has a number."""
    table = np.frombuffer(data, np.uint8, len(data) // len(_LINE) * len(_LINE))
    table = table.reshape(-1, len(_LINE))
    digits = _digits(table)
    frames = digits[:, 4:12].astype(np.int64) @ (1 << np.arange(28, -1, -4))
    words = digits[:, 13:16].astype(np.int64) @ (100, 10, 1)
    bits = digits[:, 17:19].astype(np.int64) @ (10, 1)
    valid = (table[:, _FIXED] == np.frombuffer(_LINE, np.uint8)[_FIXED]).all(axis=1)
    valid &= (digits[:, _HEXADECIMAL] < 16).all(axis=1) & (digits[:, _DECIMAL] < 10).all(axis=1)
    valid &= (words < FRAME_WORDS) & (bits < 32)
    if len(table) * len(_LINE) < len(data) or not valid.all():
        bad = len(table) if valid.all() else int(valid.argmin())
        rest = data[len(_LINE) * bad :]
        if len(rest) < len(_LINE) and b"\n" not in rest:
            raise BitsError(f"line {line + bad + 1}: must end in a newline: the file is cut off")
        shown = rest.split(b"\n")[0][:60].decode(errors="replace")
        raise BitsError(f"line {line + bad + 1}: must be bit_FRAME_WORD_BIT, not {shown!r}")
    ranks = np.searchsorted(addresses, frames)
    known = addresses[np.minimum(ranks, len(addresses) - 1)] == frames
    if not known.all():
        bad = int(known.argmin())
        raise BitsError(f"line {line + bad + 1}: the part has no frame 0x{frames[bad]:08X}")
    positions: npt.NDArray[np.int64] = ranks * FRAME_BITS + 32 * words + bits
    return positions


def _digits(table: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    values = np.full(256, 255, np.uint8)
    values[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
    return values[table]


def contents(state: npt.NDArray[np.bool_], database: Database) -> dict[str, int]:
    """Return the contents of all block RAMs and LUTs that are not 0, by feature.

    ``TILE.RAMB18_Yn.INIT_xx`` and ``INITP_xx`` are 256 bits each, ``TILE.SLICEx_Xn.yLUT.INIT`` is
    64: a LUT6's equation, or a LUT5's each half.

    Parameters
    ----------
    state : numpy.ndarray
        bool [frames · 3232], by position.
    database : Database

    Raises
    ------
    DatabaseError
        If the database does not list these features one bit an index.
    """
    found = {}
    by_kind: dict[str, list[str]] = {}
    for name in database.tiles(_KINDS):
        tile = database.tile(name)
        if tile is not None:
            by_kind.setdefault(tile.kind.name, []).append(name)
    for names in by_kind.values():
        tiles = [tile for tile in map(database.tile, names) if tile is not None]
        kind = tiles[0].kind
        for feature in filter(_MEMORY.fullmatch, kind.names):
            vector = kind.vector(feature)
            if vector is None:
                raise DatabaseError(f"{kind.name}.{feature}: must be one bit an index")
            whole, positions = vector
            segments = [tile.segments.get(whole.bus) for tile in tiles]
            if not all(segment and segment.holds(whole) for segment in segments):
                raise DatabaseError(f"{kind.name}.{feature}: must lie in each tile's own words")
            origins = np.array([segment.origin for segment in segments if segment])
            rows = np.packbits(state[origins[:, None] + positions], axis=1, bitorder="little")
            for row in np.flatnonzero(rows.any(axis=1)).tolist():
                found[f"{names[row]}.{feature}"] = int.from_bytes(rows[row].tobytes(), "little")
    return found


def asked(features: Iterable[Feature]) -> dict[str, int]:
    """Return the contents of block RAMs and LUTs that a FASM asks for, as `contents` does."""
    wanted: dict[str, int] = {}
    for feature in features:
        if feature.value and _MEMORY.fullmatch(feature.name.partition(".")[2]):
            value = feature.value << feature.low
            wanted[feature.name] = wanted.get(feature.name, 0) | value
    return wanted


def difference(wanted: dict[str, int], found: dict[str, int]) -> str | None:
    """Return one line about the first feature, by name, that is not as wanted; None if all are."""
    for name in sorted(wanted.keys() | found.keys()):
        want, have = wanted.get(name, 0), found.get(name, 0)
        if want != have:
            return f"{name} must be 'h{want:x}, but the bitstream has 'h{have:x}"
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = Parser(PROGRAM, "Compare block RAMs and LUTs of a bitstream with its FASM.")
    parser.add_argument("--part", required=True, help="such as xc7a35tcsg324-1")
    add_option(parser)
    parser.add_argument(
        "--bits", required=True, metavar="X.bits", type=Path, help="what `bitread -y` wrote"
    )
    parser.add_argument("--fasm", required=True, metavar="X.fasm", type=Path)
    options = parser.parse_args(arguments)
    try:
        wanted = asked(parse(read(options.fasm), str(options.fasm)))
        database = Database(chosen(options), options.part)
        with options.bits.open("rb") as stream:
            found = contents(read_bits(stream, database.addresses), database)
    except BitsError as error:
        bad_input(parser.prog, f"{options.bits}: {error}")
    except OSError as error:
        bad_input(parser.prog, f"{options.bits} must be a readable file: {error.strerror}")
    except (FasmError, DatabaseError) as error:
        bad_input(parser.prog, error)
    fault = difference(wanted, found)
    if fault is not None:
        print(f"different: {fault}")
        return 1
    rams = sum(".RAMB18_" in name for name in found)
    print(f"equal: {rams} rows of block RAMs, {len(found) - rams} LUTs")
    return 0


if __name__ == "__main__":
    run(main)
