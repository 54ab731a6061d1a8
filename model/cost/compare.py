# SPDX-License-Identifier: Apache-2.0
"""What keeps networks from being compared, and which option makes them alike. A leaf.

A network known by name is simulated with the bits of the configuration; an integer network has its
own, and no configuration changes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from model.cost.config import differences, keys
from model.cost.mapping import show_bits, usual_bits
from model.cost.simulate import ChipCost

__all__ = ["incomparable"]

_BITS = ("weight_bits", "act_bits")


def incomparable(names: Sequence[str], costs: Sequence[ChipCost]) -> list[str]:
    """Return why each network cannot be compared with the first; nothing if all can.

    Parameters
    ----------
    names : sequence of str
        As a reader knows them.
    costs : sequence of ChipCost
        Of each.
    """
    found = []
    for name, cost in zip(names[1:], costs[1:], strict=True):
        pair, both = (names[0], name), (costs[0], cost)
        reasons = [*_bits(pair, both)]
        reasons += [
            reason
            for reason in differences(costs[0].config, cost.config)
            if not reason.startswith(_BITS)
        ]
        found += [f"{names[0]} and {name} cannot be compared: {reason}" for reason in reasons]
        found += _energies(pair, both)
    return found


def _bits(names: tuple[str, str], costs: tuple[ChipCost, ChipCost]) -> Iterable[str]:
    """Yield which bits differ, and the option that makes them equal if there is one."""
    for key in (key for key in keys() if key.name in _BITS):
        bits = [[getattr(each, key.name) for each in cost.mapping.layers] for cost in costs]
        if set(bits[0]) == set(bits[1]):
            continue
        shown = " and ".join(show_bits(cost.mapping.layers, key.name) for cost in costs)
        yield f"{key.name} must be equal, not {shown}: {key.equal}; {_way(names, costs, key.name)}"


def _way(names: tuple[str, str], costs: tuple[ChipCost, ChipCost], key: str) -> str:
    """Return what can be done about different bits."""
    own = [_is_integer(cost) for cost in costs]
    if all(own):
        return "both networks have their own, which no option changes"
    theirs, other = own.index(any(own)), own.index(False)
    layers = costs[theirs].mapping.layers
    usual = usual_bits(layers, key)
    if not any(own):
        return f"--set {key}={usual} makes them equal"
    if usual == getattr(costs[other].config, key):
        return "no option makes these layers equal"
    most = "" if all(getattr(each, key) == usual for each in layers) else "most layers of "
    return f"--set {key}={usual} gives {names[other]} those of {most}{names[theirs]}"


def _energies(names: tuple[str, str], costs: tuple[ChipCost, ChipCost]) -> Iterable[str]:
    """Yield that one energy is of real weights and activations, and the other assumed."""
    own = [_is_integer(cost) for cost in costs]
    if any(own) and not all(own):
        theirs, others = names[own.index(True)], names[own.index(False)]
        yield (
            f"the energy of {theirs} follows its own integers, that of {others} assumptions: "
            f"compare names with names, or folders of integer networks"
        )


def _is_integer(cost: ChipCost) -> bool:
    return cost.mapping.layers[0].layer.statistics is not None
