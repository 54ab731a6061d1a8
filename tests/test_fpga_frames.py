# SPDX-License-Identifier: Apache-2.0
"""The frame assembler: frames computed by hand, and random features of real parts."""

import errno
import json
import random
import re

import fpga_database as tiny
import numpy as np
import pytest
from fpga_database import PART, STEPDOWN, bits_of, installed

from fpga import frames
from fpga.bits import read_bits
from fpga.database import Database
from fpga.frames import FrameError, assemble, assemble_features

LUT = "CLBLL_L_X0Y0.SLICEL_X0.ALUT.INIT"
CLB = "CLBLL_L_X0Y0.SLICEL_X0"
RAM = "BRAM_L_X0Y0.RAMB18_Y0"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("prjxray"))


def words(found):
    """Return the words that are not 0, by frame address and word."""
    rows, columns = found.words.nonzero()
    return {
        (int(found.addresses[row]), int(column)): int(found.words[row, column])
        for row, column in zip(rows, columns, strict=True)
    }


@pytest.mark.parametrize(
    ("fasm", "expected"),
    [
        ("", {}),
        (f"{CLB}.AFF.ZINI", {(0x101, 2): 1 << 5}),
        (f"{CLB}.AFF.ZINI[0] = 1", {(0x101, 2): 1 << 5}),
        (f"{CLB}.AFF.ZINI = 0\nNO_TILE.X = 0", {}),
        ("CLBLL_L_X0Y1.SLICEL_X0.AFF.ZINI", {(0x101, 4): 1 << 5}),
        (LUT, {(0x100, 2): 1}),
        (f"{LUT}[33]", {(0x100, 3): 2}),
        (f"{LUT}[63:0] = 64'h8000000100000003", {(0x100, 2): 3, (0x100, 3): 0x80000001}),
        (f"{LUT}[35:30] = 6'b100101", {(0x100, 2): 1 << 30, (0x100, 3): 9}),
        (f"{LUT}[31:0] = 'hF0\n{LUT}[15:0] = 'hFF", {(0x100, 2): 0xFF}),
        (f"{CLB}.SIZE", {(0x103, 2): 1}),
        (f"{CLB}.SIZE[1:0] = 3", {(0x103, 2): 7}),
        (f"{CLB}.SIZE[1:0] = 2", {(0x103, 2): 6}),
        (f"{CLB}.MUX.A", {(0x102, 3): 1 << 8}),
        (f"{CLB}.MUX.NONE", {}),
        (f"{CLB}.MUX.A\n{CLB}.MUX.A[0] # again", {(0x102, 3): 1 << 8}),
        ("INT_L_X0Y0.BYP0.VCC_WIRE\nINT_L_X0Y0.A.B", {}),
        ("CLBLL_L_X0Y0.CLBLL_L_A.CLBLL_LL_A", {}),
        ("LIOB33_SING_X0Y0.IOB_O.IOB_O1\nLIOB33_SING_X0Y0.IOB_T.IOB_T1", {}),
        (f"{RAM}.IN_USE", {(0x102, 19): 1 << 31}),
        (f"{RAM}.INIT_00[255:0] = 256'h80000000000000000000000000000001{'0' * 31}4",
         {(0x800000, 10): 1 << 5, (0x800001, 10): 2, (0x800001, 17): 1 << 31}),
        ("LIOB33_X0Y1.IOB_Y0.PULL", {(0x180, 4): 1}),
        ("LIOB33_X0Y1.IOB_Y1.PULL", {(0x180, 3): 1 << 31}),
        ("LIOB33_SING_X0Y0.IOB_Y0.PULL", {(0x180, 0): 1}),
        ("LIOB33_SING_X0Y3.IOB_Y1.PULL", {(0x180, 100): 1 << 31}),
        ("LIOB33_SING_X0Y3.IOB_Y0.PULL", {(0x180, 100): 1 << 31}),
    ],
)  # fmt: skip
def test_frames_by_hand(database, fasm, expected):
    found = assemble(fasm, database, PART)
    assert found.addresses.tolist() == tiny.ADDRESSES
    assert words(found) == expected


@pytest.mark.parametrize(
    ("pads", "stepped"),
    [
        ("", {(0x181, 4): 1 << 31, (0x180, 3): 1}),
        ("LIOB33_X0Y1.IOB_Y1.PULL", {(0x181, 4): 1 << 31, (0x180, 3): 1 << 31}),
        ("LIOB33_X0Y1.IOB_Y0.PULL = 0", {(0x181, 4): 1 << 31, (0x180, 3): 1}),
        ("LIOB33_X0Y1.IOB_Y0.PULL", {(0x180, 4): 1, (0x180, 3): 1}),
        ("LIOB33_X0Y5.IOB_Y0.PULL", {(0x181, 4): 1 << 31, (0x180, 3): 1, (0x180, 8): 1}),
    ],
)
def test_a_bank_that_steps_down_does_so_in_every_pad_that_is_not_used(database, pads, stepped):
    fasm = f"LIOB33_SING_X0Y0.IOB_Y0.{STEPDOWN}\n{pads}"
    asked = {(0x181, 0): 1 << 31}
    clock_row = {(0x180, 50): 1 << 15, (0x181, 50): 1 << 16}
    assert words(assemble(fasm, database, PART)) == asked | clock_row | stepped


def test_a_bank_that_steps_down_has_a_clock_row(database):
    with pytest.raises(FrameError) as error:
        assemble(f"LIOB33_X0Y5.IOB_Y1.{STEPDOWN}", database, PART)
    assert str(error.value) == "I/O bank 15 must have an HCLK_IOI3 tile"


def test_a_pad_that_is_not_bonded_has_no_bank(database):
    with pytest.raises(FrameError) as error:
        assemble(f"LIOB33_SING_X0Y3.IOB_Y1.{STEPDOWN}", database, PART)
    name = f"LIOB33_SING_X0Y3.IOB_Y1.{STEPDOWN}"
    assert str(error.value) == f"FASM line 1: {name} must belong to a bonded pad"


def test_required_features_are_added(tmp_path):
    folder = tiny.write(tmp_path, **{f"{PART}/required_features.fasm": f"{CLB}.AFF.ZINI\n"})
    assert words(assemble(LUT, folder, PART)) == {(0x100, 2): 1, (0x101, 2): 1 << 5}
    required = f"{CLB}.MUX.A\n"
    tiny.write(tmp_path, **{f"{PART}/required_features.fasm": required})
    with pytest.raises(FrameError, match="required_features.fasm line 1 .* sets, but FASM line 1"):
        assemble(f"{CLB}.MUX.B", folder, PART)


def test_a_conflict_names_both_lines(database):
    fasm = f"{LUT}\n{CLB}.MUX.A\n\n{CLB}.MUX.NONE\n{CLB}.MUX.A\n{CLB}.MUX.NONE"
    with pytest.raises(FrameError) as error:
        assemble(fasm, database, PART, file="top.fasm")
    assert str(error.value) == (
        f"features must agree on each bit: top.fasm line 2 ({CLB}.MUX.A) sets, but "
        f"top.fasm line 4 ({CLB}.MUX.NONE) clears bit 8 of word 3 in frame 0x00000102"
    )


def test_all_unknown_features_are_named(database):
    fasm = f"{LUT}[64]\nCLBLL_L_X9Y9.A\n{CLB}.NO\n{CLB}.SIZE[2:0] = 7\nCLBLL_L_X0Y0\nINT_L_X0Y0.A"
    fasm += f"\n{LUT}[64:63] = 3\nINT_L_X0Y0.A.B[1]"
    with pytest.raises(FrameError) as error:
        assemble(fasm, database, PART)
    assert str(error.value) == (
        f"features must be known to the database, not these 8: {LUT}[64] (FASM line 1), "
        f"CLBLL_L_X9Y9.A (FASM line 2), {CLB}.NO (FASM line 3), {CLB}.SIZE[2] (FASM line 4), "
        f"CLBLL_L_X0Y0 (FASM line 5), INT_L_X0Y0.A (FASM line 6), {LUT}[64] (FASM line 7), "
        "INT_L_X0Y0.A.B[1] (FASM line 8)"
    )
    with pytest.raises(FrameError, match=r"these 25: .* line 20\) and 5 more$"):
        assemble("A.B\n" * 25, database, PART)


@pytest.mark.parametrize(
    "name",
    [f"{CLB}.ABOVE", f"{CLB}.BESIDE", "LIOB33_SING_X0Y0.IOB_Y1.PULL"],
)
def test_bits_outside_the_tile_are_refused(database, name):
    with pytest.raises(FrameError) as error:
        assemble(f"{LUT}\n{name}", database, PART)
    assert str(error.value) == (
        f"FASM line 2: the bits of {name} must be the tile's own, not outside its words and frames"
    )


def test_text_is_as_frames2bit_takes_it(database):
    text = assemble(f"{LUT}[63:0] = 64'hFEDCBA9876543210", database, PART).text().decode()
    zeros = ["0x00000000"] * 101
    first = [*zeros[:2], "0x76543210", "0xFEDCBA98", *zeros[4:]]
    lines = [f"0x{address:08X} {','.join(zeros)}" for address in tiny.ADDRESSES]
    assert text.splitlines() == [f"0x00000100 {','.join(first)}", *lines[1:]]
    assert text.endswith("\n")


def test_command(database, tmp_path, capsys):
    fasm, out = tmp_path / "in.fasm", tmp_path / "out.frames"
    fasm.write_text(LUT)
    options = ["--part", PART, "--database", str(database), str(fasm), "-o", str(out)]
    assert frames.main(options) == 0
    assert out.read_bytes() == assemble(LUT, database, PART).text()
    assert capsys.readouterr() == ("", "")
    fasm.write_text("A.B\n")
    with pytest.raises(SystemExit) as end:
        frames.main(options)
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "python -m fpga.frames: error: features must be known to the database, "
        f"not this one: A.B ({fasm} line 1)\n"
    )
    assert out.read_bytes() == assemble(LUT, database, PART).text()
    with pytest.raises(SystemExit) as end:
        frames.main([*options, "--part", "xc7none"])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(
        "python -m fpga.frames: error: a part must be one of those that have a device in "
        f"{database}/mapping/parts.yaml, not 'xc7none'"
    )


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("none/x", "the output file must be writable: {folder}/none/x: No such file or directory"),
        (".", "the output file must be writable: {folder}: Is a directory"),
        ("in.fasm", "the output must be another file than the input: {folder}/in.fasm"),
    ],
)
def test_an_output_that_cannot_be_is_one_line(database, tmp_path, capsys, out, message):
    fasm = tmp_path / "in.fasm"
    fasm.write_text(LUT)
    options = ["--part", PART, "--database", str(database), str(fasm), "-o", str(tmp_path / out)]
    with pytest.raises(SystemExit, match="^2$"):
        frames.main(options)
    message = message.format(folder=tmp_path)
    assert capsys.readouterr().err == f"python -m fpga.frames: error: {message}\n"
    assert fasm.read_text() == LUT


def test_a_full_disk_is_one_line(database, tmp_path, capsys, monkeypatch):
    def full(file, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(frames, "replace", full)
    (tmp_path / "in.fasm").write_text(LUT)
    options = ["--part", PART, "--database", str(database), str(tmp_path / "in.fasm"), "-o", "x"]
    assert frames.main(options) == 1
    told = "the output file must be writable: x: No space left on device"
    assert capsys.readouterr().err == f"python -m fpga.frames: error: {told}\n"


# Features of every type of tile, against a second reading of the database's files.

PARTS = ["xc7a35tcsg324-1", "xc7a100tcsg324-1", "xc7a200tfbg676-2"]


def drawn(folder, part, seed):
    """Return random features of a part, and the bits that they set or clear by the files."""
    fabric = {"35": "50", "100": "100", "200": "200"}[re.match(r"xc7a(\d+)", part)[1]]
    grid = json.loads((folder / f"xc7a{fabric}t" / "tilegrid.json").read_text())
    chance = random.Random(seed)
    kinds = {}
    for name, entry in grid.items():
        for bits in entry["bits"].values():
            if "alias" not in bits:
                kinds.setdefault(entry["type"], []).append(name)
    chosen, ones, zeros = [], set(), set()
    for kind, names in sorted(kinds.items()):
        lines = []
        for bus, suffix in (("CLB_IO_CLK", ""), ("BLOCK_RAM", ".block_ram")):
            file = folder / f"segbits_{kind.lower()}{suffix}.db"
            lines += [(bus, line) for line in file.read_text().split("\n")] if file.exists() else []
        for bus, line in chance.sample(lines, min(40, len(lines))):
            name = chance.choice(names)
            where = grid[name]["bits"][bus]
            feature, *places = line.split() or [""]
            if not feature or "STEPDOWN" in feature:
                continue
            sets, clears = set(), set()
            for place in places:
                column, bit = map(int, place.lstrip("!").split("_"))
                word, bit = divmod(32 * where["offset"] + bit, 32)
                (clears if place[0] == "!" else sets).add(
                    (int(where["baseaddr"], 16) + column, word, bit)
                )
            if not (sets & zeros or clears & ones):
                ones |= sets
                zeros |= clears
                chosen.append(name + feature[len(kind) :])
    return chosen, ones


@pytest.mark.parametrize("part", PARTS)
def test_random_features_of_a_part(part, tmp_path):
    tools = installed()
    chosen, ones = drawn(tools.database, part, seed=1)
    assert len(chosen) > 500
    found = assemble("\n".join(chosen), tools.database, part)
    assert {
        (address, word, bit)
        for (address, word), value in words(found).items()
        for bit in range(32)
        if value >> bit & 1
    } == ones
    with bits_of(tools, part, found, tmp_path).open("rb") as stream:
        back = read_bits(stream, found.addresses)
    back = back.reshape(-1, 101, 32)
    put = np.unpackbits(found.words.view(np.uint8), bitorder="little").reshape(-1, 101, 32)
    back[:, 50, :13] = put[:, 50, :13] = 0  # the frame's ECC
    assert (back == put).all()


def test_the_frames_of_the_grid_are_the_parts():
    folder = installed().database
    halves = json.loads((folder / PARTS[0] / "part.json").read_text())["global_clock_regions"]
    known = {
        block << 23 | (half == "bottom") << 22 | int(row) << 17 | int(column) << 7 | frame
        for half in halves
        for row, buses in halves[half]["rows"].items()
        for block, bus in enumerate(("CLB_IO_CLK", "BLOCK_RAM"))
        for column, of in buses["configuration_buses"][bus]["configuration_columns"].items()
        for frame in range(of["frame_count"])
    }
    found = assemble_features([], Database(folder, PARTS[0]))
    assert not found.words.any()
    assert (np.diff(found.addresses.astype(np.int64)) > 0).all()
    assert set(found.addresses.tolist()) <= known
