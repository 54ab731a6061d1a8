# SPDX-License-Identifier: Apache-2.0
"""`python -m hw.gen accelerator`: Verilog, memory images, a JSON that is true; bad input."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from intnets import masked, random_net

from hw import gen, timing
from hw.budget import boards, halves, stores
from hw.gen_accelerator import accelerator_product
from hw.image import build
from hw.lfsr_params import page_seed
from hw.load import beats
from hw.verilog import emit
from model import intnet

ROOT = Path(__file__).parent.parent
TILE = ["--columns=16", "--columns-per-adc=4"]
NET = random_net("sp", 3, width=12, depth=1, side=8, array_rows=12, classes=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("net")
    intnet.write(folder / "net", NET)
    return folder


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "hw.gen", "accelerator", *arguments],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(folder):
    """Both ways to shift, by name: what stdout said, and the files."""
    found = {}
    for mode in ("fused", "in_place"):
        place = folder / mode
        place.mkdir()
        done = run("--intnet", "../net", "--shift", mode, *TILE, cwd=place)
        assert (done.returncode, done.stderr) == (0, "")
        found[mode] = done.stdout, contents(place / "build" / f"accelerator_sp_12_1_{mode}")
    return found


def test_same_bytes_in_any_folder(folder, written, capsys):
    assert gen.main(
        ["accelerator", "--intnet", str(folder / "net"), *TILE, "--out", str(folder / "again")]
    ) == 0  # fmt: skip
    files = contents(folder / "again")
    assert files == written["fused"][1]
    assert sorted(files) == [
        "accelerator.json", "accelerator.v", "affines.hex", "channels.hex", "entries.hex",
        "program.hex",
    ]  # fmt: skip
    assert all(str(folder).encode() not in content for content in files.values())


@pytest.mark.parametrize("mode", ["fused", "in_place"])
def test_the_json_is_true(written, mode):
    stdout, files = written[mode]
    found = json.loads(files["accelerator.json"])
    image = build(NET, columns=16, columns_per_adc=4, mode=mode)
    params = image.params
    cycles = timing.accelerator_cycles(params)
    assert found["cycles"] == {"an image": cycles, "bound": timing.accelerator_bound(params)}
    assert f"cycles: an image {cycles}, bound" in stdout
    layers, passes = found["layer cycles"], found["pass cycles"]
    assert sum(layers.values()) + sum(passes.values()) == cycles
    assert list(passes) == ["body.0.mix"] * (mode == "in_place")
    assert found["intnet"] == {"name": "sp_12_1", "sha256": intnet.digest(NET)}
    verilog = hashlib.sha256(files["accelerator.v"]).hexdigest()
    assert found["verilog"]["sha256"] == verilog
    for stream, values in beats(image).items():
        text = files[f"{stream}.hex"]
        assert [int(line, 16) for line in text.split()] == values
        entry = found["images"][f"{stream}.hex"]
        assert entry == {"beats": len(values), "sha256": hashlib.sha256(text).hexdigest()}


def test_a_masked_network_says_what_is_gated():
    net = masked(NET, 4, lambda layer, tile, group, rows: 4 if layer == 1 else rows)
    product = accelerator_product(net, columns=16, columns_per_adc=4, mode="fused")
    found = json.loads(json.dumps(product.parameters))
    # Three pages of 12 rows for stem and mix, one for the head's three classes.
    assert product.facts["rows"] == {"stored": 84, "gated": 24, "share gated": 0.2857}
    assert found["tile"]["masks"] == 3
    assert found["layers"][1]["masks"][2] == [
        {"positions": 12, "count": 4, "seed": page_seed(12, 1, 0, 2), "taps": 0xC}
    ]
    assert "mask_unit" in emit(product.component, product.module)


def test_nothing_of_masks_is_left_in_a_dense_network(written):
    found = json.loads(written["fused"][1]["accelerator.json"])
    assert found["rows"] == {"stored": 84, "gated": 0, "share gated": 0.0}
    assert b"mask" not in written["fused"][1]["accelerator.v"]


def test_fields_of_a_slot_say_where_a_value_lies(written):
    found = json.loads(written["fused"][1]["accelerator.json"])
    fields = {field["name"]: field for field in found["streams"]["channels"]}
    word = int(written["fused"][1]["channels.hex"].split()[5], 16)

    def value(name):
        field = fields[name]
        bits = word >> field["offset"] & ((1 << field["width"]) - 1)
        return bits - (bits >> field["width"] - 1 << field["width"]) * field["signed"]

    stem = NET.layers[0]
    assert value("slot") == 5
    assert value("content.bias") == stem.bias[5]
    assert value("content.offset") == stem.periphery.affine.offset[5]
    assert value("content.exponent") == stem.periphery.affine.exponent[5]


def test_the_rtl_carries_the_networks_digest(written):
    text = written["fused"][1]["accelerator.v"].decode()
    assert f"  assign digest = 256'h{intnet.digest(NET)};\n" in text


def test_memories_start_with_what_the_streams_would_load(written):
    text = written["fused"][1]["accelerator.v"].decode()
    image = build(NET, columns=16, columns_per_adc=4)
    tables = re.findall(r"^    tables\[\d+\] = 8'h(\w+);$", text, re.MULTILINE)
    assert [int(word, 16) for word in tables] == image.tables.view("u1").ravel().tolist()
    # Two cells a word, the lower bit of all rows first: column 3 of page 0 is the last ADC's first.
    column = image.pages[0, 0, :, 3]
    bits = [*(column & 1), *(column >> 1)]
    word = sum(int(bit) << place for place, bit in enumerate(bits))
    assert f"    lane_3[0] = 24'h{word:06x};\n" in text


def test_block_rams_of_a_network_that_fits_the_smallest_board():
    params = build(random_net("residual", 1, width=64, depth=4, side=32)).params
    found = {name: store.halves for name, store in stores(params).items()}
    # Two maps of 16 KiB; columns of 128 bits for eight ADCs, 8 in each of 37 pages.
    assert found["maps"] == 2 * 4 * 2
    assert found["pages"] == 8 * 4
    assert boards(params)["arty_a7_35t"]["fits"]
    large = build(random_net("residual", 1, width=256, depth=2, side=32)).params
    assert [use["fits"] for use in boards(large).values()] == [False, False, True]


def test_the_shape_that_takes_the_fewest_block_rams():
    assert [halves(8, 2048), halves(8, 2049), halves(8, 4096), halves(8, 0)] == [1, 2, 2, 0]
    assert [halves(72, 512), halves(1, 16384), halves(32, 10)] == [2, 1, 1]
    # Yosys' choice: flip-flops up to 131 bits, or 259 of a word of more than 36.
    assert [halves(1, 131), halves(1, 132), halves(8, 16), halves(8, 17)] == [0, 1, 0, 1]
    assert [halves(64, 4), halves(37, 7), halves(40, 7)] == [0, 0, 2]
    assert [halves(77, 5), halves(80, 5)] == [0, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--intnet", "nowhere"], "nowhere/intnet.json must be a readable file: No such file"),
        (["--intnet", "net", "--columns", "12"], "columns must be a multiple of columns_per_adc"),
        (["--intnet", "net", "--shift", "never"], "argument --shift: invalid choice: 'never'"),
        (["--intnet", "large"], "body.0.mix: rows must be at most the 16 of a crossbar or a mult"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(folder, options, message):
    intnet.write(folder / "large", random_net("sp", 1, width=20, depth=1, side=4, array_rows=16))
    done = run(*options, "--out", "out", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith(f"python -m hw.gen accelerator: error: {message}")
    assert done.stderr.count("\n") == 1
    assert not (folder / "out").exists()
