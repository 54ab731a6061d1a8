# SPDX-License-Identifier: Apache-2.0
"""The command that compares all executors on test images."""

import dataclasses
import json
import re
import sys

import numpy as np
import pytest
import torch
from intnets import change
from quant_networks import MEAN, STD, twin

from model import checkpoint, intnet, verify
from model.data import synthetic
from model.export import export
from model.recipe import Recipe

PROGRAM = "python -m model.verify"


@pytest.fixture
def folder(tmp_path):
    """A folder with a run's checkpoint and the network that was exported from it."""
    network = twin(size=32, depth=1)
    recipe = Recipe(
        model="psp_12_1", dataset="synthetic", form="residual", quantize="int8", start="a" * 64,
        precision="float32",
    )  # fmt: skip
    data = {"num_classes": 10, "image_size": 32, "mean": list(MEAN), "std": list(STD)}
    tensors = {f"model.{name}": value for name, value in network.state_dict().items()}
    facts = {"recipe": dataclasses.asdict(recipe), "data": data, "log": []}
    checkpoint.write(tmp_path / "model.safetensors", tensors, facts)
    intnet.write(tmp_path / "net", export(network, "psp_12_1"))
    return tmp_path


def line(folder, *more):
    return [str(folder / "net"), "--checkpoint", str(folder / "model.safetensors"), *more]


def test_all_executors_agree_on_all_test_images(folder, capsys):
    assert verify.main(line(folder, "--json")) == 0
    captured = capsys.readouterr()
    assert captured.err == ""  # a bar is for terminals
    found = json.loads(captured.out)
    net, count = intnet.read(folder / "net"), len(synthetic().test_images)
    compared = found.pop("compared")
    assert found == {"name": "psp_12_1", "digest": intnet.digest(net), "images": count}
    assert list(compared) == ["PyTorch", "model.fast_executor", "ONNX Runtime"]
    maps = 12 * 16 * 16
    assert compared["model.fast_executor"] == count * (3 * maps + 12 + 10)
    assert compared["PyTorch"] == compared["ONNX Runtime"] == count * (9 * maps + 12 + 20)


def test_a_network_alone_is_compared_without_pytorch(folder, capsys):
    net = str(folder / "net")
    assert verify.main([net, "--dataset", "synthetic", "--images", "3"]) == 0
    assert capsys.readouterr().out == (
        f"{net}: psp_12_1, 3 test images\n"
        "model.fast_executor: 27714 numbers equal the golden executor's\n"
        "ONNX Runtime: 83040 numbers equal the golden executor's\n"
    )


def test_a_network_of_another_checkpoint_is_told(folder, capsys):
    net = intnet.read(folder / "net")
    weights = net.layers[1].weights.copy()
    weights[0, 1] ^= 1
    intnet.write(folder / "net", change(net, net.layers[1].name, weights=weights))
    assert verify.main(line(folder, "--images", "2")) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(
        rf"{PROGRAM}: error: body\.0\.first: acc of image 0, channel 1, row \d+, column \d+ must "
        r"be -?\d+ as in the golden executor, not -?\d+ as in PyTorch\n",
        captured.err,
    )


def test_fractions_are_told(folder, capsys, monkeypatch):
    forward = verify.QuantNetwork.forward
    monkeypatch.setattr(verify.QuantNetwork, "forward", lambda self, x: forward(self, x) + 0.01)
    assert verify.main(line(folder, "--images", "1")) == 1
    message = "PyTorch must compute integers, not fractions"
    assert capsys.readouterr().err == f"{PROGRAM}: error: {message}\n"


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        verify.main(list(map(str, arguments)))
    assert caught.value.code == 2
    return capsys.readouterr().err.removeprefix(f"{PROGRAM}: error: ").removesuffix("\n")


def test_bad_input_is_one_line(folder, tmp_path, capsys, monkeypatch):
    none = tmp_path / "none"
    found = refused(capsys, none)
    assert found == f"{none}/intnet.json must be a readable file: No such file or directory"
    found = refused(capsys, folder / "net", "--checkpoint", none)
    assert found == f"{none} must be a readable file: No such file or directory"
    found = refused(capsys, folder / "net", "--images", "0")
    rule = "images must be an integer from 1 to 100000, not 0"
    assert found == f"argument --images: {rule} (see --help)"
    monkeypatch.setitem(sys.modules, "onnx", None)
    found = refused(capsys, none)
    assert found == "onnx must be installed: pip install 'shiftbar[onnx]'"


def test_a_float_checkpoint_is_refused(folder, tmp_path, capsys):
    file = tmp_path / "model.safetensors"
    _, facts = checkpoint.read(file)
    recipe = Recipe(model="psp_12_1", dataset="synthetic", form="residual")
    torch.manual_seed(0)
    network = recipe.network(num_classes=10, image_size=32)
    tensors = {f"model.{name}": value for name, value in network.state_dict().items()}
    checkpoint.write(file, tensors, facts | {"recipe": dataclasses.asdict(recipe)})
    message = f"{file} must be trained with --quantize"
    assert refused(capsys, folder / "net", "--checkpoint", file) == message


def test_the_bar_goes_to_a_terminal(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    images = np.zeros((2, 3, 32, 32), np.uint8)
    assert verify._agree(intnet.read(folder / "net"), images, []) == {}
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2/2" in captured.err
