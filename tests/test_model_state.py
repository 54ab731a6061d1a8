# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a run from anywhere: each fault is one line, and the file stays as it was."""

import dataclasses
import json
import pickle
import shutil
from unittest import mock

import pytest
import torch

from model import checkpoint, train
from model.data import synthetic
from model.recipe import Recipe

RECIPE = Recipe(model="psp_12_1", dataset="synthetic", epochs=3, batch_size=64)
LINE = ["psp_12_1", "--dataset", "synthetic", "--epochs", "3", "--batch-size", "64"]


@pytest.fixture(scope="module")
def data():
    return synthetic(train=256, test=64)


@pytest.fixture(scope="module")
def begun(data, tmp_path_factory):
    """The command's run after one epoch."""
    out = tmp_path_factory.mktemp("begun")
    one = dataclasses.replace(RECIPE, epochs=1)
    train.train(one, data, out)
    facts_changed(recipe=dataclasses.asdict(RECIPE))(out / train.LAST)
    return out / train.LAST


def tensors_changed(**changes):
    """Alter tensors by name; None takes one away."""

    def alter(file):
        tensors, facts = checkpoint.read(file)
        for name, value in changes.items():
            tensors[name] = value
        kept = {name: value for name, value in tensors.items() if value is not None}
        checkpoint.write(file, kept, facts)

    return alter


def facts_changed(**changes):
    def alter(file):
        tensors, facts = checkpoint.read(file)
        checkpoint.write(file, tensors, facts | changes)

    return alter


def line_changed(**changes):
    def alter(file):
        tensors, facts = checkpoint.read(file)
        facts["log"][0] |= changes
        checkpoint.write(file, tensors, facts)

    return alter


def bytes_changed(change):
    return lambda file: file.write_bytes(change(file.read_bytes()))


def claiming(shape):
    """Return a file of 200 bytes whose header speaks of a large tensor."""
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * shape[0] * shape[1]]}
    header = json.dumps({"model.x": entry}).encode().ljust(192)
    return len(header).to_bytes(8, "little") + header


NO_FILE = "must be a safetensors file: "
NO_EPOCH = "must be of an epoch from 0 to 3, not "
NO_LOG = "must have a line of log for each epoch"
BIAS = "optimizer.0.1.exp_avg"
HOSTILE = {
    "half": (bytes_changed(lambda data: data[: len(data) // 2]), NO_FILE),
    "a byte short": (bytes_changed(lambda data: data[:-1]), NO_FILE),
    "a byte long": (bytes_changed(lambda data: data + b"x"), NO_FILE),
    "empty": (bytes_changed(lambda data: b""), NO_FILE),
    "pickle": (bytes_changed(lambda data: pickle.dumps({"model": print})), NO_FILE),
    "long header": (bytes_changed(lambda data: (2**40).to_bytes(8, "little") + data), NO_FILE),
    "longest header": (bytes_changed(lambda data: b"\xff" * 8 + data), NO_FILE),
    "large tensor": (bytes_changed(lambda data: claiming([1 << 20, 1 << 20])), NO_FILE),
    "larger tensor": (bytes_changed(lambda data: claiming([1 << 62, 1 << 62])), NO_FILE),
    "folder": (lambda file: (file.unlink(), file.mkdir()), "must be a "),
    "shape": (tensors_changed(**{BIAS: torch.zeros(3)}), f"{BIAS} must be torch.float32 ["),
    "dtype": (tensors_changed(**{"optimizer.0.0.step": torch.ones((), dtype=torch.int64)}),
              "optimizer.0.0.step must be torch.float32 [], not torch.int64 []"),
    "missing slot": (tensors_changed(**{BIAS: None}), f"the checkpoint lacks {BIAS}"),
    "missing weight": (tensors_changed(**{"ema.head.bias": None}),
                       "the checkpoint lacks ema.head.bias"),
    "another slot": (tensors_changed(**{"optimizer.9.0.x": torch.ones(1)}),
                     "the checkpoint has no place for optimizer.9.0.x"),
    "escape": (tensors_changed(**{"model.\x1b[2J": torch.ones(1)}),
               "must name its tensors in at most 200 printable characters"),
    "no recipe": (facts_changed(recipe=None), "a recipe must be an object, not NoneType"),
    "another recipe": (facts_changed(recipe={"model": "psp_24_1"}),
                       "must be of the same recipe: its model is 'psp_24_1', not "),
    "word": (facts_changed(epoch="1"), NO_EPOCH + "'1'"),
    "bool": (facts_changed(epoch=True), NO_EPOCH + "True"),
    "float": (facts_changed(epoch=1.0), NO_EPOCH + "1.0"),
    "negative": (facts_changed(epoch=-1), NO_EPOCH + "-1"),
    "huge": (facts_changed(epoch=10**1000), NO_EPOCH + "1" + "0" * 59),
    "none": (facts_changed(epoch=None), NO_EPOCH + "None"),
    "no log": (facts_changed(log=None), NO_LOG),
    "another epoch": (facts_changed(epoch=2), NO_LOG),
    "log of words": (facts_changed(log=["x"]), NO_LOG),
    "log of nothing": (facts_changed(log=[{}]), NO_LOG),
    "loss a word": (line_changed(loss="1"), NO_LOG),
    "loss NaN": (line_changed(loss=float("nan")), NO_LOG),
    "accuracy": (line_changed(accuracy=2.0), NO_LOG),
    "epoch of a line": (line_changed(epoch=2), NO_LOG),
    "epoch of a line a bool": (line_changed(epoch=True), NO_LOG),
    "foreign key": (line_changed(x=1), NO_LOG),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_checkpoints_are_one_line(begun, data, tmp_path, capsys, case):
    alter, message = HOSTILE[case]
    last = tmp_path / train.LAST
    shutil.copy(begun, last)
    alter(last)
    before = last.read_bytes() if last.is_file() else None
    with (
        mock.patch.object(train, "load", return_value=data),
        pytest.raises(SystemExit) as ended,
    ):
        train.main([*LINE, "--out", str(tmp_path), "--resume"])
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("python -m model.train: error: ")
    assert message in told.err
    assert told.err.count("\n") == 1
    assert len(told.err) < 400
    assert told.err[:-1].isprintable()
    assert [file.name for file in tmp_path.iterdir()] == [train.LAST]
    assert (last.read_bytes() if last.is_file() else None) == before
