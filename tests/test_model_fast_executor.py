# SPDX-License-Identifier: Apache-2.0
"""The fast executor against the golden one: every map that a layer writes."""

from __future__ import annotations

import intnets
import numpy as np
import pytest
from hypothesis import given, settings
from intnets import change, differing, golden_trace, just_below_a_half, small

from model import executor, fast_executor
from model.intnet import Crossbar


def fast_trace(net, images):
    trace = {}
    fast_executor.run(net, images, trace=trace)
    return trace


def maps_only(trace):
    return {
        name: {key: seen[key] for key in ("out", "second") if key in seen}
        for name, seen in trace.items()
    }


@settings(max_examples=100)
@given(intnets.nets())
def test_the_fast_executor_equals_the_golden_one_for_any_network(net):
    images = intnets.images(net, 5)
    assert differing(maps_only(golden_trace(net, images)), fast_trace(net, images)) == []
    assert np.array_equal(
        fast_executor.run(net, images, batch=2), executor.run(net, images)
    )  # fmt: skip


@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize("options", [{}, {"adc_bits": 7}, {"act_bits": 4, "weight_bits": 4}])
def test_the_fast_executor_equals_the_golden_one_in_real_sizes(kind, options):
    width = 64 if kind in intnets.FORMS else 24
    net = intnets.random_net(kind, 2, width=width, side=16, **options)
    images = intnets.images(net, 6)
    assert differing(maps_only(golden_trace(net, images)), fast_trace(net, images)) == []


def test_the_fast_executor_uses_both_precisions():
    used = set()
    for extreme in (False, True):
        net = small("resnet", extreme=extreme)
        used |= {
            np.dtype(fast_executor._Crossbar(net, layer).dtype).name
            for layer in net.layers
            if isinstance(layer, Crossbar)
        }
    assert used == {"float32", "float64"}


def test_float32_beyond_its_exact_integers_is_noticed(monkeypatch):
    net = small("vgg")
    net = change(net, "head", bias=np.array([0, 1 << 29, -(1 << 29)], np.int32))
    images = intnets.images(net, 4)
    right = maps_only(golden_trace(net, images))
    assert differing(right, fast_trace(net, images)) == []
    monkeypatch.setattr(fast_executor, "FLOAT32_EXACT", 1 << 60)
    assert differing(right, fast_trace(net, images)) == ["head.out"]


def test_the_fast_executor_rounds_where_float32_cannot():
    net = just_below_a_half(table=np.arange(-128, 128, dtype=np.int8), affine=None)
    images = intnets.images(net, 2)
    right = golden_trace(net, images)
    assert not right["stem"]["out"].any()
    assert differing(maps_only(right), fast_trace(net, images)) == []
