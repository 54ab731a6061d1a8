# SPDX-License-Identifier: Apache-2.0
"""Compressed networks beside each other: records, tables, the figure, and bad input."""

import dataclasses
import hashlib
import json
from unittest import mock

import intnets
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes

from hw.params import ParameterError
from model import checkpoint, executor, intnet, random_intnet
from model.cell_energy import network_energy
from model.data import synthetic
from model.intnet import Crossbar
from model.recipe import Recipe
from scripts import compression, compression_tables


def record(name, method="none", **changed):
    """Return a run as the results have it."""
    return {
        "name": name, "network": "psp_64_4", "method": method, "settings": {}, "epochs": [],
        "sparsity": {"asked": 0.5, "reached": 0.48}, "accuracy": 0.8765, "images": 10000,
        "digest": "0" * 64, "weights": 1000, "zeros": 123, "pages": 38, "absent": 3, "used": 34,
        "energy_pj": {"none": 90000.0, "rows": 45000.0, "masked": 30000.0},
        "adc_pj": {"none": 2000.0, "rows": 1000.0, "masked": 900.0},
        "pairs": [10, 20, 30, 40], "cycles": None,
    } | changed  # fmt: skip


RUNS = [record("plain", energy_pj={"none": 90000.0, "rows": 90000.0, "masked": 80000.0}),
        record("sparse", "twofold", cycles=123456, epochs=[8, 3])]  # fmt: skip


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(compression, "RESULTS", tmp_path / "compression.json")
    monkeypatch.setattr(compression, "FIGURE", tmp_path / "compression.svg")
    monkeypatch.setattr(compression, "DOCUMENT", tmp_path / "compression.md")
    names = ("compression", "compression-energy", "compression-papers")
    marks = "".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in names)
    (tmp_path / "compression.md").write_text(f"before\n{marks}after\n", encoding="utf-8")
    return tmp_path


def test_tables_say_what_was_measured():
    plain, sparse = compression_tables.runs_table(RUNS).splitlines()[2:]
    assert plain.endswith("| 90.0 | 1.00× | – |")
    assert sparse == (
        "| sparse | twofold | 50 | 8 + 3 | 12.3 | **87.65** | 34 of 38 | 45.0 | 2.00× | 123,456 |"
    )
    assert compression_tables.runs_table(RUNS[1:]).endswith("| 45.0 | – | 123,456 |")
    assert compression_tables.energy_table(RUNS).splitlines()[3] == (
        "| sparse | 10.0 | 20.0 | 30.0 | 40.0 | 90.0 | 45.0 | 30.0 | 1.0 |"
    )
    lines = compression_tables.papers_table().splitlines()
    assert lines[2] == "| Huai et al. | VGG-16, CIFAR-10 | 88.25 | 93.28 | 93.71 | – |"
    assert lines[-1] == "| Karimzadeh | ResNet-20, CIFAR-10 | – | – | – | up to 5 |"


def test_the_figure_is_the_same_each_time_and_follows_the_runs():
    drawn = compression_tables.draw(RUNS)
    assert drawn == compression_tables.draw(RUNS)
    assert drawn != compression_tables.draw([RUNS[0], record("sparse", "twofold", accuracy=0.86)])
    text = drawn.decode()
    words = ("plain", "50 %, 8 + 3 epochs", ">twofold<", "crossbars left", "psp_64_4: accuracy, %")
    assert all(word in text for word in words)
    assert "<dc:date>" not in text


def test_runs_of_a_method_are_a_curve_in_the_order_of_their_sparsity():
    others = [
        record(f"s{share}", "twofold", sparsity={"asked": share, "reached": share}, used=used)
        for share, used in ((0.75, 10), (0.25, 30))
    ]
    with mock.patch.object(Axes, "plot", autospec=True, side_effect=Axes.plot) as plot:
        compression_tables.draw([*RUNS, *others, record("other", "twofold", network="resnet20")])
    curves = [call.args[1] for call in plot.call_args_list if call.kwargs["label"] == "twofold"]
    shares = [100 * used / 38 for used in (30, 34, 10)]
    assert curves == [[45.0, 45.0, 45.0], shares, [45.0], shares[1:2]]


def test_epochs_are_those_of_the_checkpoint_that_a_run_went_on_from(tmp_path):
    recipe = dataclasses.asdict(Recipe(model="psp_12_1", epochs=8))
    for name, facts in (("floats", {"compression": {}}), ("plain", {})):
        checkpoint.write(tmp_path / name, {"one": torch.ones(1)}, {"recipe": recipe} | facts)
    start, other = (
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("floats", "plain")
    )
    assert compression._epochs(tmp_path / "floats", start) == 8
    for name, sha256, rule in (
        ("floats", other, f"what the run went on from, of sha256 {other}"),
        ("plain", other, "a run of model.compress"),
    ):
        with pytest.raises(ParameterError, match=f"^{tmp_path / name} must be {rule}$"):
            compression._epochs(tmp_path / name, sha256)


def test_update_writes_tables_and_figure(files, capsys):
    compression.RESULTS.write_text(json.dumps({"runs": RUNS}), encoding="utf-8")
    assert compression.main(["--update"]) == 0
    assert capsys.readouterr().out == compression_tables.runs_table(RUNS) + "\n"
    text = compression.DOCUMENT.read_text(encoding="utf-8")
    for table in (compression_tables.runs_table(RUNS), compression_tables.energy_table(RUNS),
                  compression_tables.papers_table()):  # fmt: skip
        assert f"-->\n{table}\n<!--" in text
    assert text.startswith("before\n")
    assert compression.FIGURE.read_bytes() == compression_tables.draw(RUNS)


def test_a_run_is_measured_and_takes_the_place_of_the_last_one(files, monkeypatch, capsys):
    net = intnets.small("residual")
    layers = tuple(
        dataclasses.replace(layer, weights=np.full_like(layer.weights, layer.zero_point))
        if layer.name == "body.0.second"
        else layer
        for layer in net.layers
    )
    net = dataclasses.replace(net, layers=layers)
    intnet.write(files / "small", net)
    data = synthetic(train=8, test=40, image_size=4)
    monkeypatch.setattr(compression, "load", lambda *_, **__: data)
    for _ in range(2):
        assert compression.main(["--add", str(files / "small"), "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]
    assert json.loads(compression.RESULTS.read_text(encoding="utf-8")) == {"runs": [run]}
    logits = executor.run(net, data.test_images.numpy())
    assert run["accuracy"] == (logits.argmax(1) == data.test_labels.numpy()).mean()
    crossbars = [layer for layer in net.layers if isinstance(layer, Crossbar)]
    assert run["weights"] == sum(layer.weights.size for layer in crossbars)
    assert run["zeros"] == sum(
        int((layer.weights == layer.zero_point).sum()) for layer in crossbars
    )
    # Of a layer of 12 × 12 two row tiles of 8 are empty.
    assert run["absent"] == -(-12 // net.array_rows)
    assert run["energy_pj"]["rows"] == pytest.approx(
        sum(layer.cell_pj for layer in network_energy(net, skip="rows")), abs=0.1
    )
    assert run["energy_pj"]["masked"] < run["energy_pj"]["rows"] < run["energy_pj"]["none"]
    assert (run["name"], run["method"], run["images"]) == ("small", "none", 40)
    assert run["digest"] == intnet.digest(net)


def test_cycles_are_those_that_the_rtl_took():
    results = compression.ROOT / "docs/results"
    runs = json.loads((results / "compression.json").read_text(encoding="utf-8"))["runs"]
    (run,) = (run for run in runs if run["name"] == "psp_64_4_int8")
    counted = json.loads((results / "all_images.json").read_text(encoding="utf-8"))["run"]
    net = intnet.read(compression.ROOT / "model/zoo/psp_64_4_int8")
    assert run["digest"] == counted["digest"] == intnet.digest(net)
    assert run["cycles"] == counted["cycles_an_image"] == compression.cycles(net, 64)
    pruned = random_intnet.prune(net, 1, share=0.5, outputs=16)
    assert compression.cycles(pruned, 64) < compression.cycles(net, 64)
    assert compression.cycles(intnets.small("resnet"), 64) is None  # it has no RTL


SETTINGS = '{"compression": {"method": "aligned", "sparsity": 0.5, "rows": "x"}}'


@pytest.mark.parametrize(
    ("quantize", "dataset", "text", "told"),
    [
        ("int8", "cifar10", "{", "a report.json: "),
        ("int8", "cifar10", "[]", "a report.json: "),
        ("int8", "cifar10", '{"compression": {"method": "magic"}}', "a report.json: "),
        ("int8", "cifar10", SETTINGS, "a report.json: "),
        ("none", "cifar10", "{}", "a run for integers, not one of floats"),
        ("int8", "synthetic", "{}", "be trained on cifar10, not synthetic"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(files, monkeypatch, capsys, quantize, dataset, text, told):
    recipe = mock.Mock(quantize=quantize, dataset=dataset)
    monkeypatch.setattr(compression, "load", lambda *_, **__: None)
    monkeypatch.setattr(compression, "load_network", lambda _: (None, recipe, {}))
    (files / "run").mkdir()
    (files / "run/report.json").write_text(text, encoding="utf-8")
    (files / "begun").mkdir()
    unfinished = "must hold intnet.json, or report.json and model.safetensors: a run's, at its end"
    for name, rule in {"none": unfinished, "begun": unfinished, "run": told}.items():
        with pytest.raises(SystemExit, match="2"):
            compression.main(["--add", str(files / name)])
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert rule in line
    assert not compression.RESULTS.exists()
