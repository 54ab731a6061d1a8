# SPDX-License-Identifier: Apache-2.0
"""A damaged database, or none: one line that names the file and the rule."""

import argparse
import json

import fpga_database as tiny
import pytest
from fpga_database import PART, STEPDOWN

from fpga import database, toolchain
from fpga.frames import FrameError, assemble
from fpga.segbits import DatabaseError

LUT = "CLBLL_L_X0Y0.SLICEL_X0.ALUT.INIT"


def changed(change):
    grid = tiny.grid()
    change(grid["CLBLL_L_X0Y0"]["bits"]["CLB_IO_CLK"])
    return {"fabric/tilegrid.json": json.dumps(grid)}


def test_a_message_quotes_little_of_a_file(tmp_path):
    long = "CLBLL_L.SLICEL_X0.AFF.ZINI " + "9" * 3000
    folder = tiny.write(tmp_path, **{"segbits_clbll_l.db": long})
    with pytest.raises(DatabaseError, match=r"a bit must be FRAME_BIT or !FRAME_BIT, not '9{59}$"):
        assemble("CLBLL_L_X0Y0.SLICEL_X0.AFF.ZINI", folder, PART)
    with pytest.raises(FrameError, match=r"not this one: A\.B{98} \(FASM line 1\)$"):
        assemble("A." + "B" * 3000, folder, PART)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"mapping/parts.yaml": "x:\n  device: y\n"},
         f"parts.yaml, not '{PART}'"),
        ({"mapping/parts.yaml": f"{PART}x:\n  device: y\n"},
         f"parts.yaml, not '{PART}'; the nearest is {PART}x"),
        ({"mapping/devices.yaml": ""}, "devices.yaml, not 'xc7tiny'"),
        ({"mapping/parts.yaml": f"{PART}:\n  device: ../x\n"},
         "a name in the database must be a word of at most 100 letters, not '../x'"),
        ({"mapping/devices.yaml": f"xc7tiny:\n  fabric: {'x' * 101}\n"},
         f"a name in the database must be a word of at most 100 letters, not '{'x' * 59}"),
        ({"fabric/tilegrid.json": "[" * 100000}, "tilegrid.json: must be a JSON object"),
        ({"fabric/tilegrid.json": "[]"}, "tilegrid.json: must be a JSON object"),
        ({"fabric/tilegrid.json": "{}"}, "tilegrid.json: a part must have 1 to 65536 frames"),
        ({"fabric/tilegrid.json": '{"A": 1}'},
         "tilegrid.json: a tile must have bits with baseaddr and frames"),
        (changed(lambda bits: bits.update(frames=2.5)),
         "tilegrid.json: a tile must have bits with baseaddr and frames"),
        (changed(lambda bits: bits.update(frames=129)),
         "tilegrid.json: a column must have 1 to 128 frames: 0x00000100"),
        (changed(lambda bits: bits.update(baseaddr="0x101")),
         "tilegrid.json: a column must have 1 to 128 frames: 0x00000101"),
        (changed(lambda bits: bits.update(offset=100)),
         "tilegrid.json: CLBLL_L_X0Y0 must be a tile with type and bits"),
        (changed(lambda bits: bits.update(offset=1.5)),
         "tilegrid.json: CLBLL_L_X0Y0 must be a tile with type and bits"),
        ({"segbits_clbll_l.db": "CLBLL_L.SLICEL_X0.ALUT.INIT[00] 1"},
         "CLBLL_L.SLICEL_X0.ALUT.INIT: a bit must be FRAME_BIT or !FRAME_BIT, not '1'"),
        ({"segbits_clbll_l.db": "CLBLL_L.SLICEL_X0.ALUT.INIT[0] 128_00"},
         "CLBLL_L.SLICEL_X0.ALUT.INIT: a bit must be within its column and frame"),
        ({"segbits_clbll_l.db": "CLBLL_L.SLICEL_X0.ALUT.INIT[1] 00_3232"},
         "INIT: a bit must be FRAME_BIT or !FRAME_BIT, not '00_3232'"),
        ({"segbits_clbll_l.db": "CLBLL_R.A 00_00"},
         "segbits_clbll_l.db: a line must be CLBLL_L.FEATURE BITS, not 'CLBLL_R.A 00_00'"),
        ({"segbits_clbll_l.db": "CLBLL_L.A 00_00\nCLBLL_L.A[0] 00_01"},
         "segbits_clbll_l.db: a feature must be there once: 'CLBLL_L.A[0] 00_01'"),
        ({"ppips_clbll_l.db": "CLBLL_L.A never"},
         "a line must be CLBLL_L.FEATURE always, default or hint, not 'CLBLL_L.A never'"),
    ],
)  # fmt: skip
def test_a_damaged_database(tmp_path, files, message):
    with pytest.raises(DatabaseError) as error:
        assemble(f"{LUT}[1:0] = 3", tiny.write(tmp_path, **files), PART)
    assert str(error.value).endswith(message)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("part.json", "{}", "iobanks must map banks to places"),
        ("package_pins.csv", "tile,bank\nLIOB33_X0Y1,1\n", "a pin must have bank, site and tile"),
    ],
)
def test_damaged_banks(tmp_path, name, text, message):
    folder = tiny.write(tmp_path, **{f"{PART}/{name}": text})
    assert assemble(LUT, folder, PART).words.sum() == 1
    with pytest.raises(DatabaseError) as error:
        assemble(f"LIOB33_SING_X0Y0.IOB_Y0.{STEPDOWN}", folder, PART)
    assert str(error.value) == f"{folder / PART / name}: {message}"


def told(*arguments):
    command = argparse.ArgumentParser()
    database.add_option(command)
    return database.chosen(command.parse_args(arguments))


def test_a_command_takes_the_toolchains_database_unless_told(tmp_path, monkeypatch):
    tools = toolchain.Toolchain(*(tmp_path / name for name in "abcd"))
    monkeypatch.setattr(toolchain, "find", lambda: tools)
    assert told() == tmp_path / "d"
    assert told("--database", "x").name == "x"


def test_without_a_database_a_command_says_what_helps(monkeypatch):
    def missing():
        raise toolchain.ToolchainError("there is none")

    monkeypatch.setattr(toolchain, "find", missing)
    with pytest.raises(DatabaseError, match="^there is none, or give --database$"):
        told()
