# SPDX-License-Identifier: Apache-2.0
"""What to doubt of a network on a chip: settings without effect, designs out of reach. A leaf."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from model.cost.chip import chip_and_layers
from model.cost.config import Config
from model.cost.simulate import ChipCost
from model.cost.stated import SHIFT, join, unmoved
from model.cost.technology import Node, load_constants

__all__ = ["TESTED", "doubts"]

TESTED = {
    "node_nm": (7, 130),
    "array_rows": (16, 512),
    "array_columns": (16, 512),
    "adc_levels": (2, 256),
}
"""Ranges in which the model is known to be without cliffs: docs/cost-model.md."""


def doubts(cost: ChipCost, names: Collection[str]) -> list[str]:
    """Return what a reader may not expect of a network's figures.

    Parameters
    ----------
    cost : ChipCost
    names : collection of str
        Keys of the configuration that a user has set.
    """
    return [*_unmoved(cost, names), *_clock(cost), *_untested(cost.config)]


def _unmoved(cost: ChipCost, names: Collection[str]) -> Iterator[str]:
    idle = [key for key in ("shift", *SHIFT) if key in names]
    if idle and not any(layer.mapping.layer.moved for layer in cost.layers):
        yield f"{join(idle)} not move any figure of {cost.network}: nothing is shifted"
        names = [key for key in names if key not in idle]
    yield from unmoved(cost.config, names)
    statistics = [layer.mapping.layer.statistics for layer in cost.layers]
    if "activations" in names and all(each and each.activity for each in statistics):
        yield f"activations does not move any figure of {cost.network}: they are measured"


def _clock(cost: ChipCost) -> Iterator[str]:
    """Yield that a stated clock leaves conversions too little time."""
    if cost.config.clock_hz is None:
        return
    constants = load_constants()
    free = dataclasses.replace(cost.config, clock_hz=None)
    node = Node(free.node_nm, constants.delay_exponent)
    fastest = 1 / chip_and_layers(cost.mapping, free, node)[0].period(constants)
    if cost.config.clock_hz > fastest:
        yield (
            f"clock_hz should be at most {fastest:.3g} Hz, the ADC's as it is modelled, "
            f"not {cost.config.clock_hz:.3g}"
        )


def _untested(config: Config) -> Iterator[str]:
    for name, (low, high) in TESTED.items():
        if not low <= (value := getattr(config, name)) <= high:
            yield f"{name} should be from {low} to {high}, where the model is tested, not {value:g}"
