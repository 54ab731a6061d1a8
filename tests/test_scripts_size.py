# SPDX-License-Identifier: Apache-2.0
"""The size table: the RTL keeps within its limits, and the documents show what is stored."""

import copy
import json

import numpy as np
import pytest
from amaranth.sim import Simulator

from fpga.yosys import YosysError
from hw.params import Direction, ShiftParams
from hw.shift import ShiftModule
from model import golden
from scripts import size, size_accelerator, size_shift
from scripts.line_buffer import LineBufferShift
from scripts.netlist import Size

STORED = json.loads(size.BASELINE.read_text())
SHIFT, ACCELERATOR = STORED["shift"], STORED["accelerator"]


def test_the_papers_shape_within_its_limits():
    module = ShiftModule(params=ShiftParams(height=16, width=16, bits=8))
    measured = size_shift.measured(module, delay_ps=None)
    assert measured["lut"] <= 32
    assert measured["ff"] <= 16
    assert measured["carry4"] == 0


@pytest.mark.slow  # two minutes of synthesis each
@pytest.mark.parametrize("part", size.PARTS)
def test_everything_as_stored(part):
    assert size.PARTS[part].compare(size.PARTS[part].measure(), STORED[part]) == []


def test_comparison_notices_each_kind_of_difference():
    assert size_shift.compare(SHIFT, SHIFT) == []
    worse = copy.deepcopy(SHIFT)
    worse["shift_module"]["16x16x8"]["5 ns"]["ff"] += 1
    assert len(size_shift.compare(worse, SHIFT)) == 1
    worse["shift_module"]["16x16x8"]["5 ns"]["ff"] = 17
    assert "at most 16" in size_shift.compare(worse, SHIFT)[-1]
    del worse["shift_module"]["4x4x8"]
    assert any("4x4x8" in line for line in size_shift.compare(worse, SHIFT))


def whole(results, mode="fused"):
    return results["modes"][mode]["whole"]


@pytest.mark.parametrize(
    ("key", "value", "lines"),
    [
        ("lut", 20_801, [": lut 20801, at most 20800", " whole: lut 20801, stored {lut}"]),
        ("ff", 41_601, [": ff 41601, at most 41600", " whole: ff 41601, stored {ff}"]),
        ("block_rams", 51, [": block_rams 51, at most 50"]),
        ("dsp", 1, [": dsp 1, at most 0", " whole: dsp 1, stored 0"]),
        ("ramb36", 27, [": 57 halves of a block RAM, 59 by hw.budget",
                        " whole: ramb36 27, stored 28"]),
    ],
)  # fmt: skip
def test_an_accelerator_too_large_is_noticed(key, value, lines):
    worse = copy.deepcopy(ACCELERATOR)
    whole(worse)[key] = value
    wanted = ["accelerator fused" + line.format(**whole(ACCELERATOR)) for line in lines]
    assert size_accelerator.compare(worse, ACCELERATOR) == wanted


def test_a_block_that_differs_is_noticed():
    assert size_accelerator.compare(ACCELERATOR, ACCELERATOR) == []
    other = copy.deepcopy(ACCELERATOR)
    blocks = other["modes"]["in_place"]["blocks"]
    ff = blocks["accelerator.fetch"]["ff"]
    blocks["accelerator.fetch"]["ff"] += 1
    blocks["accelerator.tile"]["lut"] += 1  # within two per cent
    blocks["accelerator.new"] = blocks.pop("accelerator.writer")
    assert size_accelerator.compare(other, ACCELERATOR) == [
        f"accelerator in_place accelerator.fetch: ff {ff + 1}, stored {ff}",
        "accelerator in_place accelerator.new: on one side only",
        "accelerator in_place accelerator.writer: on one side only",
    ]


def test_blocks_add_up_to_the_whole():
    modules = {
        "design": {"cells": {"a": {"type": "LUT2"}, "t": {"type": "design.tile"},
                             "f": {"type": "design.fetch"}}},
        "design.fetch": {"cells": {"b": {"type": "FDRE"}, "p": {"type": "design.fetch.pixel"}}},
        "design.fetch.pixel": {"cells": {"c": {"type": "LUT6"}}},
        "design.tile": {"cells": {"d": {"type": "CARRY4"}, "r": {"type": "design.tile.requant"}}},
        "design.tile.requant": {"cells": {"e": {"type": "FDRE"}}},
    }  # fmt: skip
    assert size_accelerator.blocks(modules) == {
        "accelerator": Size(lut=1),
        "accelerator.fetch": Size(lut=1, ff=1),
        "accelerator.tile": Size(carry4=1),
        "accelerator.tile.requant": Size(ff=1),
    }


def test_what_is_stored_fits_the_board():
    for mode in ("fused", "in_place"):
        assert whole(ACCELERATOR, mode)["lut"] <= 20_800
        assert whole(ACCELERATOR, mode)["block_rams"] <= 50
        assert whole(ACCELERATOR, mode)["dsp"] == 0


def test_documents_show_the_stored_tables():
    for document, name, table in size.tables(STORED):
        assert f"<!-- {name} -->\n{table}\n<!-- /{name} -->" in document.read_text()


def found(monkeypatch, results):
    """Let the accelerator's synthesis end with these results."""
    monkeypatch.setattr(size_accelerator, "measure", lambda: results)


def test_what_is_as_stored_is_exit_code_0(monkeypatch, capsys):
    found(monkeypatch, ACCELERATOR)
    assert size.main(["--part", "accelerator", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["accelerator"] == ACCELERATOR
    assert shown.err == ""


def test_a_limit_exceeded_is_exit_code_1(monkeypatch, capsys):
    worse = copy.deepcopy(ACCELERATOR)
    whole(worse)["block_rams"] = 51
    found(monkeypatch, worse)
    assert size.main(["--part", "accelerator"]) == 1
    message = "python -m scripts.size: accelerator fused: block_rams 51, at most 50\n"
    assert capsys.readouterr().err == message


def test_an_update_keeps_the_other_part_and_the_limits_hold(monkeypatch, tmp_path, capsys):
    worse = copy.deepcopy(ACCELERATOR)
    whole(worse)["lut"] = 20_801
    found(monkeypatch, worse)
    baseline = tmp_path / "size.json"
    baseline.write_text(size.BASELINE.read_text())
    documents = {tmp_path / path.name: path.read_text() for path, _, _ in size.tables(STORED)}
    for path, text in documents.items():
        path.write_text(text)
    tables = size.tables
    monkeypatch.setattr(size, "BASELINE", baseline)
    monkeypatch.setattr(
        size, "tables", lambda results: [(tmp_path / p.name, n, t) for p, n, t in tables(results)]
    )
    assert size.main(["--part", "accelerator", "--update"]) == 1
    assert "lut 20801, at most 20800" in capsys.readouterr().err
    stored = json.loads(baseline.read_text())
    assert (stored["shift"], stored["accelerator"]) == (SHIFT, worse)
    assert "**20,801**" in (tmp_path / "README.md").read_text()


def test_a_synthesis_that_fails_is_exit_code_1(monkeypatch, capsys):
    def measure():
        raise YosysError("ERROR: no such thing")

    monkeypatch.setattr(size_accelerator, "measure", measure)
    assert size.main(["--part", "accelerator"]) == 1
    assert capsys.readouterr().err == "python -m scripts.size: error: ERROR: no such thing\n"


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (16, 16)])
def test_line_buffer_does_the_same_job(shape):
    # A comparison with a design that computes something else would be worth nothing.
    height, width = shape
    dut = LineBufferShift(params=ShiftParams(height=height, width=width, bits=8))
    maps = np.random.default_rng(5).integers(0, 256, (8, height, width))
    received = []

    async def testbench(ctx):
        ctx.set(dut.enable, 1)
        stream = [*maps.ravel(), *[0] * (width + 1)]
        for step, pixel in enumerate(stream):
            leaving = step - (width + 1)
            ctx.set(dut.pixel_in, int(pixel))
            ctx.set(dut.direction, max(leaving, 0) // (height * width))
            if leaving >= 0:
                received.append(ctx.get(dut.pixel_out))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    expected = np.stack([golden.shift_channel(maps[d], d) for d in Direction.moving()])
    assert np.array_equal(np.reshape(received, maps.shape), expected)
