# SPDX-License-Identifier: Apache-2.0
"""The golden executor against loops over Python integers; the fast one against the golden one."""

from __future__ import annotations

import re
from itertools import product

import intnets
import numpy as np
import pytest
from hypothesis import given, settings
from intnets import change, differing, golden_trace, small

from hw.params import ParameterError, ParameterTypeError, channel_directions
from model import executor, fast_executor, golden
from model.intnet import Crossbar, MaxPool, SumPool

MOTION = ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


class Scalar:
    """One image through a network, written from docs/intnet.md in loops: {(c, y, x): value}."""

    def __init__(self, net, image):
        self.net, self.trace = net, {}
        self.maps = {net.input: {at: int(image[at]) - 128 for at in np.ndindex(image.shape)}}
        for layer in net.layers:
            self.seen = {}
            {Crossbar: self.crossbar, SumPool: self.sum_pool, MaxPool: self.max_pool}[type(layer)](
                layer
            )
            self.seen["out"] = self.maps[layer.out]
            self.trace[layer.name] = self.seen

    @staticmethod
    def rounded(v, k):
        return (v + 2 ** (k - 1)) // 2**k if k > 0 else v * 2**-k

    @staticmethod
    def clip(v, bits):
        return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, v))

    def places(self, name):
        return product(*map(range, self.net.maps[name].shape))

    def element(self, operand, c, y, x):
        """Read an operand; outside of the map is 0, before the shift and after it."""
        shape = self.net.maps[operand.map]
        if not (0 <= y < shape.height and 0 <= x < shape.width):
            return 0
        if operand.shifted and c < 8 * (shape.channels // 12):
            dy, dx = MOTION[c // (shape.channels // 12)]
            y, x = y - dy, x - dx
        return self.maps[operand.map].get((c, y, x), 0)

    def affine(self, v, affine, c):
        s, e, t = int(affine.sign[c]), int(affine.exponent[c]), int(affine.offset[c])
        return self.clip(
            self.rounded(s * (v * 2**e) + t, affine.fraction_bits), self.net.stream_bits
        )

    def fetch(self, layer, c, y, x):
        bits = self.net.maps[layer.operands[0].map].bits
        v = self.clip(sum(self.element(operand, c, y, x) for operand in layer.operands), bits)
        if bits > layer.act_bits:
            v = self.clip(self.rounded(v, self.net.fetch_shift), layer.act_bits)
        return v

    def accumulate(self, layer, q, o):
        net, acc = self.net, int(layer.bias[o])
        u = [int(weight) for weight in layer.weights[:, o]]
        for first in range(0, len(q), net.array_rows):
            tile = range(first, min(first + net.array_rows, len(q)))
            for bit in range(layer.act_bits):
                for low in range(0, layer.weight_bits, net.cell_bits):
                    cells = ((u[i] >> low) % 2**net.cell_bits for i in tile if q[i] >> bit & 1)
                    code = min(sum(cells), 2**net.adc_bits - 1)
                    sign = -1 if bit == layer.act_bits - 1 else 1
                    acc += sign * 2 ** (bit + low) * code
            acc -= layer.zero_point * sum(q[i] for i in tile)
        return acc

    def crossbar(self, layer):
        net, periphery = self.net, layer.periphery
        given, acc, pre, out, second = net.maps[layer.operands[0].map], {}, {}, {}, {}
        for o, y, x in self.places(layer.out):
            q = [
                self.fetch(
                    layer, c, y * layer.stride + ky - layer.padding,
                    x * layer.stride + kx - layer.padding,
                )
                for ky, kx, c in product(
                    range(layer.kernel), range(layer.kernel), range(given.channels)
                )
            ]  # fmt: skip
            at = (o, y, x)
            acc[at] = self.accumulate(layer, q, o)
            if periphery is None:
                out[at] = acc[at]
                continue
            v = self.rounded(acc[at], int(periphery.k[o % len(periphery.k)]))
            if periphery.add_before_table:
                v += self.element(periphery.add_before_table, *at)
            pre[at] = self.clip(v, layer.act_bits)
            v = int(periphery.table[pre[at] + 2 ** (layer.act_bits - 1)])
            if periphery.affine:
                v = self.affine(v, periphery.affine, o)
            if periphery.add:
                v += self.element(periphery.add, *at)
            out[at] = self.clip(v, net.stream_bits)
            if periphery.second:
                second[at] = self.affine(out[at], periphery.second.affine, o)
        self.maps[layer.out] = out
        self.seen["acc"] = acc
        if periphery:
            self.seen["pre"] = pre
            if periphery.second:
                self.maps[periphery.second.out] = self.seen["second"] = second

    def sum_pool(self, layer):
        given, bits = self.maps[layer.source], self.net.maps[layer.out].bits
        sums = {
            at: sum(v for (c, _, _), v in given.items() if c == at[0])
            for at in self.places(layer.out)
        }
        self.maps[layer.out] = {
            at: self.clip(self.rounded(v, layer.p), bits) for at, v in sums.items()
        }

    def max_pool(self, layer):
        given, n = self.maps[layer.source], layer.window
        self.maps[layer.out] = {
            (c, y, x): max(
                given[c, n * y + dy, n * x + dx] for dy, dx in product(range(n), range(n))
            )
            for c, y, x in self.places(layer.out)
        }


def scalar_trace(net, images):
    """Return what `executor.run` should trace."""
    traces = [Scalar(net, image).trace for image in images]
    return {
        name: {
            key: np.array(
                [[trace[name][key][at] for at in sorted(trace[name][key])] for trace in traces]
            )
            for key in seen
        }
        for name, seen in traces[0].items()
    }


def fast_trace(net, images):
    trace = {}
    fast_executor.run(net, images, trace=trace)
    return trace


def maps_only(trace):
    return {
        name: {key: seen[key] for key in ("out", "second") if key in seen}
        for name, seen in trace.items()
    }


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


@settings(max_examples=25, deadline=None)
@given(intnets.nets())
def test_equals_loops_over_integers_for_any_network(net):
    images = intnets.images(net, 3)
    assert differing(scalar_trace(net, images), golden_trace(net, images)) == []


@settings(max_examples=100, deadline=None)
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


def test_float32_beyond_its_exact_integers_is_noticed(monkeypatch):
    net = small("vgg")
    net = change(net, "head", bias=np.array([0, 1 << 29, -(1 << 29)], np.int32))
    images = intnets.images(net, 4)
    right = maps_only(golden_trace(net, images))
    assert differing(right, fast_trace(net, images)) == []
    monkeypatch.setattr(fast_executor, "FLOAT32_EXACT", 1 << 60)
    assert differing(right, fast_trace(net, images)) == ["head.out"]


def test_the_fast_executor_rounds_where_float32_cannot():
    net = small("residual")
    stem = net.layers[0]
    net = change(
        net,
        "stem",
        weights=np.full_like(stem.weights, stem.zero_point),
        bias=np.full(12, (1 << 22) - 1, np.int32),  # just below a half
        k=np.array([23], np.int8),
        table=np.arange(-128, 128, dtype=np.int8),
        affine=None,
    )
    images = intnets.images(net, 2)
    right = golden_trace(net, images)
    assert not right["stem"]["out"].any()
    assert differing(maps_only(right), fast_trace(net, images)) == []


@pytest.mark.parametrize("run", [golden_trace, fast_trace])
@pytest.mark.parametrize("layer", range(5))
def test_one_bit_of_one_weight_is_noticed(layer, run):
    net = small("residual", seed=2, side=16)
    images = intnets.images(net, 8)
    chosen = net.layers[layer]
    weights = chosen.weights.copy()
    weights[5, 1] ^= 1
    found = run(change(net, chosen.name, weights=weights), images)
    right = golden_trace(net, images)
    right = right if run is golden_trace else maps_only(right)
    assert differing(right, found)[0].startswith(f"{chosen.name}.")


@pytest.mark.parametrize("run", [golden_trace, fast_trace])
def test_a_table_off_by_one_entry_is_noticed(run):
    net = small("residual")
    images = intnets.images(net, 3)
    table = np.roll(net.layers[1].periphery.table, 1)
    found = run(change(net, "body.0.first", table=table), images)
    right = golden_trace(net, images)
    right = right if run is golden_trace else maps_only(right)
    assert differing(right, found)[0] == "body.0.first.out"


def test_rounding_halves_to_even_is_noticed(monkeypatch):
    net = small("residual")
    images = intnets.images(net, 3)
    right = scalar_trace(net, images)
    monkeypatch.setattr(
        golden, "round_shift", lambda v, k: np.rint(v * 2.0 ** -np.asarray(k)).astype(np.int64)
    )
    assert differing(right, golden_trace(net, images))[0] == "stem.out"


@pytest.mark.parametrize("kind", intnets.FORMS)
def test_swapped_directions_are_noticed(kind, monkeypatch):
    net = small(kind)
    images = intnets.images(net, 3)
    right = scalar_trace(net, images)
    swapped = list(channel_directions(12))
    swapped[5], swapped[6] = swapped[6], swapped[5]
    monkeypatch.setattr(golden, "channel_directions", lambda channels: tuple(swapped))
    first = "body.0.mix.acc" if kind == "sp" else "body.0.second.acc"
    assert differing(right, golden_trace(net, images))[0] == first


def test_a_lost_saturation_is_noticed(monkeypatch):
    net = small("skip_over_shift")
    images = intnets.images(net, 3)
    right = scalar_trace(net, images)
    monkeypatch.setattr(
        golden, "saturate", lambda v, bits: (v + (1 << bits >> 1)) % (1 << bits) - (1 << bits >> 1)
    )
    assert differing(right, golden_trace(net, images))[0] == "stem.pre"


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
