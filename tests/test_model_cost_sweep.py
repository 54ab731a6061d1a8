# SPDX-License-Identifier: Apache-2.0
"""The sweep over designs: its grid, its journal, its command."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from hw.params import ParameterError
from model.cost import sweep as command
from model.cost import workers
from model.cost.config_file import NAMES, load
from model.cost.front import csv_text, designs, draw, markdown
from model.cost.journal import Journal
from model.cost.space import AXES, Cost, Point, axes, choose, cost, grid, varied
from model.cost.sweep import JOURNAL, main, sweep

BASE = load("date2024_22nm")
VALUES = {
    "width": [64],
    "depth": [4, 8],
    "array": [32, 64],
    "cell_bits": [1, 2],
    "adc_bits": [5, 6, 8],
    "columns_per_adc": [4, 8],
    "shift": ["fused", "lanes"],
}
SMALL = ["--width", "64", "--depth", "4", "8", "--array", "32", "64", "--cell-bits", "1", "2"]
RESULTS = ("points.csv", "front.csv", "front.svg")
A = Point(64, 4, 64, 2, 5, 8, "fused")
B = A._replace(columns_per_adc=4)


def test_the_grid_holds_what_can_be_built():
    assert len(grid(VALUES, BASE)) == 96
    some = grid(VALUES | {"array": [4, 64], "columns_per_adc": [4, 8]}, BASE)
    assert {(point.array, point.columns_per_adc) for point in some} == {(4, 4), (64, 4), (64, 8)}
    backwards = {name: list(reversed(values)) * 2 for name, values in VALUES.items()}
    assert grid(backwards, BASE) == grid(VALUES, BASE)


@pytest.mark.parametrize(
    ("changed", "config", "message"),
    [
        ({"columns_per_adc": [64, 128]}, "date2024_22nm",
         "columns_per_adc must be at most array_columns 32, not 64"),
        ({"cell_bits": [1, 2]}, "twofold",
         "cell_energy_j must have a value for each of the 2 levels of a cell, not 4"),
        ({"array": [32, 48]}, "date2024_22nm",
         "array_rows must be a power of two with the reference mapping, not 48"),
        ({"depth": range(1, 3000)}, "date2024_22nm",
         "the grid must have at most 100,000 points, not 143,952"),
    ],
)  # fmt: skip
def test_what_no_design_can_have_is_told(changed, config, message):
    with pytest.raises(ParameterError) as error:
        grid(VALUES | changed, load(config))
    assert str(error.value) == message


@pytest.mark.parametrize(
    "name", [NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])]
)
def test_each_published_design_is_swept_by_name_alone(name, tmp_path, capsys):
    assert main(["--config", name, "--points", "3", "--out", str(tmp_path)]) == 0
    assert "| psp_" in capsys.readouterr().out
    base = load(name)
    values = axes({}, base)
    own = (base.array_rows, base.cell_bits, base.adc_levels.bit_length() - 1,
           base.columns_per_adc, base.shift)  # fmt: skip
    assert Point(64, 4, *own) in grid({"width": [64], "depth": [4]}, base)
    assert all(set(AXES[field]) <= set(values[field]) for field in Point._fields)
    assert axes({"array": [64, 32, 64]}, base)["array"] == [32, 64]


def test_a_value_that_nobody_asked_for_is_left_out_in_silence():
    small = {"width": [64], "depth": [4], "array": [4]}
    assert {point.columns_per_adc for point in grid(small, BASE)} == {4}
    assert {point.cell_bits for point in grid(small, load("twofold"))} == {2}
    odd = dataclasses.replace(BASE, array_columns=16, adc_levels=48, mapping="array")
    assert axes({}, odd) == axes({}, BASE)
    with pytest.raises(ParameterError) as error:
        grid(small | {"columns_per_adc": [8, 16]}, BASE)
    assert str(error.value) == "columns_per_adc must be at most array_columns 4, not 8"
    three = dataclasses.replace(load("twofold"), cell_bits=3, cell_energy_j=(1e-13,) * 8)
    assert {point.cell_bits for point in grid(small, three)} == {3}


def test_what_a_sweep_does_not_move_is_told(tmp_path, capsys):
    small = ["--width", "64", "--depth", "4", "--points", "30", "--config", "integer_only"]
    assert main([*small, "--adc-bits", "6", "8", "--out", str(tmp_path / "a")]) == 0
    *notes, end = capsys.readouterr().err.splitlines()
    assert re.fullmatch(rf"\d+ designs, \d+ on the front of their network: .*; {tmp_path}/.*", end)
    assert b"max-width: 100%" in next(tmp_path.rglob("front.svg")).read_bytes()
    energy = "adc_levels and array_rows do not move the energy of a conversion: adc_energy_j"
    clock = "adc_levels, array_rows and columns_per_adc do not move the clock: clock_hz"
    assert notes == [
        f"python -m model.cost.sweep: note: {line} states it" for line in (energy, clock)
    ]
    one = ["--adc-bits", "6", "--array", "64", "--columns-per-adc", "8"]
    assert main([*small, *one, "--out", str(tmp_path / "b")]) == 0
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert varied([A, B]) == {"columns_per_adc"}
    assert varied([A, A._replace(array=32, width=128)]) == {"array_rows", "array_columns"}


def test_points_are_chosen_by_the_seed():
    points = grid(VALUES, BASE)
    assert choose(points, 10, 0) == choose(points, 10, 0) != choose(points, 10, 1)
    assert choose(points, 20, 0)[:10] == choose(points, 10, 0)
    assert sorted(choose(points, 1000, 0)) == points


def test_a_journal_gives_back_what_was_stored(tmp_path):
    file = tmp_path / JOURNAL
    costs = {A: cost(A, BASE), B: cost(B, BASE)}
    assert costs[A].energy != costs[B].energy
    journal = Journal(file, BASE)
    for point, value in costs.items():
        journal.append(point, value)
    assert journal.read() == costs
    assert Journal(file, BASE).read() == costs


def test_what_is_stored_is_not_simulated_again(tmp_path, monkeypatch):
    points = grid(VALUES, BASE)
    simulated = []
    for module in (command, workers):
        monkeypatch.setattr(
            module, "cost", lambda point, base: simulated.append(point) or cost(point, base)
        )
    first = sweep(points[:30], BASE, tmp_path / JOURNAL)
    again = sweep(points, BASE, tmp_path / JOURNAL)
    assert len(simulated) == len(points) + 1  # one is checked
    assert set(points) == set(again)
    assert first.items() <= again.items()


def test_a_line_cut_short_is_dropped(tmp_path):
    file = tmp_path / JOURNAL
    points = grid(VALUES, BASE)
    whole = sweep(points[:40], BASE, file)
    lines = file.read_bytes().splitlines(keepends=True)
    assert b"distributions" in lines[-1]
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][:50])
    assert len(Journal(file, BASE).read()) == 39
    assert sweep(points[:40], BASE, file) == whole


def test_a_journal_of_something_else_is_refused(tmp_path):
    file = tmp_path / JOURNAL
    Journal(file, BASE).append(A, cost(A, BASE))
    other = dataclasses.replace(BASE, node_nm=32)
    with pytest.raises(ParameterError, match=r"journal\.log must be of a sweep with the same --c"):
        Journal(file, other)
    changed = tmp_path / "changed"
    Journal(changed, BASE).append(A, Cost(1.0, 2.0, 3.0))
    with pytest.raises(ParameterError, match=r"changed must be of this version of the cost model"):
        sweep([A], BASE, changed)
    nan = tmp_path / "negative"
    Journal(nan, BASE).append(A, Cost(-1.0, 2.0, 3.0))
    with pytest.raises(ParameterError, match=r"negative must be the journal of a sweep: 'trial 0"):
        sweep([A], BASE, nan)
    text = nan.read_text()
    rule = r"negative must be the journal of a sweep: "
    for other in ('"1"', "null", "[]"):
        assert "-1.0" in text
        nan.write_text(text.replace("-1.0", other))
        with pytest.raises(ParameterError, match=rule + ".{1,200}$"):
            sweep([A], BASE, nan)
    assert '"width":64.0' in text
    nan.write_text(text.replace('"width":64.0', '"width":1e999'))
    with pytest.raises(ParameterError, match=rule + "OverflowError"):
        sweep([A], BASE, nan)
    nan.write_bytes(b"{" + b"\xff" * 9000 + b"\n")
    with pytest.raises(ParameterError, match=rule + ".{200}$"):
        Journal(nan, BASE)


@pytest.mark.parametrize(
    "content",
    [b"x\n", b"{}\n", b"[]\n", b'{"op_code": 4}\n', b"\xff\n" * 9, bytes(range(1, 250)) * 9],
)
def test_a_journal_that_is_none_is_one_line(tmp_path, content, capsys):
    (tmp_path / JOURNAL).write_bytes(content)
    with pytest.raises(SystemExit) as error:
        main([*SMALL, "--points", "3", "--out", str(tmp_path), "--resume"])
    assert error.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "must be the journal of a sweep" in told
    assert len(told) < 150 + len(str(tmp_path))


def run(out, *more):
    assert main([*SMALL, "--points", "60", "--out", str(out), *more]) == 0
    return [(out / name).read_bytes() for name in RESULTS]


def test_resumed_equals_one_go(tmp_path, capsys):
    whole = run(tmp_path / "whole")
    text = capsys.readouterr().out
    assert main([*SMALL, "--points", "25", "--out", str(tmp_path / "parts")]) == 0
    capsys.readouterr()
    assert run(tmp_path / "parts", "--resume") == whole
    assert capsys.readouterr().out == text
    assert run(tmp_path / "other", "--seed", "1") != whole


def test_processes_lose_nothing(tmp_path):
    whole = run(tmp_path / "one")
    assert run(tmp_path / "two", "--jobs", "2") == whole
    stored = (tmp_path / "two" / JOURNAL).read_text().splitlines()
    points = [json.loads(line) for line in stored if "distributions" in line]
    assert len(points) == 60


def test_a_killed_sweep_goes_on(tmp_path):
    whole = run(tmp_path / "whole")
    out = tmp_path / "killed"
    arguments = [sys.executable, "-m", "model.cost.sweep", *SMALL, "--points", "60"]
    process = subprocess.Popen(
        [*arguments, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        file = out / JOURNAL
        if file.exists() and file.stat().st_size > 3000:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.001)
    process.wait()
    # A lock that died with its process is broken after half a minute; here at once.
    (out / f"{JOURNAL}.lock").unlink(missing_ok=True)
    assert run(out, "--resume") == whole


def test_the_command_s_errors(tmp_path, capsys):
    out = str(tmp_path / "out")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    run(tmp_path / "done")
    done = tmp_path / "done"
    cases = {
        ("--array", "48"): "array_rows must be a power of two with the reference mapping, not 48",
        ("--width", "5"): "width must be an integer from 12 to 4096, not 5",
        ("--cell-bits", "9"): "cell-bits must be an integer from 1 to 8, not 9",
        ("--config", "date2042"): "; the nearest is date2024",
        ("--points", "6_4"): "points must be an integer from 1 to 1000000, not '6_4'",
        ("--points", "٦٤"): "points must be an integer from 1 to 1000000, not '٦٤'",
        ("--out", "/proc/foo"): "the output folder must be writable: /proc/foo: ",
        ("--points", "0"): "points must be an integer from 1 to 1000000, not 0",
        ("--points", "9", "--grid"): "not allowed with argument",
        ("--shift", "up"): "invalid choice: 'up'",
        ("--resume",): f"{tmp_path}/out/journal.log must be there to go on from it",
        ("--out", str(done)): f"{done}/journal.log must be new, or go on with --resume",
        ("--out", str(tmp_path / "taken")): "the output folder must be new, empty or hold",
    }
    capsys.readouterr()
    for arguments, message in cases.items():
        with pytest.raises(SystemExit) as error:
            main(["--out", out, *arguments])
        assert error.value.code == 2
        told = capsys.readouterr().err
        assert told.startswith("python -m model.cost.sweep: error: ")
        assert message in told
        assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_optuna_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SystemExit):
        main(["--points", "3", "--out", str(tmp_path)])
    assert capsys.readouterr().err == (
        "python -m model.cost.sweep: error: "
        "optuna must be installed to sweep: pip install 'shiftbar[sweep]'\n"
    )


def test_importing_it_needs_neither_optuna_nor_matplotlib():
    code = (
        "import sys, model.cost.sweep; print({'optuna', 'matplotlib', 'rich'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_the_front_as_json_table_and_picture(tmp_path, capsys):
    run(tmp_path / "out", "--json")
    rows = json.loads(capsys.readouterr().out)
    assert len((tmp_path / "out/front.csv").read_text().splitlines()) == len(rows) + 1
    found = designs({A: Cost(1e-6, 2e-3, 3e-6), B: Cost(2e-6, 1e-3, 3e-6)}, BASE, {})
    assert markdown(found).splitlines()[2:] == [
        "| psp_64_4 | 64×64 | 2 | 5 | 4 | fused | 2.000 | 1.000 | 3.000 | saturates | – |",
        "| psp_64_4 | 64×64 | 2 | 5 | 8 | fused | 1.000 | 2.000 | 3.000 | saturates | – |",
    ]
    head, first, _ = csv_text(found).splitlines()
    assert head.split(",")[:8] == ["network", *Point._fields]
    assert head.split(",")[8:] == ["energy_uj", "latency_ms", "area_mm2", "lossless", "accuracy"]
    assert first == "psp_64_4,64,4,64,2,5,4,fused,2,1,3,False,"
    picture = draw(found, found, "two designs")
    assert picture == draw(found, found, "two designs") != draw(found, found[:1], "two designs")
    assert b"psp_64_4" in picture
    assert b"accuracy known" not in picture
    known = [each._replace(accuracy=88.0) for each in found]
    assert b"accuracy known" in draw(known, known, "two designs")
