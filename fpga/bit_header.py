# SPDX-License-Identifier: Apache-2.0
"""The header of a ``.bit`` file: where it is from, its part, its date, and how long it is.

Each field is a letter, a length of two bytes, most significant first, and a text that ends with 0;
``e`` is followed by four bytes of length and the configuration.
"""

from __future__ import annotations

import re

from fpga.bits import BitsError

__all__ = ["undated"]

_HEADER = re.compile(
    rb"\x00\x09(?:\x0f\xf0){4}\x00\x00\x01"
    rb"a\x00[^\0]{1,256}\0b\x00[^\0]{1,256}\0"
    rb"c\x00\x0b(?P<date>\d{4}/\d\d/\d\d)\0d\x00\x09(?P<time>\d\d:\d\d:\d\d)\0e"
)


def undated(content: bytes) -> bytes:
    """Return a ``.bit`` file with the first second of 1970 for its date, and else as it is.

    Nothing reads the date, and with it no two builds would have the same bytes.

    Raises
    ------
    BitsError
        If it begins with no such header.
    """
    header = _HEADER.match(content)
    if header is None:
        raise BitsError("a .bit file must begin with its source, part, date and time")
    found = bytearray(content)
    for field, value in (("date", b"1970/01/01"), ("time", b"00:00:00")):
        found[slice(*header.span(field))] = value
    return bytes(found)
