# SPDX-License-Identifier: Apache-2.0
"""A Project X-Ray database of a few tiles, small enough to compute its frames by hand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

PART = "xc7tiny-1"
ADDRESSES = [0x100, 0x101, 0x102, 0x103, 0x180, 0x181, 0x800000, 0x800001]
STEPDOWN = "LVCMOS12_LVCMOS15_LVCMOS18_SSTL135_SSTL15.STEPDOWN"


def tile(kind, base=None, frames=0, offset=0, words=0, bus="CLB_IO_CLK", **alias):
    bits = {"baseaddr": f"0x{base or 0:08X}", "frames": frames, "offset": offset, "words": words}
    if alias:
        bits["alias"] = alias
    return {"type": kind, "bits": {bus: bits} if base else {}, "sites": {}}


def grid():
    """Return two columns of the fabric and one of block RAM."""
    ram = tile("BRAM_L", 0x100, 3, 10, 10)
    ram["bits"] |= tile("BRAM_L", 0x800000, 2, 10, 10, "BLOCK_RAM")["bits"]
    sing = {"type": "LIOB33", "sites": {"IOB33_Y0": "IOB33_Y0"}, "start_offset": 2}
    top = {"type": "LIOB33", "sites": {"IOB33_Y0": "IOB33_Y1"}, "start_offset": 0}
    return {
        "CLBLL_L_X0Y0": tile("CLBLL_L", 0x100, 4, 2, 2),
        "CLBLL_L_X0Y1": tile("CLBLL_L", 0x100, 4, 4, 2),
        "INT_L_X0Y0": tile("INT_L"),
        "BRAM_L_X0Y0": ram,
        "LIOB33_SING_X0Y0": tile("LIOB33_SING", 0x180, 2, 0, 2, **sing),
        "LIOB33_X0Y1": tile("LIOB33", 0x180, 2, 2, 4),
        "LIOB33_X0Y5": tile("LIOB33", 0x180, 2, 6, 4),
        "LIOB33_SING_X0Y3": tile("LIOB33_SING", 0x180, 2, 99, 2, **top),
        "HCLK_IOI3_X1Y2": tile("HCLK_IOI3", 0x180, 2, 50, 1),
    }


def files():
    """Return the database's files, by name."""
    luts = [f"CLBLL_L.SLICEL_X0.ALUT.INIT[{i:02}] 00_{i:02}" for i in range(64)]
    rams = [f"BRAM_L.RAMB18_Y0.INIT_00[{i:03}] 0{i // 128}_{2 * (i % 128) + 1}" for i in range(256)]
    return {
        "mapping/parts.yaml": f"{PART}:\n  device: xc7tiny\n  package: csg1\n",
        "mapping/devices.yaml": '# device to fabric mapping\n"xc7tiny":\n  fabric: "fabric"\n',
        "fabric/tilegrid.json": json.dumps(grid()),
        "segbits_clbll_l.db": "\n".join([
            *luts,
            "CLBLL_L.SLICEL_X0.AFF.ZINI 01_05",
            "CLBLL_L.SLICEL_X0.MUX.A 02_40 !02_41",
            "CLBLL_L.SLICEL_X0.MUX.B !02_40 02_41",
            "CLBLL_L.SLICEL_X0.MUX.NONE !02_40 !02_41",
            "CLBLL_L.SLICEL_X0.SIZE[0] 03_00",
            "CLBLL_L.SLICEL_X0.SIZE[1] 03_01 03_02",
            "CLBLL_L.SLICEL_X0.ABOVE 00_64",
            "CLBLL_L.SLICEL_X0.BESIDE 04_00",
        ]),
        "ppips_clbll_l.db": "CLBLL_L.CLBLL_L_A.CLBLL_LL_A always\n",
        "ppips_int_l.db": "INT_L.BYP0.VCC_WIRE default\nINT_L.A.B hint\n",
        "ppips_liob33.db": "LIOB33.IOB_O.IOB_O1 always\n",
        "ppips_liob33_sing.db": "LIOB33_SING.IOB_T.IOB_T1 hint\n",
        "segbits_bram_l.db": "BRAM_L.RAMB18_Y0.IN_USE 02_319\n",
        "segbits_bram_l.block_ram.db": "\n".join(rams),
        "segbits_liob33.db": "\n".join([
            f"LIOB33.IOB_Y0.{STEPDOWN} 01_95",
            f"LIOB33.IOB_Y1.{STEPDOWN} 00_32",
            "LIOB33.IOB_Y0.PULL 00_64",
            "LIOB33.IOB_Y1.PULL 00_63",
        ]),
        "segbits_hclk_ioi3.db": "HCLK_IOI3.STEPDOWN 00_15 01_16\n",
        f"{PART}/part.json": json.dumps({"iobanks": {"14": "X1Y2"}}),
        f"{PART}/package_pins.csv": (
            "pin,bank,site,tile,pin_function\n"
            "A1,14,IOB_X0Y0,LIOB33_SING_X0Y0,IO_25\nA2,14,IOB_X0Y1,LIOB33_X0Y1,IO_L1N\n"
            "A3,14,IOB_X0Y2,LIOB33_X0Y1,IO_L1P\nA4,0,INIT_B,CFG_X0Y0,INIT\n"
            "A5,15,IOB_X0Y5,LIOB33_X0Y5,IO_L2N\n"
        ),
    }  # fmt: skip


def write(folder, **changes):
    """Write the database with some files changed, by name, and return its folder."""
    for name, text in (files() | {name: text for name, text in changes.items()}).items():
        file = Path(folder, "artix7", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Path(folder, "artix7")


def installed():
    """Return the installed tools, or skip the test and say why."""
    toolchain = pytest.importorskip("fpga.toolchain")
    try:
        return toolchain.find()
    except toolchain.ToolchainError as error:
        pytest.skip(str(error))


def bits_of(tools, part, frames, folder):
    """Make a bitstream of frames and return the file of its bits, through Project X-Ray's tools."""
    yaml = tools.database / part / "part.yaml"
    (folder / "x.frames").write_bytes(frames.text())
    for command in (
        [tools.frames2bit, "--part_file", yaml, "--part_name", part,
         "--frm_file", folder / "x.frames", "--output_file", folder / "x.bit"],
        [tools.bitread, "-part_file", yaml, "-y", "-o", folder / "x.bits", folder / "x.bit"],
    ):  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, env=os.environ)
    return folder / "x.bits"
