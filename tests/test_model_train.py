# SPDX-License-Identifier: Apache-2.0
"""Training: resumed is equal to uninterrupted, and bad input is one line."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from model import checkpoint, evaluate, train
from model.data import synthetic
from model.journal import LOG
from model.recipe import Recipe
from model.train import DivergenceError

ROOT = Path(__file__).parent.parent
RECIPE = Recipe(model="psp_12_1", dataset="synthetic", epochs=3, batch_size=64)


@pytest.fixture(scope="module")
def data():
    return synthetic()


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run from beginning to end."""
    out = tmp_path_factory.mktemp("whole")
    train.train(RECIPE, data, out)
    return out


def weights(out):
    return checkpoint.read(out / train.FINAL)[0]


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns(whole, data):
    log = [json.loads(line) for line in (whole / LOG).read_text().splitlines()]
    assert [line["epoch"] for line in log] == [1, 2, 3]
    assert log[-1]["loss"] < log[0]["loss"]
    assert log[-1]["accuracy"] > 2 / data.num_classes


def test_resumed_equals_uninterrupted(whole, data, tmp_path, monkeypatch):
    def stop_after_two(state, *arguments, inner=train.run_epoch):
        if state.epoch == 2:
            raise KeyboardInterrupt
        return inner(state, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(train, "run_epoch", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            train.train(RECIPE, data, tmp_path)
    train.train(RECIPE, data, tmp_path, resume=True)
    assert equal(weights(tmp_path), weights(whole))


def test_another_seed_gives_other_weights(whole, data, tmp_path):
    train.train(dataclasses.replace(RECIPE, seed=1), data, tmp_path)
    assert not equal(weights(tmp_path), weights(whole))


def test_resume_refuses_another_recipe(whole, data):
    other = dataclasses.replace(RECIPE, rate=0.02)
    with pytest.raises(checkpoint.CheckpointError, match="must be of the same recipe"):
        train.train(other, data, whole, resume=True)


def explode(model):
    with torch.no_grad():
        model.head.weight.fill_(float("inf"))
    return model


def test_divergence_is_told_and_the_last_checkpoint_kept(data, tmp_path):
    with pytest.raises(DivergenceError, match="^the loss of epoch 1 must be a number, not nan$"):
        train.train(RECIPE, data, tmp_path, prepare=explode)
    assert [file.name for file in tmp_path.iterdir()] == [train.LAST]
    assert checkpoint.read(tmp_path / train.LAST)[1]["epoch"] == 0


def command(*arguments):
    return [sys.executable, "-m", *map(str, arguments)]


def environment():
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


LINE = ["model.train", "psp_12_1", "--dataset", "synthetic", "--epochs", "3", "--batch-size", "64"]


@pytest.mark.slow  # ten starts of an interpreter with torch
def test_killed_at_any_moment_and_resumed(whole, tmp_path):
    for attempt in range(10):
        resume = ["--resume"] if (tmp_path / train.LAST).exists() else []
        process = subprocess.Popen(
            command(*LINE, "--out", tmp_path, *resume),
            env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(2.0 + 0.37 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
    resume = ["--resume"] if (tmp_path / train.LAST).exists() else []
    subprocess.run(command(*LINE, "--out", tmp_path, *resume), env=environment(), check=True)
    assert equal(weights(tmp_path), weights(whole))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.train", "lenet", "--dataset", "synthetic", "--out", "o"], "not 'lenet'"),
        (["model.train", "psp_12_1", "--dataset", "mnist", "--out", "o"], "mnist"),
        (["model.train", "psp_12_1", "--out", "o", "--data", "none"], "scripts.fetch_data"),
        (["model.train", "psp_12_1", "--dataset", "synthetic", "--out", "o", "--resume"],
         "must be a readable file"),
        (["model.evaluate", "none.safetensors"], "must be a readable file"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(tmp_path, arguments, message):
    done = subprocess.run(
        command(*arguments), cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_evaluate_agrees_with_the_log(whole, capsys):
    assert evaluate.main([str(whole / train.FINAL), "--json"]) == 0
    last = json.loads((whole / LOG).read_text().splitlines()[-1])
    assert json.loads(capsys.readouterr().out)["accuracy"] == last["accuracy"]
