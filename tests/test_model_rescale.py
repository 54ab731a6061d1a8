# SPDX-License-Identifier: Apache-2.0
"""Scales of channels: the same function, with gains near powers of two."""

import copy
from unittest import mock

import pytest
import torch
from quant_networks import images, network
from torch import nn

from model import rescale as module
from model.rescale import absorb, centre, orient, rescale
from model.schedule import FORMS, schedule


def steps_of(net):
    return schedule(net.body[0].form, len(net.body))


def prepared(form):
    """Return a network in float64 and some images; without the constant in batch norms."""
    net = network(form, depth=3).double()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 0.0
            layer.running_var.clamp_(min=1e-3)
    return net, torch.from_numpy(images(8)).double() / 64.0 - 2.0


def gain_error(net):
    """Mean squared distance of the writers' gains from powers of two, in octaves."""
    errors = []
    for step in steps_of(net):
        norm = net.get_submodule(step.name)[2]
        octaves = (norm.weight / norm.running_var.sqrt()).abs().log2()
        errors.append((octaves - octaves.round()).square())
    return float(torch.stack(errors).mean())


@pytest.mark.parametrize("form", FORMS)
def test_the_function_stays_and_gains_come_nearer(form):
    net, x = prepared(form)
    with torch.no_grad():
        before, error = net(x), gain_error(net)
        rescale(net)
        torch.testing.assert_close(net(x), before, rtol=1e-9, atol=1e-9)
        after = gain_error(net)
    # Nine layers share one scale in a residual network, and two or one elsewhere.
    assert after < error * (0.98 if form == "residual" else 0.6)


@pytest.mark.parametrize("form", FORMS)
def test_gains_are_absorbed(form):
    net, x = prepared(form)
    with torch.no_grad():
        before = net(x)
        absorb(net)
        assert gain_error(net) < 1e-12
        # GELU is not homogeneous, but nearly.
        assert 1e-3 < (net(x) - before).norm() / before.norm() < 0.2


@pytest.mark.parametrize("form", FORMS)
def test_what_is_homogeneous_stays(form):
    net, x = prepared(form)
    for step in steps_of(net):
        net.get_submodule(step.name)[1] = nn.ReLU()
    with torch.no_grad():
        before = net(x)
        absorb(net)
        torch.testing.assert_close(net(x), before, rtol=1e-9, atol=1e-9)


def test_twice_is_once():
    net, _ = prepared("skip_before_shift")
    rescale(net)
    once = copy.deepcopy(net.state_dict())
    rescale(net)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, once[name], rtol=1e-9, atol=1e-9)


# SP adds what one layer wrote, so a chain of scales does for it.
@pytest.mark.parametrize("form", [form for form in FORMS if form != "sp"])
def test_maps_that_are_added_must_share_a_scale(form):
    net, x = prepared(form)
    own = [(number, number + 1) for number in range(len(steps_of(net)))]
    with torch.no_grad(), mock.patch.object(module, "_shared_scales", return_value=own):
        before = net(x)
        rescale(net)
        assert (net(x) - before).abs().max() > 1e-3


def test_a_channel_without_gain_stays_finite():
    net, x = prepared("residual")
    with torch.no_grad():
        for step in steps_of(net):
            net.get_submodule(step.name)[2].weight[3] = 0.0
        before = net(x)
        rescale(net)
        torch.testing.assert_close(net(x), before, rtol=1e-9, atol=1e-9)


def negative(net, x):
    """Share of negative values that each layer reads, channel by channel: [layers, C]."""
    found = []

    def keep(_, taken):
        found.append((taken[0] < 0).double().mean((0, 2, 3)))

    for step in steps_of(net)[1:]:
        net.get_submodule(step.name)[0].register_forward_pre_hook(keep)
    net.norm.register_forward_pre_hook(
        lambda _, taken: keep(_, [taken[0].mean((2, 3))[..., None, None]])
    )
    net(x)
    return torch.stack(found)


@pytest.mark.parametrize("form", FORMS)
def test_signs_are_free_and_few_values_are_negative(form):
    net, x = prepared(form)
    with torch.no_grad():
        before, share = net(x), negative(copy.deepcopy(net), x)
        orient(net, x)
        torch.testing.assert_close(net(x), before, rtol=1e-9, atol=1e-9)
        after = negative(copy.deepcopy(net), x)
        assert after.mean() < share.mean() - 0.02
        once = copy.deepcopy(net.state_dict())
        orient(net, x)
    assert all(torch.equal(value, once[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("form", [form for form in FORMS if form != "sp"])
def test_maps_that_are_added_must_share_a_sign(form):
    net, x = prepared(form)
    own = [(number, number + 1) for number in range(len(steps_of(net)))]
    with torch.no_grad(), mock.patch.object(module, "_shared_scales", return_value=own):
        before = net(x)
        orient(net, x)
        assert (net(x) - before).abs().max() > 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_what_the_head_reads_is_centred_and_the_function_stays(form):
    net, x = prepared(form)
    seen = []
    net.norm.register_forward_pre_hook(lambda _, taken: seen.append(taken[0].mean((0, 2, 3))))
    with torch.no_grad():
        before, mean = net(x), net.norm.running_mean.clone()
        assert mean.abs().max() > 0.01
        centre(net)
        torch.testing.assert_close(net(x), before, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(seen[1], seen[0] - mean, rtol=1e-9, atol=1e-9)
    assert not net.norm.running_mean.any()


def test_gains_of_silent_channels_do_not_count():
    found = []
    for variance in (1e-9, 3e-9):  # other gains, as meaningless
        net, x = prepared("residual")
        conv, _, norm = net.get_submodule(steps_of(net)[2].name)
        with torch.no_grad():
            conv.weight[5], norm.running_mean[5], norm.running_var[5] = 0.0, 0.0, variance
            before = net(x)
            rescale(net)
            torch.testing.assert_close(net(x), before, rtol=1e-9, atol=1e-9)
        found.append(net.norm.running_mean.clone())
    assert torch.equal(*found)
