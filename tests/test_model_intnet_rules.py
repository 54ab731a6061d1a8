# SPDX-License-Identifier: Apache-2.0
"""The rules that a network keeps wherever it comes from, within a layer and between layers."""

from __future__ import annotations

import dataclasses
import re

import intnets
import numpy as np
import pytest

from model import intnet_check
from model.intnet import Affine, Crossbar, IntNetError, Map, Operand, Periphery, SecondWrite


def test_a_network_made_in_python_keeps_the_same_rules():
    net = intnets.random_net("residual", 1, width=12)
    first, head = net.layers[1], net.layers[-1]
    other = dataclasses.replace(head, name="other")
    for call, message in {
        lambda: dataclasses.replace(net, adc_bits=0): (
            "adc_bits must be an integer from 1 to 16, not 0"
        ),
        lambda: dataclasses.replace(first, zero_point=1.0): (
            "body.0.first: zero_point must be an integer from 0 to 255, not 1.0"
        ),
        lambda: dataclasses.replace(first, bias=[1]): (
            "body.0.first: bias must be int32 [12], not list"
        ),
        lambda: dataclasses.replace(first, weights=None): (
            "body.0.first: weights must be uint8 [rows, outputs]"
        ),
        lambda: Operand("x", 1): "shifted must be True or False, not 1",
        lambda: Operand(""): (
            "map must be 1 to 100 ASCII letters, digits or any of _.-, not ''"
        ),
        lambda: dataclasses.replace(net, layers=(*net.layers[:-1], head, other)): (
            "head: the last layer, and no other, must have no periphery"
        ),
        lambda: Map(channels=0, height=1, width=1, bits=8, exponent=0): (
            "channels must be an integer from 1 to 65536, not 0"
        ),
    }.items():  # fmt: skip
        with pytest.raises(IntNetError, match=f"^{re.escape(message)}$"):
            call()


def with_periphery(net, number, **fields):
    layer = net.layers[number]
    new = dataclasses.replace(layer, periphery=dataclasses.replace(layer.periphery, **fields))
    return dataclasses.replace(net, layers=(*net.layers[:number], new, *net.layers[number + 1 :]))


def test_rules_between_layers():
    net = intnets.random_net("true_residual", 1, width=12)
    for fields, message in [
        ({"add": Operand("image")}, "add must have the shape, bits and exponent of out"),
        (
            {"add": Operand("x", True)},
            "a layer must not write what it fetches, nor what it adds shifted, not 'x'",
        ),
        (
            {"add_before_table": Operand("image")},
            "add_before_table must be a map [12, 4, 4], not [3, 8, 8]",
        ),
    ]:
        with pytest.raises(IntNetError, match=f"^{re.escape(f'body.0.second: {message}')}$"):
            with_periphery(net, 2, **fields)
    with_periphery(net, 2, add=Operand("x"), add_before_table=Operand("z", True))
    cnn = intnets.random_net("vgg", 1)
    pool = next(layer for layer in cnn.layers if layer.name == "shrink")
    with pytest.raises(IntNetError, match=r"^shrink: out must be a map \[16, 2, 2\], not"):
        dataclasses.replace(
            cnn,
            layers=tuple(
                dataclasses.replace(pool, window=3) if layer is pool else layer
                for layer in cnn.layers
            ),
        )
    with pytest.raises(IntNetError, match="^shrink: out must have the bits and the exponent"):
        dataclasses.replace(cnn, maps={**cnn.maps, "b": dataclasses.replace(cnn.maps["b"], bits=7)})


def test_a_pool_must_not_overflow():
    net = intnets.random_net("residual", 1, width=12, stream_bits=16)
    number = [layer.name for layer in net.layers].index("pool")
    for side, p, reach in ((256, 0, 1 << 31), (128, 23, (1 << 29) + (1 << 22))):
        maps = {"x": Map(channels=12, height=side, width=side, bits=16, exponent=0)}
        maps["pooled"] = net.maps["pooled"]
        pool = dataclasses.replace(net.layers[number], p=p)
        if reach < 1 << 31:
            intnet_check._check_shapes(pool, maps, 16)
            continue
        message = f"the sum must stay within {2**31 - 1}, not reach {reach}"
        with pytest.raises(IntNetError, match=f"^{message}$"):
            intnet_check._check_shapes(pool, maps, 16)


def test_the_largest_layers_of_the_papers_fit_the_accumulator():
    for rows, k in ((8192, 23), (4608, 0)):  # VGG8's hidden layer, VGG16's widest
        layer = Crossbar(
            name="hidden", operands=(Operand("x"),), out="y", kernel=1, stride=1, padding=0,
            act_bits=8, weight_bits=8, zero_point=128, weights=np.zeros((rows, 1), np.uint8),
            bias=np.array([-5], np.int32),
            periphery=Periphery(k=np.array([k], np.int8), table=np.zeros(256, np.int8)),
        )  # fmt: skip
        assert layer.accumulator_bound == rows * 128 * 383 + 5 + (1 << k) // 2 < 1 << 31


def test_an_affine_is_checked_against_its_layer():
    affine = Affine(
        sign=np.ones(3, np.int8), exponent=np.zeros(3, np.uint8), offset=np.zeros(3, np.int16),
        fraction_bits=0,
    )  # fmt: skip
    net = intnets.random_net("sp", 1, width=12)
    for fields, where in [
        ({"affine": affine}, "affine"),
        ({"second": SecondWrite(out="z", affine=affine)}, "second.affine"),
    ]:
        message = f"stem: {where}: sign must be int8 [12], not int8 [3]"
        with pytest.raises(IntNetError, match=f"^{re.escape(message)}$"):
            with_periphery(net, 0, **fields)
