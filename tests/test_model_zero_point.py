# SPDX-License-Identifier: Apache-2.0
"""Zero points for saturating converters: less that saturates, and the same integers everywhere."""

import copy
import dataclasses

import pytest
import torch
from quant_networks import MEAN, STD, images, twin

from model import export
from model.augment import normalise
from model.crossbar_sum import ArrayShape
from model.intnet import Crossbar
from model.quant_layers import QuantConv, QuantHead
from model.schedule import FORMS
from model.verify import MismatchError, verify
from model.zero_point import fit_zero_points

X = normalise(torch.from_numpy(images(16, seed=2)), MEAN, STD)


def layers(network):
    return [each for each in network.modules() if isinstance(each, QuantConv | QuantHead)]


def on(network, array):
    """Return a copy on other crossbars."""
    found = copy.deepcopy(network)
    found.scheme = dataclasses.replace(found.scheme, array=array)
    for layer in layers(found):
        layer.array = array
    return found


def fitted(network):
    found = copy.deepcopy(network)
    fit_zero_points(found, X)
    return found


def difference(network, other):
    with torch.no_grad():
        return (network(X) - other(X)).norm().item()


@pytest.mark.parametrize("form", FORMS)
def test_less_is_lost(form):
    whole = twin(form, width=24)
    before = on(whole, ArrayShape(rows=24, adc_bits=5))
    after = fitted(before)
    assert difference(after, whole) < 0.6 * difference(before, whole)
    assert {layer.array for layer in layers(after)} == {before.scheme.array}


def test_where_nothing_saturates_all_stays():
    whole = twin()
    state = fitted(whole).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.state_dict().items())


def test_each_zero_point_is_the_best_and_no_mean_is_lost():
    """A layer at a time, on what it takes where nothing saturates."""
    whole = twin(width=24)
    after = fitted(on(whole, ArrayShape(rows=24, adc_bits=5)))
    taken = {}
    for layer in layers(whole):
        layer.register_forward_hook(
            lambda layer, given, out: taken.update({layer: (given[0], out)})
        )
    with torch.no_grad():
        whole(X)
        for ours, theirs in zip(layers(after), layers(whole), strict=True):
            given, wanted = taken[theirs]
            lost = (ours(given) - wanted).transpose(0, 1).flatten(1)
            assert lost.mean(1).abs().max() <= ours.unit.max()  # the bias is rounded
            chosen = int(ours.zero_point)
            for other in range(32, 129, 4):
                ours.zero_point.fill_(other)
                errors = (ours(given) - wanted).transpose(0, 1).flatten(1).var(1).mean()
                assert lost.var(1).mean() <= errors
            ours.zero_point.fill_(chosen)
    assert len({int(layer.zero_point) for layer in layers(after)}) > 1


def test_fitting_again_starts_from_the_half():
    before = on(twin(width=24), ArrayShape(rows=24, adc_bits=5))
    once = fitted(before)
    for layer in layers(before):
        layer.zero_point.fill_(40)
    state = fitted(before).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in once.state_dict().items())


@pytest.mark.parametrize("scheme", [{}, {"act_bits": 4, "weight_bits": 4, "per_channel": True}])
def test_the_integers_agree_everywhere(scheme):
    before = on(twin(width=24, **scheme), ArrayShape(rows=8, adc_bits=3))
    after = fitted(before)
    net = export.export(after, "net")
    assert not {layer.zero_point for layer in net.layers if isinstance(layer, Crossbar)} & {8, 128}
    verify(after, net, images(3))
    after.body[0].first[0].zero_point.sub_(1)
    with pytest.raises(MismatchError, match=r"^body\.0\.first: acc of "):
        verify(after, net, images(3))
