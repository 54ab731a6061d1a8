# SPDX-License-Identifier: Apache-2.0
"""Channels that do not vary: written as a constant, and normalised again once they do."""

import torch
from torch import nn

from model.export import _affine
from model.power_norm import PowerOfTwoNorm
from model.quant import Grid


def twin(deviation):
    """A norm of two channels, the second with a deviation in steps of the incoming grid."""
    source, out = Grid(8), Grid(8)
    source.exponent.fill_(-4)
    out.exponent.fill_(-5)
    norm = nn.BatchNorm2d(2)
    norm.weight.data.copy_(torch.tensor([1.0, -1.0]))
    norm.bias.data.copy_(torch.tensor([0.5, 0.75]))
    norm.running_var.copy_(torch.tensor([1.0, (deviation / 16) ** 2]))
    found = PowerOfTwoNorm(norm, source, out)
    found.fit()
    return found


def test_a_channel_that_does_not_vary_is_its_bias_wherever_its_mean_lies():
    norm = twin(0.2).eval()
    x = torch.stack([torch.zeros(3, 3), torch.full((3, 3), 1.0)])[None]
    for lag in (-0.5, 0.0, 0.5):
        norm.norm.running_mean[1] = 1.0 + lag
        assert torch.equal(norm(x)[0, 1], torch.full((3, 3), 0.75))


def test_one_that_varies_enough_is_normalised():
    norm = twin(0.3).eval()
    x = torch.stack([torch.zeros(3, 3), torch.full((3, 3), 1.0)])[None]
    norm.norm.running_mean[1] = 1.5
    # A gain of −(16 / 0.3), rounded to a power of two, saturates the difference of −0.5.
    assert torch.equal(norm(x)[0, 1], torch.full((3, 3), 127 / 32))


def test_the_integer_network_has_the_same_constant():
    with torch.no_grad():
        affine = _affine(twin(0.2))
    assert affine.sign.tolist() == [1, 0]
    assert affine.exponent[1] == 0
    assert affine.offset[1] * 2.0**-(affine.fraction_bits) * 2.0**-5 == 0.75


def test_a_channel_comes_back_when_it_varies_again():
    norm = twin(0.0).train()
    assert norm.coefficients(norm.mean)[0][1] == 0
    torch.manual_seed(0)
    x = torch.randint(-40, 40, (8, 2, 4, 4)) / 16
    for _ in range(5):
        norm(x)
    assert norm.coefficients(norm.mean)[0][1] < 0
