# SPDX-License-Identifier: Apache-2.0
"""Runs of the paper's networks: begun, resumed, skipped, and compared with the paper."""

import json

import pytest
import torch

from model import checkpoint, train
from model.data import synthetic
from model.psp import create_model
from model.recipe import Recipe
from scripts import paper_runs, runs

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path_factory):
    """Two networks that train in a second, one of which the paper is said to have."""
    monkeypatch.setattr(paper_runs, "COMMON", {"epochs": 2, "batch_size": 256})
    monkeypatch.setattr(paper_runs, "NETWORKS", {"psp_12_1": {}, "sp_12_1": {"decay": 0.05}})
    paper = tmp_path_factory.mktemp("paper") / "paper.json"
    paper.write_text('{"rows": [{"dataset": "synthetic", "model": "psp_12_1", "float": 50.0}]}')
    monkeypatch.setattr(paper_runs, "PAPER", paper)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def run(out, *options):
    return paper_runs.main(["--dataset", "synthetic", "--out", str(out), *options])


def test_every_network_of_the_paper_has_a_valid_recipe(monkeypatch, capsys):
    monkeypatch.undo()
    for dataset, count in (("cifar10", 6), ("cifar100", 3)):
        networks = [name for name in paper_runs.paper_accuracy(dataset) if "sp_" in name]
        assert len(networks) == count
        for network in networks:
            recipe = paper_runs.make_recipe(network, dataset, seed=0)
            assert (recipe.model, recipe.dataset, recipe.epochs) == (network, dataset, 200)
            create_model(network)
    assert paper_runs.main(["--list"]) == 0
    listed = [Recipe.read(facts) for facts in json.loads(capsys.readouterr().out)]
    assert [recipe.model for recipe in listed] == list(paper_runs.NETWORKS)


def test_two_seeds_give_mean_deviation_and_difference(tmp_path, capsys):
    assert run(tmp_path, "psp_12_1", "--seeds", "0", "1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dataset"], list(found["networks"])) == ("synthetic", ["psp_12_1"])
    entry = found["networks"]["psp_12_1"]
    values = [
        100
        * checkpoint.read(tmp_path / f"synthetic-psp_12_1-{seed}" / train.FINAL)[1]["log"][-1][
            "accuracy"
        ]
        for seed in (0, 1)
    ]
    assert list(entry["accuracy"].values()) == pytest.approx(values, abs=1e-4)
    assert entry["mean"] == pytest.approx(sum(values) / 2, abs=1e-4)
    assert entry["deviation"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=1e-3)
    assert entry["paper"] == 50.0


def test_the_table(capsys):
    summary = paper_runs.summary(
        "synthetic", {"psp_12_1": {0: 0.51, 1: 0.52, 2: 0.53}, "sp_12_1": {0: 0.4}}
    )
    paper_runs.print_table(summary)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["network", "seeds", "accuracy,", "%", "paper", "difference"],
        ["psp_12_1", "3", "52.00", "±", "1.00", "50.00", "+2.00"],
        ["sp_12_1", "1", "40.00", "–"],
    ]


def test_repeated_it_only_reads(tmp_path, capsys, monkeypatch):
    assert run(tmp_path, "--epochs", "1") == 0
    first = capsys.readouterr().out
    assert [line.split()[0] for line in first.splitlines()[1:]] == ["psp_12_1", "sp_12_1"]
    monkeypatch.setattr(train, "run_epoch", None)
    assert run(tmp_path, "--epochs", "1") == 0
    assert capsys.readouterr() == (first, "")


def stop(state, *arguments, inner=train.run_epoch):
    if state.epoch == 1:
        raise KeyboardInterrupt
    return inner(state, *arguments)


def test_cut_short_it_goes_on_to_the_same_weights(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(train, "run_epoch", stop)
        assert run(tmp_path / "a", "sp_12_1") == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("interrupted; the same command goes on\n")
    assert run(tmp_path / "a", "sp_12_1") == run(tmp_path / "b", "sp_12_1") == 0
    progress = capsys.readouterr().err.splitlines()
    assert [line for line in progress if line.startswith("synthetic")] == [
        "synthetic-sp_12_1-0: goes on", "synthetic-sp_12_1-0: begins",
    ]  # fmt: skip
    files = [tmp_path / name / "synthetic-sp_12_1-0" / train.FINAL for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_one_that_diverges_does_not_hold_up_the_others(tmp_path, monkeypatch, capsys):
    def diverge(state, recipe, *arguments, inner=train.run_epoch):
        if recipe.model == "psp_12_1":
            raise train.DivergenceError("the loss of epoch 1 must be a number, not nan")
        return inner(state, recipe, *arguments)

    monkeypatch.setattr(train, "run_epoch", diverge)
    assert run(tmp_path, "--epochs", "1") == 1
    captured = capsys.readouterr()
    assert (
        f"{paper_runs.PROGRAM}: error: synthetic-psp_12_1-0: "
        "the loss of epoch 1 must be a number, not nan\n"
    ) in captured.err
    assert [line.split()[0] for line in captured.out.splitlines()[1:]] == ["sp_12_1"]


def refused(capsys, *options):
    with pytest.raises(SystemExit) as caught:
        run(*options)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_a_complete_run_of_another_recipe_is_refused(tmp_path, capsys):
    assert run(tmp_path, "sp_12_1", "--epochs", "1") == 0
    capsys.readouterr()
    file = tmp_path / "synthetic-sp_12_1-0" / train.FINAL
    assert refused(capsys, tmp_path, "sp_12_1") == (
        f"{paper_runs.PROGRAM}: error: {file} must be of the same recipe: its epochs is 1, not 2\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["psp_12_1", "lenet"], "network must be one of psp_12_1, sp_12_1, not 'lenet'"),
        (["--seeds", "0", "-1"], "seed must be an integer from 0 to 9223372036854775807, not -1"),
        (["--epochs", "0"],
         "argument --epochs: epochs must be an integer from 1 to 10000, not 0 (see --help)"),
        (["--dataset", "cifar10", "--data", "none"],
         ("none/cifar10.safetensors must be a readable file: No such file or directory; to get it, "
          "run `python -m scripts.fetch_data cifar10 --out none`")),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, capsys, options, message):
    assert refused(capsys, tmp_path / "runs", *options) == (
        f"{paper_runs.PROGRAM}: error: {message}\n"
    )
    assert not (tmp_path / "runs").exists()


def test_each_compiled_run_compiles_anew(tmp_path, monkeypatch):
    # Past eight networks PyTorch would run the rest uncompiled, with a warning only.
    calls = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: calls.append("reset"))
    monkeypatch.setattr(torch, "compile", lambda model: calls.append("compile") or model)
    assert run(tmp_path, "--epochs", "1", "--compile") == 0
    assert calls == ["reset", "compile"] * 2


@pytest.mark.parametrize("log", [None, [], [{}], [{"accuracy": "much"}]])
def test_a_result_without_its_accuracy_is_refused(tmp_path, log):
    recipe = Recipe(model="psp_12_1", dataset="synthetic", epochs=1)
    train.train(recipe, synthetic(train=256, test=10), tmp_path)
    tensors, facts = checkpoint.read(tmp_path / train.FINAL)
    checkpoint.write(tmp_path / train.FINAL, tensors, {**facts, "log": log})
    with pytest.raises(
        checkpoint.CheckpointError,
        match=r"model\.safetensors must have the accuracy of its last epoch$",
    ):
        runs.final_accuracy(tmp_path, recipe)
