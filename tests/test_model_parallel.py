# SPDX-License-Identifier: Apache-2.0
"""Two processes train as one: the loss of every step, batch norm, resuming, the command.

``torchrun`` starts this very file for `two`: see `main`.
"""

import contextlib
import dataclasses
import json
import sys
import types
from pathlib import Path
from unittest import mock

import pytest
import torch
import torchrun
from interrupts import stopped_at
from torch import distributed, nn
from torch.nn import functional
from torchrun import final_gap, launch

from hw.params import ParameterError
from model import checkpoint, parallel, state, step, train
from model.data import synthetic
from model.parallel import (
    GlobalBatchNorm2d,
    PeerError,
    World,
    join,
    mean_over,
    share_batch_norm,
)
from model.recipe import Recipe

ADAMW = Recipe(
    model="psp_24_2", dataset="synthetic", epochs=2, batch_size=64, precision="float32",
    optimizer="adamw",
)  # fmt: skip
MUON = dataclasses.replace(ADAMW, optimizer="muon")


def small():
    """25 steps an epoch, 50 in all."""
    return synthetic(train=1600, test=64, image_size=16)


def step_losses(recipe, out, world):
    """Train; return the loss of every step over the global batch, and the final state."""
    seen = []

    def recorded(*arguments, **options):
        loss = functional.cross_entropy(*arguments, **options)
        seen.append(loss.detach())
        return loss

    out.mkdir(exist_ok=True)
    # The name that the loop looks up: the loop itself runs as it stands.
    with mock.patch.object(step, "functional", types.SimpleNamespace(cross_entropy=recorded)):
        final = train.train(recipe, small(), out, world=world)
    return mean_over(world, torch.stack(seen)).tolist(), final


def is_equal_everywhere(model):
    """Tell whether all processes hold the same weights and statistics, to the bit."""
    own = torch.cat([value.double().flatten() for value in model.state_dict().values()])
    first = own.clone()
    distributed.broadcast(first, 0)
    differing = (own != first).sum()
    distributed.all_reduce(differing)
    return int(differing) == 0


X = torch.randn(8, 5, 3, 4, generator=torch.Generator().manual_seed(1)) * 3 + 2
LOSS = torch.randn(8, 5, 3, 4, generator=torch.Generator().manual_seed(2))


def passed_through(norm, rank=0, size=1):
    """Send this process's share of X through a norm; return all that comes of it."""
    share = len(X) // size
    mine = slice(rank * share, (rank + 1) * share)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, 5))
        norm.bias.copy_(torch.linspace(-1, 1, 5))
    x = X[mine].clone().requires_grad_()
    y = norm(x)
    (y * LOSS[mine]).sum().backward()
    return {
        "y": y.detach(), "x.grad": x.grad, "weight.grad": norm.weight.grad,
        "bias.grad": norm.bias.grad, **norm.state_dict(),
    }  # fmt: skip


def main(out):
    """Be one of two processes; the first writes what it found."""
    with join() as world:
        group = distributed.new_group()
        norm = GlobalBatchNorm2d(5)
        norm.group = group
        found = passed_through(norm, world.rank, world.size)
        for name in ("weight.grad", "bias.grad"):  # the gradients of both shares, as DDP adds them
            distributed.all_reduce(found[name])
        checkpoint.write(out / f"norm-{world.rank}.safetensors", found, {})

        losses, equal = {}, {}
        for name, recipe in (("adamw", ADAMW), ("muon", MUON)):
            losses[name], final = step_losses(recipe, out / name, world)
            equal[name] = is_equal_everywhere(final.model) and is_equal_everywhere(final.mean)
        with mock.patch.object(state, "share_batch_norm"):
            losses["own"], final = step_losses(ADAMW, out / "own", world)
            equal["own"] = is_equal_everywhere(final.model)

        (out / "resumed").mkdir(exist_ok=True)
        with (
            contextlib.suppress(KeyboardInterrupt),
            stopped_at(1),
        ):
            train.train(MUON, small(), out / "resumed", world=world)
        train.train(MUON, small(), out / "resumed", world=world, resume=True)
        if world.rank == 0:
            (out / "found.json").write_text(json.dumps({"losses": losses, "equal": equal}))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes found."""
    out = tmp_path_factory.mktemp("two")
    done = launch(__file__, out, cwd=out)
    assert done.returncode == 0, done.stderr
    return out, json.loads((out / "found.json").read_text())


def one(recipe, out):
    return step_losses(recipe, out / "run", World())[0]


def gap(a, b):
    assert len(a) == len(b) == 50
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def adamw(tmp_path_factory):
    return one(ADAMW, tmp_path_factory.mktemp("adamw"))


def test_losses_of_two_are_those_of_one(two, adamw):
    assert gap(two[1]["losses"]["adamw"], adamw) < 1e-5


def test_with_muon_up_to_its_own_rounding(two, tmp_path):
    # PyTorch's Muon orthogonalises in bfloat16, so a float32 sum in another order now and then
    # turns up as a 2^-8 of an update.
    assert gap(two[1]["losses"]["muon"], one(MUON, tmp_path)) < 5e-4


def test_norms_with_own_statistics_would_be_noticed(two, adamw):
    assert gap(two[1]["losses"]["own"], adamw) > 1e-3
    assert two[1]["equal"] == {"adamw": True, "muon": True, "own": False}


def test_two_resume_to_the_same_bits(two):
    whole, resumed = (
        checkpoint.read(two[0] / name / train.FINAL)[0] for name in ("muon", "resumed")
    )
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_global_norm_of_two_halves_is_the_norm_of_the_whole(two):
    halves = [checkpoint.read(two[0] / f"norm-{rank}.safetensors")[0] for rank in range(2)]
    for name, value in passed_through(nn.BatchNorm2d(5)).items():
        if name in ("y", "x.grad"):
            found = torch.cat([half[name] for half in halves])
        else:
            assert torch.equal(halves[0][name], halves[1][name]), name
            found = halves[0][name]
        torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-5, msg=name)


@pytest.fixture
def alone():
    """A process group of one."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def test_global_norm_of_one_is_the_norm(alone):
    ours, theirs = GlobalBatchNorm2d(5), nn.BatchNorm2d(5)
    expected = passed_through(theirs)
    for name, value in passed_through(ours).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-5, msg=name)
    # Without bias: the mean square over one less than the values.
    values = X.transpose(0, 1).flatten(1)
    torch.testing.assert_close(ours.running_var, 0.9 + 0.1 * values.var(1, correction=1))
    assert (ours.running_var - (0.9 + 0.1 * values.var(1, correction=0))).abs().min() > 1e-3
    ours.eval()
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours(X), theirs.eval()(X))


def test_global_norm_keeps_bfloat16_outside_and_float32_inside(alone):
    norm = GlobalBatchNorm2d(5)
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(X.bfloat16())
    assert y.dtype is torch.bfloat16
    torch.testing.assert_close(y, nn.BatchNorm2d(5)(X.bfloat16()))
    assert norm.running_mean.dtype is torch.float32


def test_sharing_keeps_names_values_and_other_modules(alone):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5, eps=1e-3, momentum=0.3))
    model(X[:, :3])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    conv, norm = model
    share_batch_norm(model, World())
    assert model[1] is norm
    share_batch_norm(model, World(size=2))
    assert model[0] is conv
    assert type(model[1]) is GlobalBatchNorm2d
    assert (model[1].eps, model[1].momentum) == (1e-3, 0.3)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_alone_there_is_nothing_to_share():
    model, value = nn.Linear(2, 2), torch.ones(3)
    assert World().wrap(model) is model
    assert mean_over(World(), value) is value
    with join() as world:
        assert (world.rank, world.size) == (0, 1)


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(parallel.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(parallel.torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    rule = "^there must be a GPU for each process of this machine, not 1 for 2$"
    with pytest.raises(ParameterError, match=rule), join():
        pass


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE must be a number, as torchrun sets it, not 'two'"),
        ({"WORLD_SIZE": "2"}, "RANK must be set where WORLD_SIZE is: start with torchrun"),
    ],
)
def test_an_environment_that_torchrun_did_not_make(monkeypatch, variables, message):
    monkeypatch.setattr(parallel.torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("RANK", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ParameterError, match=f"^{message}$"), join():
        pass


@pytest.mark.parametrize(
    ("error", "seen", "message"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer"), PeerError,
         "another process of the run has ended early"),
        (RuntimeError("another"), RuntimeError, "another"),
    ],
)  # fmt: skip
def test_the_end_of_another_process(monkeypatch, error, seen, message):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(parallel.torch.cuda, "is_available", lambda: False)
    with mock.patch.object(parallel, "distributed") as group:
        with pytest.raises(seen, match=f"^{message}$"), join():
            raise error
        group.destroy_process_group.assert_called_once_with()


COMMAND = [*torchrun.COMMAND, "--dataset", "synthetic", "--epochs", "2", "--batch-size", "64"]


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The command's run as one process, and the same stopped after one epoch."""
    whole, part = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("part")
    assert train.main([*COMMAND, "--out", str(whole)]) == 0
    with stopped_at(1):
        assert train.main([*COMMAND, "--out", str(part)]) == 130
    return whole, part


@pytest.mark.slow
def test_two_processes_finish_what_one_began(single):
    whole, part = single
    done = launch("-m", "model.train", *COMMAND, "--out", part.name, "--resume", cwd=part.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{part.name}/{train.FINAL}: ")
    assert done.stdout.count("\n") == 1
    assert "Warning" not in done.stderr
    assert {file.name for file in part.iterdir()} == {file.name for file in whole.iterdir()}
    # The order of sums, grown over an epoch; 1e-5 was seen after two.
    assert final_gap(part, whole) < 1e-4


def test_bad_input_to_two_processes(tmp_path):
    done = launch(
        "-m", "model.train", *COMMAND, "--batch-size", "63", "--out", "o", cwd=tmp_path
    )  # fmt: skip
    assert done.returncode == 1  # torchrun's own
    line = "error: batch_size must be a multiple of the 2 processes, not 63\n"
    assert f"python -m model.train: {line}" in done.stderr
    assert not (tmp_path / "o").exists()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
