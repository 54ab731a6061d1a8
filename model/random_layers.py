# SPDX-License-Identifier: Apache-2.0
"""Layers with random tensors, one after the other, until they are an integer network.

Tables are random, so that a wrong bit does not fade on its way; ``k`` spreads each layer's ``pre``
over its range, with a few per cent saturated.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

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
from model.schedule import IMAGE

__all__ = ["Builder"]


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
