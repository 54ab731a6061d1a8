# SPDX-License-Identifier: Apache-2.0
"""The benchmarks of the shift and of the generator: forms that agree, figures of fake clocks."""

import argparse
import itertools
import json
import sys

import pytest
import torch

from model.shift import shift
from scripts import bench_gen, bench_shift

SHAPE = [2, 25, 5, 4]


def test_every_form_is_timed_in_every_layout():
    result = bench_shift.measure(SHAPE, 2)
    assert set(result) == {"NCHW", "channels_last"}
    for forms in result.values():
        assert len(forms) == 6
        assert all(times.keys() == {"forward", "both"} for times in forms.values())
        assert all(value > 0 for times in forms.values() for value in times.values())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("shift", lambda x: shift(x) * 2),
        ("cat_of_pads", lambda x: x + 0),
        # The right output with another gradient.
        ("shift", lambda x: shift(x) + x.detach() - x),
    ],
)
def test_a_form_that_differs_is_not_timed(monkeypatch, name, wrong):
    monkeypatch.setattr(bench_shift, name, wrong)
    with pytest.raises(RuntimeError, match=r" differs from Algorithm 1 in NCHW$"):
        bench_shift.measure(SHAPE, 2)


def test_a_table_shows_ratios_to_ours(capsys):
    times = {"a": {"forward": 4.0, "both": 9.0}, bench_shift.OURS: {"forward": 2.0, "both": 3.0}}
    bench_shift.print_table({"NCHW": times, "channels_last": times})
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["a", *("4.0", "(", "2.0)", "9.0", "(", "3.0)") * 2]
    assert lines[3].count("( 1.0)") == 4


def test_the_command_prints_its_settings(monkeypatch, capsys):
    arguments = ["bench_shift", "--shape", "1,12,3,3", "--rounds", "2", "--json"]
    monkeypatch.setattr(sys, "argv", arguments)
    threads = torch.get_num_threads()
    bench_shift.main()
    torch.set_num_threads(threads)
    found = json.loads(capsys.readouterr().out)
    assert (found["shape"], found["rounds"], found["threads"]) == ([1, 12, 3, 3], 2, 1)
    assert bench_shift.OURS in found["milliseconds"]["NCHW"]


@pytest.mark.parametrize("text", ["1,12,3", "1,11,3,3", "0,12,3,3", "1,12,3,x", "1,5000,3,3"])
def test_a_shape_is_four_sizes(text):
    message = f"shape must be B,C,H,W, each at least 1, C from 12 to 4096, not {text!r}"
    with pytest.raises(argparse.ArgumentTypeError) as error:
        bench_shift.parse_shape(text)
    assert str(error.value) == message
    assert bench_shift.parse_shape("1,12,3,4") == [1, 12, 3, 4]


@pytest.fixture
def clock(monkeypatch):
    """Let processes take 3, 2, 4, 6, 8 seconds in turn, and conversions one."""
    took = itertools.cycle([3.0, 2.0, 4.0, 6.0, 8.0])
    monkeypatch.setattr(bench_gen, "_seconds", lambda command: next(took))
    ticks = itertools.count()
    monkeypatch.setattr(bench_gen.time, "perf_counter", lambda: float(next(ticks)))


def test_the_generator_s_medians_and_ratios(clock, capsys):
    assert bench_gen.main(["--runs", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["import_s"] == 3
    assert found["blocks"]["module 16×16"] == {
        "process_s": 2.0, "conversion_s": 1.0, "process_to_import": 0.67,
    }  # fmt: skip
    assert found["blocks"]["AXI4-Stream 16×16"]["process_s"] == 8
    assert bench_gen.main(["--runs", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "an interpreter that imports Amaranth: 3.00 s",
        "module 16×16       whole process 2.00 s (0.7 times that), conversion 1.00 s",
    ]


def test_a_process_that_fails_is_not_timed():
    assert bench_gen._seconds([sys.executable, "-c", "pass"]) > 0
    with pytest.raises(bench_gen.subprocess.CalledProcessError):
        bench_gen._seconds([sys.executable, "-c", "raise SystemExit(3)"])
