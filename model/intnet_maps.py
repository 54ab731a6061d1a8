# SPDX-License-Identifier: Apache-2.0
"""The feature maps of an integer network, and how its layers name them. A leaf."""

from __future__ import annotations

import dataclasses

from model.intnet_rules import IntNetError, check_field, check_name

__all__ = ["MAX_FEATURES", "Map", "Operand"]

MAX_FEATURES = 1 << 16
MAX_ELEMENTS = 1 << 24
MAX_SIDE = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class Map:
    """A feature map: a memory that layers write and fetch. It may be written more than once.

    Parameters
    ----------
    channels, height, width : int
        1…65536 and 1…4096; at most 2^24 elements.
    bits : int
        Width of an element, two's complement: 2…16, or 32 for logits.
    exponent : int
        An element q stands for q·2^exponent, −64…64. No integer depends on it; it says that two
        maps may be added, and what the numbers mean.
    """

    channels: int
    height: int
    width: int
    bits: int
    exponent: int

    def __post_init__(self) -> None:
        check_field("channels", self.channels, 1, MAX_FEATURES)
        check_field("height", self.height, 1, MAX_SIDE)
        check_field("width", self.width, 1, MAX_SIDE)
        elements = self.channels * self.height * self.width
        if elements > MAX_ELEMENTS:
            raise IntNetError(f"a map must have at most {MAX_ELEMENTS} elements, not {elements}")
        if self.bits != 32:
            check_field("bits", self.bits, 2, 16)
        check_field("exponent", self.exponent, -64, 64)

    @property
    def shape(self) -> tuple[int, int, int]:
        """[C, H, W]."""
        return self.channels, self.height, self.width


@dataclasses.dataclass(frozen=True)
class Operand:
    """A map that is read, as it lies there or as the shift block would move it."""

    map: str
    shifted: bool = False

    def __post_init__(self) -> None:
        check_name("map", self.map)
        if not isinstance(self.shifted, bool):
            raise IntNetError(f"shifted must be True or False, not {self.shifted!r}")
