# SPDX-License-Identifier: Apache-2.0
"""The design space of a sweep: its points, and what each costs. A leaf."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hw.params import ParameterError
from model.cost.config import Config
from model.cost.layers import Network
from model.cost.networks import named
from model.cost.simulate import simulate

__all__ = [
    "AXES",
    "MAX_POINTS",
    "Cost",
    "Point",
    "axes",
    "choose",
    "configured",
    "cost",
    "grid",
    "network",
    "varied",
]

MAX_POINTS = 100_000

AXES: dict[str, tuple[int | str, ...]] = {
    "width": (64, 128, 256),
    "depth": (4, 8, 12, 16),
    "array": (32, 64, 128, 256),
    "cell_bits": (1, 2, 4),
    "adc_bits": (5, 6, 7, 8),
    "columns_per_adc": (4, 8, 16),
    "shift": ("fused", "in_place", "lanes"),
}
"""What is swept if nothing else is asked for; the configuration's own values come to it."""


class Point(NamedTuple):
    """A PSP network and the design that runs it.

    Parameters
    ----------
    width, depth : int
        Of PSP_width_depth.
    array : int
        Rows and columns of a crossbar.
    cell_bits, adc_bits, columns_per_adc : int
    shift : {"fused", "in_place", "lanes"}
    """

    width: int
    depth: int
    array: int
    cell_bits: int
    adc_bits: int
    columns_per_adc: int
    shift: str


class Cost(NamedTuple):
    """What a point costs, an image: J, s, m²; leakage and the shift are included."""

    energy: float
    latency: float
    area: float


@functools.cache
def network(width: int, depth: int) -> Network:
    """Return the network PSP_width_depth."""
    return named(f"psp_{width}_{depth}")


def configured(point: Point, base: Config) -> Config:
    """Return the design of a point; what it leaves open is the base's.

    Raises
    ------
    ConfigError
        If a value is out of range, or two do not go together.
    """
    return dataclasses.replace(
        base.for_network(f"psp_{point.width}_{point.depth}"), **_chosen(point)
    )


def _chosen(point: Point) -> dict[str, Any]:
    """Return the keys of a configuration that a point decides."""
    return {
        "array_rows": point.array,
        "array_columns": point.array,
        "cell_bits": point.cell_bits,
        "adc_levels": 1 << point.adc_bits,
        "columns_per_adc": point.columns_per_adc,
        "shift": point.shift,
    }


def varied(points: Sequence[Point]) -> set[str]:
    """Return the keys of a configuration in which points differ."""
    values = [set(_chosen(point).items()) for point in points]
    same = set.intersection(*values)
    return {key for each in values for key, _ in each - same}


def cost(point: Point, base: Config) -> Cost:
    """Return what a point costs.

    Raises
    ------
    ParameterError
        As `model.cost.simulate.simulate`.
    """
    found = simulate(network(point.width, point.depth), configured(point, base))
    return Cost(found.energy, found.latency, found.area)


def axes(asked: Mapping[str, Sequence[int | str]], base: Config) -> dict[str, list[Any]]:
    """Return the values of each field of `Point`: those asked for, else `AXES` and the base's."""
    own: dict[str, int | str] = {
        "cell_bits": base.cell_bits,
        "columns_per_adc": base.columns_per_adc,
        "shift": base.shift,
    }
    if base.array_rows == base.array_columns:
        own["array"] = base.array_rows
    if base.adc_levels.bit_count() == 1:
        own["adc_bits"] = base.adc_levels.bit_length() - 1
    return {
        name: sorted(
            {*asked[name]} if name in asked else {*AXES[name], own.get(name, AXES[name][0])}
        )
        for name in Point._fields
    }


def grid(asked: Mapping[str, Sequence[int | str]], base: Config) -> list[Point]:
    """Return all points that can be built, in order.

    Parameters
    ----------
    asked : mapping of str to sequence
        Values by field of `Point`; of the others, those of `AXES` that the base allows.
    base : Config

    Raises
    ------
    ParameterError
        If there are too many points, or a value that was asked for goes with no others: the first
        rule that it breaks.
    """
    lists = list(axes(asked, base).values())
    if (size := math.prod(map(len, lists))) > MAX_POINTS:
        raise ParameterError(f"the grid must have at most {MAX_POINTS:,} points, not {size:,}")
    points: list[Point] = []
    built: set[tuple[str, Any]] = set()
    broken: dict[tuple[str, Any], ParameterError] = {}
    for point in itertools.starmap(Point, itertools.product(*lists)):
        parts = list(zip(Point._fields, point, strict=True))
        try:
            configured(point, base)
        except ParameterError as error:
            for part in parts:
                broken.setdefault(part, error)
        else:
            points.append(point)
            built.update(parts)
    for part, rule in broken.items():
        if part not in built and (part[0] in asked or not points):
            raise rule
    # The mapping may refuse what no key does, by the array and the network alone.
    for point in {(point.width, point.depth, point.array): point for point in points}.values():
        cost(point, base)
    return points


def choose(points: Sequence[Point], count: int, seed: int) -> list[Point]:
    """Return some points at random, all if there are no more; fewer are the first of more."""
    shuffled = list(points)
    random.Random(seed).shuffle(shuffled)
    return shuffled[:count]
