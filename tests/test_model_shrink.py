# SPDX-License-Identifier: Apache-2.0
"""Channels that are always 0 leave an integer network, and its logits stay."""

import dataclasses

import numpy as np
import pytest
from intnets import KINDS, images, random_net

from hw.params import ParameterError
from model import executor, random_intnet
from model.intnet import Crossbar
from model.shrink import idle_channels, shrink

GOING = {
    "resnet": {"b", "c", "e", "pooled"},
    "vgg": {"a", "b", "c", "d", "e", "pooled"},
}
"""Maps that nothing ties."""


def emptied(net, *, value=0):
    """Let each third output of each layer have weights of 0, and write ``value``."""
    for layer in net.layers[:-1]:
        if isinstance(layer, Crossbar):
            weights, bias = layer.weights.copy(), layer.bias.copy()
            weights[:, ::3], bias[::3] = layer.zero_point, 0
            table = layer.periphery.table.copy()
            table[len(table) // 2] = value
            fields = {"weights": weights, "bias": bias, "table": table}
            if layer.periphery.affine:
                offset = np.zeros_like(layer.periphery.affine.offset)
                fields["affine"] = dataclasses.replace(layer.periphery.affine, offset=offset)
            net = random_intnet.change(net, layer.name, **fields)
    return net


def channels(net):
    return {name: each.channels for name, each in net.maps.items()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [8, 4])
def test_logits_stay(kind, bits, seed):
    net = emptied(random_net(kind, seed, act_bits=bits, weight_bits=bits))
    less = shrink(net)
    before, after = channels(net), channels(less)
    gone = {name for name in before if after[name] < before[name]}
    assert gone == GOING.get(kind, set())
    pixels = images(net, 16)
    logits = executor.run(net, pixels)
    assert len(np.unique(logits, axis=0)) > 1
    assert np.array_equal(logits, executor.run(less, pixels))
    assert channels(shrink(less)) == after


def test_a_third_of_what_may_go_goes():
    net = emptied(random_net("vgg"))
    less = shrink(net)
    for before, after in zip(net.layers, less.layers, strict=True):
        if isinstance(before, Crossbar) and before.periphery:
            assert after.outputs == before.outputs - -(-before.outputs // 3)


def test_a_channel_that_is_not_zero_stays():
    net = emptied(random_net("vgg"), value=1)
    assert idle_channels(net) == {}
    pixels = images(net, 16)
    forced = {"a": np.arange(net.maps["a"].channels) % 3 == 0}
    forced["b"] = forced["a"]
    assert np.array_equal(executor.run(net, pixels), executor.run(shrink(net), pixels))
    # Taken out by force, it would be missed.
    assert not np.array_equal(executor.run(net, pixels), executor.run(shrink(net, forced), pixels))


def test_a_channel_with_a_weight_stays():
    net = emptied(random_net("vgg"))
    conv = net.layers[2]
    weights = conv.weights.copy()
    weights[0, 0] += 1
    idle = idle_channels(random_intnet.change(net, conv.name, weights=weights))[conv.out]
    assert list(idle[:4]) == [False, False, False, True]


def test_one_channel_stays_where_all_are_zero():
    net = random_net("vgg")
    conv = net.layers[2]
    net = random_intnet.change(
        net, conv.name, weights=np.full_like(conv.weights, conv.zero_point),
        bias=np.zeros_like(conv.bias), table=np.zeros_like(conv.periphery.table),
    )  # fmt: skip
    less = shrink(net)
    assert less.maps[conv.out].channels == 1
    pixels = images(net, 8)
    assert np.array_equal(executor.run(net, pixels), executor.run(less, pixels))


def test_saturating_converters_are_refused():
    net = random_net("vgg", adc_bits=7)
    message = "converters must not saturate where rows are to move, not have 7 bits"
    with pytest.raises(ParameterError, match=f"^{message}$"):
        shrink(net)
