# SPDX-License-Identifier: Apache-2.0
"""Dataclasses as JSON and tensors, and back from files that anybody may have written.

A dataclass becomes an object of its fields; an array among them becomes a tensor, named by the path
that leads there, which begins anew at a layer's name: ``stem.periphery.table``. A leaf.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from model.intnet_rules import IntNetError, about, check_name, quote

__all__ = ["from_json", "parse", "to_json"]

_KINDS = {int: "an integer", str: "a string", bool: "true or false", list: "a list"}


def to_json(value: Any, path: str, tensors: dict[str, np.ndarray]) -> Any:
    """Return ``value`` for JSON; its arrays go to ``tensors``, under the path that leads there."""
    if isinstance(value, tuple):
        return [to_json(item, getattr(item, "name", path), tensors) for item in value]
    if isinstance(value, Mapping):
        return {key: to_json(value[key], f"{path}.{key}", tensors) for key in sorted(value)}
    if not dataclasses.is_dataclass(value):
        return value
    entries = {"kind": value.kind} if hasattr(value, "kind") else {}
    for field in dataclasses.fields(value):
        entry, place = getattr(value, field.name), f"{path}.{field.name}".lstrip(".")
        if isinstance(entry, np.ndarray):
            tensors[place] = np.ascontiguousarray(entry)
        else:
            entries[field.name] = to_json(entry, place, tensors)
    return entries


def parse(text: bytes) -> dict[str, Any]:
    """Return the object that a JSON text holds: integers, strings, true, false and null only.

    Raises
    ------
    IntNetError
        If it is no such text.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_without_repeats,
            parse_int=_bounded_integer,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except IntNetError:
        raise
    except (ValueError, RecursionError) as error:  # RecursionError: brackets nested too deeply
        raise IntNetError(f"must be JSON: {error}") from None
    if not isinstance(value, dict):
        raise IntNetError(f"must be an object, not {type(value).__name__}")
    return value


def from_json(hint: Any, value: Any, path: str, tensors: dict[str, np.ndarray]) -> Any:
    """Make what the type hint says of a JSON value, with the arrays that belong to it."""
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if value is None and NoneType in options:
        return None
    classes = [option for option in options if dataclasses.is_dataclass(option)]
    if classes:
        return _object(classes, value, path, tensors)
    if get_origin(hint) is tuple:
        _check_kind(path, value, list)
        return tuple(
            from_json(get_args(hint)[0], item, _place(path, number, item), tensors)
            for number, item in enumerate(value)
        )
    if get_origin(hint) is Mapping:
        _check_kind(path, value, dict)
        inner = get_args(hint)[1]
        return {
            key: from_json(inner, item, f"{path}.{quote(key)[1:-1]}", tensors)
            for key, item in value.items()
        }
    _check_kind(path, value, hint)
    return value


def _object(classes: list[Any], value: Any, path: str, tensors: dict[str, np.ndarray]) -> Any:
    """Make an instance of the class that ``kind`` names, or of the only one."""
    _check_kind(path, value, dict)
    chosen = classes
    if len(classes) > 1:
        kinds = [option.kind for option in classes]
        chosen = [option for option in classes if option.kind == value.get("kind")]
        if not chosen:
            raise IntNetError(
                f"{path}.kind must be one of {', '.join(kinds)}, not {quote(value.get('kind'))}"
            )
        value = {key: entry for key, entry in value.items() if key != "kind"}
    hints = get_type_hints(chosen[0])
    arguments = {}
    for field in dataclasses.fields(chosen[0]):
        place = f"{path}.{field.name}".lstrip(".")
        if get_origin(hints[field.name]) is np.ndarray:
            if place not in tensors:
                raise IntNetError(f"the tensors must hold {place}")
            arguments[field.name] = tensors.pop(place)
        elif field.name not in value:
            raise IntNetError(f"{place} must be there")
        else:
            arguments[field.name] = from_json(hints[field.name], value[field.name], place, tensors)
    for key in value:
        if key not in arguments or isinstance(arguments[key], np.ndarray):
            raise IntNetError(f"{path or 'a network'} must have no key {quote(key)}")
    # Networks and layers name themselves in their errors.
    unnamed = path and not hasattr(chosen[0], "kind")
    with about(path) if unnamed else contextlib.nullcontext():
        return chosen[0](**arguments)


def _place(path: str, number: int, item: Any) -> str:
    """Path of an item of a list: a layer's name, under which its tensors lie, or its number."""
    if isinstance(item, dict) and "name" in item:
        check_name(f"{path}.{number}.name", item["name"])
        return str(item["name"])
    return f"{path}.{number}"


def _check_kind(path: str, value: Any, kind: type) -> None:
    if type(value) is not kind:  # `True` is no integer
        wanted = _KINDS.get(kind, "an object")
        raise IntNetError(f"{path} must be {wanted}, not {type(value).__name__}")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs; JSON itself would let the last of two equal keys win."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise IntNetError("an object must have each key once")
    return value


def _bounded_integer(text: str) -> int:
    if len(text) > 20:
        raise IntNetError(f"an integer must have at most 20 digits, not {len(text)}")
    return int(text)


def _no_float(text: str) -> int:
    raise IntNetError(f"numbers must be integers, not {quote(text)[1:-1]}")
