# SPDX-License-Identifier: Apache-2.0
"""`python -m hw.gen tile`: same bytes anywhere, a JSON that is true, one line for bad input."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cosim.tile_scenario import Channel
from hw import gen
from hw.requant import channel_layout
from hw.tile_params import TileParams

ROOT = Path(__file__).parent.parent
SMALL = ["--rows=4", "--columns=8", "--columns-per-adc=2", "--pages=2", "--tables=1"]


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "hw.gen", "tile", *arguments],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("macro", ["stand-in", "black-box"])
def test_same_bytes_in_any_folder(tmp_path, macro):
    outputs = []
    for name in ("a", "deep/er/b"):
        (tmp_path / name).mkdir(parents=True)
        done = run(*SMALL, "--macro", macro, cwd=tmp_path / name)
        assert (done.returncode, done.stderr) == (0, "")
        outputs.append(contents(tmp_path / name))
    assert outputs[0] == outputs[1]
    assert all(str(tmp_path).encode() not in text for text in outputs[0].values())
    files = sorted(Path(name).name for name in outputs[0])
    assert files == ["crossbar_macro.v"] * (macro == "black-box") + ["tile.json", "tile.v"]


def generate(capsys, folder, *options):
    assert gen.main(["tile", *SMALL, *options, "--out", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def verilog_ports(text, module):
    top = re.search(rf"^module {module}\(.*?^endmodule", text, re.DOTALL | re.MULTILINE).group()
    return {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(
            r"^  (input|output) (?:wire )?(?:\[(\d+):0\] )?(\w+)(?:;|,|$)", top, re.MULTILINE
        )
    }


@pytest.mark.parametrize("macro", ["stand-in", "black-box"])
def test_json_tells_the_ports_of_the_verilog(capsys, tmp_path, macro):
    description = generate(capsys, tmp_path / "o", "--macro", macro)
    text = (tmp_path / "o/tile.v").read_text()
    assert description["verilog"]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    ports = {p["name"]: (p["direction"], p["width"]) for p in description["ports"]}
    assert verilog_ports(text, "tile") == ports
    assert ("program__payload" in ports) == (macro == "stand-in")
    for name, fields in description["streams"].items():
        bits = sum(field["width"] * field["count"] for field in fields)
        assert ports[f"{name}__payload"][1] == bits, name


def test_the_black_box_is_declared_and_used(capsys, tmp_path):
    description = generate(capsys, tmp_path / "o", "--macro", "black-box", "--crossbars", "3")
    macro = description["macro"]
    declared = verilog_ports((tmp_path / "o" / macro["file"]).read_text(), macro["module"])
    assert declared == {p["name"]: (p["direction"], p["width"]) for p in macro["ports"]}
    text = (tmp_path / "o/tile.v").read_text()
    assert len(re.findall(r"^  crossbar_macro macro \(", text, re.MULTILINE)) == 3
    for port in declared:
        assert text.count(f"    .{port}(") >= 3


def test_fields_are_where_the_json_says(capsys, tmp_path):
    fields = generate(capsys, tmp_path / "o")["streams"]["channels"]
    values = vars(Channel(bias=-5, k=-7, table=0, sign=-1, exponent=6, offset=-300,
                          fraction_bits=9))  # fmt: skip
    params = TileParams(rows=4, columns=8, columns_per_adc=2, pages=2, tables=1)
    beat = channel_layout(params).const(values).as_bits()
    for field in fields:
        found = beat >> field["offset"] & ((1 << field["width"]) - 1)
        if field["signed"] and found >> (field["width"] - 1):
            found -= 1 << field["width"]
        assert found == values[field["name"]], field


def test_fields_of_masks(capsys, tmp_path):
    assert generate(capsys, tmp_path / "o")["masks"] is None
    found = generate(capsys, tmp_path / "p", "--masks", "3", "--crossbars", "2")["masks"]
    assert {field["name"]: (field["offset"], field["width"]) for field in found} == {
        "valid": (0, 1), "last": (1, 1), "group": (2, 2),
        "rows[0].valid": (4, 1), "rows[0].keep": (5, 1), "rows[0].position": (6, 2),
        "rows[1].valid": (8, 1), "rows[1].keep": (9, 1), "rows[1].position": (10, 2),
    }  # fmt: skip


def test_cycles_and_parameters(capsys, tmp_path):
    description = generate(capsys, tmp_path / "o", "--macro", "stand-in")
    assert description["parameters"]["rows"] == 4
    assert description["parameters"]["analog"] is False
    assert description["derived"]["outputs"] == 2
    assert description["cycles"] == {
        "vectors back to back": "rows + lead + outputs + more_pages*pace + more_vectors*period"
        " + 11",
        "one vector, one page": 4 + 14 + 2 + 11,
        "one page": 16,
    }
    assert description["formulas"]["period"] == "max(rows, pages*pace)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "1"], "argument --rows: rows must be an integer from 2 to 1024, not 1"),
        (["--adc-bits", "x"],
         "argument --adc-bits: adc_bits must be an integer from 1 to 16, not 'x'"),
        (["--columns", "60"], "columns must be a multiple of columns_per_adc 8, not 60"),
        (["--macro", "magic"], "argument --macro: invalid choice: 'magic'"),
        (["--fmap", "16"], "unrecognized arguments: --fmap 16"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, arguments, message):
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"python -m hw.gen tile: error: {message}")
    assert done.stderr.count("\n") == 1
    assert contents(tmp_path) == {}
