# SPDX-License-Identifier: Apache-2.0
"""Move the codes of channels, such that saturating converters saturate seldom.

A constant can be added to a channel where it is written, by batch norm's offset, and taken away
where it is read, by the next layer's bias: that costs nothing. Half of what GELU gives is nearly
one value, so a few codes to the left or to the right decide how many wordlines of a bit plane are
high at once. Where a shift follows, its zeros at the border do not move along; channels that are
shifted therefore move less, and training takes up the rest.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from hw.params import Direction, channel_directions
from model.crossbar_sum import ArrayShape
from model.quantise import QuantIsotropic
from model.schedule import IMAGE, Step

__all__ = ["spread"]

_FAR, _NEAR = 24, 8
"""Codes by which channels may move: others, and those that are shifted."""
_SWEEPS = 2
_ROWS = 2048
"""Inputs of a layer that are looked at."""


@torch.no_grad()
def spread(twin: QuantIsotropic, images: torch.Tensor) -> None:
    """Choose a constant for each channel of each map, in place.

    Parameters
    ----------
    twin : QuantIsotropic
        Of a PSP network, calibrated; one of an SP network stays as it is: its second affine
        would have to move along.
    images : torch.Tensor
        float32 [B, 3, H, W], normalised; some tens.
    """
    layers = list(twin.layers())
    if any(layer.second for layer in layers):
        return
    codes = _codes(twin, images)
    moved: dict[str, torch.Tensor] = {}
    for number, layer in enumerate(layers):
        step, conv = layer.step, layer.conv
        if step.operands[0].map != IMAGE:
            _lower(conv, sum(moved[each.map] for each in step.operands))
        nothing = torch.zeros(layer.norm.norm.num_features)  # type: ignore[union-attr]
        reader = _next_reader(step, [each.step for each in layers[number + 1 :]])
        if reader is None:
            pool, seen = twin.head.pool, codes["head"]
            found = _offsets(seen, pool.bits, twin.head.array, nothing + _FAR) * pool.step
            twin.head.bias.sub_(twin.head.rounded()[0] @ found)
            found = found * twin.head.rest
        else:
            other = sum((moved[each.map] for each in reader.operands if each.map != step.out), 0.0)
            shifted = any(each.shifted for each in reader.operands if each.map == step.out)
            reading: Any = twin.get_submodule(reader.name)
            source = reading[0].source
            before = codes[reader.name] + (other / source.step).round()
            found = _offsets(before, source.bits, reading[0].array, _reach(nothing, shifted))
            found = found * source.step
        written = moved[step.add.map] if step.add else nothing
        layer.norm.norm.bias.add_(found - written)  # type: ignore[union-attr]
        moved[step.out] = found


def _next_reader(step: Step, later: list[Step]) -> Step | None:
    """Return the first layer that reads what a layer writes; None if only the head does."""
    for each in later:
        if step.out in [operand.map for operand in each.operands]:
            return each
    return None


def _reach(like: torch.Tensor, shifted: bool) -> torch.Tensor:
    """Return by how many codes each channel may move."""
    stays = [direction is Direction.STAY for direction in channel_directions(len(like))]
    return torch.where(torch.tensor(stays) | (not shifted), like + _FAR, like + _NEAR)


def _lower(conv: Any, offset: Any) -> None:
    """Take away what has been added to a convolution's inputs."""
    conv.bias.sub_(conv.rounded()[0][:, :, 0, 0] @ offset)


def _codes(twin: QuantIsotropic, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return some of the integers [N, C] that each layer takes."""
    found: dict[str, torch.Tensor] = {}

    def keep(name: str, step: torch.Tensor, values: torch.Tensor) -> None:
        rows = values.flatten(2).transpose(1, 2).flatten(0, 1) if values.dim() > 2 else values
        found[name] = (rows[:: -(-len(rows) // _ROWS)] / step).round()

    hooks = [
        mix[0].register_forward_pre_hook(
            lambda conv, taken, name=name: keep(name, conv.source.step, conv.source(taken[0]))
        )
        for name, mix in twin.mixes()
    ]
    head = twin.head.pool
    hooks.append(head.register_forward_hook(lambda grid, _, out: keep("head", grid.step, out)))
    twin.eval()
    twin(images)
    for hook in hooks:
        hook.remove()
    return found


def _offsets(
    codes: torch.Tensor, bits: int, array: ArrayShape, reach: torch.Tensor
) -> torch.Tensor:
    """Return what to add to integers [N, C], channel by channel: [C], at most ``reach``."""
    found = torch.zeros(codes.shape[1])
    for first in range(0, codes.shape[1], array.rows):
        rows = codes[:, first : first + array.rows].int()
        high = torch.stack([_planes(row, bits) for row in rows.T]).sum(0)  # [bits, N]
        least = _excess(high, bits, array)
        for channel in list(range(rows.shape[1])) * _SWEEPS:
            limit, at = int(reach[first + channel]), int(found[first + channel])
            others = high - _planes(rows[:, channel] + at, bits)
            for offset in range(-limit, limit + 1):
                tried = others + _planes(rows[:, channel] + offset, bits)
                excess = _excess(tried, bits, array)
                if excess < least:
                    least, high = excess, tried
                    found[first + channel] = offset
    return found


def _planes(row: torch.Tensor, bits: int) -> torch.Tensor:
    """Return the bit planes [bits, N] of integers [N]."""
    return (row >> torch.arange(bits)[:, None] & 1).float()


def _excess(high: torch.Tensor, bits: int, array: ArrayShape) -> float:
    """Return how much columns of random cells exceed an ADC, squared, each by its plane's weight.

    Their sum is taken two deviations above its mean, with ``high`` [bits, N] wordlines.
    """
    largest = (1 << array.cell_bits) - 1
    deviation = math.sqrt(largest * (largest + 2) / 12)
    sums = high * (largest / 2) + 2 * deviation * high.sqrt()
    over = (sums - ((1 << array.adc_bits) - 1)).clamp_min_(0.0)
    return float((over * 2.0 ** torch.arange(bits)[:, None]).square().mean())
