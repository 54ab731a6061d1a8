# SPDX-License-Identifier: Apache-2.0
"""Sizes and schedule of the accelerator: all that is fixed when its RTL is generated.

A leaf: it imports ``hw.params``, ``hw.tile_params`` and ``hw.lfsr_params`` only. `hw.image` makes
these objects of an integer network; RTL, testbenches and cycle formulas share them.
"""

from __future__ import annotations

import dataclasses
import functools

from hw.lfsr_params import LfsrMask
from hw.params import (
    MAX_BANK_WORDS,
    Direction,
    ParameterError,
    ParameterTypeError,
    ShiftParams,
    address_bits,
    channel_directions,
)
from hw.tile_params import TileParams

__all__ = ["SHIFT_MODES", "AcceleratorParams", "FitError", "LayerEntry", "Read"]

SHIFT_MODES = ("fused", "in_place")


class FitError(ParameterError):
    """A network does not fit the accelerator; the message names the layer and what would fit."""


@dataclasses.dataclass(frozen=True)
class Read:
    """A buffer that a layer reads, as it lies there or as the shift block would move it."""

    buffer: int
    shifted: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerEntry:
    """A crossbar layer in the schedule.

    Parameters
    ----------
    name : str
        As in the integer network.
    operands : tuple of Read
        One to fetch, or two to add.
    shift_first : int, optional
        Buffer that a pass shifts in place before anything is fetched.
    add : Read, optional
        Added at the write.
    out : int, optional
        Buffer that is written; None for the last layer, which writes the logits.
    second : int, optional
        Buffer that takes the second affine of what is written (SP).
    bits : int
        Width of an operand's elements; more than ``act_bits`` are rounded by ``fetch_shift``.
    rows : int
        Rows that are loaded into each of the crossbars in use, counted from the first.
    group : int
        Number of its first column group, counted through all layers.
    pages : tuple of tuple
        Page [column groups][crossbars in use]; None where a crossbar stores none.
    outputs : int
        Channels that are written; what a column group computes beyond them is dropped.
    act_bits, weight_bits, zero_point : int
        As in the integer network.
    masks : tuple of tuple
        Rows that each page keeps, [column groups][crossbars in use]; empty where no page of the
        network gates any.
    """

    name: str
    operands: tuple[Read, ...]
    shift_first: int | None = None
    add: Read | None = None
    out: int | None = None
    second: int | None = None
    bits: int
    rows: int
    group: int
    pages: tuple[tuple[int | None, ...], ...]
    outputs: int
    act_bits: int
    weight_bits: int
    zero_point: int
    masks: tuple[tuple[LfsrMask, ...], ...] = ()

    @property
    def groups(self) -> int:
        """Column groups."""
        return len(self.pages)

    @property
    def crossbars(self) -> int:
        """Crossbars in use, one a row tile."""
        return len(self.pages[0])

    @property
    def stored(self) -> int:
        """Pages that are stored, of groups·crossbars."""
        return sum(page is not None for pages in self.pages for page in pages)

    @property
    def visited(self) -> tuple[bool, ...]:
        """Of each column group, whether some crossbar stores a page."""
        return tuple(any(page is not None for page in pages) for pages in self.pages)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcceleratorParams:
    """The accelerator of one network: a tile, buffers for its maps, and the schedule.

    Parameters
    ----------
    tile : TileParams
        One crossbar a row tile, one pass.
    shift : ShiftParams
        Rows and columns of the maps; ``bits`` of an element, at least the 8 of the image.
    channels : int
        Channels C of the maps.
    patch : int
        Side of the patches that the image is stored as: channel (ky·patch + kx)·colours + colour.
    buffers : tuple of str
        Maps that have a memory. After them, one more holds the pooled map.
    layers : tuple of LayerEntry
        The stem first; the writes of the last but one are pooled, the last one is the head.
    fetch_shift : int
        r, 0…15.
    pool_shift, pooled_bits : int
        p, −7…23, and the width of the pooled map, 2…8.
    mode : {"fused", "in_place"}
        Whether maps are shifted as they are read, or by passes over their memory.

    Raises
    ------
    ParameterError
        If the mode is unknown.
    FitError
        If a bank would have too many words.
    """

    tile: TileParams
    shift: ShiftParams
    channels: int
    patch: int
    buffers: tuple[str, ...]
    layers: tuple[LayerEntry, ...]
    fetch_shift: int
    pool_shift: int
    pooled_bits: int
    mode: str = "fused"

    def __post_init__(self) -> None:
        if not isinstance(self.tile, TileParams):
            raise ParameterTypeError(f"tile must be TileParams, not {self.tile!r}")
        if self.mode not in SHIFT_MODES:
            raise ParameterError(f"shift must be {' or '.join(SHIFT_MODES)}, not {self.mode!r}")
        if self.bank_depth > MAX_BANK_WORDS:
            words = 1 << self.shift.addr_bits
            raise FitError(
                f"{self.layers[0].name}: a bank must have at most {MAX_BANK_WORDS} words, "
                f"not {self.bank_depth}: {self.bank_channels} channels of {self.shift.height} by "
                f"{self.shift.width} pixels; {MAX_BANK_WORDS // words} such channels would fit"
            )

    @property
    def banks(self) -> int:
        """Banks of a buffer, one a crossbar."""
        return self.tile.crossbars

    @property
    def bank_channels(self) -> int:
        """Channels of a full bank."""
        return min(self.channels, self.tile.rows)

    @property
    def bank_depth(self) -> int:
        """Words [channel][row][column] of a bank; with gaps but for powers of two."""
        last = self.shift.address(self.shift.height - 1, self.shift.width - 1)
        return ((self.bank_channels - 1) << self.shift.addr_bits) + last + 1

    @property
    def bank_bits(self) -> int:
        """Bits of an address in a bank: {channel, row, column}."""
        return address_bits(self.bank_channels) + self.shift.addr_bits

    @property
    def pooled(self) -> int:
        """Number of the buffer that holds the pooled map."""
        return len(self.buffers)

    @property
    def pool_sum_bits(self) -> int:
        """Bits of the sum of a channel's elements, two's complement."""
        return (self.shift.pixels << (self.tile.stream_bits - 1)).bit_length() + 1

    @property
    def classes(self) -> int:
        """Logits."""
        return self.layers[-1].outputs

    @property
    def groups(self) -> int:
        """Column groups of all layers."""
        return sum(layer.groups for layer in self.layers)

    @property
    def group_bits(self) -> int:
        """Bits of a column group's number."""
        return address_bits(self.groups)

    @property
    def slots(self) -> int:
        """Words of the channels' parameters: group·outputs + output, outputs those of a page."""
        return self.groups * self.tile.outputs

    @functools.cached_property
    def pruned(self) -> bool:
        """Whether pages are left out; otherwise a column group's number is that of its pages."""
        return any(
            page != layer.group + number
            for layer in self.layers
            for number, pages in enumerate(layer.pages)
            for page in pages
        )

    @functools.cached_property
    def skips(self) -> bool:
        """Whether there is a column group of which no crossbar stores a page."""
        return not all(all(layer.visited) for layer in self.layers)

    @functools.cached_property
    def roundings(self) -> tuple[tuple[int, int], ...]:
        """From how many bits to how many operands are rounded: the pairs that occur."""
        return tuple(sorted({(layer.bits, layer.act_bits) for layer in self.layers}))

    @functools.cached_property
    def directions(self) -> tuple[Direction, ...]:
        """Where each channel of a shifted map moves."""
        return channel_directions(self.channels)

    @property
    def moved(self) -> tuple[int, ...]:
        """Channels of each bank that a pass moves: the first ones, for all that move come first."""
        moves = sum(direction is not Direction.STAY for direction in self.directions)
        first = range(0, self.banks * self.tile.rows, self.tile.rows)
        return tuple(max(0, min(self.tile.rows, moves - start)) for start in first)
