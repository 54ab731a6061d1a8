# SPDX-License-Identifier: Apache-2.0
"""Kinds of keys in a configuration: their units, ranges, and whether they must be equal.

`model.cost.config` declares its keys with these. A leaf: the standard library only.
"""

from __future__ import annotations

import dataclasses
import reprlib
from typing import Any

__all__ = ["Key", "choice", "count", "numbers", "quantity"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """A key of a configuration.

    Parameters
    ----------
    name : str
    about : str
        What it is.
    kind : {"integer", "number", "numbers", "choice"}
    unit : str
        The only unit that is taken; empty for a choice.
    low, high : float
        Range of a number.
    choices : tuple of str
        Values of a choice.
    optional : bool
        Whether it may be missing, which is None.
    equal : str
        Why two designs that are compared must have the same value; empty if a design may choose.
    """

    name: str = ""
    about: str
    kind: str
    unit: str = ""
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    optional: bool = False
    equal: str = ""

    def check(self, value: object) -> str:
        """Return which rule a value breaks, and the value; empty if none."""
        if value is None and self.optional:
            return ""
        if self.kind == "choice":
            if value in self.choices:
                return ""
            return f"must be {_either(self.choices)}, not {reprlib.repr(value)}"
        if self.kind == "numbers":
            if not isinstance(value, tuple) or not value:
                return f"must be a list of numbers in {self.unit}, not {reprlib.repr(value)}"
            return next((error for each in value if (error := self._range(each))), "")
        return self._range(value)

    def _range(self, value: object) -> str:
        kind = int if self.kind == "integer" else int | float
        what = "an integer" if self.kind == "integer" else "a number"
        unit = "" if self.unit == "1" else f" {self.unit}"
        rule = f"must be {what} from {self.low:g} to {self.high:g}{unit}"
        if isinstance(value, bool) or not isinstance(value, kind):
            return f"{rule}, not {reprlib.repr(value)}"
        # NaN fails both comparisons.
        if not self.low <= value <= self.high:
            return f"{rule}, not {reprlib.repr(value)}"
        return ""

    def show(self, value: object) -> str:
        """Return a value with its unit, as a message or a report shows it."""
        if value is None:
            return "none"
        if isinstance(value, tuple):
            shown = ", ".join(f"{each:g}" for each in value)
        else:
            shown = f"{value:g}" if isinstance(value, int | float) else str(value)
        return shown if self.unit in ("", "1") else f"{shown} {self.unit}"


def _either(words: tuple[str, ...]) -> str:
    *most, last = (f'"{word}"' for word in words)
    return f"{', '.join(most)} or {last}" if most else last


def count(about: str, low: int, high: int, *, equal: str = "") -> Any:
    """Return the field of an integer."""
    return _field(Key(about=about, kind="integer", unit="1", low=low, high=high, equal=equal))


def quantity(
    about: str, unit: str, low: float, high: float, *, optional: bool = False, equal: str = ""
) -> Any:
    """Return the field of a number with a unit."""
    return _field(
        Key(about=about, kind="number", unit=unit, low=low, high=high, optional=optional,
            equal=equal)
    )  # fmt: skip


def numbers(about: str, unit: str, low: float, high: float, *, equal: str = "") -> Any:
    """Return the field of an optional list of numbers."""
    return _field(
        Key(about=about, kind="numbers", unit=unit, low=low, high=high, optional=True, equal=equal)
    )


def choice(about: str, *choices: str, optional: bool = False, equal: str = "") -> Any:
    """Return the field of a word from a list."""
    return _field(Key(about=about, kind="choice", choices=choices, optional=optional, equal=equal))


def _field(key: Key) -> Any:
    if key.optional:
        return dataclasses.field(default=None, metadata={"key": key})
    return dataclasses.field(metadata={"key": key})
