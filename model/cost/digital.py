# SPDX-License-Identifier: Apache-2.0
"""What the digital shift costs: cycles of `hw.timing`, energy of the pixels that move.

Fused, a layer reads its input from shifted addresses: no cycle, and no pixel moves. In place, a
pass reads and writes each pixel of the moved channels: by one module channel after channel, or by
eight lanes, one a direction. A leaf.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from hw import timing
from hw.params import Direction
from model.cost.config import Config
from model.cost.layers import Layer

__all__ = ["ShiftCost", "shift_cost", "total"]

_MEASURED_NM, _DIVIDED_NM = 28.0, 22.0
"""Nodes of ``shift_energy_j``, and of that energy over ``shift_energy_divisor``."""

_LANES = len(Direction.moving())


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftCost:
    """What an image takes.

    Parameters
    ----------
    cycles : int
        Of the shift modules, in which nothing else is done.
    latency_s : float
    moved_pixels : int
        Read and written once each.
    energy_j : float
        Of the moved pixels, at the chip's node.
    """

    cycles: int
    latency_s: float
    moved_pixels: int
    energy_j: float


def shift_cost(layer: Layer, config: Config) -> ShiftCost:
    """Return what the shift before a layer costs; all is 0 without one, or if it is fused.

    Parameters
    ----------
    layer : Layer
    config : Config
        ``shift`` and the keys that begin with it.
    """
    if layer.moved == 0 or config.shift == "fused":
        cycles, moved = timing.reader_cycles(), 0
    else:
        height, width = layer.shape.in_height, layer.shape.in_width
        moved = layer.moved_pixels
        if config.shift == "lanes":
            group = layer.moved // _LANES
            cycles = timing.ARRAY(blocks=1, group=group, height=height, width=width)
        else:
            cycles = timing.SHIFT(channels=layer.moved, height=height, width=width)
    return ShiftCost(
        cycles=cycles,
        latency_s=cycles / config.shift_clock_hz,
        moved_pixels=moved,
        energy_j=moved * config.shift_energy_j / _divisor(config),
    )


def _divisor(config: Config) -> float:
    """Return what leads from the node of the measurement to the chip's: a power of the node."""
    ways = [math.log(_MEASURED_NM / node) for node in (config.node_nm, _DIVIDED_NM)]
    return float(config.shift_energy_divisor ** (ways[0] / ways[1]))


def total(costs: Iterable[ShiftCost]) -> ShiftCost:
    """Return the sum of several shifts, one after the other."""
    cycles, latencies, moved, energies = 0, [], 0, []
    for cost in costs:
        cycles += cost.cycles
        moved += cost.moved_pixels
        latencies.append(cost.latency_s)
        energies.append(cost.energy_j)
    return ShiftCost(
        cycles=cycles, latency_s=sum(latencies), moved_pixels=moved, energy_j=sum(energies)
    )
