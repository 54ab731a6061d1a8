# SPDX-License-Identifier: Apache-2.0
"""Random integer networks that fill their ranges: PSP in all forms, SP, a residual CNN, a VGG.

What two implementations are compared on. Tables are random, so that a wrong bit does not fade on
its way; ``k`` spreads each layer's ``pre`` over its range, with a few per cent saturated.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.lfsr_params import LfsrMask, page_seed
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

__all__ = ["KINDS", "Builder", "change", "images", "masked", "prune", "random_net"]

KINDS = (*FORMS, "resnet", "vgg")
"""Networks that `random_net` makes."""


class Builder:
    """Makes layers with random tensors, and the maps that they write.

    Parameters
    ----------
    seed : int
    side : int
        Rows and columns of the image.
    act_bits, weight_bits : int
        Of all layers but the stem and the head, whose activations have 8 bits; so have the
        head's weights.
    stream_bits : int, optional
        Of the maps; ``act_bits`` unless given.
    extreme : bool
        Tensors hold their least and greatest values only.
    **network : int
        ``array_rows``, ``cell_bits``, ``adc_bits`` of `IntNet`; 64, 2, 8 unless given.
    """

    def __init__(
        self,
        seed: int,
        *,
        side: int,
        act_bits: int = 8,
        weight_bits: int = 8,
        stream_bits: int | None = None,
        extreme: bool = False,
        **network: int,
    ) -> None:
        self.source = np.random.default_rng(seed)
        self.extreme = extreme
        self.act_bits, self.weight_bits = act_bits, weight_bits
        self.network = {"array_rows": 64, "cell_bits": 2, "adc_bits": 8} | network
        self.stream_bits = stream_bits or act_bits
        self.fetch_shift = self.stream_bits - act_bits
        self.maps = {IMAGE: Map(channels=3, height=side, width=side, bits=8, exponent=-7)}
        self.layers: list[Layer] = []

    def integers(
        self, low: int, high: int, shape: int | tuple[int, ...], dtype: type[np.integer[Any]]
    ) -> npt.NDArray[Any]:
        """Return any of the integers; of an extreme network, the least and the greatest only."""
        if self.extreme:
            return self.source.choice(np.array([low, high], dtype), shape)
        return self.source.integers(low, high, shape, dtype, endpoint=True)

    def affine(self, channels: int, bits: int) -> Affine:
        """Return an affine that gives most values about the width of the stream."""
        wider = self.stream_bits - bits
        f = int(self.source.integers(1, 5)) + max(0, -wider)
        exponent = np.clip(f + wider + self.integers(-1, 1, channels, np.int64), 0, 7)
        offset = self.integers(-(1 << 15), (1 << 15) - 1, channels, np.int16)
        offset >>= max(0, 17 - self.stream_bits - f)
        sign = self.integers(-1, 1, channels, np.int8)
        sign[self.source.random(channels) < 0.8] = 1
        return Affine(sign=sign, exponent=exponent.astype(np.uint8), offset=offset, fraction_bits=f)

    def weights(self, rows: int, outputs: int) -> tuple[int, npt.NDArray[np.uint8]]:
        """Return Z and weights, [rows, outputs]."""
        top = (1 << self.weight_bits) - 1
        zero_point = int(self.source.integers(top + 1)) if self.extreme else (top + 1) // 2
        return zero_point, self.integers(0, top, (rows, outputs), np.uint8)

    def crossbar(
        self,
        name: str,
        operands: tuple[Operand, ...],
        out: str,
        outputs: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        padding: int = 0,
        act_bits: int | None = None,
        add: Operand | None = None,
        add_before_table: Operand | None = None,
        second: str | None = None,
        affine: bool = True,
    ) -> None:
        """Add a `Crossbar`; ``second`` is the map of a second write, all else as there."""
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
            second=None
            if second is None
            else SecondWrite(out=second, affine=self.affine(outputs, self.stream_bits)),
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

    def sum_pool(self, source: str, out: str) -> None:
        """Add the pool before the head."""
        given = self.maps[source]
        p = round(math.log2(given.height * given.width) / 2) + given.bits - 8
        self.layers.append(SumPool(name="pool", source=source, out=out, p=p))
        self.maps[out] = Map(channels=given.channels, height=1, width=1, bits=8, exponent=-5)

    def max_pool(self, name: str, source: str, out: str) -> None:
        """Add a pool of 2 by 2."""
        given = self.maps[source]
        self.layers.append(MaxPool(name=name, source=source, out=out, window=2))
        self.maps[out] = Map(
            channels=given.channels, height=given.height // 2, width=given.width // 2,
            bits=given.bits, exponent=given.exponent,
        )  # fmt: skip

    def head(self, source: str, classes: int) -> None:
        """Add the head."""
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

    def build(self, name: str) -> IntNet:
        """Return the network."""
        return IntNet(
            name=name, stream_bits=self.stream_bits, fetch_shift=self.fetch_shift, input=IMAGE,
            maps=self.maps, layers=tuple(self.layers), **self.network,
        )  # fmt: skip


def random_net(
    kind: str,
    seed: int = 0,
    *,
    width: int = 16,
    depth: int = 2,
    side: int = 8,
    classes: int = 10,
    **options: Any,
) -> IntNet:
    """Return a network.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    seed : int
        The same seed gives the same network.
    width, depth : int
        Channels; blocks (of PSP and SP).
    side, classes : int
        Rows and columns of the image; logits.
    **options : int or bool
        As of `Builder`.
    """
    make = Builder(seed, side=side, **options)
    if kind in FORMS:
        name = f"{'sp' if kind == 'sp' else 'psp'}_{width}_{depth}"
        for step in schedule(kind, depth):
            patch: dict[str, Any] = (
                {"kernel": 2, "stride": 2, "act_bits": 8} if step.name == "stem" else {}
            )
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


def _residual_stages(make: Builder, width: int) -> None:
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


def images(net: IntNet, count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Return random images, uint8 [count, C, H, W], the first all black, the second all white."""
    source = np.random.default_rng(seed)
    pixels = source.integers(0, 256, (count, *net.input_shape), np.uint8)
    pixels[:1], pixels[1:2] = 0, 255
    return pixels


def change(net: IntNet, name: str, **fields: Any) -> IntNet:
    """Return a network with another layer ``name``; fields of its periphery count as its own."""
    layers: list[Layer] = []
    for layer in net.layers:
        if layer.name == name:
            own = {key: value for key, value in fields.items() if hasattr(layer, key)}
            rest = {key: value for key, value in fields.items() if key not in own}
            if rest:
                own["periphery"] = dataclasses.replace(vars(layer)["periphery"], **rest)
            layer = dataclasses.replace(layer, **own)
        layers.append(layer)
    return dataclasses.replace(net, layers=tuple(layers))


def prune(net: IntNet, seed: int, *, share: float, outputs: int) -> IntNet:
    """Return a network some of whose pages are all U = Z.

    Parameters
    ----------
    net : IntNet
    seed : int
    share : float
        Of pages. Of every other column group all row tiles are drawn together.
    outputs : int
        Of a page.
    """
    source = np.random.default_rng(seed)
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            weights = layer.weights.copy()
            tiles = range(0, layer.rows, net.array_rows)
            for number, group in enumerate(range(0, layer.outputs, outputs)):
                drawn = source.random(len(tiles)) < share
                for tile, gone in zip(tiles, drawn, strict=True):
                    if drawn[0] if number % 2 else gone:
                        page = slice(tile, tile + net.array_rows), slice(group, group + outputs)
                        weights[page] = layer.zero_point
            net = change(net, layer.name, weights=weights)
    return net


def masked(net: IntNet, outputs: int, count: Callable[[int, int, int, int], int]) -> IntNet:
    """Return a network whose pages keep the rows of their registers' masks; of the rest, U = Z.

    Parameters
    ----------
    net : IntNet
    outputs : int
        Of a page.
    count : callable
        Takes the numbers of crossbar layer, row tile and column group, and a page's rows; returns
        how many rows are kept.
    """
    layers = [layer for layer in net.layers if isinstance(layer, Crossbar)]
    for number, layer in enumerate(layers):
        weights = layer.weights.copy()
        for tile, first in enumerate(range(0, layer.rows, net.array_rows)):
            for group, start in enumerate(range(0, layer.outputs, outputs)):
                page = weights[first : first + net.array_rows, start : start + outputs]
                mask = LfsrMask(
                    positions=len(page),
                    count=count(number, tile, group, len(page)),
                    seed=page_seed(len(page), number, tile, group),
                )
                page[~mask.kept()] = layer.zero_point
        net = change(net, layer.name, weights=weights)
    return net
