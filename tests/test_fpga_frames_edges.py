# SPDX-License-Identifier: Apache-2.0
"""The frame assembler at its edges: every byte, widths that fill no byte, tiles that lack a bus."""

import dataclasses
import json

import fpga_database as tiny
import numpy as np
import pytest
from fpga_database import PART

from fpga import frames
from fpga.frames import FrameError, Frames, assemble

NINE = "CLBLL_L_X0Y0.NINE"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Return a database with a feature of nine bits, and a block RAM whose contents lie nowhere."""
    grid = tiny.grid()
    grid["BRAM_L_X9Y9"] = tiny.tile("BRAM_L", 0x100, 3, 30, 10)
    nine = "\n".join(f"CLBLL_L.NINE[{index}] 03_{10 + index}" for index in range(9))
    return tiny.write(
        tmp_path_factory.mktemp("prjxray"),
        **{
            "fabric/tilegrid.json": json.dumps(grid),
            "segbits_clbll_l.db": f"{tiny.files()['segbits_clbll_l.db']}\n{nine}\n",
        },
    )


def test_every_byte_has_its_digits():
    words = np.zeros((2, 101), np.uint32)
    words[0, :64] = np.arange(256, dtype=np.uint8).view("<u4")
    words[1, 100] = 0xFFFFFFFF
    addresses = np.array([0xFFFE0100, 0xFFFFFFFF], np.uint32)
    assert Frames(addresses, words).text().decode() == "".join(
        f"0x{address:08X} {','.join(f'0x{word:08X}' for word in row)}\n"
        for address, row in zip(addresses, words, strict=True)
    )


def test_frames_are_fixed_and_equal_to_none_but_themselves(database):
    first, second = (assemble("", database, PART) for _ in range(2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.words = second.words
    assert first == first
    assert first != second
    assert len({first, second}) == 2


@pytest.mark.parametrize("value", [0x100, 0x1FF, 0x081])
def test_a_width_that_fills_no_byte(database, value):
    found = assemble(f"{NINE}[8:0] = 9'h{value:X}", database, PART)
    row = found.addresses.tolist().index(0x103)
    assert found.words[row, 2] == value << 10
    assert np.count_nonzero(found.words) == 1


def test_a_tile_that_lacks_a_bus_has_none_of_its_bits(database):
    name = "BRAM_L_X9Y9.RAMB18_Y0.INIT_00"
    assert assemble("BRAM_L_X9Y9.RAMB18_Y0.IN_USE", database, PART).words.any()
    with pytest.raises(FrameError) as error:
        assemble(f"{name}[255:0] = 256'h3", database, PART)
    assert str(error.value) == (
        f"FASM line 1: the bits of {name} must be the tile's own, not outside its words and frames"
    )


def changed(folder, **files):
    """Write the tiny database with one text replaced by another in some files."""
    known = tiny.files()
    return tiny.write(folder, **{name: known[name].replace(*pair) for name, pair in files.items()})


def test_a_pad_that_its_tile_calls_otherwise_has_a_bank(tmp_path):
    pins = ("A5,15", "A6,14,IOB_X0Y3,LIOB33_SING_X0Y3,IO_0\nA5,15")
    folder = changed(tmp_path, **{f"{PART}/package_pins.csv": pins})
    # IOB_Y0 of the tile is IOB_Y1 of its type, whose bit 32 is bit 0 of word 99 + 1.
    asked = assemble(f"LIOB33_SING_X0Y3.IOB_Y0.{tiny.STEPDOWN}", folder, PART)
    row = asked.addresses.tolist().index(0x180)
    assert asked.words[row, 100] == 1
    # Pads of the bank that are not used step down, too: here that one.
    added = assemble(f"LIOB33_SING_X0Y0.IOB_Y0.{tiny.STEPDOWN}", folder, PART)
    assert added.words[row, 100] == 1


def test_a_pad_of_no_tile_is_unknown(database):
    with pytest.raises(FrameError) as error:
        assemble("NO_IOB33_X9Y9.IOB_Y0.PULL", database, PART)
    assert str(error.value) == (
        "features must be known to the database, not this one: "
        "NO_IOB33_X9Y9.IOB_Y0.PULL (FASM line 1)"
    )


def test_what_the_rule_of_banks_adds_is_named_after_it(tmp_path):
    folder = changed(tmp_path, **{"segbits_hclk_ioi3.db": ("STEPDOWN", "OTHER")})
    with pytest.raises(FrameError) as error:
        assemble(f"LIOB33_SING_X0Y0.IOB_Y0.{tiny.STEPDOWN}", folder, PART)
    assert str(error.value) == (
        "features must be known to the database, not this one: "
        "HCLK_IOI3_X1Y2.STEPDOWN (the rule of I/O bank 14)"
    )


@pytest.mark.parametrize(
    ("count", "what", "end"),
    [
        (1, "this one", ""),
        (2, "these 2", ""),
        (20, "these 20", ""),
        (21, "these 21", " and 1 more"),
    ],
)
def test_twenty_unknown_features_are_shown(database, count, what, end):
    with pytest.raises(FrameError) as error:
        assemble("A.B\n" * count, database, PART)
    shown = ", ".join(f"A.B (FASM line {line})" for line in range(1, min(count, 20) + 1))
    assert str(error.value) == f"features must be known to the database, not {what}: {shown}{end}"


def test_a_conflict_far_up_a_frame_names_its_word(tmp_path):
    more = "HCLK_IOI3.ON 00_20\nHCLK_IOI3.OFF !00_20\nHCLK_IOI3.STEPDOWN"
    folder = changed(tmp_path, **{"segbits_hclk_ioi3.db": ("HCLK_IOI3.STEPDOWN", more)})
    with pytest.raises(FrameError, match=" clears bit 20 of word 50 in frame 0x00000180$"):
        assemble("HCLK_IOI3_X1Y2.ON\nHCLK_IOI3_X1Y2.OFF", folder, PART)


def test_help_says_what_must_be_given(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="^0$"):
        frames.main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "usage: python -m fpga.frames [-h] --part PART [--database DIR] -o OUT.frames IN.fasm"
    )
    assert "FASM to frames, for xc7frames2bit." in lines
    assert "  --part PART" in [
        line[:13] for line in lines if line.endswith("  such as xc7a35tcsg324-1")
    ]
