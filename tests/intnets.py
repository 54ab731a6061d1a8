# SPDX-License-Identifier: Apache-2.0
"""Random integer networks that fill their ranges: PSP in all forms, SP, a residual CNN, a VGG.

Tables are random, so that a wrong bit does not fade on its way; ``k`` spreads each layer's ``pre``
over its range, with a few per cent saturated.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from hypothesis import strategies as st

from model import executor
from model.intnet import (
    Affine,
    Crossbar,
    IntNet,
    Layer,
    Map,
    MaxPool,
    Operand,
    Periphery,
    SecondWrite,
    SumPool,
)
from model.schedule import FORMS, IMAGE, schedule

KINDS = (*FORMS, "resnet", "vgg")


class Builder:
    """Makes layers with random tensors, and the maps that they write."""

    def __init__(self, seed, *, side, act_bits=8, weight_bits=8, stream_bits=None,
        extreme=False, **network,
    ):  # fmt: skip
        self.source = np.random.default_rng(seed)
        self.extreme = extreme
        self.act_bits, self.weight_bits = act_bits, weight_bits
        self.network = {"array_rows": 64, "cell_bits": 2, "adc_bits": 8} | network
        self.stream_bits = stream_bits or act_bits
        self.fetch_shift = self.stream_bits - act_bits
        self.maps = {IMAGE: Map(channels=3, height=side, width=side, bits=8, exponent=-7)}
        self.layers: list[Layer] = []

    def integers(self, low, high, shape, dtype):
        """Return any of the integers; of an extreme network, the least and the greatest only."""
        if self.extreme:
            return self.source.choice(np.array([low, high], dtype), shape)
        return self.source.integers(low, high, shape, dtype, endpoint=True)

    def affine(self, channels, bits):
        """Return an affine that gives most values about the width of the stream."""
        wider = self.stream_bits - bits
        f = int(self.source.integers(1, 5)) + max(0, -wider)
        exponent = np.clip(f + wider + self.integers(-1, 1, channels, np.int64), 0, 7)
        offset = self.integers(-(1 << 15), (1 << 15) - 1, channels, np.int16)
        offset >>= max(0, 17 - self.stream_bits - f)
        sign = self.integers(-1, 1, channels, np.int8)
        sign[self.source.random(channels) < 0.8] = 1
        return Affine(sign=sign, exponent=exponent.astype(np.uint8), offset=offset, fraction_bits=f)

    def weights(self, rows, outputs):
        top = (1 << self.weight_bits) - 1
        zero_point = int(self.source.integers(top + 1)) if self.extreme else (top + 1) // 2
        return zero_point, self.integers(0, top, (rows, outputs), np.uint8)

    def crossbar(
        self, name, operands, out, outputs, *, kernel=1, stride=1, padding=0, act_bits=None,
        add=None, add_before_table=None, second=None, affine=True,
    ):  # fmt: skip
        act_bits = act_bits or self.act_bits
        given = self.maps[operands[0].map]
        rows = kernel**2 * given.channels
        zero_point, weights = self.weights(rows, outputs)
        spread = math.sqrt(rows / 144) * 2 ** (act_bits + self.weight_bits)
        k = round(math.log2(spread)) - act_bits + 2 + self.integers(-1, 1, outputs, np.int64)
        if self.extreme:
            k = self.source.choice([-7, 0, 1, *k, 23], outputs)
        k = np.clip(k, -7, 23).astype(np.int8)[: outputs if self.source.random() < 0.5 else 1]
        limit = int(spread)
        half = 1 << (act_bits - 1)
        table = self.integers(-half, half - 1, 2 * half, np.int8)
        periphery = Periphery(
            k=k,
            table=table,
            add_before_table=add_before_table,
            affine=self.affine(outputs, act_bits) if affine else None,
            add=add,
            second=second
            and SecondWrite(out=second, affine=self.affine(outputs, self.stream_bits)),
        )
        self.layers.append(
            Crossbar(
                name=name, operands=operands, out=out, kernel=kernel, stride=stride,
                padding=padding, act_bits=act_bits, weight_bits=self.weight_bits,
                zero_point=zero_point, weights=weights,
                bias=self.integers(-limit, limit, outputs, np.int32), periphery=periphery,
            )
        )  # fmt: skip
        height, width = (
            (size + 2 * padding - kernel) // stride + 1 for size in (given.height, given.width)
        )
        for written in (out, second):
            if written:
                self.maps[written] = Map(
                    channels=outputs, height=height, width=width, bits=self.stream_bits, exponent=-5
                )

    def sum_pool(self, source, out):
        given = self.maps[source]
        p = round(math.log2(given.height * given.width) / 2) + given.bits - 8
        self.layers.append(SumPool(name="pool", source=source, out=out, p=p))
        self.maps[out] = Map(channels=given.channels, height=1, width=1, bits=8, exponent=-5)

    def max_pool(self, name, source, out):
        given = self.maps[source]
        self.layers.append(MaxPool(name=name, source=source, out=out, window=2))
        self.maps[out] = Map(
            channels=given.channels, height=given.height // 2, width=given.width // 2,
            bits=given.bits, exponent=given.exponent,
        )  # fmt: skip

    def head(self, source, classes):
        self.weight_bits = 8
        zero_point, weights = self.weights(self.maps[source].channels, classes)
        self.layers.append(
            Crossbar(
                name="head", operands=(Operand(source),), out="logits", kernel=1, stride=1,
                padding=0, act_bits=8, weight_bits=8, zero_point=zero_point, weights=weights,
                bias=self.integers(-5000, 5000, classes, np.int32),
            )
        )  # fmt: skip
        self.maps["logits"] = Map(channels=classes, height=1, width=1, bits=32, exponent=-12)

    def build(self, name):
        return IntNet(
            name=name, stream_bits=self.stream_bits, fetch_shift=self.fetch_shift, input=IMAGE,
            maps=self.maps, layers=tuple(self.layers), **self.network,
        )  # fmt: skip


def random_net(kind, seed=0, *, width=16, depth=2, side=8, classes=10, **options):
    """Return a network; options are those of `Builder`: widths in bits, crossbar, ADC."""
    make = Builder(seed, side=side, **options)
    if kind in FORMS:
        name = f"{'sp' if kind == 'sp' else 'psp'}_{width}_{depth}"
        for step in schedule(kind, depth):
            patch = {"kernel": 2, "stride": 2, "act_bits": 8} if step.name == "stem" else {}
            make.crossbar(
                step.name, step.operands, step.out, width, add=step.add, second=step.second, **patch
            )
        make.sum_pool(step.out, "pooled")
        make.head("pooled", classes)
        return make.build(name)
    make.crossbar(
        "stem", (Operand(IMAGE),), "a", width, kernel=3, padding=1, act_bits=8, affine=False
    )
    if kind == "resnet":
        _residual_stages(make, width)
    else:
        make.max_pool("shrink", "a", "b")
        make.crossbar("conv", (Operand("b"),), "c", width + 5, kernel=3, padding=1, affine=False)
        make.max_pool("shrink_again", "c", "d")
        make.crossbar("hidden", (Operand("d"),), "e", 20, kernel=side // 4, affine=False)
    make.sum_pool("e", "pooled")
    make.head("pooled", classes)
    return make.build(kind)


def _residual_stages(make, width):
    """Add a block with an identity skip, then one that strides, with a projection."""
    make.crossbar("first", (Operand("a"),), "b", width, kernel=3, padding=1, affine=False)
    make.crossbar(
        "second", (Operand("b"),), "a", width, kernel=3, padding=1, affine=False,
        add_before_table=Operand("a"),
    )  # fmt: skip
    make.crossbar(
        "half.first", (Operand("a"),), "c", width, kernel=3, stride=2, padding=1, affine=False
    )
    make.crossbar("half.projection", (Operand("a"),), "d", width, stride=2, affine=False)
    make.crossbar(
        "half.second", (Operand("c"),), "d", width, kernel=3, padding=1, affine=False,
        add_before_table=Operand("d"),
    )  # fmt: skip
    make.crossbar("last", (Operand("d"),), "e", width)


SMALL = {"width": 12, "depth": 2, "side": 4, "classes": 3}
CNN = {"width": 3, "side": 8, "classes": 3}


def small(kind, seed=1, **options):
    return random_net(kind, seed, **(CNN if kind in ("resnet", "vgg") else SMALL) | options)


@st.composite
def nets(draw):
    """Draw a small network of any kind, of any widths and converters."""
    kind = draw(st.sampled_from(KINDS))
    act_bits = draw(st.integers(2, 8))
    return random_net(
        kind,
        draw(st.integers(0, 1 << 32)),
        width=draw(st.integers(12, 14) if kind in FORMS else st.integers(1, 4)),
        depth=draw(st.integers(1, 2)),
        side=4,
        classes=draw(st.integers(1, 4)),
        act_bits=act_bits,
        weight_bits=draw(st.integers(1, 8)),
        stream_bits=draw(st.integers(act_bits, 16)),
        extreme=draw(st.booleans()),
        array_rows=draw(st.integers(1, 40)),
        cell_bits=draw(st.integers(1, 8)),
        adc_bits=draw(st.integers(1, 10)),
    )


def images(net, count, seed=0):
    """Return random images, after one all black, one all white."""
    source = np.random.default_rng(seed)
    pixels = source.integers(0, 256, (count, *net.input_shape), np.uint8)
    pixels[:1], pixels[1:2] = 0, 255
    return pixels


def change(net, name, **fields):
    """Return a network with another layer ``name``; fields of its periphery count as its own."""
    layers = []
    for layer in net.layers:
        if layer.name == name:
            own = {key: value for key, value in fields.items() if hasattr(layer, key)}
            rest = {key: value for key, value in fields.items() if key not in own}
            if rest:
                own["periphery"] = dataclasses.replace(layer.periphery, **rest)
            layer = dataclasses.replace(layer, **own)
        layers.append(layer)
    return dataclasses.replace(net, layers=tuple(layers))


def golden_trace(net, images):
    trace = {}
    executor.run(net, images, trace=trace)
    return trace


def differing(wanted, found):
    """Return the names of the traces that differ, in the order of the layers."""
    assert wanted.keys() == found.keys()
    return [
        f"{name}.{key}"
        for name in wanted
        for key in sorted(wanted[name], key=["acc", "pre", "out", "second"].index)
        if not np.array_equal(
            wanted[name][key].reshape(len(wanted[name][key]), -1),
            found[name][key].reshape(len(wanted[name][key]), -1),
        )
    ]
