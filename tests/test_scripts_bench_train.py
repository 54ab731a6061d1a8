# SPDX-License-Identifier: Apache-2.0
"""The training benchmark compares equal computations, and notices when they are not."""

import json
from functools import partial

import pytest
import torch

from model.data import normalise, synthetic
from model.parallel import World
from model.recipe import Recipe
from model.shift import shift, shift_reference
from model.state import start
from scripts import bench_train
from scripts.ablation import replace_shifts

torch.set_num_threads(1)

RECIPE = Recipe(model="psp_24_3", dataset="synthetic", batch_size=16, precision="float32")


@pytest.fixture(scope="module")
def data():
    return synthetic(train=RECIPE.batch_size, test=1)


@pytest.fixture(scope="module")
def batch(data):
    return normalise(data.train_images, data.mean, data.std, torch.channels_last), data.train_labels


@pytest.mark.parametrize("precision", bench_train.TOLERANCE)
@pytest.mark.parametrize("model", ["psp_24_3", "sp_24_3"])
def test_all_arms_compute_the_same(data, batch, model, precision):
    recipe = Recipe(model=model, dataset="synthetic", batch_size=16, precision=precision)
    arms = bench_train.make_arms(recipe, data, World())
    assert list(arms) == [bench_train.OURS, bench_train.PRINTED, bench_train.RESTORED]
    bench_train.check(arms, recipe, batch)


@pytest.mark.slow  # inductor compiles C++
@pytest.mark.filterwarnings("ignore")  # its own
def test_so_does_the_compiled_one(data, batch):
    arms = bench_train.make_arms(RECIPE, data, World(), compiled=True)
    assert bench_train.COMPILED in arms
    bench_train.check(arms, RECIPE, batch)


class Line10(torch.nn.Module):
    """The misprint of line 10: another loss."""

    def forward(self, x):
        return shift_reference(x, "printed")


class NearlyRestored(torch.nn.Module):
    """The right map; one number of the gradient is another."""

    def forward(self, x):
        def nudge(grad):
            grad = grad.contiguous(memory_format=torch.channels_last)
            grad[0, 0, 3, 3] += 1e-6
            return grad

        x.register_hook(nudge)
        return shift_reference(x)


@pytest.mark.parametrize(
    ("arm", "block", "limits"),
    [
        (bench_train.PRINTED, Line10, "0 and 0.0001"),
        (bench_train.RESTORED, NearlyRestored, "0 and 0"),
    ],
)
def test_another_computation_is_noticed(data, batch, arm, block, limits):
    arms = bench_train.make_arms(RECIPE, data, World())
    arms[arm] = start(RECIPE, data, prepare=partial(replace_shifts, make=block))
    with pytest.raises(
        bench_train.DifferenceError,
        match=rf"^{arm}: loss and gradient must be those of {bench_train.OURS} up to {limits}, "
        r"not \S+ and \S+ of them$",
    ):
        bench_train.check(arms, RECIPE, batch)


def test_only_the_format_of_the_gradient_differs():
    values = torch.randn(2, 24, 5, 6, generator=torch.Generator().manual_seed(0))
    x = values.contiguous(memory_format=torch.channels_last).requires_grad_()
    ours, slices = (
        torch.autograd.grad(form(x).square().sum(), x)[0] for form in (shift, shift_reference)
    )
    assert torch.equal(ours, slices)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert slices.is_contiguous()


LINE = ["--model", "psp_12_1", "--batch-size", "4", "--rounds", "3"]


def test_json_holds_every_arm(capsys):
    assert bench_train.main([*LINE, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["batch_size"], found["threads"]) == ("psp_12_1", 4, 1)
    assert list(found["arms"]) == [bench_train.OURS, bench_train.PRINTED, bench_train.RESTORED]
    assert found["arms"][bench_train.OURS]["ratio"] == {"wall": [1.0] * 3, "processor": [1.0] * 3}
    for arm in found["arms"].values():
        assert all(0 < low <= high for low, _, high in arm["milliseconds"].values())
        median = arm["milliseconds"]["wall"][1]
        assert arm["images_per_s"] == pytest.approx(4e3 / median)


def test_the_table_has_a_line_an_arm(capsys):
    assert bench_train.main(LINE) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line[:38].strip() for line in lines[1:]] == [
        bench_train.OURS, bench_train.PRINTED, bench_train.RESTORED,
    ]  # fmt: skip
    assert "1.00 (1.00…1.00)" in lines[1]
    assert captured.err.splitlines() == [f"round {number} of 3" for number in (1, 2, 3)]


def test_a_difference_ends_with_1(monkeypatch, capsys):
    monkeypatch.setattr(bench_train, "Printed", Line10)
    assert bench_train.main(LINE) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"{bench_train.PROGRAM}: error: {bench_train.PRINTED}: loss ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "vgg8"], "model must be one with shift blocks, not 'vgg8'"),
        (["--model", "psp_8_1"], "width must be an integer from 12 to 4096, not 8"),
        (["--device", "cuda"], "device must be cpu where PyTorch sees no GPU, not cuda"),
        (["--threads", "0"],
         "argument --threads: threads must be an integer from 1 to 256, not 0 (see --help)"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as caught:
        bench_train.main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"{bench_train.PROGRAM}: error: {message}\n"
