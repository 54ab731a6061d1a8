# SPDX-License-Identifier: Apache-2.0
"""Faults seeded in integer residual networks and VGGs: the comparison refuses each."""

import dataclasses
import re
from unittest import mock

import numpy as np
import pytest
import torch
from intnets import change
from quant_cnn_networks import KINDS, corners, twin
from torch.nn import functional

from model import export, golden
from model.verify import MismatchError, verify


@pytest.fixture(scope="module", params=KINDS)
def pair(request):
    net = twin(request.param)
    return net, export.export(net, "net")


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
        verify(net, change(integers, name, weights=weights), corners(4))


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
    moved = change(integers, wrong.name, periphery=periphery)
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
        verify(net, change(integers, wrong.name, periphery=periphery), corners(4))
