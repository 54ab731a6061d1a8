# SPDX-License-Identifier: Apache-2.0
"""Each fault, seeded on one side, is caught by each comparison with the golden executor.

The other executor computes first, without the fault; then the golden one has it, in its network or
in a step.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch
from intnets import change
from quant_networks import images, twin
from scalar_executor import scalar_trace

from hw.params import channel_directions
from model import agreement, golden
from model.agreement import Executor, MismatchError, agree
from model.export import export
from model.schedule import FORMS
from model.verify import pytorch

SIZE = 8
IMAGES = images(12, SIZE)


@functools.cache
def pair(form):
    network = twin(form, size=SIZE)
    with torch.no_grad():
        for _, (conv, _, _) in network.mixes():
            conv.weight.mul_(2)  # so that values saturate
    return network, export(network, "net")


CHECKS = {
    "PyTorch": lambda network, net: pytorch(network),
    "model.fast_executor": lambda network, net: agreement.fast(net),
    "ONNX Runtime": lambda network, net: agreement.onnx_runtime(net),
    "loops": lambda network, net: Executor("loops", functools.partial(scalar_trace, net)),
}


@functools.cache
def computed(check, form):
    """Return an executor that has computed already."""
    executor = CHECKS[check](*pair(form))
    trace = executor.trace(IMAGES)
    return dataclasses.replace(executor, trace=lambda _: trace)


def one_bit(net, number):
    weights = net.layers[number].weights.copy()
    weights[2, 2] ^= 1  # others may hide behind a rounding from what sees maps alone
    return change(net, net.layers[number].name, weights=weights)


def roll(net):
    table = np.roll(net.layers[1].periphery.table, 1)
    return change(net, net.layers[1].name, table=table)


def same(net):
    return net


def half_even(v, k):
    return np.rint(v * 2.0 ** -np.asarray(k, float)).astype(np.int64)


def wrap(v, bits):
    return (v + (1 << bits >> 1)) % (1 << bits) - (1 << bits >> 1)


def swapped(channels):
    directions = list(channel_directions(channels))
    directions[5], directions[6] = directions[6], directions[5]
    return tuple(directions)


# What changes: the network, or steps of the golden executor.
FAULTS = {
    "one bit of one weight": (functools.partial(one_bit, number=1), {}),
    "one bit in the stem": (functools.partial(one_bit, number=0), {}),
    "one bit in the head": (functools.partial(one_bit, number=-1), {}),
    "table off by one entry": (roll, {}),
    "halves to even": (same, {"round_shift": half_even}),
    "two directions swapped": (same, {"channel_directions": swapped}),
    "a lost saturation": (same, {"saturate": wrap}),
}


def first_place(fault, form, maps_only):
    """Return layer and key at which a fault must show, as a pattern."""
    first = "mix" if form == "sp" else "first"
    moved = "mix" if form == "sp" else "second"
    key = {
        "one bit of one weight": rf"body\.0\.{first}: acc",
        "one bit in the stem": "stem: acc",
        "one bit in the head": "head: acc",
        "table off by one entry": rf"body\.0\.{first}: out",
        "halves to even": r"(stem|body\.\d\.\w+): (pre|out)",
        "two directions swapped": rf"body\.0\.{moved}: acc",
        "a lost saturation": r"\S+: (pre|out|second)",
    }[fault]
    return key.replace("acc", "out").replace("(pre|out)", "(out|second)") if maps_only else key


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(fault, check, form, monkeypatch):
    (_, net), executor = pair(form), computed(check, form)
    alter, steps = FAULTS[fault]
    for name, step in steps.items():
        monkeypatch.setattr(golden, name, step)
    place = first_place(fault, form, executor.maps_only)
    message = (
        rf"^{place} of image \d+, channel \d+, row \d, column \d must be -?\d+ "
        rf"as in the golden executor, not -?\d+ as in {check}$"
    )
    with pytest.raises(MismatchError, match=message):
        agree(alter(net), IMAGES, [executor])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("check", CHECKS)
def test_without_a_fault_all_agree(check, form):
    assert agree(pair(form)[1], IMAGES, [computed(check, form)])[check] > 5_000
