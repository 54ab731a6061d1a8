# SPDX-License-Identifier: Apache-2.0
"""AxisTile: what lies where in TDATA, as the JSON says it; masks too, which no packet has."""

import json
import random

import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator

from hw import gen
from hw.tile_axis import AxisTile
from hw.tile_params import TileParams

PARAMS = TileParams(rows=5, columns=8, columns_per_adc=2, act_bits=3, pages=3, tables=2,
                    crossbars=2, masks=3)  # fmt: skip
OPTIONS = ["--rows=5", "--columns=8", "--columns-per-adc=2", "--act-bits=3", "--pages=3",
           "--tables=2", "--crossbars=2", "--masks=3", "--wrapper=axis"]  # fmt: skip


def described(capsys, folder, *options):
    assert gen.main(["tile", *OPTIONS, *options, "--out", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_json_tells_streams_in_whole_bytes(capsys, tmp_path):
    description = described(capsys, tmp_path / "o")
    assert description["module"] == "tile_axis"
    assert description["masks"] is None
    ports = {port["name"]: port for port in description["ports"]}
    assert set(description["streams"]) == {
        "activations", "commands", "channels", "outputs", "entries", "program", "masks",
    }  # fmt: skip
    for name, fields in description["streams"].items():
        prefix = "m_axis" if name == "outputs" else "s_axis"
        bits = sum(field["width"] * field["count"] for field in fields)
        assert ports[f"{prefix}_{name}_tdata"]["width"] == -(-bits // 8) * 8
    assert "s_axis_program_tdata" not in {
        port["name"] for port in described(capsys, tmp_path / "p", "--macro=black-box")["ports"]
    }


@pytest.mark.parametrize("name", ["activations", "commands", "channels", "program", "masks"])
def test_each_field_reaches_the_tile(capsys, tmp_path, name):
    fields = described(capsys, tmp_path / "o")["streams"][name]
    dut = AxisTile(params=PARAMS)
    payload = dut.tile.masks if name == "masks" else getattr(dut.tile, name).payload
    valid = payload.valid if name == "masks" else getattr(dut.tile, name).valid
    tdata = getattr(dut, f"s_axis_{name}_tdata")
    values = random.Random(name)

    async def testbench(ctx):
        for offered in (0, 1):
            noise = values.getrandbits(len(tdata))
            ctx.set(tdata, noise)
            ctx.set(getattr(dut, f"s_axis_{name}_tvalid"), offered)
            assert ctx.get(valid) == offered
            for field in fields:
                inner = payload
                for part in field["name"].replace("]", "").replace("[", ".").split("."):
                    inner = inner[int(part) if part.isdigit() else part]
                bits = field["width"] * field["count"]
                wanted = noise >> field["offset"] & ((1 << bits) - 1)
                assert ctx.get(Value.cast(inner).as_unsigned()) == wanted, field

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
