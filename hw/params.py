# SPDX-License-Identifier: Apache-2.0
"""Parameters of the hardware blocks, and the eight directions of the shift.

A leaf: it imports the standard library only, so that PyTorch modules, RTL, testbenches and
the cost model can all share one definition of a direction and one set of checked sizes.

Source: Guan, Li et al., "An Isotropic Shift-Pointwise Network for Crossbar-Efficient Neural
Network Design", DATE 2024: section III (channel groups), Algorithm 1, section IV (module).
"""

from __future__ import annotations

import dataclasses
import enum

__all__ = [
    "CHANNEL_DIVIDER",
    "MAX_BANK_WORDS",
    "MAX_BITS",
    "MAX_CHANNELS",
    "MAX_SIDE",
    "ArrayParams",
    "Direction",
    "ParameterError",
    "ParameterTypeError",
    "ShiftParams",
    "address_bits",
    "channel_directions",
    "check_integer",
    "check_number",
    "group_size",
]

MAX_SIDE = 256
MAX_BITS = 64
MAX_CHANNELS = 4096
MAX_BANK_WORDS = 1 << 18

CHANNEL_DIVIDER = 12
"""One group is C // 12 channels: 8 groups move, the last third (and the remainder) stays."""


class ParameterError(ValueError):
    """A parameter breaks a rule; the message states the rule, then the value."""


class ParameterTypeError(ParameterError, TypeError):
    """A parameter is of the wrong kind (a float, a string, or ``True`` for a number)."""


def check_integer(name: str, value: object, low: int, high: int) -> int:
    """Return ``value`` if it is an ``int`` in ``low…high``; ``True`` is not an integer here.

    Raises
    ------
    ParameterTypeError
        If ``value`` is no ``int``.
    ParameterError
        If it lies outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ParameterTypeError(
            f"{name} must be an integer from {low} to {high}, not {value!r:.60}"
        )
    if not low <= value <= high:
        # A value from a file may be of any length.
        raise ParameterError(f"{name} must be an integer from {low} to {high}, not {value!s:.60}")
    return value


def check_number(name: str, value: object, low: float, high: float) -> float:
    """Return ``value`` if it is a number in ``low…high``; NaN is not.

    Raises
    ------
    ParameterTypeError
        If ``value`` is no ``int`` or ``float``.
    ParameterError
        If it lies outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterTypeError(f"{name} must be a number, not {value!r:.60}")
    if not low <= value <= high:  # false for NaN, too
        raise ParameterError(f"{name} must be a number from {low:g} to {high:g}, not {value!r:.60}")
    return value


def address_bits(count: int) -> int:
    """Bits that number ``count`` things: ⌈log2 count⌉, at least 1."""
    return max(1, (count - 1).bit_length())


class Direction(enum.IntEnum):
    """The direction in which the *content* of a channel moves, by one pixel.

    The number is the channel group of Algorithm 1, and the 3-bit code of the hardware's
    ``direction`` port. ``STAY`` is never sent to the shift module. Line 10 of Algorithm 1 as
    printed repeats the move to the right; the paper's text says right-up, and so does this.
    """

    LEFT = 0
    RIGHT = 1
    UP = 2
    DOWN = 3
    LEFT_UP = 4
    RIGHT_UP = 5
    LEFT_DOWN = 6
    RIGHT_DOWN = 7
    STAY = 8

    @property
    def dy(self) -> int:
        """Rows by which content moves: −1 up, +1 down."""
        return _OFFSETS[self][0]

    @property
    def dx(self) -> int:
        """Columns by which content moves: −1 left, +1 right."""
        return _OFFSETS[self][1]

    @classmethod
    def moving(cls) -> tuple[Direction, ...]:
        """Return the eight directions that move something, in the order of the channel groups."""
        return tuple(direction for direction in cls if direction is not cls.STAY)


_OFFSETS = {
    Direction.LEFT: (0, -1),
    Direction.RIGHT: (0, 1),
    Direction.UP: (-1, 0),
    Direction.DOWN: (1, 0),
    Direction.LEFT_UP: (-1, -1),
    Direction.RIGHT_UP: (-1, 1),
    Direction.LEFT_DOWN: (1, -1),
    Direction.RIGHT_DOWN: (1, 1),
    Direction.STAY: (0, 0),
}


def group_size(channels: int) -> int:
    """Channels that share a direction: g = C // 12 (section III; Algorithm 1, line 1).

    Raises
    ------
    ParameterError
        If ``channels`` is no integer from 12 to 4096: fewer than 12 leave every group empty.
    """
    return check_integer("channels", channels, CHANNEL_DIVIDER, MAX_CHANNELS) // CHANNEL_DIVIDER


def channel_directions(channels: int) -> tuple[Direction, ...]:
    """Return the direction of each channel: groups 0…7 of g = C // 12 move, the rest stays."""
    group = group_size(channels)
    moved = [direction for direction in Direction.moving() for _ in range(group)]
    return tuple(moved + [Direction.STAY] * (channels - len(moved)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftParams:
    """Shape of one channel that a shift module moves.

    Parameters
    ----------
    height, width : int
        Rows and columns of the feature map, 2…256 each; neither need be a power of two.
    bits : int
        Width of a pixel, 1…64.
    """

    height: int
    width: int
    bits: int = 8

    def __post_init__(self) -> None:
        check_integer("height", self.height, 2, MAX_SIDE)
        check_integer("width", self.width, 2, MAX_SIDE)
        check_integer("bits", self.bits, 1, MAX_BITS)

    @property
    def pixels(self) -> int:
        """Pixels of a channel: H·W."""
        return self.height * self.width

    @property
    def row_bits(self) -> int:
        """Bits of a row index."""
        return address_bits(self.height)

    @property
    def column_bits(self) -> int:
        """Bits of a column index."""
        return address_bits(self.width)

    @property
    def addr_bits(self) -> int:
        """Bits of a pixel's address {row, column}; other sizes than powers of two leave gaps."""
        return self.row_bits + self.column_bits

    def address(self, row: int, column: int) -> int:
        """Address of a pixel in its channel's memory: {row, column}."""
        return row << self.column_bits | column

    @property
    def name(self) -> str:
        """Short name of the shape, height × width × bits, for folders and test ids."""
        return f"{self.height}x{self.width}x{self.bits}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArrayParams:
    """A whole shift block: eight lanes, one a direction, each with a bank of g channels.

    Parameters
    ----------
    shift : ShiftParams
        Shape of a channel.
    channels : int
        Channels C of the feature map, 12…4096. The channels that stay need no memory here.
    """

    shift: ShiftParams
    channels: int

    def __post_init__(self) -> None:
        if not isinstance(self.shift, ShiftParams):
            raise ParameterTypeError(f"shift must be ShiftParams, not {self.shift!r}")
        group_size(self.channels)
        if self.depth > MAX_BANK_WORDS:
            raise ParameterError(
                f"a lane's bank must have at most {MAX_BANK_WORDS} words, not {self.depth}: "
                f"{self.group} channels of {self.shift.height} by {self.shift.width} pixels"
            )

    @property
    def group(self) -> int:
        """Channels a lane, g = C // 12."""
        return group_size(self.channels)

    @property
    def addr_bits(self) -> int:
        """Bits of an address in a lane's bank: {channel, row, column}."""
        return address_bits(self.group) + self.shift.addr_bits

    @property
    def depth(self) -> int:
        """Words of a lane's bank: up to the last pixel of the last channel, gaps included."""
        last = self.shift.address(self.shift.height - 1, self.shift.width - 1)
        return ((self.group - 1) << self.shift.addr_bits) + last + 1

    @property
    def name(self) -> str:
        """Short name: the shape of a channel and the channels of the map."""
        return f"{self.shift.name}_c{self.channels}"
