# SPDX-License-Identifier: Apache-2.0
"""Sizes of a crossbar tile, and the widths that follow from them.

A leaf: it imports ``hw.params`` only, so that RTL, testbenches, cycle formulas and the cost model
share one object.
"""

from __future__ import annotations

import dataclasses

from hw.params import ParameterError, address_bits, check_integer

__all__ = ["ACC_BITS", "LIMITS", "MAX_LANE_WORDS", "TileParams"]

ACC_BITS = 32
"""Width of an accumulator with its bias: int32, as the integer network promises."""

MAX_LANE_WORDS = 1 << 18

LIMITS = {
    "rows": (2, 1024),
    "columns": (1, 1024),
    "cell_bits": (1, 8),
    "weight_bits": (1, 8),
    "act_bits": (2, 8),
    "adc_bits": (1, 16),
    "columns_per_adc": (1, 256),
    "pages": (1, 1 << 16),
    "crossbars": (1, 64),
    "passes": (1, 256),
    "tables": (1, 1024),
    "stream_bits": (2, 16),
    "masks": (0, 256),
}
"""Least and largest value of each field of `TileParams`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TileParams:
    """A tile: crossbars, one a row tile, with their converters and one controller.

    Parameters
    ----------
    rows, columns : int
        Wordlines, 2…1024, and bitlines, 1…1024, of a crossbar.
    cell_bits, weight_bits : int
        Bits of a cell and of a stored weight, 1…8: a weight takes ⌈weight_bits / cell_bits⌉ cells.
    act_bits : int
        Bits of an activation, 2…8: as many bit planes, driven one after the other.
    adc_bits : int
        Bits of an ADC, 1…16; larger sums saturate.
    columns_per_adc : int
        Columns that share an ADC, 1…256; divides ``columns``.
    pages : int
        Crossbars' worth of cells that one stores, 1…65536.
    crossbars : int
        Crossbars side by side, 1…64, whose sums are added.
    passes : int
        Commands, 1…256, whose sums may be added up besides: row tiles one after the other.
    tables : int
        Non-linearities that the requantisation stores, 1…1024.
    stream_bits : int
        Bits of what the requantisation puts out, 2…16.
    masks : int
        Masks of rows that a crossbar takes, 0…256: one a command of a vector, or none at all.

    Raises
    ------
    ParameterError
        If a size is out of range, or the columns cannot be shared out.
    """

    rows: int = 64
    columns: int = 64
    cell_bits: int = 2
    weight_bits: int = 8
    act_bits: int = 8
    adc_bits: int = 8
    columns_per_adc: int = 8
    pages: int = 16
    crossbars: int = 1
    passes: int = 1
    tables: int = 16
    stream_bits: int = 8
    masks: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            check_integer(name, getattr(self, name), low, high)
        if self.columns % self.columns_per_adc:
            raise ParameterError(
                f"columns must be a multiple of columns_per_adc {self.columns_per_adc}, "
                f"not {self.columns}"
            )
        if self.adcs % self.cells:
            raise ParameterError(
                f"the ADCs must be a multiple of the {self.cells} cells of a weight, "
                f"not {self.adcs}: {self.columns} columns, {self.columns_per_adc} an ADC"
            )
        if self.lane_depth > MAX_LANE_WORDS:
            raise ParameterError(
                f"an ADC must have at most {MAX_LANE_WORDS} stored columns, not "
                f"{self.lane_depth}: {self.pages} pages of {self.columns_per_adc}"
            )
        if self.sum_bits > ACC_BITS:
            raise ParameterError(
                f"a sum must fit in {ACC_BITS} bits, not need {self.sum_bits}: it reaches "
                f"{self.largest_sum}"
            )

    @property
    def cells(self) -> int:
        """Cells of a weight, the least significant first, in adjacent columns."""
        return -(-self.weight_bits // self.cell_bits)

    @property
    def adcs(self) -> int:
        """ADCs of a crossbar: columns that are converted at once."""
        return self.columns // self.columns_per_adc

    @property
    def units(self) -> int:
        """Weights whose cells are converted at once: shift-and-add units."""
        return self.adcs // self.cells

    @property
    def outputs(self) -> int:
        """Weights of a row, hence sums of a page: output s·units + u is unit u's at select s."""
        return self.units * self.columns_per_adc

    @property
    def max_column_sum(self) -> int:
        """Sum of a column whose cells are all full, at high wordlines."""
        return self.rows * ((1 << self.cell_bits) - 1)

    @property
    def max_code(self) -> int:
        """Largest code that an ADC gives: 2^adc_bits − 1, or less if no column reaches it."""
        return min(self.max_column_sum, (1 << self.adc_bits) - 1)

    @property
    def code_bits(self) -> int:
        """Bits of a code; fewer than adc_bits where no column needs them."""
        return self.max_code.bit_length()

    @property
    def plane_sum_bits(self) -> int:
        """Bits of a weight's codes added up by their cells' places, over all crossbars."""
        places = sum(1 << (self.cell_bits * cell) for cell in range(self.cells))
        return (self.crossbars * self.max_code * places).bit_length()

    @property
    def max_weight(self) -> int:
        """Largest weight, and largest Z: 2^weight_bits − 1."""
        return (1 << self.weight_bits) - 1

    @property
    def largest_sum(self) -> int:
        """No Σ (bit-serial sum − Z·ΣQ) leaves ±this, saturated codes or not; U = max reaches it.

        crossbars·passes·rows·2^(act_bits−1)·(2^weight_bits − 1). A bit plane of n high wordlines
        adds between −Z·n and (2^weight_bits − 1 − Z)·n, 2^bit times, with the sign turned round
        for the most significant one.
        """
        return self.crossbars * self.passes * self.rows * self.max_weight << (self.act_bits - 1)

    @property
    def sum_bits(self) -> int:
        """Width of a sum, two's complement: the least in which none overflows."""
        return self.largest_sum.bit_length() + 1

    @property
    def total_bits(self) -> int:
        """Width of ΣQ over one crossbar's rows, two's complement."""
        return (self.rows << (self.act_bits - 1)).bit_length() + 1

    @property
    def vector_total_bits(self) -> int:
        """Width of ΣQ over all crossbars' rows, two's complement."""
        return (self.crossbars * self.rows << (self.act_bits - 1)).bit_length() + 1

    @property
    def page_bits(self) -> int:
        """Bits of a page's number."""
        return address_bits(self.pages)

    @property
    def select_bits(self) -> int:
        """Bits of a column select."""
        return address_bits(self.columns_per_adc)

    @property
    def plane_bits(self) -> int:
        """Bits of a bit plane's number."""
        return address_bits(self.act_bits)

    @property
    def lane_depth(self) -> int:
        """Words {page, select} of an ADC's columns, at least 2; with gaps but for powers of two."""
        return max(2, ((self.pages - 1) << self.select_bits) + self.columns_per_adc)

    @property
    def name(self) -> str:
        """Short name of the shape, for folders and test ids."""
        return (
            f"{self.rows}x{self.columns}_w{self.weight_bits}c{self.cell_bits}a{self.act_bits}"
            f"_adc{self.adc_bits}x{self.columns_per_adc}_{self.crossbars}x{self.passes}"
        )
