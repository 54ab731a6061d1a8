# SPDX-License-Identifier: Apache-2.0
"""What host and hardware both know of the link: numbers and regions of ``fpga/protocol.md``.

A leaf: the standard library and ``hw.params``.
"""

from __future__ import annotations

import dataclasses
import enum

from hw.params import ParameterError, ParameterTypeError, check_integer

__all__ = [
    "INFO",
    "MAX_DATA",
    "OWN_REGISTERS",
    "REGISTERS",
    "REGISTER_BYTES",
    "VERSION",
    "Operation",
    "Region",
    "Status",
]

VERSION = 1

MAX_DATA = 256
"""Bytes that a request writes, or an answer holds, at most."""

INFO, REGISTERS = 0, 1
"""Numbers of the regions that every device has; they may be read during a run."""

OWN_REGISTERS = ("busy", "cycles", "runs", "loaded")
"""Those that every device has; a design's own come after them."""

REGISTER_BYTES = 8
"""Of a word of region ``registers``."""


class Operation(enum.IntEnum):
    """What a request asks for."""

    SYNC = 0
    READ = 1
    WRITE = 2
    RUN = 3


class Status(enum.IntEnum):
    """What became of a request."""

    OK = 0
    SEQUENCE = 1
    OPERATION = 2
    RANGE = 3
    BUSY = 4


@dataclasses.dataclass(frozen=True)
class Region:
    """A range of bytes that the host may read or write.

    Parameters
    ----------
    name : str
    number : int
        0…15. 0 and 1 are the device's own.
    bytes : int
        Its addresses are 0…bytes − 1.
    word_bytes : int
        It is accessed in whole words of so many bytes, 1…256. In a region that can be read, a
        power of two, and a word's address is a multiple of it.
    access : {"r", "w", "rw"}

    Raises
    ------
    ParameterError
        If one breaks these rules.
    """

    name: str
    number: int
    bytes: int
    word_bytes: int
    access: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ParameterTypeError(f"name must be text, not {self.name!r}")
        check_integer("number", self.number, 0, 15)
        check_integer("bytes", self.bytes, 1, 1 << 32)
        check_integer("word_bytes", self.word_bytes, 1, 256)
        if self.access not in ("r", "w", "rw"):
            raise ParameterError(f"access must be r, w or rw, not {self.access!r}")
        if self.readable and self.word_bytes & (self.word_bytes - 1):
            raise ParameterError(
                "word_bytes must be a power of two in a region that can be read, "
                f"not {self.word_bytes}"
            )
        if self.bytes % self.word_bytes:
            raise ParameterError(
                f"bytes must be a multiple of word_bytes = {self.word_bytes}, not {self.bytes}"
            )

    @property
    def readable(self) -> bool:
        """Whether the host may read it."""
        return "r" in self.access

    @property
    def writable(self) -> bool:
        """Whether the host may write it."""
        return "w" in self.access
