# SPDX-License-Identifier: Apache-2.0
"""The benchmark of executors compares equal logits, and notices when they are not."""

import json

import intnets
import pytest

from model import intnet
from scripts import bench_executor


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    intnet.write(tmp_path / "net", intnets.small("residual"))
    return str(tmp_path / "net")


def test_json_holds_both(folder, capsys):
    assert bench_executor.main([folder, "--rounds", "3", "--batch", "4", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert (found["net"], found["batch"], found["rounds"]) == ("psp_12_2", 4, 3)
    assert list(found["arms"]) == [bench_executor.OURS, bench_executor.RUNTIME]
    for clocks in found["arms"].values():
        assert list(clocks) == ["wall", "processor"]
        for entry in clocks.values():
            assert entry["images_per_s"] == pytest.approx(4e3 / entry["milliseconds"][1])
    assert captured.err.splitlines() == [f"round {number} of 3" for number in (1, 2, 3)]


def test_without_a_folder_it_takes_the_zoos_network(capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert bench_executor.main(["--rounds", "2", "--batch", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["net"] == "psp_64_4"


def test_the_table_has_a_line_an_arm_and_clock(folder, capsys):
    assert bench_executor.main([folder, "--rounds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:34].strip() for line in lines] == [
        "median (quartiles)",
        "model.fast_executor, wall", "model.fast_executor, processor",
        "ONNX Runtime, wall", "ONNX Runtime, processor",
    ]  # fmt: skip
    assert all("1.00 (1.00…1.00)" in line for line in lines[1:3])


def test_ratios_are_within_a_round():
    ours, runtime = [10.0, 40.0, 20.0], [5.0, 10.0, 10.0]
    times = {bench_executor.OURS: {"wall": ours}, bench_executor.RUNTIME: {"wall": runtime}}
    result = bench_executor.summarise(times, 8)
    assert result[bench_executor.RUNTIME]["wall"] == {
        "milliseconds": [7.5, 10.0, 10.0],
        "times_as_fast": [2.0, 2.0, 3.0],
        "images_per_s": 800.0,
    }
    assert result[bench_executor.OURS]["wall"]["images_per_s"] == 400.0


def test_a_difference_ends_with_1(folder, monkeypatch, capsys):
    ours = bench_executor.fast_executor.run

    def wrong(net, images, *, batch):
        logits = ours(net, images, batch=batch)
        logits[1, 2] += 1
        return logits

    monkeypatch.setattr(bench_executor.fast_executor, "run", wrong)
    assert bench_executor.main([folder, "--batch", "2"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"{bench_executor.PROGRAM}: error: logits of ONNX Runtime must be those of "
        "model.fast_executor, 1 of 6 are not\n"
    )


@pytest.mark.parametrize(
    ("arguments", "threads", "message"),
    [
        (["{net}"], "2", "OMP_NUM_THREADS must be 1, not '2'"),
        (["{net}/none"], "1",
         "{net}/none/intnet.json must be a readable file: No such file or directory"),
        (["{net}", "--rounds", "1"], "1",
         "argument --rounds: rounds must be an integer from 2 to 1000, not 1 (see --help)"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(folder, arguments, threads, message, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    with pytest.raises(SystemExit) as caught:
        bench_executor.main([argument.format(net=folder) for argument in arguments])
    assert caught.value.code == 2
    wanted = f"{bench_executor.PROGRAM}: error: {message.format(net=folder)}\n"
    assert capsys.readouterr().err == wanted
