# SPDX-License-Identifier: Apache-2.0
"""The schedule computes what the PyTorch blocks compute, map by map."""

from __future__ import annotations

import re

import pytest
import torch

from hw.params import ParameterError
from model.psp import create_model
from model.schedule import FORMS, IMAGE, schedule
from model.shift import shift


def make(form, depth):
    torch.manual_seed(1)
    if form == "sp":
        return create_model(f"sp_12_{depth}", image_size=8).eval()
    return create_model(f"psp_12_{depth}", image_size=8, form=form).eval()


def run(net, steps, image):
    maps = {IMAGE: image}

    def value(operand):
        return shift(maps[operand.map]) if operand.shifted else maps[operand.map]

    norms = [block.norm for block in net.body] if any(step.second for step in steps) else []
    for step in steps:
        out = net.get_submodule(step.name)(sum(value(operand) for operand in step.operands))
        if step.add:
            out = out + value(step.add)
        maps[step.out] = out
        if step.second:
            maps[step.second] = norms.pop(0)(out)
    return maps[steps[-1].out]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_equals_the_torch_network(form, depth):
    net, image = make(form, depth), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        found = run(net, schedule(form, depth), image)
        assert torch.equal(found, net.body(net.stem(image)))


@pytest.mark.parametrize("form", FORMS)
def test_another_form_is_noticed(form):
    image = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        for other in FORMS:
            if other != form and "sp" not in (form, other):
                net = make(other, 2)
                found = run(net, schedule(form, 2), image)
                assert not torch.equal(found, net.body(net.stem(image)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("plain", 2),
            f"form must be one of {', '.join(FORMS)}, not 'plain'",
        ),
        (("sp", 0), "depth must be an integer from 1 to 256, not 0"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        schedule(*arguments)
