# SPDX-License-Identifier: Apache-2.0
"""PyTorch equals the golden executor on every number; one wrong bit anywhere is refused."""

import dataclasses
import json
import re
import sys
from unittest import mock

import numpy as np
import pytest
import torch
from intnets import change
from quant_networks import images, network, twin

from model import crossbar_sum, export, golden, intnet, onnx_graph, train
from model.crossbar_sum import ArrayShape
from model.intnet import IntNetError
from model.onnx_layers import to_onnx
from model.quant_network import QuantNetwork
from model.quant_stream import Scheme
from model.quantise import quantise
from model.schedule import FORMS
from model.verify import MismatchError, torch_trace, verify

INT4 = {"act_bits": 4, "weight_bits": 4, "per_channel": True}
SCHEMES = {
    "int8": {},
    "int8, wider stream": {"stream_bits": 12},
    "int4": INT4,
    "int4, stream of 4 bits": INT4 | {"stream_bits": 4},
    "6-bit ADC, 3-bit cells": {"array": ArrayShape(rows=64, cell_bits=3, adc_bits=6)},
    "4-bit ADC": {"array": ArrayShape(rows=8, adc_bits=4)},
    "int4, 3-bit ADC": INT4 | {"array": ArrayShape(rows=8, adc_bits=3)},
}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("form", FORMS)
def test_pytorch_equals_golden(form, scheme):
    net = twin(form, **scheme)
    assert verify(net, export.export(net, "net"), images(3)) > 10_000


@pytest.mark.parametrize("size", [4, 10, 12, 16])
def test_maps_of_any_size_are_pooled_exactly(size):
    net = twin(size=size)
    verify(net, export.export(net, "net"), images(8, size))


def test_saturating_converters_change_the_result():
    plain, clipped = (twin(array=ArrayShape(rows=8, adc_bits=bits)) for bits in (5, 4))
    ours, theirs = (torch_trace(net, images(1))["head"]["acc"] for net in (plain, clipped))
    assert not np.array_equal(ours, theirs)


def test_wide_layers_are_exact():
    # 1100 rows of 127 times 127 are more than 2^24.
    net = twin(width=1100, depth=1, size=4)
    with torch.no_grad():
        net.stem[2].norm.bias.fill_(1e3)
        net.body[0].first[0].weight.fill_(1.0)
        net.body[0].first[0].weight[:, 0] = 0.0  # an odd sum, which float32 has not
    integers = export.export(net, "net")
    verify(net, integers, images(1, 4))
    with (
        mock.patch.object(crossbar_sum, "_FLOAT32_EXACT", 1 << 40),
        pytest.raises(MismatchError, match=r"^body\.0\.first: acc of "),
    ):
        verify(net, integers, images(1, 4))


def test_values_reach_the_ends_of_their_ranges():
    net = twin()
    with torch.no_grad():
        for _, (conv, _, norm) in net.mixes():
            conv.weight.mul_(8)
            norm.norm.bias.mul_(300)
    integers = export.export(net, "net")
    verify(net, integers, images(3))
    trace = torch_trace(net, images(3))
    for name in ("body.0.first", "body.0.second"):
        for key in ("pre", "out"):
            assert (trace[name][key].min(), trace[name][key].max()) == (-128, 127)


@pytest.fixture(scope="module")
def pair():
    net = twin()
    return net, export.export(net, "net")


def layer(net, name):
    return next(layer for layer in net.layers if layer.name == name)


@pytest.mark.parametrize("field", ["k", "add", "affine"])
def test_a_wrong_periphery_is_refused(pair, field):
    net, integers = pair
    wrong = layer(integers, "body.0.first")
    periphery = wrong.periphery
    affine = periphery.affine
    one = np.int16(1 << affine.fraction_bits)  # of what is written
    changes = {
        "k": {"k": periphery.k + np.int8(1)},
        "add": {"add": None},
        "affine": {"affine": dataclasses.replace(affine, offset=affine.offset + one)},
    }
    moved = dataclasses.replace(periphery, **changes[field])
    key = "pre" if field == "k" else "out"
    with pytest.raises(MismatchError, match=rf"^body\.0\.first: {key} of image 0, "):
        verify(net, change(integers, "body.0.first", periphery=moved), images(2))


def test_another_network_is_refused(pair):
    net, _ = pair
    with pytest.raises(
        MismatchError,
        match=r"^layers must be stem, .* as in the golden executor, not stem, .* as in PyTorch$",
    ):
        verify(net, export.export(twin(depth=1), "net"), images(1))


def test_what_is_no_integer_is_refused(pair):
    net, integers = pair
    with (
        mock.patch.object(QuantNetwork, "forward", lambda self, x: self.head(self.features(x))
            + 0.01),
        pytest.raises(MismatchError, match="^PyTorch must compute integers, not fractions$"),
    ):  # fmt: skip
        verify(net, integers, images(1))


def test_an_offset_that_leaves_its_range_saturates_in_both(pair):
    net = twin()
    with torch.no_grad():
        net.body[0].first[2].norm.bias.fill_(1e6)
    integers = export.export(net, "net")
    assert layer(integers, "body.0.first").periphery.affine.offset.max() == 32767
    verify(net, integers, images(1))


def test_an_exponent_that_leaves_its_range_is_told():
    net = twin()
    net.body[0].first[1].pre.exponent.add_(40)
    with pytest.raises(
        IntNetError,
        match=r"^body\.0\.first: each entry of k must be an integer from -7 to 23, not \d+$",
    ):
        export.export(net, "net")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A float run, and one for integers that begins from it."""
    out = tmp_path_factory.mktemp("runs")
    line = ["psp_12_1", "--dataset", "synthetic", "--epochs", "1"]
    assert train.main([*line, "--out", str(out / "float")]) == 0
    begin = ["--quantize", "int4", "--from", str(out / "float" / train.FINAL)]
    assert train.main([*line, *begin, "--rate", "0.001", "--out", str(out / "int4")]) == 0
    return out


def test_the_command_writes_what_was_verified(runs, tmp_path, capsys):
    line = [str(runs / "int4" / train.FINAL), "--out", str(tmp_path / "net")]
    assert export.main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    net = intnet.read(tmp_path / "net")
    assert found["name"] == net.name == "psp_12_1"
    assert found["digest"] == intnet.digest(net)
    assert found["images"] == 16
    assert found["compared"] > 100_000
    assert export.main([*line, "--images", "1"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r".*/net: psp_12_1, \d+ numbers of 1 images agree", first)
    assert second == f"sha256 of intnet.json: {found['digest']}"


def half_even(v, k):
    return np.round(v / np.exp2(k)).astype(np.int64)


def test_nothing_is_written_if_they_disagree(runs, tmp_path, capsys):
    line = [str(runs / "int4" / train.FINAL), "--out", str(tmp_path / "net")]
    with mock.patch.object(golden, "round_shift", half_even):
        assert export.main(line) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(
        r"python -m model\.export: error: \S+: \w+ of image .* as in PyTorch\n", captured.err
    )
    assert not (tmp_path / "net").exists()


def test_onnx_is_written_with_it(runs, tmp_path, capsys):
    line = [str(runs / "int4" / train.FINAL), "--out", str(tmp_path / "net"), "--images", "2"]
    file = tmp_path / "net.onnx"
    assert export.main([*line, "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)["compared"]
    assert export.main([*line, "--json", "--onnx", str(file)]) == 0
    assert json.loads(capsys.readouterr().out)["compared"] == 2 * alone
    graph = to_onnx(intnet.read(tmp_path / "net"))
    assert file.read_bytes() == graph.SerializeToString(deterministic=True)
    assert export.main([*line, "--onnx", str(file)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"{file}: its graph, equal to it in ONNX Runtime"


def test_neither_is_written_if_onnx_runtime_disagrees(runs, tmp_path, capsys):
    def half_even(graph, v, k, dtype=np.float32):
        scaled = graph.node("Mul", v, np.ldexp(1.0, -np.asarray(k)).astype(dtype))
        return graph.node("Round", scaled)

    line = [str(runs / "int4" / train.FINAL), "--out", str(tmp_path / "net")]
    with mock.patch.object(onnx_graph.Graph, "round_shift", half_even):
        assert export.main([*line, "--onnx", str(tmp_path / "net.onnx")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(
        r"python -m model\.export: error: \S+: \w+ of image \d+, channel \d+, row \d+, "
        r"column \d+ must be -?\d+ as in the golden executor, not -?\d+ as in ONNX Runtime\n",
        captured.err,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_onnx_is_one_line(tmp_path, capsys, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    line = [str(tmp_path / "none"), "--out", str(tmp_path / "net")]
    with pytest.raises(SystemExit) as caught:  # before the checkpoint is looked at
        export.main([*line, "--onnx", str(tmp_path / "net.onnx")])
    assert caught.value.code == 2
    message = f"{package} must be installed: pip install 'shiftbar[onnx]'"
    assert capsys.readouterr().err == f"python -m model.export: error: {message}\n"


def test_a_place_for_onnx_must_exist(runs, tmp_path, capsys):
    line = [str(runs / "int4" / train.FINAL), "--out", str(tmp_path / "net")]
    with pytest.raises(SystemExit) as caught:
        export.main([*line, "--onnx", str(tmp_path)])
    assert caught.value.code == 2
    message = f"{tmp_path} must be writable: Is a directory"
    assert capsys.readouterr().err == f"python -m model.export: error: {message}\n"
    assert not (tmp_path / "net").exists()


def test_a_folder_of_something_else_is_refused_before_the_work(runs, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    with (
        mock.patch.object(export, "load_network", side_effect=AssertionError),
        pytest.raises(SystemExit) as caught,
    ):
        export.main([str(runs / "int4" / train.FINAL), "--out", str(tmp_path)])
    assert caught.value.code == 2
    rule = "the output folder must be new, empty or hold an earlier intnet.json, not other files"
    assert capsys.readouterr().err == f"python -m model.export: error: {rule}: {tmp_path}\n"
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("float", r"\S+/float/model.safetensors must be trained with --quantize"),
        ("none", r"\S+/none/model.safetensors must be a readable file: No such file or directory"),
        ("", r"\S+/model.safetensors must be a file, not a folder"),
    ],
)
def test_bad_input_is_one_line(runs, tmp_path, capsys, which, message):
    file = runs / which / train.FINAL
    if not which:
        file = tmp_path / train.FINAL
        file.mkdir()
    with pytest.raises(SystemExit) as caught:
        export.main([str(file), "--out", str(tmp_path / "net")])
    assert caught.value.code == 2
    assert re.fullmatch(f"python -m model.export: error: {message}\n", capsys.readouterr().err)
    assert not (tmp_path / "net").exists()


def test_the_float_network_stays_as_it_is():
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    quantise(net, Scheme(), image_size=12, mean=(0.5,) * 3, std=(0.25,) * 3)
    after = net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
