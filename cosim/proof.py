# SPDX-License-Identifier: Apache-2.0
"""What a proof is: a claim about a harness, a fault that must refute it, covers to be reached."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

from amaranth.lib import wiring

__all__ = ["Cover", "Fault", "Proof"]


class Params(Protocol):
    """What a harness is made from."""

    @property
    def name(self) -> str:
        """Short name of the shape."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A net of the hardware, by its name below the harness, and what drives it instead.

    The value is a Yosys signal expression: constants and parts of nets, joined by commas.
    """

    net: str
    value: str

    def __str__(self) -> str:
        return f"{self.net} = {self.value}"


@dataclasses.dataclass(frozen=True)
class Cover:
    """Where the covers of a harness must be reached, so that no proof holds of nothing.

    Parameters
    ----------
    params : Params
        Shape of the instance; smaller than the proof's own where that would take minutes.
    first, last : int
        Cycles in which to look.
    pins : tuple of Fault
        Inputs that are held, to shorten the search. It can only make covers harder to reach.
    """

    params: Params
    first: int
    last: int
    pins: tuple[Fault, ...] = ()


@dataclasses.dataclass(frozen=True)
class Proof:
    """A claim about a harness, with the fault that must refute it.

    Parameters
    ----------
    name : str
        Unique; ends in the shape.
    claim : str
        What is proven, in words.
    harness : callable
        Makes the harness from ``params``.
    params : Params
        Shape of the hardware; for the accelerator's control, that of its maps.
    depth : int
        Without bound: the k of k-induction. Bounded: the cycle from reset that is looked at.
    bounded : bool
        One look at cycle ``depth``, instead of an induction.
    fault : Fault
        The negative control.
    cover : Cover
        What guards against a vacuous proof.
    quick : bool
        Also runs with ``--quick``.
    """

    name: str
    claim: str
    harness: Callable[[Any], wiring.Component]
    params: Params
    depth: int
    fault: Fault
    cover: Cover
    bounded: bool = False
    quick: bool = False

    @property
    def method(self) -> str:
        """How it is proven."""
        return f"BMC depth {self.depth}" if self.bounded else f"{self.depth}-induction"
