# SPDX-License-Identifier: Apache-2.0
"""Configurations as TOML files: what is read, and errors that name file, line and key.

::

    about = "What this design point is"
    extends = "date2024_22nm"            # optional: the published one that it starts from

    [adc_levels]
    value = 64
    unit = "1"                           # of numbers only
    source = "Where the value is from"

    [networks.resnet110]                 # optional: what differs for one network
    simulated = "shiftresnet110"         # optional: which one its row really is
    [networks.resnet110.node_nm]
    value = 32
    …

A leaf: the standard library only. A file from outside is hostile until checked.
"""

from __future__ import annotations

import difflib
import re
import reprlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from hw import disk
from hw.params import ParameterError
from model.cost.config import Config, ConfigError, keys
from model.cost.networks import named
from model.cost.schema import Key
from model.layer_shape import unread

__all__ = ["NAMES", "load"]

_FOLDER = Path(__file__).parent / "configs"
NAMES = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
"""The published design points."""

MAX_BYTES = 1 << 20
MAX_SOURCE = 1000

_KEYS = {key.name: key for key in keys()}
_TOP = ("about", "extends", "networks")
_TABLE = re.compile(r"\s*\[\s*([A-Za-z0-9_.\s-]+?)\s*\]\s*(#.*)?")
_ENTRY = re.compile(r"\s*([A-Za-z0-9_.\s-]+?)\s*=")

_Place = tuple[str, ...]


def load(source: str) -> Config:
    """Read a configuration.

    Parameters
    ----------
    source : str
        One of `NAMES`, or the path of a file ``….toml``.

    Raises
    ------
    ConfigError
        If there is no such file, or it breaks a rule: one line with the file, the line in it, the
        key, and for an unknown one the nearest.
    """
    path = Path(source)
    if path.suffix != ".toml":
        if source not in NAMES:
            raise ConfigError(
                f"config must be one of {', '.join(NAMES)} or a file .toml, "
                f"not {reprlib.repr(source)}{_nearest(source, NAMES)}",
                "config",
            )
        path = _FOLDER / f"{source}.toml"
    return _Reader(path).config()


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; the nearest is {close[0]}" if close else ""


def _check_integers(value: object) -> None:
    """Refuse an integer of more bits than TOML asks for: in hexadecimal it may be of any length."""
    if isinstance(value, int) and value.bit_length() > 64:
        raise ValueError
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _check_integers(part)


class _Reader:
    """A file while it is read: what is wrong is told with its line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        data = disk.content(path, MAX_BYTES, lambda message: ConfigError(message, ""))
        try:
            text = data.decode()
            self.value = tomllib.loads(text)
            _check_integers(self.value)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{path} must be TOML: {unread(error)}", "") from None
        self.lines = _places(text)

    def fail(self, place: _Place, message: str) -> NoReturn:
        """Raise an error about a place in the file, or about the nearest one above it."""
        line = next(
            (self.lines[place[:end]] for end in range(len(place), 0, -1)
             if place[:end] in self.lines), None,
        )  # fmt: skip
        where = self.path if line is None else f"{self.path}, line {line}"
        raise ConfigError(f"{where}: {message}", place[-1] if place else "")

    def config(self) -> Config:
        """Return what the file says."""
        self._known((), self.value, (*_KEYS, *_TOP))
        base = self._base()
        values, sources = self._values((), self.value, skip=_TOP)
        networks: dict[str, Mapping[str, Any]] = self._networks(sources)
        if base is not None:
            values = {name: getattr(base, name) for name in _KEYS} | values
            sources = dict(base.sources) | sources
            theirs = {name: dict(values) for name, values in base.networks.items()}
            networks = theirs | {
                name: theirs.get(name, {}) | dict(values) for name, values in networks.items()
            }
        for name, key in _KEYS.items():
            if name not in values and not key.optional:
                self.fail((), f"{name} must be there: {key.about}")
        if "about" not in self.value:
            self.fail((), "about must be there: what the design point is")
        about = self._text(("about",), self.value)
        try:
            config = Config(
                name=self.path.stem, about=about, sources=sources, networks=networks, **values
            )
        except ConfigError as error:
            self.fail((error.key, "value"), str(error))
        for name in networks:
            try:
                config.for_network(name)
            except ConfigError as error:
                self.fail(("networks", name, error.key, "value"), str(error))
        return config

    def _base(self) -> Config | None:
        """Return the published configuration that this one starts from."""
        if "extends" not in self.value:
            return None
        base = self._text(("extends",), self.value)
        if base not in NAMES or base == self.path.stem:
            known = [name for name in NAMES if name != self.path.stem]
            self.fail(
                ("extends",),
                f"extends must be one of {', '.join(known)}, "
                f"not {reprlib.repr(base)}{_nearest(base, known)}",
            )
        return load(base)

    def _networks(self, sources: dict[str, str]) -> dict[str, Mapping[str, Any]]:
        """Return the values that differ for some networks, and note their sources."""
        found: dict[str, Mapping[str, Any]] = {}
        for name, table in self._table(("networks",), self.value.get("networks", {})).items():
            place = ("networks", name)
            self._check_network(place, name)
            self._known(place, self._table(place, table), (*_KEYS, "simulated"))
            values, theirs = self._values(place, table, skip=("simulated",))
            if "simulated" in table:
                here = (*place, "simulated")
                values["simulated"] = self._text(here, table)
                self._check_network(here, values["simulated"])
            found[name] = values
            sources |= {f"networks.{name}.{key}": text for key, text in theirs.items()}
        return found

    def _check_network(self, place: _Place, name: str) -> None:
        try:
            named(name)
        except ParameterError as error:
            self.fail(place, f"networks: {error}")

    def _values(
        self, place: _Place, table: Mapping[str, Any], *, skip: tuple[str, ...]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the values and the sources of a table of keys."""
        values, sources = {}, {}
        for name, entry in table.items():
            if name not in skip:
                here = (*place, name)
                values[name] = self._value(here, _KEYS[name], self._table(here, entry))
                sources[name] = self._text((*here, "source"), entry)
        return values, sources

    def _value(self, place: _Place, key: Key, entry: Mapping[str, Any]) -> Any:
        """Return the checked value of one key."""
        wanted: _Place = ("value", "unit", "source") if key.unit else ("value", "source")
        self._known(place, entry, wanted)
        for part in wanted:
            if part not in entry:
                self.fail(place, f"{key.name} must have {', '.join(wanted)}, not be without {part}")
        if key.unit and entry["unit"] != key.unit:
            self.fail(
                (*place, "unit"),
                f'{key.name} must have the unit "{key.unit}", not {reprlib.repr(entry["unit"])}',
            )
        value = entry["value"]
        value = tuple(value) if isinstance(value, list) else value
        if error := key.check(value):
            self.fail((*place, "value"), f"{key.name} {error}")
        return value

    def _known(self, place: _Place, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for name in table:
            if name not in known:
                whose = f"a key of {'.'.join(place)}" if place else "a key of a configuration"
                self.fail(
                    (*place, name),
                    f"{reprlib.repr(name)[1:-1]} must be {whose}{_nearest(name, known)}",
                )

    def _table(self, place: _Place, value: object) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            self.fail(place, f"{place[-1]} must be a table, not {type(value).__name__}")
        return value

    def _text(self, place: _Place, table: Mapping[str, Any]) -> str:
        value = table.get(place[-1])
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_SOURCE:
            self.fail(
                place,
                f"{place[-1]} must be a text of 1 to {MAX_SOURCE} characters, "
                f"not {reprlib.repr(value)}",
            )
        return value


def _places(text: str) -> dict[_Place, int]:
    """Return the line of each table and key, from 1; `tomllib` does not tell.

    Lines of a text that spans several may look like keys: they only mislead a line number.
    """
    lines: dict[_Place, int] = {}
    table: _Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TABLE.fullmatch(line):
            table = _path(match[1])
            place = table
        elif match := _ENTRY.match(line):
            place = (*table, *_path(match[1]))
        else:
            continue
        for end in range(1, len(place) + 1):
            lines.setdefault(place[:end], number)
    return lines


def _path(dotted: str) -> _Place:
    return tuple(part.strip() for part in dotted.split("."))
