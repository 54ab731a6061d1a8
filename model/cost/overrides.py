# SPDX-License-Identifier: Apache-2.0
"""Single keys of a configuration from text, as a command line gives them: ``adc_levels=64``.

A leaf: the standard library only.
"""

from __future__ import annotations

import dataclasses
import difflib
import reprlib
from collections.abc import Sequence
from typing import Any

from model.cost.config import Config, ConfigError, keys
from model.cost.schema import Key

__all__ = ["SOURCE", "override"]

SOURCE = "set on the command line"
_KEYS = {key.name: key for key in keys()}


def override(config: Config, settings: Sequence[str]) -> Config:
    """Return a configuration with other values, for all networks alike.

    Parameters
    ----------
    config : Config
    settings : sequence of str
        ``key=value``, each in the unit of its key; values of a list are joined by commas, and
        ``none`` leaves an optional key out.

    Raises
    ------
    ConfigError
        If a key is unknown, with the nearest, or a value breaks a rule.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        name, sign, text = setting.partition("=")
        if not sign:
            raise ConfigError(f"set must be key=value, not {reprlib.repr(setting)}", "set")
        if name not in _KEYS:
            close = difflib.get_close_matches(name, _KEYS, n=1)
            nearest = f"; the nearest is {close[0]}" if close else ""
            raise ConfigError(f"set must name a key, not {reprlib.repr(name)}{nearest}", "set")
        if name in values:
            raise ConfigError(f"{name} must be set once, not twice", name)
        values[name] = _value(_KEYS[name], text)
    sources = dict(config.sources) | dict.fromkeys(values, SOURCE)
    return dataclasses.replace(config, sources=sources, **values)


def _value(key: Key, text: str) -> object:
    """Return a value of the key's kind; what is none is left for the key's check to refuse."""
    if key.optional and text == "none":
        return None
    if key.kind == "choice":
        return text
    if key.kind == "numbers":
        return tuple(_number(part) for part in text.split(","))
    return _number(text)


def _number(text: str) -> int | float | str:
    # Python takes blanks, +64, 6_4 and other alphabets' digits too, which are more likely slips.
    if text.isascii() and text == text.strip() and text[:1] != "+" and "_" not in text:
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                pass
    return text
