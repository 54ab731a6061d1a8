# SPDX-License-Identifier: Apache-2.0
"""Grids, gradients, calibration."""

import itertools
import math

import numpy as np
import pytest
import torch
from quant_networks import MEAN, STD, images, network, twin
from torch import nn

from model import golden
from model import quantise as quantise_module
from model.augment import normalise
from model.crossbar_sum import ArrayShape, crossbar_sum
from model.power_norm import PowerOfTwoNorm
from model.quant import Grid, best_exponents, nearest_power, to_grid, two_to
from model.quant_layers import QuantConv
from model.quant_stream import Scheme
from model.quant_table import TableGELU
from model.quantise import QuantIsotropic, freeze_norms, quantise


def test_two_to_is_exact():
    exponents = torch.arange(-126, 128, dtype=torch.int32)
    assert two_to(exponents).tolist() == [2.0**e for e in range(-126, 128)]


@pytest.mark.parametrize("exponent", [-3, 0, 5])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_rounding_is_golden(bits, exponent):
    values = torch.arange(-70_000, 70_000)
    grid = Grid(bits)
    grid.exponent.fill_(exponent)
    # Two more binary places than the grid has: every tie is among them.
    found = grid(values * 2.0 ** (exponent - 2)) / 2.0**exponent
    expected = golden.saturate(golden.round_shift(values.numpy(), 2), bits)
    assert np.array_equal(found.numpy(), expected)


def test_gradients_pass_where_nothing_saturates():
    x = torch.tensor([-9.0, -8.4, -8.6, 0.3, 7.4, 7.6, 100.0], requires_grad=True)
    to_grid(x, torch.ones(()), -8, 7).sum().backward()
    assert x.grad.tolist() == [0, 1, 0, 1, 1, 0, 0]


def test_nearest_power():
    x = torch.tensor([1.4, -1.5, 0.0, 3.0, 100.0, -0.01, 1.0], requires_grad=True)
    found = nearest_power(x, -3, 4)
    assert found.tolist() == [1.0, -2.0, 0.125, 4.0, 16.0, -0.125, 1.0]
    found.sum().backward()
    assert x.grad.tolist() == [1] * 7


def test_best_exponents_have_the_least_error():
    torch.manual_seed(0)
    values = torch.randn(6, 400) * 4.0 ** torch.arange(6)[:, None]
    values[3, 0] = 1e4  # an outlier that is better cut
    for bits in (4, 8):
        found = best_exponents(values, bits)
        half = 1 << (bits - 1)
        for row, exponent in zip(values, found.tolist(), strict=True):
            errors = {
                e: float(
                    (to_grid(row, torch.tensor(2.0**e), -half, half - 1) - row).square().mean()
                )
                for e in range(exponent - 2, exponent + 3)
            }
            outlier = row[0] == 1e4  # there, only three grids below the covering one are tried
            assert outlier or min(errors, key=errors.get) == exponent


def test_zeros_have_an_exponent():
    assert best_exponents(torch.zeros(2, 5), 8).abs().max() <= 64


UNITS = torch.ones(()), torch.ones(1)


@pytest.mark.parametrize("zero", [0, 77, 128, 255])
@pytest.mark.parametrize("adc_bits", [4, 5, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (2, 2)])
def test_crossbar_sum_is_golden(adc_bits, kernel, stride, zero):
    source = np.random.default_rng(1)
    q = source.integers(-128, 128, (2, 20, 6, 6))
    w = source.integers(-zero, 256 - zero, (7, 20, kernel, kernel))
    found = crossbar_sum(
        torch.from_numpy(q).float(), torch.from_numpy(w).float(), act_bits=8, weight_bits=8,
        zero_point=zero, array=ArrayShape(rows=16, adc_bits=adc_bits), stride=stride, steps=UNITS,
    )  # fmt: skip
    rows = golden.patches(q, kernel, stride, 0)
    expected = golden.accumulate(
        rows, w.transpose(2, 3, 1, 0).reshape(-1, 7) + zero, np.zeros(7, int), zero_point=zero,
        act_bits=8, weight_bits=8, array_rows=16, cell_bits=2, adc_bits=adc_bits,
    )  # fmt: skip
    assert np.array_equal(found.numpy(), np.moveaxis(expected, -1, 1))


def test_gradients_of_a_saturating_crossbar_are_the_convolutions():
    grads = []
    for adc_bits in (4, 8):
        torch.manual_seed(0)
        q = torch.randint(-8, 8, (2, 20, 3, 3)).float().requires_grad_()
        w = torch.randint(-8, 8, (5, 20, 1, 1)).float().requires_grad_()
        array = ArrayShape(rows=16, adc_bits=adc_bits)
        found = crossbar_sum(
            q, w, steps=UNITS, act_bits=4, weight_bits=4, zero_point=8, array=array
        )
        found.square().sum().backward()
        grads.append(q.grad)
    assert not torch.equal(*grads)  # the outer derivative sees what was clipped
    assert all(bool(grad.abs().sum() > 0) for grad in grads)


def test_the_table_bends_gradients_as_gelu_does():
    gelu = TableGELU(8)
    values = torch.randn(1000) * 2
    gelu.fit(values)
    lowest = float((gelu.pre.low + gelu.pre_zero) * gelu.pre.step)
    x = torch.linspace(lowest, 2, 50)[None, None, None].requires_grad_()
    gelu(x - gelu.threshold).sum().backward()
    y = (gelu.pre(x.detach() - gelu.threshold) + gelu.threshold).requires_grad_()
    nn.functional.gelu(y).sum().backward()
    assert torch.equal(x.grad, y.grad)
    far = torch.full((1, 1, 1, 1), 100.0, requires_grad=True)
    gelu(far).sum().backward()
    assert far.grad.item() == 0


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("size", [0.05, 1.0, 7.0])
def test_no_exponents_have_a_table_of_less_error(bits, size):
    torch.manual_seed(0)
    sums = size * torch.randn(2000)
    sums[0] = 20 * size  # an outlier that is better cut
    gelu = TableGELU(bits)

    def error():
        found = gelu((sums - gelu.threshold)[None, None, None])[0, 0, 0] + gelu.lowered
        return float((found - nn.functional.gelu(sums)).square().mean())

    gelu.fit(sums)
    least, chosen = error(), (int(gelu.pre.exponent), int(gelu.act.exponent))
    errors = {}
    for exponents in itertools.product(range(-14, 4), repeat=2):
        for grid, exponent in zip((gelu.pre, gelu.act), exponents, strict=True):
            grid.exponent.fill_(exponent)
        gelu.tabulate()
        errors[exponents] = error()
    assert errors[chosen] == least == min(errors.values())


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("pre_exp", range(-6, 3))
@pytest.mark.parametrize("act_exp", range(-6, 3))
def test_zeros_waste_no_code_and_lose_none(bits, pre_exp, act_exp):
    gelu = TableGELU(bits)
    gelu.pre.exponent.fill_(pre_exp)
    gelu.act.exponent.fill_(act_exp)
    gelu.tabulate()
    half = 1 << (bits - 1)
    below = [  # what GELU is for codes of a symmetric grid, −half…−1
        math.floor(x * (1 + math.erf(x / 2**0.5)) / 2 / 2.0**act_exp + 0.5)
        for x in (code * 2.0**pre_exp for code in range(-half, 0))
    ]
    first = int(gelu.pre_zero) - half  # the least that is not saturated
    assert not any(below[: half + first])
    assert first in (-half, 0) or below[half + first + 1]  # nor could it be larger
    assert int(gelu.act_zero) == half - min(half, -min(below))
    assert int(gelu.table[0]) + int(gelu.act_zero) == (max([*below, 0][half + first], -half))


def test_far_below_is_nothing_and_far_above_the_end():
    gelu = TableGELU(4)
    values = torch.randn(4000) * 3
    gelu.fit(values)
    x = torch.tensor([-1e3, 1e3])[None, None, None]
    found = gelu(x - gelu.threshold) + gelu.lowered
    assert found[0, 0, 0, 0] == 0
    assert found[0, 0, 0, 1] == (int(gelu.table[-1]) + gelu.act_zero) * gelu.act.step
    assert len(set(gelu.table.tolist())) > 10  # of 16 entries; a symmetric grid has 9 at most


def test_the_twin_is_close_to_its_network():
    net, quantised = network(), twin(stream_bits=16)
    x = normalise(torch.from_numpy(images(64)), MEAN, STD)
    # Batch norms of powers of two in both: what is left is the rounding of 8-bit numbers.
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and module is not net.norm:
                gain = module.weight * torch.rsqrt(module.running_var + module.eps)
                module.weight.mul_(nearest_power(gain, -20, 20) / gain)
        a, b = net(x), quantised(x)
    assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] > 0.98


def test_norms_follow_the_batch_until_they_are_frozen():
    net = twin().train()
    norms = [module for module in net.modules() if isinstance(module, PowerOfTwoNorm)]
    x = normalise(torch.from_numpy(images(16)), MEAN, STD)

    def statistics():
        return torch.cat([of for n in norms for of in (n.norm.running_mean, n.norm.running_var)])

    before = statistics()
    net(x)
    moved = statistics()
    assert not torch.equal(before, moved)
    freeze_norms(net)
    net(x)
    assert torch.equal(statistics(), moved)


def test_every_parameter_gets_a_gradient():
    net = twin("sp").train()
    x = normalise(torch.from_numpy(images(16)), MEAN, STD)
    net(x).square().sum().backward()
    assert all(bool(value.grad.abs().sum() > 0) for value in net.parameters())


def test_dead_channels_keep_k_in_its_range():
    net = network()
    with torch.no_grad():
        net.body[0].first[0].weight[3] = 0
    quantised = quantise(
        net, Scheme(act_bits=4, weight_bits=4, per_channel=True), image_size=12, mean=MEAN, std=STD
    )
    conv: QuantConv = quantised.body[0].first[0]
    pre = Grid(4)
    conv.fit(pre)
    k = pre.exponent - conv.source.exponent - conv.weight_exponent
    # A threshold of 2^3 codes is then 2^22 accumulators; docs/intnet.md allows 23 without one.
    assert k.max() == 19
    assert k.min() >= 0


@pytest.mark.parametrize("bits", [4, 8])
def test_sums_keep_their_mean(bits, monkeypatch):
    net, x = network(), normalise(torch.from_numpy(images(64)), MEAN, STD)
    scheme = Scheme(act_bits=bits, weight_bits=bits, per_channel=bits < 8)

    def drift():
        made = quantise(net, scheme, image_size=12, mean=MEAN, std=STD)
        quantise_module.calibrate(made, net, x)
        names = [f"{name}.0" for name, _ in made.mixes()]
        with torch.no_grad(), quantise_module.averages(net, names) as wanted:
            net(x)
        with torch.no_grad(), quantise_module.averages(made, names) as found:
            made(x)
        return max(
            float((found[f"{name}.0"] + gelu.threshold - wanted[f"{name}.0"]).abs().max())
            for name, (_, gelu, _) in made.mixes()
        )

    corrected = drift()
    monkeypatch.setattr(QuantIsotropic, "_correct_biases", lambda *_: None)
    assert corrected < 0.3 * drift()
