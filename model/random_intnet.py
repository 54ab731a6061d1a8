# SPDX-License-Identifier: Apache-2.0
"""Random integer networks that fill their ranges: PSP in all forms, SP, a residual CNN, a VGG.

What two implementations are compared on; of layers as `model.random_layers` makes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.lfsr_params import LfsrMask, page_seed
from model.intnet import Crossbar, IntNet, Layer, Operand
from model.random_layers import Builder
from model.schedule import FORMS, IMAGE, schedule

__all__ = ["KINDS", "change", "images", "masked", "prune", "random_net"]

KINDS = (*FORMS, "resnet", "vgg")
"""Networks that `random_net` makes."""


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
