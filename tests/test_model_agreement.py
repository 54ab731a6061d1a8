# SPDX-License-Identifier: Apache-2.0
"""Comparisons with the golden executor: what is compared, in which batches, and what is told."""

from __future__ import annotations

import dataclasses
import re
import sys

import intnets
import numpy as np
import pytest
from intnets import golden_trace, small

from hw.params import ParameterError
from model import agreement
from model.agreement import Executor, MismatchError, agree


def golden(net, change=lambda trace: None, **options):
    """Return an executor that computes what the golden one does, but for a change."""

    def trace(images):
        found = golden_trace(net, images)
        change(found)
        return found

    return Executor("another", trace, **options)


def test_all_that_is_traced_is_compared():
    net = small("sp")
    images = intnets.images(net, 3)
    trace = golden_trace(net, images)
    sizes = {
        key: sum(seen[key].size for seen in trace.values() if key in seen) for key in agreement.KEYS
    }
    assert all(sizes.values())
    executors = [agreement.fast(net), agreement.onnx_runtime(net)]
    assert agree(net, images, executors) == {
        "model.fast_executor": sizes["out"] + sizes["second"],
        "ONNX Runtime": sum(sizes.values()),
    }


@pytest.mark.parametrize("kind", intnets.KINDS)
def test_all_agree_on_networks_of_every_kind(kind):
    net = small(kind, adc_bits=5, array_rows=20)
    compared = agree(
        net, intnets.images(net, 3), [agreement.fast(net), agreement.onnx_runtime(net)]
    )
    assert all(compared.values())


def test_batches_change_nothing_and_are_told(monkeypatch):
    net = small("residual")
    images = intnets.images(net, 7)
    whole = agree(net, images, [agreement.fast(net)])
    monkeypatch.setattr(agreement, "batch_size", lambda net: 3)
    told, sizes = [], []
    executor = agreement.fast(net)
    noting = dataclasses.replace(
        executor, trace=lambda part: sizes.append(len(part)) or executor.trace(part)
    )
    assert agree(net, images, [noting], advance=told.append) == whole
    assert told == sizes == [3, 3, 1]


def test_a_batch_is_as_large_as_memory_allows():
    assert agreement.batch_size(small("residual")) == 256
    net = intnets.random_net("residual", width=64, side=32, depth=4)
    size = agreement.batch_size(net)
    trace = golden_trace(net, intnets.images(net, 1))
    numbers = sum(value.size for seen in trace.values() for value in seen.values())
    assert size * numbers <= agreement.BATCH_NUMBERS < 2 * size * numbers
    assert agreement.batch_size(intnets.random_net("residual", width=64, side=1024)) == 1


def put(layer, key, at, value):
    def change(trace):
        if len(trace[layer][key]) > at[0]:
            trace[layer][key] = trace[layer][key].astype(np.float64)
            trace[layer][key][at] += value

    return change


@pytest.mark.parametrize("value", [1, -1, 0.5, 1 << 40])
def test_the_first_difference_is_named(value, monkeypatch):
    net = small("residual")
    images = intnets.images(net, 5)
    at = (1, 11, 0, 1)
    wanted = golden_trace(net, images[3:])["body.1.first"]["pre"][at]
    monkeypatch.setattr(agreement, "batch_size", lambda net: 3)  # hence image 3 + 1
    seen = []

    def change(trace):
        if seen:
            put("body.1.first", "pre", at, value)(trace)
            put("body.1.first", "out", (0, 0, 0, 0), 1)(trace)
            put("head", "acc", (0, 0, 0, 0), 1)(trace)
        seen.append(trace)

    message = (
        "body.1.first: pre of image 4, channel 11, row 0, column 1 must be "
        f"{wanted} as in the golden executor, not {wanted + value} as in another"
    )
    with pytest.raises(MismatchError, match=f"^{re.escape(message)}$"):
        agree(net, images, [agreement.fast(net), golden(net, change)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda trace: trace.pop("pool"),
            (
                "layers must be stem, body.0.first, body.0.second, body.1.first, body.1.second, "
                "pool, head as in the golden executor, not stem, body.0.first, body.0.second, "
                "body.1.first, body.1.second, head as in another"
            ),
        ),
        (
            lambda trace: trace["stem"].pop("pre"),
            "stem must give acc, pre, out as in the golden executor, not acc, out as in another",
        ),
        (
            lambda trace: trace["pool"].update(out=trace["pool"]["out"][:, :6]),
            (
                "pool: out must be [2, 12, 1, 1] as in the golden executor, "
                "not [2, 6, 1, 1] as in another"
            ),
        ),
    ],
)
def test_what_is_missing_is_named(change, message):
    net = small("residual")
    with pytest.raises(MismatchError, match=f"^{re.escape(message)}$"):
        agree(net, intnets.images(net, 2), [golden(net, change)])


def test_maps_only_must_not_have_less_than_maps():
    net = small("sp")
    with pytest.raises(MismatchError, match="^stem must give out, second as in the golden "):
        agree(
            net,
            intnets.images(net, 1),
            [Executor("a", lambda images: {name: {"out": seen["out"]} for name, seen in
                                           golden_trace(net, images).items()}, maps_only=True)],
        )  # fmt: skip


def test_the_file_itself_is_run_not_only_its_traced_twin(monkeypatch):
    from model import onnx_runtime

    net = small("residual")
    other = small("residual", seed=5)
    make = onnx_runtime.to_onnx
    monkeypatch.setattr(
        onnx_runtime, "to_onnx", lambda _, trace=False: make(net if trace else other, trace=trace)
    )
    with pytest.raises(MismatchError, match="^head: out of image 0, .* as in ONNX Runtime$"):
        agree(net, intnets.images(net, 2), [agreement.onnx_runtime(net)])


def test_other_images_are_refused_before_any_work():
    net = small("residual")
    with pytest.raises(
        ParameterError,
        match=re.escape("images must have the shape [N, 3, 4, 4], not [1, 3, 5, 4]"),
    ):
        agree(net, np.zeros((1, 3, 5, 4), np.uint8), [])


def test_a_missing_package_is_told(monkeypatch):
    net = small("residual")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    message = "onnxruntime must be installed: pip install 'shiftbar[onnx]'"
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        agreement.onnx_runtime(net)
