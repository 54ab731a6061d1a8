# SPDX-License-Identifier: Apache-2.0
"""From FASM to configuration frames: the assembler of the open Artix-7 flow.

Every feature says which bits it sets and which must stay 0; the frames are their union. Nothing is
guessed: a feature that the database does not know, two features that disagree on a bit, and bits
outside their tile are errors. ``xc7frames2bit`` adds each frame's ECC and makes the bitstream.
"""

from __future__ import annotations

import dataclasses
import errno
import gc
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fpga.database import Database, Tile, add_option, chosen
from fpga.fasm import FasmError, Feature, parse, read
from fpga.segbits import FRAME_BITS, FRAME_WORDS, DatabaseError
from hw.cli import Parser, bad_input, failed, run
from hw.disk import replace

__all__ = ["FrameError", "Frames", "assemble", "assemble_features"]

PROGRAM = "python -m fpga.frames"

_STEPDOWN = "LVCMOS12_LVCMOS15_LVCMOS18_SSTL135_SSTL15.STEPDOWN"
_SHOWN = 20


class FrameError(Exception):
    """The features do not make a configuration of the part."""


@dataclasses.dataclass(frozen=True, eq=False)
class Frames:
    """All frames of a part.

    Parameters
    ----------
    addresses : numpy.ndarray
        uint32 [frames], ascending.
    words : numpy.ndarray
        uint32 [frames, 101], without ECC.
    """

    addresses: npt.NDArray[np.uint32]
    words: npt.NDArray[np.uint32]

    def text(self) -> bytes:
        """Return the frames as ``xc7frames2bit`` takes them: ``0xADDRESS 0xWORD,…,0xWORD``."""
        table = np.concatenate((self.addresses[:, None], self.words), axis=1)
        digits = np.frombuffer(b"0123456789ABCDEF", np.uint8)
        pairs = digits[np.arange(256)[:, None] >> (4, 0) & 15]
        text = np.empty((*table.shape, 11), np.uint8)
        text[...] = np.frombuffer(b"0x00000000,", np.uint8)
        text[..., 2:10] = pairs[table.astype(">u4").view(np.uint8)].reshape(*table.shape, 8)
        text[:, 0, 10] = ord(" ")
        text[:, -1, 10] = ord("\n")
        return text.tobytes()


class _Claims:
    """What features claim: positions of ones and of zeros.

    Long values are kept as they are, by feature of a type of tile, and expanded all at once.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.zeros = array("q")
        self.unknown: list[str] = []
        self._ones = array("q")
        self._vectors: dict[
            tuple[str, str], tuple[npt.NDArray[np.int64], list[tuple[int, int]]]
        ] = {}

    def add(self, feature: Feature) -> None:
        """Claim a feature's bits, or note that it is unknown."""
        tile_name, _, name = feature.name.partition(".")
        tile = self.database.tile(tile_name)
        if tile is None:
            self.unknown.append(f"{feature.name:.100} ({feature.where})")
            return
        name = tile.local(name)
        if feature.value == 1:
            self._add_bit(feature, tile, name, feature.low)
        elif not self._add_vector(feature, tile, name):
            for index in range(feature.value.bit_length()):
                if feature.value >> index & 1:
                    self._add_bit(feature, tile, name, feature.low + index)

    def ones(self) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the positions of ones."""
        yield np.frombuffer(self._ones, np.int64)
        for positions, claims in self._vectors.values():
            size = (len(positions) + 7) // 8
            data = b"".join(value.to_bytes(size, "little") for _, value in claims)
            table = np.frombuffer(data, np.uint8).reshape(-1, size)
            rows, columns = np.unpackbits(table, axis=1, bitorder="little").nonzero()
            origins = np.array([origin for origin, _ in claims], np.int64)
            yield origins[rows] + positions[columns]

    def _add_vector(self, feature: Feature, tile: Tile, name: str) -> bool:
        """Claim the bits of a long value, where all bits of the feature are the tile's own."""
        vector = tile.kind.vector(name)
        if vector is None:
            return False
        whole, positions = vector
        segment = tile.segments.get(whole.bus)
        value = feature.value << feature.low
        if segment is None or not segment.holds(whole) or value >> len(positions):
            return False
        _, claims = self._vectors.setdefault((tile.kind.name, name), (positions, []))
        claims.append((segment.origin, value))
        return True

    def _add_bit(self, feature: Feature, tile: Tile, name: str, index: int) -> None:
        bits = tile.kind.bits(name, index)
        if bits is None:
            if index or name not in tile.pips:
                shown = f"[{index}]" if index else ""
                self.unknown.append(f"{feature.name:.100}{shown} ({feature.where})")
            return
        segment = tile.segments.get(bits.bus)
        if segment is None or not segment.holds(bits):
            raise FrameError(
                f"{feature.where}: the bits of {feature.name} must be the tile's own, "
                "not outside its words and frames"
            )
        self._ones.extend([segment.origin + position for position in bits.ones])
        self.zeros.extend([segment.origin + position for position in bits.zeros])


def assemble(fasm: str, database: Path, part: str, *, file: str = "FASM") -> Frames:
    """Return the frames that a FASM text asks for.

    Parameters
    ----------
    fasm : str
    database : Path
        The family's folder, ``…/prjxray/database/artix7``.
    part : str
        ``xc7a35tcsg324-1`` and the like.
    file : str
        Name of the text, for messages.

    Raises
    ------
    FasmError
        If the text is not FASM.
    DatabaseError
        If the database lacks the part, or is damaged.
    FrameError
        If features are unknown, disagree on a bit or leave their tile.
    """
    return assemble_features(parse(fasm, file), Database(database, part))


def assemble_features(features: Iterable[Feature], database: Database) -> Frames:
    """Return the frames that features ask for; as `assemble`."""
    asked = [feature for feature in (*features, *database.required) if feature.value]
    asked += _bank_features(asked, database)
    claims = _Claims(database)
    for feature in asked:
        claims.add(feature)
    if claims.unknown:
        raise FrameError(_unknown(claims.unknown))
    state = np.zeros(len(database.addresses) * FRAME_BITS, np.uint8)
    for positions in claims.ones():
        state[positions] = 1
    zeros = np.frombuffer(claims.zeros, np.int64)
    conflicts = zeros[state[zeros] == 1]
    if conflicts.size:
        raise FrameError(_conflict(asked, database, int(conflicts.min())))
    words = np.packbits(state, bitorder="little").view("<u4")
    return Frames(database.addresses, words.reshape(-1, FRAME_WORDS))


def _bank_features(features: Sequence[Feature], database: Database) -> list[Feature]:
    """Return what the rule of I/O banks adds.

    A bank with a low supply steps down in all its pads, used or not, and in its clock row.
    """
    used = set()
    stepped = {}
    for feature in features:
        # A quick look at the text first: only a few hundred lines of a design are about pads.
        if "IOB33" in feature.name:
            tile_name, _, name = feature.name.partition(".")
            tile = database.tile(tile_name)
            pad = tile_name, (tile.local(name) if tile else name).partition(".")[0]
            used.add(pad)
            if feature.name.endswith(_STEPDOWN):
                stepped[pad] = feature
    banks = set()
    for pad, feature in stepped.items():
        if pad not in database.pads:
            raise FrameError(f"{feature.where}: {feature.name} must belong to a bonded pad")
        banks.add(database.pads[pad])
    added = []
    for bank in sorted(banks):
        rule = f"the rule of I/O bank {bank}"
        if bank not in database.bank_tiles:
            raise FrameError(f"I/O bank {bank} must have an HCLK_IOI3 tile")
        names = [f"{database.bank_tiles[bank]}.STEPDOWN"]
        names += [
            f"{tile}.{site}.{_STEPDOWN}"
            for (tile, site), of in database.pads.items()
            if of == bank and (tile, site) not in used
        ]
        added += [Feature(rule, 0, name, 0, 1) for name in names]
    return added


def _unknown(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    what = f"these {len(names)}" if len(names) > 1 else "this one"
    return f"features must be known to the database, not {what}: {shown}{more}"


def _conflict(features: Iterable[Feature], database: Database, position: int) -> str:
    """Return a message that names who sets and who clears a bit."""
    sets = clears = ""
    for feature in features:
        claims = _Claims(database)
        claims.add(feature)
        if any(position in positions for positions in claims.ones()):
            sets = sets or f"{feature.where} ({feature.name})"
        if position in claims.zeros:
            clears = clears or f"{feature.where} ({feature.name})"
    frame, bit = divmod(position, FRAME_BITS)
    return (
        f"features must agree on each bit: {sets} sets, but {clears} clears "
        f"bit {bit % 32} of word {bit // 32} in frame 0x{database.addresses[frame]:08X}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = Parser(PROGRAM, "FASM to frames, for xc7frames2bit.")
    parser.add_argument("fasm", metavar="IN.fasm", type=Path)
    parser.add_argument("--part", required=True, help="such as xc7a35tcsg324-1")
    add_option(parser)
    parser.add_argument("-o", "--out", required=True, metavar="OUT.frames", type=Path)
    options = parser.parse_args(arguments)
    try:
        text = read(options.fasm)
        if options.out.exists() and options.out.samefile(options.fasm):
            bad_input(parser.prog, f"the output must be another file than the input: {options.out}")
        frames = assemble(text, chosen(options), options.part, file=str(options.fasm))
    except (FasmError, DatabaseError, FrameError) as error:
        bad_input(parser.prog, error)
    try:
        replace(options.out, frames.text())
    except OSError as error:
        told = f"the output file must be writable: {options.out}: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return failed(parser.prog, told)
        bad_input(parser.prog, told)
    return 0


if __name__ == "__main__":
    # Nothing here is cyclic: the collector would walk the whole grid again and again, for a quarter
    # of the time.
    gc.disable()
    run(main)
