# SPDX-License-Identifier: Apache-2.0
"""The command of training: bad input, failures and refusals are one line."""

import json
from unittest import mock

import pytest
import torch

from model import evaluate, train
from model.data import synthetic
from model.journal import LOG
from model.train import DivergenceError

LINE = ["psp_12_1", "--dataset", "synthetic", "--epochs", "3", "--batch-size", "64"]


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (train.main, ["lenet", "--dataset", "synthetic", "--out", "o"], "not 'lenet'"),
        (train.main, ["psp_12_1", "--dataset", "mnist", "--out", "o"], "mnist"),
        (train.main, ["psp_12_1", "--dataset", "imagefolder:a\0b", "--out", "o"],
         "the data set must be one of"),
        (train.main, ["psp_12_1", "--out", "o", "--data", "none"], "scripts.fetch_data"),
        (train.main, ["psp_12_1", "--dataset", "synthetic", "--out", "o", "--resume"],
         "o must hold a run to resume: it has no last.safetensors"),
        (train.main, ["psp_12_1", "--out", "o", "--rate", "nan"],
         "rate must be a number from 0 to 10, not nan"),
        (train.main, ["psp_12_1", "--out", "o", "--epochs", "many"], "invalid int value: 'many'"),
        (train.main, ["psp_12_1"], "the following arguments are required: --out"),
        (evaluate.main, ["none.safetensors"], "must be a readable file"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, main, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert message in told.err
    assert told.err.count("\n") == 1
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("name", [train.LAST, train.FINAL, LOG])
def test_a_run_is_not_overwritten(tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b"a run")
    with pytest.raises(SystemExit) as ended:
        train.main([*LINE, "--out", str(tmp_path)])
    assert ended.value.code == 2
    rule = f"{tmp_path} must hold no other run: resume it, or move it"
    assert capsys.readouterr() == ("", f"python -m model.train: error: {rule}\n")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(name, b"a run")]


def test_resuming_nothing_makes_nothing(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        train.main([*LINE, "--out", str(tmp_path / "run"), "--resume"])
    assert ended.value.code == 2
    assert "must hold a run to resume: it has no last.safetensors" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_help_tells_the_limits_of_integers_in_full():
    text = " ".join(train.options_parser().format_help().split())
    for ends in ("1 to 1048576", "0 to 9223372036854775807", "0 to 0.99999"):
        assert f"; {ends} (default: " in text


def test_a_file_is_no_folder(tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SystemExit) as ended:
        train.main([*LINE, "--out", str(file)])
    assert ended.value.code == 2
    rule = f"--out must be a folder: {file}: Not a directory"
    assert capsys.readouterr() == ("", f"python -m model.train: error: {rule}\n")


def test_a_folder_that_cannot_be_made(capsys):
    with pytest.raises(SystemExit, match="^2$"):
        train.main([*LINE, "--out", "/proc/none"])
    rule = "--out must be a folder: /proc/none: No such file or directory"
    assert capsys.readouterr() == ("", f"python -m model.train: error: {rule}\n")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DivergenceError("the loss must be a number"), "the loss must be a number"),
        (OSError(28, "No space left on device", "o/x"),
         "o/x: No space left on device"),
        (torch.OutOfMemoryError("CUDA out of memory."), "CUDA out of memory."),
    ],
)  # fmt: skip
def test_failures_are_one_line(tmp_path, capsys, error, message):
    with (
        mock.patch.object(train, "load", return_value=synthetic()),
        mock.patch.object(train, "train", side_effect=error),
    ):
        assert train.main([*LINE, "--out", str(tmp_path)]) == 1
    assert capsys.readouterr() == ("", f"python -m model.train: error: {message}\n")


def test_the_result_as_json(tmp_path, capsys):
    arguments = [*LINE, "--epochs", "1", "--out", str(tmp_path), "--json"]
    with mock.patch.object(train, "load", return_value=synthetic()):
        assert train.main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    log = json.loads((tmp_path / LOG).read_text())
    assert found == {"model": "psp_12_1", "accuracy": log["accuracy"], "epochs": 1}
