# SPDX-License-Identifier: Apache-2.0
"""The ablation changes what it says, and its runs go on where they were cut short."""

import json

import pytest
import torch
from interrupts import stopped_at

from hw.params import Direction
from model import checkpoint, train
from model.psp import BLOCKS, create_model
from model.shift import Shift, shift, shift_reference
from scripts import ablation
from scripts.ablation import SHIFTS, Moves, replace_shifts

torch.set_num_threads(1)


@pytest.fixture(params=[(2, 12, 1, 1), (1, 31, 2, 5), (3, 48, 6, 4)], ids=str)
def x(request):
    return torch.randn(request.param, generator=torch.Generator().manual_seed(0))


def test_the_eight_directions_are_the_shift(x):
    assert torch.equal(Moves(Direction.moving())(x), shift(x))


def test_printed_is_line_10_as_printed(x):
    assert torch.equal(Moves(SHIFTS["printed"])(x), shift_reference(x, "printed"))


def test_none_moves_nothing(x):
    assert torch.equal(Moves(SHIFTS["none"])(x), x)


def moved(directions):
    x = torch.arange(1.0, 31 * 25 + 1).view(1, 31, 5, 5)
    return [c for c in range(31) if not torch.equal(Moves(directions)(x)[:, c], x[:, c])]


@pytest.mark.parametrize("name", ["straight", "printed"])
def test_as_many_channels_move(name):
    assert moved(SHIFTS[name]) == moved(Direction.moving()) == list(range(16))


def test_straight_directions_move_along_one_axis_each_equally_often():
    straight = SHIFTS["straight"]
    assert all(abs(to.dy) + abs(to.dx) == 1 for to in straight)
    assert sorted(straight) == sorted([*set(straight)] * 2)
    assert len(set(straight)) == 4


@pytest.mark.parametrize("model", ["psp_12_3", "sp_12_3"])
def test_every_shift_block_is_replaced_and_nothing_else(model):
    model = create_model(model)
    before = {name: type(module) for name, module in model.named_modules()}
    replace_shifts(model, lambda: Moves(SHIFTS["none"]))
    after = {name: type(module) for name, module in model.named_modules()}
    assert sum(kind is Shift for kind in before.values()) == 3
    assert after == {name: Moves if kind is Shift else kind for name, kind in before.items()}


def test_the_variants_differ_in_one_thing():
    variants = ablation.variants()
    assert len(variants) == 7
    assert {form for form, shift in variants.values() if shift == "eight"} == set(BLOCKS)
    assert {form for form, shift in variants.values() if shift != "eight"} == {"residual"}
    assert {shift for _, shift in variants.values()} == {"eight", *SHIFTS}


def run(folder, *options, epochs=1):
    """Run the command on a tiny network."""
    return ablation.main(
        ["--dataset", "synthetic", "--model", "psp_12_1", "--epochs", str(epochs),
         "--out", str(folder / "runs"), *options]
    )  # fmt: skip


def results(folder):
    return json.loads((folder / "runs/ablation.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All variants, begun and ended at once."""
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder) == 0
    return folder


def accuracy(folder, run):
    return checkpoint.read(folder / "runs" / run / train.FINAL)[1]["log"][-1]["accuracy"]


def test_results_hold_every_variants_own_accuracy(whole):
    found = results(whole)
    assert found["recipe"]["model"] == "psp_12_1"
    assert not {"form", "seed"} & found["recipe"].keys()
    # Written out: names of folders are what finds a run that an earlier version began.
    assert found["accuracy"] == {
        "skip_over_shift": {"0": accuracy(whole, "skip_over_shift-0")},
        "skip_before_shift": {"0": accuracy(whole, "skip_before_shift-0")},
        "residual": {"0": accuracy(whole, "residual-0")},
        "true_residual": {"0": accuracy(whole, "true_residual-0")},
        "residual, none shift": {"0": accuracy(whole, "residual-none_shift-0")},
        "residual, straight shift": {"0": accuracy(whole, "residual-straight_shift-0")},
        "residual, printed shift": {"0": accuracy(whole, "residual-printed_shift-0")},
    }


def test_the_shifts_train_to_different_weights(whole):
    weights = [
        checkpoint.read(whole / "runs" / f"residual{name}-0" / train.FINAL)[0]["model.head.weight"]
        for name in ("", "-none_shift", "-straight_shift", "-printed_shift")
    ]
    assert all(
        not torch.equal(a, b) for n, a in enumerate(weights) for b in weights[n + 1 :]
    )  # fmt: skip


def test_what_is_complete_is_not_trained_again(whole, monkeypatch):
    before = (whole / "runs/ablation.json").read_bytes()
    monkeypatch.setattr(train, "run_epoch", None)
    assert run(whole) == 0
    assert (whole / "runs/ablation.json").read_bytes() == before


def test_cut_short_it_goes_on_to_the_same_result(tmp_path, capsys):
    only = ["--only", "residual, none shift"]
    with stopped_at(1):
        assert run(tmp_path / "a", *only, epochs=2) == 130
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == f"{ablation.PROGRAM}: interrupted; the same command goes on"
    assert not (tmp_path / "a/runs/ablation.json").exists()
    assert run(tmp_path / "a", *only, epochs=2) == 0
    assert run(tmp_path / "b", *only, epochs=2) == 0
    assert results(tmp_path / "a") == results(tmp_path / "b")
    file = f"runs/residual-none_shift-0/{train.FINAL}"
    assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("only", [["--only", "residual"], ["--only", "true_residual"]])
def test_another_recipe_is_refused(whole, capsys, only):
    before = (whole / "runs/ablation.json").read_bytes()
    with pytest.raises(SystemExit) as caught:
        run(whole, *only, epochs=2)
    assert caught.value.code == 2
    folder = whole / "runs" / f"{only[1]}-0"
    assert capsys.readouterr().err == (
        f"{ablation.PROGRAM}: error: {folder / train.FINAL} must be of the same recipe: "
        "its epochs is 1, not 2\n"
    )
    assert (whole / "runs/ablation.json").read_bytes() == before


def test_the_document_shows_the_results():
    found = json.loads(ablation.RESULTS.read_text())
    assert ablation.table(found) in (ablation.ROOT / "docs/training.md").read_text()


def test_a_seed_that_was_not_run_is_told():
    found = {"residual": {"0": 0.5, "1": 0.6}, "residual, none shift": {"1": 0.4}}
    assert ablation.table({"accuracy": found}).splitlines() == [
        "| block form | shift | seed 0 | seed 1 | mean |",
        "|---|---|---|---|---|",
        "| residual | eight directions | 50.00 | 60.00 | 55.00 |",
        "| residual | none | not run | 40.00 | 40.00 |",
    ]


def test_a_network_without_shifts_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, "--model", "resnet20")
    assert caught.value.code == 2
    rule = "model must be a PSP network, not resnet20"
    assert capsys.readouterr().err == f"{ablation.PROGRAM}: error: {rule}\n"
