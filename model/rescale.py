# SPDX-License-Identifier: Apache-2.0
"""Make batch norm's gains powers of two, almost without changing what a float network computes.

A channel between two layers may have any scale: what writes it multiplies, what reads it divides.
Maps that are added to one another share their scales. Rounding the gains to powers of two is what
an integer network loses most by; of two gains that share a scale, the best one leaves a quarter of
the squared error in the logarithm (`rescale`).

What is left goes into the weights before GELU, since GELU(c·x) ≈ c·GELU(x) where x is large or c
near 1 (`absorb`): for the zoo's psp_64_4 the outputs then diverge by 0.0008 from what they were.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch

from model.psp import PSP, SP
from model.schedule import IMAGE, Step, schedule

__all__ = ["absorb", "rescale"]

_SIZE = 2.0
"""Of the last map's channels: about the deviation of the others."""


def rescale(network: PSP | SP) -> None:
    """Choose the scale of every channel between layers, in place.

    The network's function stays, but for roundings and the small constant in batch norm's variance.
    Where only the head reads a map, its channels also get powers of two that bring them to the size
    of the others: there they differ most, and one exponent is to do for all maps.

    Parameters
    ----------
    network : PSP or SP
        Trained.
    """
    writers: dict[int, list[Any]] = defaultdict(list)  # norms, which give the channels their scale
    readers: dict[int, list[Any]] = defaultdict(list)  # convolutions
    passers: dict[int, list[Any]] = defaultdict(list)  # norms from one map to another of its scale
    body: Any = network.body
    steps, blocks = schedule(body[0].form, len(body)), iter(body)
    groups = _shared_scales(steps)
    for step, (source, target) in zip(steps, groups, strict=True):
        layers: Any = network.get_submodule(step.name)
        readers[source].append(layers[0])
        writers[target].append(layers[2])
        if step.second:
            passers[target].append(next(blocks).norm)
    with torch.no_grad():
        for group, norms in writers.items():
            scale = _best_scale(torch.stack([_gain(norm) for norm in norms]))
            if not readers[group]:
                norm: Any = network.norm
                size = norm.running_var.clamp_min(2.0**-40).sqrt()
                # A channel that is nothing but a constant stays within bounds.
                scale *= torch.exp2((_SIZE / (scale * size)).log2().round().clamp(-8, 8))
            for norm in norms + passers[group]:
                norm.weight.mul_(scale)
                norm.bias.mul_(scale)
            for conv in readers[group]:
                conv.weight.div_(scale[:, None, None])
            last = [network.norm] if group == groups[-1][1] else []
            for norm in passers[group] + last:
                norm.running_mean.mul_(scale)
                norm.running_var.mul_(scale.square())


def absorb(network: PSP | SP) -> None:
    """Make each gain the power of two next to it, by way of the weights before GELU, in place.

    Parameters
    ----------
    network : PSP or SP
        After `rescale`.
    """
    body: Any = network.body
    with torch.no_grad():
        for step in schedule(body[0].form, len(body)):
            layers: Any = network.get_submodule(step.name)
            conv, _, norm = layers
            gain = _gain(norm).abs().clamp_min(2.0**-40)
            factor = gain / torch.exp2(gain.log2().round())
            conv.weight.mul_(factor[:, None, None, None])
            norm.running_mean.mul_(factor)
            # The gain is then as wanted in spite of the small constant.
            norm.running_var.add_(norm.eps).mul_(factor.square()).sub_(norm.eps)


def _shared_scales(steps: tuple[Step, ...]) -> list[tuple[int, int]]:
    """Return for each step which scale it reads, and which it writes."""
    group: list[int] = [0]  # of each version of a map
    version = {IMAGE: 0}

    def unite(first: int, second: int) -> None:
        kept, dropped = group[first], group[second]
        group[:] = [kept if each == dropped else each for each in group]

    ends = []
    for step in steps:
        read = [version[operand.map] for operand in step.operands]
        unite(read[0], read[-1])
        written = len(group)
        group.append(written)
        if step.add:
            unite(version[step.add.map], written)
        version[step.out] = written
        if step.second:
            version[step.second] = written
        ends.append((read[0], written))
    return [(group[source], group[target]) for source, target in ends]


def _gain(norm: Any) -> torch.Tensor:
    gain: torch.Tensor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return gain


def _best_scale(gains: torch.Tensor) -> torch.Tensor:
    """Return the factor [C], from √½ to √2, that brings gains [N, C] nearest to powers of two.

    What the logarithms have beyond integers is an angle; the factor turns its mean to 0.
    """
    turn = 2 * math.pi * gains.abs().clamp_min(2.0**-40).log2()
    return torch.exp2(-torch.atan2(turn.sin().sum(0), turn.cos().sum(0)) / (2 * math.pi))
