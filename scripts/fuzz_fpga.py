# SPDX-License-Identifier: Apache-2.0
"""The formats of `fpga`, for fuzzing: FASM, database, bits, lock, and what a device says."""

from __future__ import annotations

import functools
import io
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from fpga import bits, fasm, fasm_guard, frames, lockfile, packet, toolchain
from fpga.database import Database
from fpga.protocol import VERSION, Region, Status
from fpga.segbits import DatabaseError
from fpga.session import LinkError, Session
from fpga.target import Info
from hw.params import ParameterError
from scripts.fuzz_case import Files, Target
from scripts.fuzz_model import damage_one, one_file
from scripts.fuzz_mutate import damage_bytes, damage_json, damage_lines

__all__ = ["FASM", "PART", "TARGETS", "write_database"]

PART = "xc7tiny-1"
_STEPDOWN = "LVCMOS12_LVCMOS15_LVCMOS18_SSTL135_SSTL15.STEPDOWN"


def _tile(kind: str, base: int, offset: int, words: int, **alias: object) -> dict[str, object]:
    place = {"baseaddr": f"0x{base:08X}", "frames": 4, "offset": offset, "words": words}
    place |= {"alias": alias} if alias else {}
    return {"type": kind, "grid_x": 0, "grid_y": 0, "sites": {}, "bits": {"CLB_IO_CLK": place}}


def _database() -> Files:
    """Return the files of a database with a tile of each sort."""
    alias = {"type": "LIOB33", "sites": {"IOB33_Y0": "IOB33_Y1"}, "start_offset": 0}
    grid = {
        "CLBLL_L_X0Y0": _tile("CLBLL_L", 0x100, 2, 2),
        "LIOB33_SING_X0Y0": _tile("LIOB33_SING", 0x180, 0, 2, **alias),
        "LIOB33_X0Y1": _tile("LIOB33", 0x180, 2, 4),
        "HCLK_IOI3_X1Y2": _tile("HCLK_IOI3", 0x180, 50, 1),
    }
    texts = {
        "mapping/parts.yaml": f"{PART}:\n  device: xc7tiny\n",
        "mapping/devices.yaml": '"xc7tiny":\n  fabric: "fabric"\n',
        "fabric/tilegrid.json": json.dumps(grid),
        "segbits_clbll_l.db": "\n".join(
            [f"CLBLL_L.SLICEL_X0.ALUT.INIT[{i:02}] 00_{i:02}" for i in range(64)]
            + ["CLBLL_L.SLICEL_X0.MUX.A 02_40 !02_41", "CLBLL_L.SLICEL_X0.MUX.B !02_40 02_41"]
        ),
        "ppips_clbll_l.db": "CLBLL_L.CLBLL_L_A.CLBLL_LL_A always\nCLBLL_L.A.B hint\n",
        "segbits_liob33.db": f"LIOB33.IOB_Y0.{_STEPDOWN} 01_45\nLIOB33.IOB_Y1.{_STEPDOWN} 00_32\n",
        "segbits_hclk_ioi3.db": "HCLK_IOI3.STEPDOWN 00_15 01_16\n",
        f"{PART}/part.json": json.dumps({"iobanks": {"14": "X1Y2"}}),
        f"{PART}/package_pins.csv": "pin,bank,site,tile,pin_function\n"
        "A1,14,IOB_X0Y1,LIOB33_SING_X0Y0,IO_25\nA2,14,IOB_X0Y2,LIOB33_X0Y1,IO_L1N\n",
        f"{PART}/required_features.fasm": "CLBLL_L_X0Y0.SLICEL_X0.ALUT.INIT[1]\n",
    }
    return {name: text.encode() for name, text in texts.items()}


FASM = f"""# made by a router
CLBLL_L_X0Y0.SLICEL_X0.ALUT.INIT[63:0] = 64'b{"01" * 32}
CLBLL_L_X0Y0.SLICEL_X0.ALUT.INIT[3:0]=4'hA # a comment
CLBLL_L_X0Y0.SLICEL_X0.MUX.A {{ .a = "b", note="a \\" quote" }}
CLBLL_L_X0Y0.CLBLL_L_A.CLBLL_LL_A
LIOB33_X0Y1.IOB_Y0.{_STEPDOWN}
CLBLL_L_X0Y0.SLICEL_X0.ALUT.INIT[17] = 1
"""


def write_database(folder: Path) -> None:
    """Write the files of the small database."""
    _write(folder, _database())


def _write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def _features(folder: Path) -> Target:
    return one_file(
        folder / "x.fasm", [FASM.encode()], damage_lines,
        lambda file: fasm.parse(fasm.read(file)), fasm.FasmError,
    )  # fmt: skip


def _guard(folder: Path) -> Target:
    lines = ["BRAM_L_X6Y0.BRAM_FIFO36_CASCADEINA.X", "A.B[3:0] = 4'b1010"]
    lines += [f"BRAM_L_X6Y0.RAMB18_Y{half}.READ_WIDTH_A_4" for half in (0, 1)]
    return one_file(
        folder / "x.fasm", ["".join(f"{line}\n" for line in lines).encode()], damage_lines,
        lambda file: fasm_guard.repair(fasm.read(file), half_widths=1),
        fasm.FasmError, fasm_guard.FasmGuardError,
    )  # fmt: skip


def _assembler(folder: Path) -> Target:
    write_database(folder)
    database = Database(folder, PART)
    return one_file(
        folder / "x.fasm", [FASM.encode()], damage_lines,
        lambda file: frames.assemble_features(fasm.parse(fasm.read(file)), database).text(),
        fasm.FasmError, frames.FrameError, DatabaseError,
    )  # fmt: skip


def _parts(folder: Path) -> Target:
    sound = _database()
    _write(folder, sound)
    written = dict(sound)

    def damage(chance: random.Random, files: Files, seeds: Sequence[Files]) -> Files:
        name = chance.choice(sorted(files))
        change = damage_json if name.endswith(".json") else damage_lines
        return files | {name: change(chance, files[name], [files[name]])}

    def read(files: Files) -> object:
        _write(folder, {name: c for name, c in files.items() if written[name] != c})
        written.update(files)
        database = Database(folder, PART)
        for name in database.tiles(("CLBLL_L", "LIOB33")):
            database.tile(name)
        database.tile_at(0, 0)
        made = frames.assemble_features(fasm.parse(FASM), database)
        return bits.contents(made.words.view("u1").repeat(8).astype(bool), database)

    errors = (fasm.FasmError, frames.FrameError, DatabaseError)
    return Target(seeds=[sound], damage=damage, read=read, errors=errors)


def _bits(folder: Path) -> Target:
    write_database(folder)
    addresses = Database(folder, PART).addresses
    lines = [
        f"bit_{address:08x}_{word:03}_{bit:02}\n"
        for address in addresses.tolist()
        for word, bit in ((0, 0), (50, 31), (100, 7))
    ]
    return one_file(
        folder / "x.bits", ["".join(lines).encode()], damage_lines,
        lambda file: bits.read_bits(io.BytesIO(file.read_bytes()), addresses), bits.BitsError,
    )  # fmt: skip


def _lock(folder: Path) -> Target:
    value = json.loads(toolchain.LOCK.read_bytes())
    value["packages"] = value["packages"][:3]
    return one_file(
        folder / "toolchain.json", [json.dumps(value).encode()], damage_json, lockfile.read,
        ParameterError,
    )  # fmt: skip


_BODIES = [
    (sequence.to_bytes(2, "little") + bytes([status]) + data)
    for sequence, status, data in (
        (8, Status.OK, b""), (9, Status.OK, bytes(range(256))), (9, Status.OK, bytes(9)),
        (10, Status.OK, bytes(44)), (8, Status.SEQUENCE, b"\x07\0"), (9, Status.BUSY, b""),
        (65535, Status.RANGE, b""),
    )
]  # fmt: skip


def _damage_frame(chance: random.Random, body: bytes, others: Sequence[bytes]) -> bytes:
    """Damage an answer before its check sum is added, or after, or both; it ends without a zero."""
    if chance.random() < 0.5:
        body = damage_bytes(chance, body, others)[:1000]
    frame = packet.frame(body)[:-1]
    return damage_bytes(chance, frame, [frame]) if chance.random() < 0.5 else frame


def _answers(folder: Path) -> Target:
    def damage(chance: random.Random, frame: bytes, others: Sequence[bytes]) -> bytes:
        return _damage_frame(chance, packet.unframe(frame), others)

    return Target(
        seeds=[{"frame": packet.frame(body)[:-1]} for body in _BODIES],
        damage=functools.partial(damage_one, damage=damage),
        read=lambda files: packet.answer(files["frame"]),
        errors=(packet.PacketError,),
    )


class _Line:
    """A port that says one thing after each request, whatever is asked."""

    def __init__(self, said: Sequence[bytes]) -> None:
        self._said = list(said)
        self._received = b""

    @property
    def in_waiting(self) -> int:
        return len(self._received)

    def read(self, size: int = 1, /) -> bytes:
        found, self._received = self._received[:size], self._received[size:]
        return found

    def write(self, data: bytes, /) -> int:
        self._received += self._said.pop(0) if self._said else b""
        return len(data)


def _conversations(folder: Path) -> Target:
    bodies = [_BODIES[0], _BODIES[1], _BODIES[3]]
    frames = [packet.frame(body) for body in bodies]

    def damage(chance: random.Random, files: Files, seeds: Sequence[Files]) -> Files:
        said = list(files.values())
        at = chance.randrange(len(said))
        said[at] = _damage_frame(chance, bodies[at], _BODIES) + b"\0"
        if chance.random() < 0.3:
            said.insert(chance.randrange(4), chance.choice([b"", b"\0", said[0], said[-1]]))
        if chance.random() < 0.1:
            said.insert(chance.randrange(4), chance.randbytes(3000))
        return {str(number): part for number, part in enumerate(said)}

    def read(files: Files) -> object:
        session = Session(_Line(list(files.values())), sequence=7)
        found = session.work(lambda: session.read(2, 0, 300))
        if len(found) != 300:
            raise AssertionError(f"300 bytes were asked for, not {len(found)}")
        return found

    said = {str(number): frame for number, frame in enumerate(frames)}
    return Target(seeds=[said], damage=damage, read=read, errors=(LinkError,))


def _info(folder: Path) -> Target:
    regions = (Region("info", 0, 512, 1, "r"), Region("map", 2, 21, 1, "rw"))
    info = {
        "protocol": VERSION, "design": "shift", "clock_hz": 100_000_000,
        "regions": [vars(region) for region in regions],
        "parameters": {"height": 3, "width": 5, "bits": 6, "registers": ["cycles"]},
    }  # fmt: skip
    return Target(
        seeds=[{"info": json.dumps(info).encode()}],
        damage=functools.partial(damage_one, damage=damage_json),
        read=lambda files: Info.parse(files["info"]),
        errors=(LinkError,),
    )


TARGETS: dict[str, tuple[Callable[[Path], Target], int]] = {
    "FASM": (_features, 50_000),
    "FASM guard": (_guard, 30_000),
    "FASM to frames": (_assembler, 10_000),
    "database": (_parts, 5_000),
    "bits": (_bits, 80_000),
    "toolchain lock": (_lock, 20_000),
    "answer of a device": (_answers, 400_000),
    "conversation": (_conversations, 200_000),
    "info of a device": (_info, 100_000),
}
"""As `scripts.fuzz_model.TARGETS`."""
