# SPDX-License-Identifier: Apache-2.0
"""What a bitstream holds: contents decoded from its bits equal what the FASM put in."""

import io
import random

import fpga_database as tiny
import numpy as np
import pytest
from fpga_database import PART, bits_of, installed
from hypothesis import given
from hypothesis import strategies as st

from fpga import bits
from fpga.bits import BitsError, asked, contents, difference, read_bits
from fpga.database import Database
from fpga.fasm import parse
from fpga.frames import assemble, assemble_features
from fpga.segbits import FRAME_BITS, DatabaseError

ADDRESSES = np.array(tiny.ADDRESSES, np.uint32)
LUT = "CLBLL_L_X0Y1.SLICEL_X0.ALUT.INIT"
ROW = "BRAM_L_X0Y0.RAMB18_Y0.INIT_00"


def listed(frames):
    """Return frames as ``bitread`` lists them."""
    return "".join(
        f"bit_{address:08x}_{word:03}_{bit:02}\n"
        for address, words in zip(frames.addresses.tolist(), frames.words.tolist(), strict=True)
        for word, value in enumerate(words)
        for bit in range(32)
        if value >> bit & 1
    ).encode()


def test_bits_by_hand():
    data = b"bit_00000100_000_00\nbit_00000103_100_31\nbit_00800001_050_09\n"
    state = read_bits(io.BytesIO(data), ADDRESSES)
    assert len(state) == 8 * FRAME_BITS
    assert state.nonzero()[0].tolist() == [0, 4 * FRAME_BITS - 1, 7 * FRAME_BITS + 50 * 32 + 9]
    assert not read_bits(io.BytesIO(b""), ADDRESSES).any()


def test_bits_are_read_some_at_a_time(monkeypatch):
    data = "".join(f"bit_00000100_{i // 32:03}_{i % 32:02}\n" for i in range(9)).encode()
    monkeypatch.setattr(bits, "_LINES_A_TIME", 3)
    assert read_bits(io.BytesIO(data), ADDRESSES).nonzero()[0].tolist() == list(range(9))
    with pytest.raises(BitsError, match="line 10: bits must be in their order"):
        read_bits(io.BytesIO(data + data), ADDRESSES)


GOOD = "bit_00000100_000_00"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bit_00000100_000_0", "must be bit_FRAME_WORD_BIT, not 'bit_00000100_000_0'"),
        ("bit_0000010g_000_01", "must be bit_FRAME_WORD_BIT, not 'bit_0000010g_000_01'"),
        ("bit_00000100_00a_01", "must be bit_FRAME_WORD_BIT, not 'bit_00000100_00a_01'"),
        ("bit_00000100_101_00", "must be bit_FRAME_WORD_BIT, not 'bit_00000100_101_00'"),
        ("bit_00000100_000_32", "must be bit_FRAME_WORD_BIT, not 'bit_00000100_000_32'"),
        ("bit-00000100_000_01", "must be bit_FRAME_WORD_BIT, not 'bit-00000100_000_01'"),
        (GOOD, "bits must be in their order"),
        ("bit_00000104_000_00", "the part has no frame 0x00000104"),
        ("bit_ffffffff_000_00", "the part has no frame 0xFFFFFFFF"),
    ],
)
def test_what_is_no_bit(line, message):
    with pytest.raises(BitsError) as error:
        read_bits(io.BytesIO(f"{GOOD}\n{line}\n".encode()), ADDRESSES)
    assert str(error.value) == f"line 2: {message}"


@given(st.one_of(st.binary(max_size=60), st.text("bit_01\n", max_size=60).map(str.encode)))
def test_any_bytes_are_bits_or_one_line_of_error(data):
    message = ""
    try:
        read_bits(io.BytesIO(data), ADDRESSES)
    except BitsError as error:
        message = str(error)
    assert message.startswith("line ") if data else not message
    assert len(message.splitlines()) <= 1


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return Database(tiny.write(tmp_path_factory.mktemp("prjxray")), PART)


def test_contents_by_hand(database):
    data = "bit_00000100_004_01\nbit_00000100_005_31\nbit_00000101_004_05\nbit_00800001_010_03\n"
    state = read_bits(io.BytesIO(data.encode()), ADDRESSES)
    assert contents(state, database) == {LUT: 1 << 63 | 1 << 1, ROW: 1 << 129}


def test_what_a_fasm_asks_for():
    fasm = f"{LUT}[7:4] = 9\n{LUT}[0]\n{ROW}[255:0] = 0\nCLBLL_L_X0Y1.SLICEL_X0.AFF.ZINI\n"
    assert asked(parse(fasm)) == {LUT: 0x91}


def test_each_faulty_bit_is_named(database):
    wanted = {LUT: 0xF0, ROW: 5}
    fasm = f"{LUT}[63:0] = 64'hF0\n{ROW}[255:0] = 256'h5\n"
    frames = assemble(fasm, database.folder, PART)
    faults = 0
    for row, word in ((0, 4), (0, 5), (6, 10), (7, 17)):
        for bit in (1, 31):
            frames.words[row, word] ^= 1 << bit
            found = contents(read_bits(io.BytesIO(listed(frames)), ADDRESSES), database)
            position = bit + 32 * (word - 4) if row == 0 else 128 * (row - 6) + 16 * (word - 10)
            name = LUT if row == 0 else ROW
            have = wanted[name] ^ 1 << (position if row == 0 else position + bit // 2)
            assert difference(wanted, found) == (
                f"{name} must be 'h{wanted[name]:x}, but the bitstream has 'h{have:x}"
            )
            frames.words[row, word] ^= 1 << bit
            faults += 1
    assert faults == 8
    found = contents(read_bits(io.BytesIO(listed(frames)), ADDRESSES), database)
    assert difference(wanted, found) is None


def test_a_feature_that_is_not_one_bit_an_index_is_refused(tmp_path):
    lut = "CLBLL_L.SLICEL_X0.ALUT.INIT"
    for text, rule in (
        (f"{lut}[0] 00_00 00_01\n", "must be one bit an index"),
        (f"{lut}[0] 00_00\n{lut}[2] 00_02\n", "must be one bit an index"),
        (f"{lut}[0] 00_64\n", "must lie in each tile's own words"),
    ):
        folder = tiny.write(tmp_path, **{"segbits_clbll_l.db": text})
        with pytest.raises(DatabaseError) as error:
            contents(np.zeros(8 * FRAME_BITS, np.bool_), Database(folder, PART))
        assert str(error.value) == f"{lut}: {rule}"


def test_command(database, tmp_path, capsys):
    fasm, file = tmp_path / "x.fasm", tmp_path / "x.bits"
    fasm.write_text(f"{LUT}[63:0] = 64'hF0\n{ROW}[255:0] = 256'h5\n")
    frames = assemble(fasm.read_text(), database.folder, PART)
    options = ["--part", PART, "--database", str(database.folder)]
    options += ["--bits", str(file), "--fasm", str(fasm)]
    file.write_bytes(listed(frames))
    assert bits.main(options) == 0
    assert capsys.readouterr().out == "equal: 1 rows of block RAMs, 1 LUTs\n"
    frames.words[6, 10] ^= 1 << 3
    file.write_bytes(listed(frames))
    assert bits.main(options) == 1
    assert capsys.readouterr().out == (f"different: {ROW} must be 'h5, but the bitstream has 'h7\n")
    for content, message in (
        (b"bit\n", f"{file}: line 1: must be bit_FRAME_WORD_BIT, not 'bit'"),
        (GOOD.encode(), f"{file}: line 1: must end in a newline: the file is cut off"),
        (None, f"{file} must be a readable file: No such file or directory"),
    ):
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SystemExit) as end:
            bits.main(options)
        assert end.value.code == 2
        assert capsys.readouterr().err == f"python -m fpga.bits: error: {message}\n"


def test_contents_of_a_part_come_back_from_its_bitstream(tmp_path):
    tools = installed()
    part = "xc7a35tcsg324-1"
    database = Database(tools.database, part)
    chance = random.Random(1)
    lines = []
    for name in chance.sample(database.tiles(("BRAM_L", "BRAM_R")), 6):
        for half in (0, 1):
            lines += [
                f"{name}.RAMB18_Y{half}.{row}_{i:02X}[255:0] = 256'h{chance.getrandbits(256):X}"
                for row, rows in (("INIT", 64), ("INITP", 8))
                for i in range(rows)
            ]
    for name in chance.sample(database.tiles(("CLBLL_L", "CLBLL_R", "CLBLM_L", "CLBLM_R")), 100):
        slices = ("SLICEM_X0" if "CLBLM" in name else "SLICEL_X0", "SLICEL_X1")
        lines += [
            f"{name}.{of}.{letter}LUT.INIT[63:0] = 64'h{chance.getrandbits(64):X}"
            for of in slices
            for letter in "ABCD"
        ]
    features = parse("\n".join(lines))
    frames = assemble_features(features, database)
    with bits_of(tools, part, frames, tmp_path).open("rb") as stream:
        found = contents(read_bits(stream, database.addresses), database)
    assert len(found) == 6 * 2 * 72 + 100 * 8
    assert difference(asked(features), found) is None
    frames.words[np.flatnonzero(frames.addresses >= 0x800000)[0], 0] ^= 1
    with bits_of(tools, part, frames, tmp_path).open("rb") as stream:
        found = contents(read_bits(stream, database.addresses), database)
    assert "RAMB18_Y0.INIT_00 must be" in difference(asked(features), found)
