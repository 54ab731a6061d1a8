# SPDX-License-Identifier: Apache-2.0
"""Accuracies beside the paper's, and what goes into the zoo."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from model import intnet, qat
from model.checkpoint import CheckpointError
from model.data import synthetic
from model.evaluate import accuracy, integer_accuracy, load_network
from model.export import export
from model.journal import LOG
from model.layers import layer_shapes
from model.recipe import Recipe
from model.train import FINAL, train
from scripts import accuracy as record
from scripts import zoo

ROOT = Path(__file__).parent.parent
PAPER = json.loads(record.PAPER.read_text())["rows"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two seeds of one recipe, and one of another."""
    folders = []
    for seed, rate in ((0, 0.01), (1, 0.01), (2, 0.02)):
        out = tmp_path_factory.mktemp(f"run{seed}")
        recipe = Recipe(
            model="psp_12_1", dataset="synthetic", epochs=1, batch_size=128, seed=seed, rate=rate
        )
        train(recipe, synthetic(), out)
        folders.append(out)
    return folders


def test_a_row_is_measured_on_the_test_images(runs):
    row = record.measure(runs[:2], Path("unused"), "a desk")
    expected = [round(100 * accuracy(load_network(run / FINAL)[0], synthetic()), 2) for run in runs]
    assert row["seeds"] == {"0": expected[0], "1": expected[1]}
    assert row["mean"] == round(sum(expected[:2]) / 2, 2)
    assert row["deviation"] == round(abs(expected[0] - expected[1]) / 2**0.5, 2)
    assert (row["model"], row["epochs"], row["hardware"]) == ("psp_12_1", 1, "a desk")


def test_one_run_has_no_deviation(runs):
    assert record.measure(runs[:1], Path("unused"), "a desk")["deviation"] is None


@pytest.fixture(scope="module")
def integers(runs, tmp_path_factory):
    """A run for integers, with saturating converters."""
    out = tmp_path_factory.mktemp("int8")
    options = {"model": "psp_12_1", "quantize": "int8", "epochs": 1, "adc_bits": 4}
    recipe, prepare, teacher = qat.begin(
        runs[0] / FINAL, qat.recipe_from(runs[0] / FINAL, options), synthetic()
    )
    train(recipe, synthetic(), out, prepare=prepare, teacher=teacher)
    return out


def test_integers_have_a_row_of_their_own(integers):
    row = record.measure([integers], Path("unused"), "a desk")
    net = export(load_network(integers / FINAL)[0], "psp_12_1")
    assert row["mean"] == round(100 * integer_accuracy(net, synthetic()), 2)
    assert (row["precision"], row["recipe"]["adc_bits"]) == ("int8", 4)
    assert "start" not in row["recipe"]  # it differs from seed to seed
    assert "**" not in record.table([], [row])  # which is of lossless converters
    line = record.converters_table([row]).splitlines()[2]
    assert line.startswith(f"| psp_12_1, INT8 | 4 | **{row['mean']:.2f}** | 1 × 1 epochs, ")


@pytest.mark.parametrize("pair", [(0, 2), (0, 0)])
def test_runs_that_do_not_belong_together_are_refused(runs, pair):
    message = f"^{runs[pair[1]]} must be of the first run's recipe with a seed of its own, not"
    with pytest.raises(CheckpointError, match=message):
        record.measure([runs[number] for number in pair], Path("unused"), "a desk")


def test_the_table_shows_what_was_not_run():
    row = {"model": "psp_128_8", "dataset": "cifar10", "precision": "float", "mean": 93.1,
           "deviation": 0.15, "seeds": {"0": 93.0, "1": 93.2}, "epochs": 200,
           "hardware": "a desk", "minutes_a_run": 9.6, "recipe": {"adc_bits": 8}}  # fmt: skip
    lines = record.table(PAPER, [row]).splitlines()
    assert "| cifar10 | psp_128_8 | **93.10** ± 0.15 | 92.97 | – |  | – |  | " in lines[7]
    assert lines[7].endswith("| 2 × 200 epochs, 10 min on a desk |")
    others = [line for line in lines[2:] if "psp_128_8" not in line]
    assert len(others) == len(PAPER) - 1
    assert all(line.endswith("| not run |") and "**" not in line for line in others)


def test_the_hardware_of_runs_in_a_row_is_told_once():
    rows = [
        {"model": "psp_128_8", "dataset": "cifar10", "precision": precision, "mean": 93.1,
         "deviation": None, "seeds": {"0": 93.1}, "epochs": epochs, "hardware": hardware,
         "minutes_a_run": minutes, "recipe": {"adc_bits": 8}}
        for precision, epochs, minutes, hardware in (
            ("float", 80, 65.9, "a desk"), ("int8", 6, 28.2, "a shelf"), ("int4", 10, 23, "a shelf")
        )
    ]  # fmt: skip
    [line] = [line for line in record.table([], rows).splitlines() if "psp_128_8" in line]
    assert line.endswith(
        "| 1 × 80 epochs, 66 min on a desk; "
        "1 × 6 epochs, 28 min and 1 × 10 epochs, 23 min on a shelf |"
    )


def test_networks_of_the_paper_exist():
    for row in PAPER:
        assert layer_shapes(row["model"])


def test_the_readme_shows_the_recorded_results():
    rows = json.loads(record.RESULTS.read_text())["rows"]
    assert record.table(PAPER, rows) in (ROOT / "README.md").read_text()


def test_a_finished_run_goes_into_the_zoo(runs, tmp_path, capsys):
    for folder in ("docs/results", "model/zoo"):
        (tmp_path / folder).mkdir(parents=True)
    assert zoo.main([str(runs[2]), "--hardware", "a desk", "--root", str(tmp_path)]) == 0
    stored = tmp_path / "model/zoo/psp_12_1.safetensors"
    assert stored.read_bytes() == (runs[2] / FINAL).read_bytes()
    text = stored.with_suffix(".md").read_text()
    assert hashlib.sha256(stored.read_bytes()).hexdigest() in text
    assert f"**{json.loads(capsys.readouterr().out)['accuracy']:.2f} %**" in text
    line = "`python -m model.train psp_12_1 --dataset synthetic --epochs 1 --rate 0.02 --seed 2`"
    assert line in text
    assert (tmp_path / "docs/results/psp_12_1.svg").read_bytes().startswith(b"<?xml")


def test_integers_go_into_the_zoo_with_their_network(runs, integers, tmp_path):
    for folder in ("docs/results", "model/zoo"):
        (tmp_path / folder).mkdir(parents=True)
    for run in (runs[0], integers):
        assert zoo.main([str(run), "--hardware", "a desk", "--root", str(tmp_path)]) == 0
    name = "psp_12_1_int8_adc4"
    net = intnet.read(tmp_path / "model/zoo" / name)
    assert net.adc_bits == 4
    text = (tmp_path / f"model/zoo/{name}.md").read_text()
    assert intnet.digest(net) in text
    assert "--quantize int8 --adc-bits 4 --from model/zoo/psp_12_1.safetensors`" in text


def test_integers_that_are_not_pytorchs_do_not(integers, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(zoo, "export", lambda network, name: one_bit_off(export(network, name)))
    code = zoo.main([str(integers), "--hardware", "a desk", "--root", str(tmp_path)])
    assert code == 1
    assert "must be" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def one_bit_off(net):
    net.layers[0].weights[0, 0] ^= 1
    return net


def test_an_unfinished_run_does_not(runs, tmp_path, capsys):
    unfinished = tmp_path / "run"
    shutil.copytree(runs[0], unfinished, ignore=shutil.ignore_patterns(FINAL))
    with pytest.raises(SystemExit) as stop:
        zoo.main([str(unfinished), "--hardware", "a desk", "--root", str(tmp_path)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.endswith(f"{FINAL} must be a readable file: No such file or directory\n")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("line", ["no JSON", "{}", "[]"])
def test_a_broken_log_is_refused(runs, tmp_path, line):
    shutil.copytree(runs[0], tmp_path / "run")
    (tmp_path / "run" / LOG).write_text(line)
    with pytest.raises(CheckpointError, match="must have the seconds of each epoch$"):
        record.measure([tmp_path / "run"], Path("unused"), "a desk")
