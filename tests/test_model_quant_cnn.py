# SPDX-License-Identifier: Apache-2.0
"""Residual networks and VGGs as integers: PyTorch equals golden and the other executors."""

import numpy as np
import onnxruntime
import pytest
import torch
from quant_cnn_networks import KINDS, corners, network, twin
from quant_networks import MEAN, STD, images
from torch import nn

from model import executor, export, fast_executor, golden, intnet
from model.augment import normalise
from model.baselines import create_baseline
from model.crossbar_sum import ArrayShape
from model.layers import layer_shapes
from model.onnx_layers import to_onnx
from model.quant import Grid
from model.quant_cnn_layers import QuantConvReLU, Widen, folded
from model.quant_layers import QuantConv
from model.quant_stream import Scheme
from model.quantise import calibrate, quantise
from model.resnet import ConvNorm
from model.verify import torch_trace, verify

INT4 = {"act_bits": 4, "weight_bits": 4, "per_channel": True}
SCHEMES = {
    "int8": {},
    "int4": INT4,
    "4-bit ADC": {"array": ArrayShape(rows=8, adc_bits=4)},
    "6-bit ADC, 3-bit cells": {"array": ArrayShape(cell_bits=3, adc_bits=6)},
    "int4, 3-bit ADC": INT4 | {"array": ArrayShape(rows=8, adc_bits=3)},
}


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
