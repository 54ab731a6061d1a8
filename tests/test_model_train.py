# SPDX-License-Identifier: Apache-2.0
"""Training: resumed is equal to uninterrupted, killed at any moment too."""

import dataclasses
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest
import torch
from interrupts import stopped_at
from torch import nn

from hw.params import ParameterError
from model import checkpoint, evaluate, train
from model.data import synthetic
from model.journal import LOG
from model.recipe import Recipe
from model.state import State
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


@pytest.fixture(scope="module")
def small():
    """Eight steps an epoch."""
    return synthetic(train=512, test=128, image_size=16)


def with_wide_kernels(_):
    """Stand in for the network: kernels of 3 x 3, whose memory format matters."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.GELU(),
        nn.Conv2d(8, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("optimizer", "precision", "prepare"),
    [
        ("muon", "bf16", None),
        ("muon", "float32", with_wide_kernels),
        ("adamw", "bf16", with_wide_kernels),
        ("adamw", "float32", None),
    ],
)
def test_resumed_equals_uninterrupted(small, tmp_path, optimizer, precision, prepare):
    recipe = dataclasses.replace(RECIPE, epochs=2, optimizer=optimizer, precision=precision)
    for name in ("whole", "resumed"):
        (tmp_path / name).mkdir()
    train.train(recipe, small, tmp_path / "whole", prepare=prepare)
    for epoch, resume in ((0, False), (1, True)):  # 0: from before the first step
        with stopped_at(epoch), pytest.raises(KeyboardInterrupt):
            train.train(recipe, small, tmp_path / "resumed", resume=resume, prepare=prepare)
        assert checkpoint.read(tmp_path / "resumed" / train.LAST)[1]["epoch"] == epoch
    train.train(recipe, small, tmp_path / "resumed", resume=True, prepare=prepare)
    # The same bytes: weights, recipe and curve, in another folder.
    whole, resumed = ((tmp_path / name / train.FINAL).read_bytes() for name in ("whole", "resumed"))
    assert whole == resumed
    ours, theirs = (checkpoint.read(tmp_path / n / train.LAST)[0] for n in ("whole", "resumed"))
    assert equal(ours, theirs)


def test_state_that_is_not_restored_would_be_noticed(small, tmp_path):
    with stopped_at(2), pytest.raises(KeyboardInterrupt):
        train.train(RECIPE, small, tmp_path)
    for name in ("right", "wrong"):
        shutil.copytree(tmp_path, tmp_path / name, ignore=shutil.ignore_patterns("right", "wrong"))
    train.train(RECIPE, small, tmp_path / "right", resume=True)
    with mock.patch.object(State, "_slots", return_value=()):
        tensors, facts = checkpoint.read(tmp_path / "wrong" / train.LAST)
        kept = {name: value for name, value in tensors.items() if "optimizer" not in name}
        checkpoint.write(tmp_path / "wrong" / train.LAST, kept, facts)
        train.train(RECIPE, small, tmp_path / "wrong", resume=True)
    assert not equal(weights(tmp_path / "right"), weights(tmp_path / "wrong"))


def test_a_finished_run_resumes_to_itself(small, tmp_path):
    train.train(RECIPE, small, tmp_path)
    files = {file: file.read_bytes() for file in tmp_path.iterdir()}
    (tmp_path / LOG).unlink()  # as if killed just before writing it
    train.train(RECIPE, small, tmp_path, resume=True)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == files


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


def test_weights_that_break_in_the_last_step_are_not_kept(small, tmp_path):
    calls = []

    def broken_last(parameters, limit):
        calls.append(limit)
        if len(calls) == 16:  # the last of two epochs: no loss will see what it does
            next(iter(parameters)).grad.fill_(float("nan"))

    rule = "^the weights after epoch 2 must be numbers$"
    with (
        mock.patch.object(train.nn.utils, "clip_grad_norm_", broken_last),
        pytest.raises(DivergenceError, match=rule),
    ):
        train.train(dataclasses.replace(RECIPE, epochs=2), small, tmp_path)
    tensors, facts = checkpoint.read(tmp_path / train.LAST)
    assert facts["epoch"] == 1
    assert all(value.isfinite().all() for value in tensors.values())
    assert not (tmp_path / train.FINAL).exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 513}, "batch_size must be an integer from 1 to 512, not 513"),
        ({"translate": 16}, "translate must be less than the image's side 16, not 16"),
        ({"patch_size": 3}, "image_size must be a multiple of patch_size 3, not 16"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_written(small, tmp_path, fields, message):
    with pytest.raises(ParameterError, match=f"^{message}$"):
        train.train(dataclasses.replace(RECIPE, **fields), small, tmp_path)
    assert list(tmp_path.iterdir()) == []


# PyTorch's compiler itself instantiates autograd functions and imports torch.jit, and both warn.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
def test_compiled_trains_as_eager(small, tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=1, precision="float32", optimizer="adamw")
    logs = []
    for compiled in (False, True):
        (tmp_path / str(compiled)).mkdir()
        state = train.train(recipe, small, tmp_path / str(compiled), compiled=compiled)
        logs.append(state.log[-1]["loss"])
    assert logs[1] == pytest.approx(logs[0], abs=1e-4)
    assert weights(tmp_path / "True").keys() == weights(tmp_path / "False").keys()


def command(*arguments):
    return [sys.executable, "-m", *map(str, arguments)]


def environment():
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


LINE = ["model.train", "psp_12_1", "--dataset", "synthetic", "--epochs", "3", "--batch-size", "64"]


@pytest.mark.slow  # ten starts of an interpreter with torch
def test_killed_at_any_moment_and_resumed(data, tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=14)
    (tmp_path / "whole").mkdir()
    train.train(recipe, data, tmp_path / "whole")
    line = command(*LINE, "--epochs", 14, "--out", tmp_path / "killed")
    moments = random.Random(0)
    for attempt in range(10):
        process = subprocess.Popen(
            line + ["--resume"] * (attempt > 0), env=environment(), text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        # It trains now: an epoch is done, of about half a second; the kill is in one after it.
        assert process.stderr.readline().startswith("epoch")
        time.sleep(moments.uniform(0, 0.6))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / train.FINAL).exists()
    subprocess.run([*line, "--resume"], env=environment(), check=True, capture_output=True)
    final = [(tmp_path / name / train.FINAL).read_bytes() for name in ("whole", "killed")]
    assert final[0] == final[1]


def test_a_full_disk_leaves_the_last_checkpoint(whole, data, tmp_path):
    # The checkpoint of epoch 0 fits; with what the optimisers remember, the next does not.
    limit = 14_000
    # Coverage, where it is measured, would find no room either, and say so.
    plain = {k: v for k, v in environment().items() if not k.startswith("COVERAGE")}
    done = subprocess.run(
        command(*LINE, "--out", "o"), cwd=tmp_path, env=plain, capture_output=True,
        text=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "python -m model.train: error: o/last.safetensors must be writable: File too large\n"
    )
    assert [file.name for file in (tmp_path / "o").iterdir()] == [train.LAST]
    assert checkpoint.read(tmp_path / "o" / train.LAST)[1]["epoch"] == 0
    train.train(RECIPE, data, tmp_path / "o", resume=True)
    assert equal(weights(tmp_path / "o"), weights(whole))


def test_an_interrupt_is_one_line(tmp_path):
    process = subprocess.Popen(
        command(*LINE, "--epochs", "1000", "--out", tmp_path), env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / LOG).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == ""
    *epochs, last = errors.splitlines()
    assert last == "python -m model.train: interrupted; go on with --resume"
    assert epochs
    assert all(line.startswith("epoch ") for line in epochs)
    facts = checkpoint.read(tmp_path / train.LAST)[1]
    assert facts["epoch"] == len(facts["log"]) > 0


def test_evaluate_agrees_with_the_log(whole, capsys):
    assert evaluate.main([str(whole / train.FINAL), "--json"]) == 0
    last = json.loads((whole / LOG).read_text().splitlines()[-1])
    assert json.loads(capsys.readouterr().out)["accuracy"] == last["accuracy"]
