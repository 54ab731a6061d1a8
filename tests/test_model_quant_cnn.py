# SPDX-License-Identifier: Apache-2.0
"""Residual networks and VGGs as integers: PyTorch equals golden, seeded faults are refused."""

import contextlib
import dataclasses
import functools
import json
import re
from unittest import mock

import numpy as np
import onnxruntime
import pytest
import torch
from quant_networks import MEAN, STD, images
from torch import nn
from torch.nn import functional

from hw.params import ParameterError
from model import baselines, data, evaluate, executor, export, fast_executor, golden, intnet, train
from model.augment import normalise
from model.baselines import create_baseline
from model.crossbar_sum import ArrayShape
from model.layers import VGG_STAGES, layer_shapes
from model.onnx_layers import to_onnx
from model.quant import Grid
from model.quant_cnn_layers import QuantConvReLU, Widen, folded
from model.quant_layers import QuantConv
from model.quant_stream import Scheme
from model.quantise import calibrate, quantise
from model.resnet import ConvNorm, ResNet
from model.verify import MismatchError, torch_trace, verify

INT4 = {"act_bits": 4, "weight_bits": 4, "per_channel": True}
SCHEMES = {
    "int8": {},
    "int4": INT4,
    "4-bit ADC": {"array": ArrayShape(rows=8, adc_bits=4)},
    "6-bit ADC, 3-bit cells": {"array": ArrayShape(cell_bits=3, adc_bits=6)},
    "int4, 3-bit ADC": INT4 | {"array": ArrayShape(rows=8, adc_bits=3)},
}
NARROW = {"vgg8": ((8,) * 2, (12,) * 2, (16,) * 2), "vgg16": ((4, 6), (6,), (8,), (8,), (8,) * 2)}


@contextlib.contextmanager
def narrow():
    """Let networks be made as always, with fewer channels; synthetic images are few and small."""

    def resnet(widths, *arguments, **options):
        return ResNet((6, 10, 12), *arguments, **options)

    few = functools.partial(data.synthetic, train=512, test=128, image_size=16)
    with (
        mock.patch.dict(VGG_STAGES, NARROW),
        mock.patch.object(baselines, "ResNet", resnet),
        mock.patch.object(data, "synthetic", few),
    ):
        yield


def network(kind, size=8):
    """Return a narrow network of a kind, with statistics and weights of many sizes."""
    torch.manual_seed(5)
    name, _, shortcut = kind.partition(", ")
    with narrow():
        net = create_baseline(name, image_size=size, shortcut=shortcut or "projection")
    with torch.no_grad():
        for value in net.parameters():
            value.mul_(torch.exp(0.4 * torch.randn_like(value)))
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.mul_(torch.exp(0.3 * torch.randn_like(module.weight)))
                module.weight[::5] *= -1
                module.bias.add_(torch.randn_like(module.bias), alpha=0.3)
        for _ in range(10):
            net(torch.randn(16, 3, size, size))
    return net.eval()


def twin(kind, size=8, **scheme):
    net = network(kind, size)
    quantised = quantise(net, Scheme(**scheme), image_size=size, mean=MEAN, std=STD)
    pixels = torch.from_numpy(images(64, size, seed=1))
    calibrate(quantised, net, normalise(pixels, MEAN, STD, torch.channels_last))
    return quantised.eval()


def corners(count, size=8):
    """Return random images after one all black, one all white, and a chessboard of both."""
    pixels = images(count, size)
    pixels[0], pixels[1], pixels[2] = 0, 255, 255 * (np.indices((size, size)).sum(0) % 2)
    return pixels


KINDS = ("resnet20, projection", "resnet20, identity", "vgg8")


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_pytorch_equals_golden(kind, scheme):
    net = twin(kind, **scheme)
    assert verify(net, export.export(net, "net"), corners(4)) > 10_000


@pytest.mark.parametrize(
    ("kind", "size"), [("resnet20, projection", 13), ("resnet20, identity", 9), ("vgg8", 18),
                       ("vgg16", 33)],
)  # fmt: skip
def test_maps_of_odd_sides(kind, size):
    net = twin(kind, size)
    verify(net, export.export(net, "net"), images(2, size))


@pytest.mark.parametrize("name", ["resnet20", "vgg8"])
def test_whole_networks_of_full_width(name):
    net = create_baseline(name, image_size=8).eval()
    quantised = quantise(net, Scheme(), image_size=8, mean=MEAN, std=STD)
    calibrate(quantised, net, normalise(torch.from_numpy(images(16, 8)), MEAN, STD))
    integers = export.export(quantised.eval(), name)
    verify(quantised, integers, images(1, 8))
    shapes = {shape.name for shape in layer_shapes(name, image_size=8)}
    assert shapes == {layer.name for layer in integers.layers if isinstance(layer, intnet.Crossbar)}


@pytest.mark.parametrize("kind", KINDS)
def test_values_reach_the_ends_of_their_ranges(kind):
    net = twin(kind)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, QuantConv):
                module.weight.mul_(8)
    verify(net, export.export(net, "net"), corners(4))
    trace = torch_trace(net, corners(4))
    inner = [name for name in trace if name.startswith("stages.") and "pre" in trace[name]]
    assert min(trace[name]["pre"].min() for name in inner) == -128
    assert max(trace[name]["out"].max() for name in inner) == 127


@pytest.mark.parametrize("scheme", [{}, INT4], ids=["int8", "int4"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_executors_agree(kind, scheme):
    integers = export.export(twin(kind, **scheme), "net")
    pixels = corners(6)
    logits = executor.run(integers, pixels)
    assert np.array_equal(logits, fast_executor.run(integers, pixels))
    session = onnxruntime.InferenceSession(
        to_onnx(integers).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    assert np.array_equal(logits, session.run(None, {"images": pixels})[0])


def test_int4_maps_have_four_bits():
    integers = export.export(twin("resnet20, projection", **INT4), "net")
    assert (integers.stream_bits, integers.fetch_shift) == (4, 0)
    widths = {
        layer.name: (layer.act_bits, layer.weight_bits)
        for layer in integers.layers
        if isinstance(layer, intnet.Crossbar)
    }
    assert widths.pop("stem") == widths.pop("head") == (8, 8)
    assert set(widths.values()) == {(4, 4)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_is_close_to_its_network(kind):
    net, quantised = network(kind), twin(kind)
    # A border of pixels of 128 is what the twin sees: here so does the float network.
    pixels = np.pad(images(64, 6), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=128)
    x = normalise(torch.from_numpy(pixels), MEAN, STD)
    with torch.no_grad():
        a, b = net(x), quantised(x)
    assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] > 0.95


def test_batch_norm_folds_exactly():
    torch.manual_seed(0)
    layer = ConvNorm(3, 5, 3, relu=False)
    with torch.no_grad():
        for value in layer.norm.parameters():
            value.add_(torch.randn(5))
    layer(torch.randn(16, 3, 8, 8))
    x = torch.randn(2, 3, 6, 6)
    assert torch.allclose(folded(layer)(x), layer.eval()(x), atol=1e-5)


def test_the_border_is_a_grey_pixel():
    net = twin("resnet20, projection")
    grey = np.full((1, 3, 8, 8), 128, np.uint8)
    trace = torch_trace(net, grey)
    acc = trace["stem"]["acc"]
    # On a grey image nothing shows where it ends.
    assert (acc == acc[:, :, :1, :1]).all()
    assert torch_trace(net, grey + 1)["stem"]["acc"].std((2, 3)).max() > 0


def test_the_sum_is_saturated_once():
    grid = Grid(8)
    conv = QuantConv(
        nn.Conv2d(1, 1, 1, bias=False),
        grid,
        rounds=False,
        weight_bits=8,
        per_channel=False,
        array=ArrayShape(),
    )
    unit = QuantConvReLU(conv, grid)
    with torch.no_grad():
        conv.weight.fill_(2.0)
    found = unit(torch.full((1, 1, 1, 1), 100.0), torch.full((1, 1, 1, 1), -120.0))
    assert found.item() == 80  # 200 − 120, not 127 − 120


def test_relu_passes_gradients_of_what_it_keeps():
    grid = Grid(4)
    conv = QuantConv(
        nn.Conv2d(1, 1, 1, bias=False),
        grid,
        rounds=False,
        weight_bits=4,
        per_channel=False,
        array=ArrayShape(),
    )
    unit = QuantConvReLU(conv, grid)
    with torch.no_grad():
        conv.weight.fill_(1.0)
    x = torch.tensor([-8.0, -3.0, 0.0, 1.0, 7.0]).reshape(1, 1, 1, 5).requires_grad_()
    unit(x, torch.zeros_like(x)).sum().backward()
    assert x.grad.flatten().tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("adc_bits", [1, 8])
def test_widening_copies_whatever_the_converters(adc_bits):
    grid = Grid(8)
    widen = Widen(5, 8, 2, grid)
    weight, bias = widen.integers()
    assert bias is None
    q = np.random.default_rng(0).integers(-128, 128, (2, 5, 7, 7))
    acc = golden.accumulate(
        golden.patches(q, 1, 2, 0), weight[:, :, 0, 0].numpy().T.astype(np.uint8),
        np.zeros(8, int), zero_point=widen.zero_point, act_bits=8, weight_bits=widen.weight_bits,
        array_rows=64, cell_bits=2, adc_bits=adc_bits,
    )  # fmt: skip
    found = widen(torch.from_numpy(q).float()).numpy()
    assert np.array_equal(np.moveaxis(acc, -1, 1), found)
    assert np.array_equal(found[:, :5], q[:, :, ::2, ::2])
    assert not found[:, 5:].any()


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_a_gradient(kind):
    net = twin(kind).train()
    net(normalise(torch.from_numpy(images(16, 8)), MEAN, STD)).square().sum().backward()
    assert all(bool(value.grad.abs().sum() > 0) for value in net.parameters())


def test_features_that_are_all_zero_keep_p_in_its_range():
    net = twin("vgg8")
    net.head.fit(torch.zeros(4, 1024))
    assert export.export(net, "net").layers[-2].p == -7


# Seeded faults.


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    net = twin(request.param)
    return net, export.export(net, "net")


def changed(net, name, **fields):
    layers = [
        dataclasses.replace(layer, **fields) if layer.name == name else layer
        for layer in net.layers
    ]
    return dataclasses.replace(net, layers=tuple(layers))


def layer(net, name):
    return next(layer for layer in net.layers if layer.name == name)


def test_one_wrong_bit_of_a_weight_is_refused(pair):
    net, integers = pair
    name = next(layer.name for layer in integers.layers[3:] if hasattr(layer, "weights"))
    weights = layer(integers, name).weights.copy()
    weights[4, 2] ^= 1
    with pytest.raises(
        MismatchError,
        match=rf"^{re.escape(name)}: acc of image \d, channel 2, row \d+, column \d+ must be -?\d+ "
        r"as in the golden executor, not -?\d+ as in PyTorch$",
    ):
        verify(net, changed(integers, name, weights=weights), corners(4))


@pytest.mark.parametrize("value", [-1, 1, 127])
def test_a_border_of_other_values_is_refused(pair, value):
    net, integers = pair

    def pad(q, widths, inner=functional.pad):
        return inner(q, widths, value=value)

    with (
        mock.patch("model.quant_layers.functional.pad", pad),
        pytest.raises(MismatchError, match=r"^\S+: acc of image 0, channel 0, row 0, column 0 "),
    ):
        verify(net, integers, corners(4))


def test_a_skip_that_is_added_after_the_table_is_refused():
    net = twin("resnet20, projection")
    integers = export.export(net, "net")
    wrong = layer(integers, "stages.0.0.second")
    periphery = dataclasses.replace(
        wrong.periphery, add_before_table=None, add=wrong.periphery.add_before_table
    )
    moved = changed(integers, wrong.name, periphery=periphery)
    with pytest.raises(MismatchError, match=r"^stages\.0\.0\.second: pre of image 0, "):
        verify(net, moved, corners(4))


def test_a_sum_saturated_twice_is_refused():
    net = twin("resnet20, projection")
    with torch.no_grad():
        net.stages[0][0].second.conv.weight.mul_(8)
    integers = export.export(net, "net")
    verify(net, integers, corners(4))
    inner = golden.round_shift

    def saturated(v, k):
        return golden.saturate(inner(v, k), 8)

    with (
        mock.patch.object(golden, "round_shift", saturated),
        pytest.raises(MismatchError, match=r"^stages\.0\.0\.second: pre of image "),
    ):
        verify(net, integers, corners(4))


def test_another_table_is_refused(pair):
    net, integers = pair
    wrong = integers.layers[1]
    if not hasattr(wrong, "periphery"):
        wrong = integers.layers[0]
    periphery = dataclasses.replace(wrong.periphery, table=np.roll(wrong.periphery.table, -1))
    with pytest.raises(MismatchError, match=rf"^{re.escape(wrong.name)}: out of image 0, "):
        verify(net, changed(integers, wrong.name, periphery=periphery), corners(4))


# The commands.

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
