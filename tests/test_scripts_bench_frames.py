# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the frame assembler measures what it says."""

import json
import stat

import fpga_database as tiny
import pytest

from fpga.frames import assemble
from scripts import bench_frames
from scripts.bench_frames import Cost, full_design, median, table

LUT = "CLBLL_L_X0Y0.SLICEL_X0.ALUT.INIT"


def test_a_design_is_measured_beside_upstreams_assembler(tmp_path, capsys, monkeypatch):
    folder = tiny.write(tmp_path / "prjxray")
    fasm = tmp_path / "x.fasm"
    fasm.write_text(LUT)
    upstream = tmp_path / "bin" / "fasm2frames"
    upstream.parent.mkdir()
    upstream.write_text('#!/bin/sh\necho "$@" >> "$0.log"\nsleep 0.2\n')
    upstream.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(upstream.parent), prepend=":")
    options = ["--database", str(folder), "--fasm", f"{tiny.PART}={fasm}", "--runs", "1", "--json"]
    assert bench_frames.main(options) == 0
    costs = json.loads(capsys.readouterr().out)[tiny.PART]
    assert list(costs) == ["ours", "fasm2frames"]
    assert costs["ours"]["peak_mb"] > 20
    assert costs["fasm2frames"]["wall_s"] >= 0.2 > costs["fasm2frames"]["cpu_s"]
    calls = (tmp_path / "bin" / "fasm2frames.log").read_text().splitlines()
    assert len(calls) == 2
    assert calls[0].startswith(f"--db-root {folder} --part {tiny.PART} ")


def test_an_assembler_that_fails_is_one_line(tmp_path, capsys):
    fasm = tmp_path / "x.fasm"
    fasm.write_text("A.B")
    folder = tiny.write(tmp_path / "prjxray")
    with pytest.raises(SystemExit) as end:
        bench_frames.main(["--database", str(folder), "--fasm", f"{tiny.PART}={fasm}"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "features must be known to the database, not this one: A.B" in error
    with pytest.raises(SystemExit):
        bench_frames.main(["--database", str(folder), "--fasm", "x"])
    assert "must be PART=FILE, not 'x'" in capsys.readouterr().err


def test_medians_and_ratio():
    costs = [Cost(1, 5, 9), Cost(2, 4, 7), Cost(9, 6, 8)]
    assert median(costs) == Cost(2, 5, 8)
    rows = table({"p": {"ours": Cost(2, 1, 90), "fasm2frames": Cost(30, 4, 800)}}).splitlines()
    assert rows[2:] == [
        "| p | ours | 2.00 | 1.00 | 90 |  |",
        "| p | fasm2frames | 30.00 | 4.00 | 800 | 0.250 |",
    ]


def test_a_full_part_is_one_that_the_assembler_accepts():
    database = tiny.installed().database
    part = bench_frames.PARTS[0]
    lines = list(full_design(database, part))
    assert sum(".INIT" in line for line in lines) == 75 * 2 * (64 + 8) + 4075 * 8
    assert len(lines) - sum(".INIT" in line for line in lines) == 5650 * bench_frames.PIPS
    sample = lines[::50]
    assert assemble("\n".join(sample), database, part).words.any()
