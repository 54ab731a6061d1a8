# SPDX-License-Identifier: Apache-2.0
"""The golden executor against loops over Python's integers."""

from __future__ import annotations

import re

import intnets
import numpy as np
import pytest
from hypothesis import given, settings
from intnets import differing, golden_trace, small
from scalar_executor import scalar_trace

from hw.params import ParameterError, ParameterTypeError
from model import executor, fast_executor, golden


@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize(
    "options",
    [{}, {"act_bits": 4, "weight_bits": 4, "adc_bits": 4}, {"stream_bits": 13, "extreme": True}],
    ids=["int8", "int4", "extreme"],
)
def test_equals_loops_over_integers(kind, options):
    net = small(kind, **options)
    images = intnets.images(net, 3)
    trace = golden_trace(net, images)
    assert differing(scalar_trace(net, images), trace) == []
    logits = executor.run(net, images)
    assert logits.dtype == np.int32
    assert np.array_equal(logits, trace["head"]["out"][:, :, 0, 0])


@settings(max_examples=25)
@given(intnets.nets())
def test_equals_loops_over_integers_for_any_network(net):
    images = intnets.images(net, 3)
    assert differing(scalar_trace(net, images), golden_trace(net, images)) == []


def test_random_networks_reach_their_corners():
    net = intnets.random_net("residual", 2, width=64, side=16, adc_bits=6)
    trace = golden_trace(net, intnets.images(net, 8))
    for name, seen in trace.items():
        if "pre" in seen:
            assert 0.01 < np.mean(abs(seen["pre"] + 0.5) > 127) < 0.7, name
            assert len(np.unique(seen["pre"])) == 256, name
            assert {-128, 127} < set(np.unique(seen["out"])), name
    wide = intnets.random_net("residual", 2, width=64, side=16, adc_bits=8)
    lossless = golden_trace(wide, intnets.images(wide, 8))
    assert differing(lossless, trace)[0] == "body.0.first.acc"  # the stem has 12 rows


@pytest.mark.parametrize("run", [executor.run, fast_executor.run])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ([1], ParameterTypeError, "images must be a numpy.ndarray of uint8, not list"),
        (
            np.zeros((1, 3, 4, 4), np.float32),
            ParameterTypeError,
            "images must be a numpy.ndarray of uint8, not float32",
        ),
        (
            np.zeros((3, 4, 4), np.uint8),
            ParameterError,
            "images must have the shape [N, 3, 4, 4], not [3, 4, 4]",
        ),
        (
            np.zeros((1, 3, 4, 5), np.uint8),
            ParameterError,
            "images must have the shape [N, 3, 4, 4], not [1, 3, 4, 5]",
        ),
    ],
)
def test_refuses_other_images(run, images, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$") as caught:
        run(small("residual"), images)
    assert type(caught.value) is error


def test_no_images_have_no_logits():
    net = small("residual")
    for run in (executor.run, fast_executor.run):
        assert run(net, np.zeros((0, 3, 4, 4), np.uint8)).shape == (0, 3)


def test_the_worked_layer_of_the_documentation():
    q, weights = np.array([-3, 100]), np.array([[130], [28]], np.uint8)
    widths = {"act_bits": 8, "weight_bits": 8, "cell_bits": 2, "adc_bits": 8}
    assert golden.bit_serial(q, weights, **widths).tolist() == [2410]
    acc = golden.accumulate(
        q, weights, np.array([500]), zero_point=128, array_rows=64, **widths
    )  # fmt: skip
    assert acc.tolist() == [-9506]
    assert golden.round_shift(acc, 7).tolist() == [-74]
    act = np.array([-2]).reshape(1, 1, 1, 1)
    out = golden.apply_affine(act, np.array([-1]), np.array([3]), np.array([-18]), 2)
    assert out.item() == 0
