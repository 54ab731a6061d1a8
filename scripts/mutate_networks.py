# SPDX-License-Identifier: Apache-2.0
"""Networks on which a fault in the accelerator must be noticed.

Random ones leave much of the hardware at rest: a queue that never fills, sums that never reach
their upper bits, a Z that is a power of two. These go there.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hw.image import Image, build
from model.intnet import Crossbar, IntNet
from model.intnet_layers import MAX_K, MIN_K
from model.random_intnet import change, images, masked, random_net

__all__ = ["DESIGNS", "Case"]


@dataclasses.dataclass(frozen=True)
class Case:
    """A network with its accelerator and the images that it is run on."""

    net: IntNet
    image: Image
    pixels: npt.NDArray[np.uint8]


def cases_of(
    form: str,
    mode: str,
    *,
    side: int,
    columns: int,
    columns_per_adc: int,
    short: str = "",
    sparse: bool = False,
    **options: int,
) -> list[Case]:
    """Return networks with other numbers for one and the same accelerator.

    The layer ``short`` takes three bits of each activation. Of ``sparse`` ones pages are absent,
    and rows masked.
    """
    nets = [_any_zero_point(random_net(form, seed, side=side, **options)) for seed in range(7, 12)]
    if short:
        nets = [_fewer_bits(net, short, 3) for net in nets]
    nets[2:] = _alike(nets[2]), _quiet(nets[3]), _loud(nets[4])
    if sparse:
        outputs = columns // -(-8 // nets[0].cell_bits)
        nets = [masked(net, outputs, _kept) for net in nets]
    cases = []
    for seed, net in enumerate(nets):
        image = build(net, columns=columns, columns_per_adc=columns_per_adc, mode=mode)
        cases.append(Case(net, image, images(net, 6, seed)))
    return cases


def _kept(layer: int, tile: int, group: int, rows: int) -> int:
    """Return how many rows of a page its mask keeps: none of some, all of others."""
    kept = 0, rows // 2, rows - 3, rows // 3, rows, rows - 1, 1
    return kept[(4 * layer + 2 * tile + group) % len(kept)]


def _any_zero_point(net: IntNet) -> IntNet:
    """Let Z be odd, another one in each layer."""
    for number, layer in enumerate(each for each in net.layers if isinstance(each, Crossbar)):
        net = change(net, layer.name, zero_point=(91 + 54 * number) % (1 << layer.weight_bits))
    return net


def _fewer_bits(net: IntNet, name: str, bits: int) -> IntNet:
    """Let a layer take activations of fewer bits."""
    for layer in net.layers:
        if layer.name == name and isinstance(layer, Crossbar) and layer.periphery is not None:
            table = layer.periphery.table[: 1 << bits] >> (layer.act_bits - bits)
            net = change(net, name, act_bits=bits, table=table)
    return net


def _alike(net: IntNet) -> IntNet:
    """Let all rows have the same weights: columns of cells are full, bit by bit."""
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            rows = np.repeat(layer.weights[:1], len(layer.weights), axis=0)
            net = change(net, layer.name, weights=rows)
    return net


def _loud(net: IntNet) -> IntNet:
    """Let weights and activations be the largest: sums are, and all wordlines are high."""
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            top = np.full_like(layer.weights, (1 << layer.weight_bits) - 1)
            net = change(net, layer.name, weights=top)
            affine = layer.periphery.affine if layer.periphery is not None else None
            if affine is not None:
                fields = {"sign": 0, "exponent": 0, "offset": np.iinfo(np.int16).max}
                full = {name: np.full_like(getattr(affine, name), v) for name, v in fields.items()}
                net = change(net, layer.name, affine=dataclasses.replace(affine, **full))
    return net


def _quiet(net: IntNet) -> IntNet:
    """Let sums be small, k and the fractions of the affines any: each of their bits matters.

    No weight counts 0: rows of those would be masked, in another accelerator.
    """
    source = np.random.default_rng(1)
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            shape = layer.weights.shape
            near = layer.zero_point + source.choice((-1, 1), shape)
            bias = source.integers(-8, 8, shape[1], np.int32)
            net = change(net, layer.name, weights=near.astype(np.uint8), bias=bias)
            if layer.periphery is not None and layer.periphery.affine is not None:
                k = source.integers(MIN_K, MAX_K, shape[1], np.int8, endpoint=True)
                bits = int(source.integers(16))
                affine = dataclasses.replace(layer.periphery.affine, fraction_bits=bits)
                net = change(net, layer.name, k=k, affine=affine)
    return net


DESIGNS: dict[str, Callable[[], list[Case]]] = {
    "SP, in place": functools.partial(
        cases_of,
        "sp",
        "in_place",
        side=10,
        columns=30,
        columns_per_adc=3,
        width=18,
        depth=1,
        classes=14,
        array_rows=18,
        cell_bits=4,
        adc_bits=7,
        act_bits=3,
        stream_bits=10,
    ),
    "residual, two crossbars": functools.partial(
        cases_of,
        "residual",
        "fused",
        side=10,
        columns=60,
        columns_per_adc=3,
        width=32,
        depth=1,
        classes=35,
        short="body.0.second",
        array_rows=16,
        cell_bits=4,
    ),
    "masked, pruned": functools.partial(
        cases_of,
        "skip_over_shift",
        "fused",
        side=10,
        columns=60,
        columns_per_adc=3,
        width=40,
        depth=1,
        classes=20,
        short="body.0.first",
        sparse=True,
        array_rows=20,
        act_bits=4,
        stream_bits=6,
    ),
}
"""Networks that together use every block: both ways to shift, one and two banks, layers of fewer
bits and crossbars than others, ADCs that saturate and such that do not.

A page puts out more sums than it takes cycles, so that the tile's queue fills. Columns an ADC,
pixels, vectors of an image are odd in number, in one of them at least: a bit that is inverted
twice is as it was.
"""
