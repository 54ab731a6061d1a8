# SPDX-License-Identifier: Apache-2.0
"""Damage to inputs: to bytes, to lines of text, to what JSON and safetensors hold.

Everything follows from the random generator that is passed. What is damaged is mostly still whole,
so that a reader comes to look at the part that is not.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Damage", "damage_bytes", "damage_json", "damage_lines", "damage_tensors", "odd_value"]

Damage = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
"""Returns damaged content of a file; the sequence holds sound ones, to take pieces from."""

DIGITS = "9" * 5000
"""More than Python turns into an integer."""

_TOKENS = [
    b"\0", b"\xff", b"\x80", b"\n", b"\r", b"\x1b[31m", b"\xff" * 8, b"\x7f" + b"\xff" * 7,
    b"\0\0\0\0\0\0\0\x80", b"-1", b"0", b"1e999", b"NaN", b"-Infinity", DIGITS.encode(),
    b"[" * 5000, b"{", b"}", b'"', b"'", b"\\", b"\\ud800", b"null", b"true", b"1_0", b"0x10",
    b"=", b"#", b".", b",", b":", b"..", b"/", b"%s", b" " * 300, b"a" * 5000,
    "٣".encode(), "²".encode(), "\u2028".encode(), "\ufeff".encode(), "é".encode(),
]  # fmt: skip

_NUMBERS = (
    0, 1, -1, 2, 3, 7, 8, 9, 12, 16, 31, 32, 63, 64, 65, 255, 256, 4096, 65535, 65536, 2**24,
    2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 10**400,
    0.5, -0.0, 1e-320, 1e308, float("nan"), float("inf"),
)  # fmt: skip

_TEXTS = (
    "", "a", "x" * 101, "x" * 3000, "../../x", "/", "\0", "\x1b[31m", "\ud800", "٣", "é", "\n",
    "None", "psp_4096_1024", "int8", "conv", "crossbar", "sha256",
)  # fmt: skip

_DTYPES = (
    ("BOOL", "U8", "I8", "F8_E4M3", "F8_E8M0"), ("I16", "U16", "F16", "BF16"), ("I32", "F32"),
    ("I64", "F64", "C64", "U64"), ("F4",),
)  # fmt: skip
"""Of safetensors, by width."""


def odd_value(chance: random.Random) -> Any:
    """Return a value of JSON of which a reader may not have thought."""
    kind = chance.randrange(8)
    if kind < 4:
        return chance.choice(_NUMBERS)
    if kind < 6:
        return chance.choice(_TEXTS)
    if kind == 6:
        return chance.choice([None, True, False, [], {}, [[]], {"": None}, [0] * 100])
    value: Any = chance.choice([0, "", None])
    for _ in range(chance.choice([1, 3, 20, 100])):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def damage_bytes(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Flip, cut, copy and insert; one change to a few."""
    found = bytearray(data)
    while True:
        _change(chance, found, others)
        if chance.random() < 0.6:
            return bytes(found)


def _change(chance: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    start = chance.randrange(len(data) + 1)
    end = min(len(data), start + chance.choice([1, 2, 4, 8, 30, 300]))
    kind = chance.randrange(8)
    if kind == 0 and start < len(data):
        data[start] ^= 1 << chance.randrange(8)
    elif kind == 1 and start < len(data):
        data[start] = chance.randrange(256)
    elif kind == 2:
        del data[start:end]
    elif kind == 3:
        data[start:start] = data[start:end]
    elif kind == 4:
        data[start:start] = chance.choice(_TOKENS)
    elif kind == 5:
        del data[start:]
    elif kind == 6:
        other = chance.choice(others)
        place = chance.randrange(len(other) + 1)
        data[start:end] = other[place : place + end - start]
    else:
        data[start:end] = chance.choice(_TOKENS)


def damage_json(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Change values, keys and items of a JSON text; sometimes its bytes as well."""
    if chance.random() < 0.15:
        return damage_bytes(chance, data, others)
    text = json.dumps(_altered(chance, json.loads(data)), indent=chance.choice([None, 1]))
    return text.encode()


def _altered(chance: random.Random, value: Any) -> Any:
    """Return a JSON value with one change or a few."""
    root = [copy.deepcopy(value)]
    while True:
        _alter(chance, root)
        if chance.random() < 0.7:
            return root[0]


def _alter(chance: random.Random, root: list[Any]) -> None:
    """Walk down to somewhere, and change what is there."""
    place: Any = root
    key: Any = 0
    while isinstance(place[key], dict | list) and place[key] and chance.random() < 0.85:
        place = place[key]
        key = (
            chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
        )
    old = place[key]
    kind = chance.randrange(8)
    if kind == 0 and place is not root:
        del place[key]
    elif kind == 1 and isinstance(place, dict):
        place[chance.choice(_TEXTS)] = place.pop(key)
    elif kind == 2 and isinstance(place, list) and place is not root:
        place.insert(key, copy.deepcopy(old))
    elif kind == 3 and isinstance(old, int | float):
        step = chance.choice([-1, 1, 0.5])
        place[key] = old + step if abs(old) < 1 << 63 else -old
    elif kind == 4 and isinstance(old, str):
        place[key] = old[: chance.randrange(len(old) + 1)] + chance.choice(_TEXTS)
    elif kind == 5 and isinstance(place, dict):
        place[chance.choice(_TEXTS)] = odd_value(chance)
    elif kind == 6:
        # From elsewhere in the same value: of the right kind more often than not.
        found = list(place.values()) if isinstance(place, dict) else place
        place[key] = copy.deepcopy(chance.choice(found))
    else:
        place[key] = odd_value(chance)


def damage_lines(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Drop, copy and move lines, and change a word in one; sometimes the bytes as well."""
    if chance.random() < 0.25:
        return damage_bytes(chance, data, others)
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    kind = chance.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(chance.randrange(len(lines)), lines[at])
    elif kind == 2:
        lines.insert(at, chance.choice(chance.choice(others).split(b"\n")))
    else:
        words = lines[at].split(b" ")
        odd = [json.dumps(odd_value(chance)).encode(), chance.choice(_TOKENS)]
        words[chance.randrange(len(words))] = chance.choice(odd)
        lines[at] = b" ".join(words)
    return b"\n".join(lines)


def damage_tensors(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Change the values of a safetensors file, its header, whose length then fits, or any bytes."""
    kind = chance.randrange(4)
    if kind == 0:
        return damage_bytes(chance, data, others)
    size = int.from_bytes(data[:8], "little")
    header, values = json.loads(data[8 : 8 + size]), data[8 + size :]
    inner = header.get("__metadata__", {}).get("shiftbar")
    if kind == 1 and values:
        changed = bytearray(data)
        for _ in range(chance.choice([1, 1, 4, 100])):
            changed[chance.randrange(8 + size, len(data))] = chance.choice([0, 1, 127, 128, 255])
        return bytes(changed)
    if kind == 2 and inner is not None:
        header["__metadata__"]["shiftbar"] = json.dumps(_altered(chance, json.loads(inner)))
    elif chance.random() < 0.5:
        entry = header[chance.choice([name for name in header if name != "__metadata__"])]
        kinds = [same for same in _DTYPES if entry["dtype"] in same]
        entry["dtype"] = chance.choice(chance.choice(kinds * 3 + [*_DTYPES]))
    else:
        header = _altered(chance, header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + values
