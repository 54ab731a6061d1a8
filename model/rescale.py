# SPDX-License-Identifier: Apache-2.0
"""Move batch norm's gains towards powers of two, without changing what a float network computes.

A channel between two layers may have any scale: what writes it multiplies, what reads it divides.
Maps that are added to one another share their scales. Rounding the gains to powers of two is what
an integer network loses most by; of two gains that share a scale, the best one leaves a quarter of
the squared error in the logarithm.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch

from model.psp import PSP, SP
from model.schedule import IMAGE, Step, schedule

__all__ = ["rescale"]


def rescale(network: PSP | SP) -> None:
    """Choose the scale of every channel between layers, in place.

    The network's function stays, but for roundings and the small constant in batch norm's variance.

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
            for norm in norms + passers[group]:
                norm.weight.mul_(scale)
                norm.bias.mul_(scale)
            for conv in readers[group]:
                conv.weight.div_(scale[:, None, None])
            last = [network.norm] if group == groups[-1][1] else []
            for norm in passers[group] + last:
                norm.running_mean.mul_(scale)
                norm.running_var.mul_(scale.square())


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
