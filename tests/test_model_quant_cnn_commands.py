# SPDX-License-Identifier: Apache-2.0
"""Residual networks and VGGs as integers, by the commands; networks that have no twin."""

import json

import pytest
from quant_cnn_networks import KINDS, narrow
from quant_networks import MEAN, STD

from hw.params import ParameterError
from model import evaluate, export, intnet, train
from model.baselines import create_baseline
from model.quant_stream import Scheme
from model.quantise import quantise

LINE = ["--dataset", "synthetic", "--epochs", "1"]


@pytest.fixture(scope="module", params=KINDS)
def run(request, tmp_path_factory):
    """A float run, and one for integers that begins from it: the narrow network."""
    name, _, shortcut = request.param.partition(", ")
    out = tmp_path_factory.mktemp("runs")
    line = [name, *LINE, *(["--shortcut", shortcut] if shortcut else [])]
    with narrow():
        assert train.main([*line, "--out", str(out / "float")]) == 0
        begin = ["--quantize", "int4", "--from", str(out / "float" / train.FINAL)]
        assert train.main([*line, *begin, "--rate", "0.001", "--out", str(out / "int4")]) == 0
        yield out / "int4" / train.FINAL


def test_from_training_to_the_accuracy_of_integers(run, tmp_path, capsys):
    net = tmp_path / "net"
    assert export.main([str(run), "--out", str(net), "--images", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["digest"] == intnet.digest(intnet.read(net))
    assert evaluate.main([str(net), "--dataset", "synthetic", "--json"]) == 0
    integers = json.loads(capsys.readouterr().out)["accuracy"]
    assert evaluate.main([str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == integers
    assert evaluate.main([str(net), "--dataset", "synthetic", "--ranges", "--images", "2"]) == 0


ABLE = (
    "only psp_W_D, sp_W_D, resnet20, resnet32, resnet56, resnet110, vgg8 and vgg16 can be quantised"
)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("densenet40_12", "DenseNet"),
        ("mobilenetv1", "MobileNet"),
        ("convmixer_8_1", "ConvMixer"),
        ("shiftresnet110", "a ResNet with shifts"),
        ("resnet18", "a ResNet with overlapping pooling"),
    ],
)
def test_what_has_no_twin(name, what):
    net = create_baseline(name)
    with pytest.raises(ParameterError, match=f"^{ABLE}, not {what}$"):
        quantise(net, Scheme(), image_size=32, mean=MEAN, std=STD)


def test_what_has_no_twin_is_told_in_one_line_before_there_is_a_run(tmp_path, capsys):
    line = ["convmixer_8_1", *LINE, "--batch-size", "256"]
    with narrow():
        assert train.main([*line, "--out", str(tmp_path / "float")]) == 0
        capsys.readouterr()
        line += ["--quantize", "int8", "--out", str(tmp_path / "int8")]
        with pytest.raises(SystemExit) as caught:
            train.main([*line, "--from", str(tmp_path / "float" / train.FINAL)])
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"python -m model.train: error: {ABLE}, not ConvMixer\n"
    assert not (tmp_path / "int8").exists()
