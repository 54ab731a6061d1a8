# SPDX-License-Identifier: Apache-2.0
"""The error of the integer network, and the checks that its parts share. A leaf."""

from __future__ import annotations

import contextlib
import re
import reprlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from hw.params import ParameterError, check_integer

__all__ = [
    "INT32_MAX",
    "IntNetError",
    "about",
    "check_array",
    "check_entries",
    "check_field",
    "check_name",
    "quote",
]

INT32_MAX = (1 << 31) - 1

_SHORT = reprlib.Repr()
_SHORT.maxstring = 150  # a tensor's name in full

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class IntNetError(ParameterError):
    """An integer network breaks a rule, or its files are damaged, hostile or of another version."""


def quote(value: object) -> str:
    """Quote a value from a file in a message, however large it is."""
    return _SHORT.repr(value)


@contextlib.contextmanager
def about(name: str) -> Iterator[None]:
    """Say in each error from within what it is about."""
    try:
        yield
    except ParameterError as error:
        raise IntNetError(f"{name}: {error}") from None


def check_field(name: str, value: object, low: int, high: int) -> None:
    """Refuse all but integers in ``low…high``.

    Raises
    ------
    IntNetError
        With the rule, then the value.
    """
    try:
        check_integer(name, value, low, high)
    except ParameterError as error:
        raise IntNetError(str(error)) from None


def check_name(what: str, value: object) -> None:
    """Refuse all but short names that can stand in a file, a tensor's name and Verilog comments.

    Raises
    ------
    IntNetError
        With the rule, then the value.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise IntNetError(
            f"{what} must be 1 to 100 ASCII letters, digits or any of _.-, not {quote(value)}"
        )


def check_array(
    name: str, value: object, dtype: type[np.integer[Any]], *shapes: tuple[int, ...]
) -> None:
    """Refuse all but arrays of a dtype and one of some shapes.

    Raises
    ------
    IntNetError
        With what is wanted, then what is there.
    """
    wanted = " or ".join(f"{np.dtype(dtype)} {list(shape)}" for shape in shapes)
    if not isinstance(value, np.ndarray):
        raise IntNetError(f"{name} must be {wanted}, not {type(value).__name__}")
    if value.dtype != dtype or value.shape not in shapes:
        raise IntNetError(f"{name} must be {wanted}, not {value.dtype} {list(value.shape)}")


def check_entries(name: str, value: npt.NDArray[Any], low: int, high: int) -> None:
    """Refuse arrays with an entry outside ``low…high``.

    Raises
    ------
    IntNetError
        With the rule, then an entry that breaks it.
    """
    for entry in (int(value.min()), int(value.max())):
        check_field(f"each entry of {name}", entry, low, high)
