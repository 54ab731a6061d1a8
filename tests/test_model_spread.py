# SPDX-License-Identifier: Apache-2.0
"""Codes moved for saturating converters: the same function, but less that saturates."""

import copy

import pytest
import torch
from quant_networks import MEAN, STD, images, twin

from model import spread as module
from model.augment import normalise
from model.crossbar_sum import ArrayShape
from model.schedule import FORMS
from model.spread import spread

PSP_FORMS = [form for form in FORMS if form != "sp"]
X = normalise(torch.from_numpy(images(16, seed=2)), MEAN, STD)


def on(network, array):
    """Return a copy on other crossbars."""
    found = copy.deepcopy(network)
    for layer in found.modules():
        if hasattr(layer, "array"):
            layer.array = array
    return found


def lost(network):
    """How far saturation takes the logits."""
    with torch.no_grad():
        return (network(X) - on(network, ArrayShape())(X)).norm().item()


@pytest.mark.parametrize("form", PSP_FORMS)
def test_less_is_lost(form):
    before = on(twin(form, width=24), ArrayShape(rows=24, adc_bits=5))
    after = copy.deepcopy(before)
    spread(after, X)
    assert lost(after) < 0.8 * lost(before)


@pytest.mark.parametrize("form", PSP_FORMS)
def test_what_is_not_shifted_stays_to_the_bit(form, monkeypatch):
    """But for the head, whose pool is finer than the map."""
    monkeypatch.setattr(module, "_NEAR", 0)
    monkeypatch.setattr(module, "_FAR", 2)
    whole = twin(form)
    whole.stream.map.exponent.add_(3)  # so that nothing saturates

    def moved():
        found = on(whole, ArrayShape(adc_bits=3))
        spread(found, X)
        found = on(found, ArrayShape())
        seen = {}
        for name, mix in found.mixes():
            mix[1].pre.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
        with torch.no_grad():
            found(X)
        return found, seen

    network, found = moved()
    offsets = [[layer.norm.norm.bias for layer in each.layers()] for each in (whole, network)]
    assert not all(map(torch.equal, *offsets))
    monkeypatch.setattr(module, "_FAR", 0)
    _, wanted = moved()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    monkeypatch.setattr(module, "_FAR", 2)
    monkeypatch.setattr(module, "_lower", lambda *_: None)
    _, broken = moved()
    assert not all(torch.equal(broken[name], value) for name, value in wanted.items())


def test_sp_stays_as_it_is():
    before = on(twin("sp"), ArrayShape(adc_bits=3))
    after = copy.deepcopy(before)
    spread(after, X)
    state = after.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in before.state_dict().items())


def test_offsets_by_hand():
    # Four channels of −1: all planes of all of them are high. One more, and none is.
    codes = -torch.ones(5, 4)
    array = ArrayShape(rows=4, cell_bits=1, adc_bits=1)
    found = module._offsets(codes, 4, array, torch.tensor([1.0, 1.0, 1.0, 0.0]))
    assert found.tolist() == [1.0, 1.0, 1.0, 0.0]
