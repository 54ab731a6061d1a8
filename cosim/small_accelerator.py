# SPDX-License-Identifier: Apache-2.0
"""An accelerator of the least size with all that a layer can ask for: for proofs and tests."""

from __future__ import annotations

from typing import Any

from hw.accelerator_params import AcceleratorParams, LayerEntry, Read
from hw.params import ShiftParams
from hw.tile_params import TileParams

__all__ = ["small_accelerator"]


def small_accelerator(shift: ShiftParams, *, pruned: bool = False) -> AcceleratorParams:
    """Return an accelerator with all that a layer can ask for, and maps of that shape.

    Fourteen channels in two banks of seven rows; three outputs a page, so that the last page of a
    layer computes one that is dropped. If ``pruned``, every column group lacks one page or both.
    """
    usual: dict[str, Any] = {"bits": shift.bits, "act_bits": 4, "weight_bits": 4, "zero_point": 8}
    body = usual | {"rows": 7, "outputs": 14}
    x, z, y, pooled = range(4)

    def page(number: int, crossbar: int) -> int | None:
        if pruned:
            return number // 3 if number % 3 == crossbar else None
        return number

    def pages(first: int, groups: int = 5, crossbars: int = 2) -> dict[str, Any]:
        """Return the column groups from that number on."""
        numbers = range(first, first + groups)
        stored = tuple(tuple(page(n, crossbar) for crossbar in range(crossbars)) for n in numbers)
        return {"group": first, "pages": stored}

    layers = (
        LayerEntry(name="stem", operands=(Read(y),), out=x, second=z, **pages(0, crossbars=1),
                   **body | {"rows": 3}),
        LayerEntry(name="mix", operands=(Read(x), Read(z, True)), shift_first=z, out=y,
                   **pages(5), **body),
        LayerEntry(name="skip", operands=(Read(y, True),), add=Read(x, True), out=z, **pages(10),
                   **body),
        LayerEntry(name="last", operands=(Read(z),), add=Read(y), out=y, **pages(15), **body),
        LayerEntry(name="head", operands=(Read(pooled),), **pages(20, groups=1),
                   **body | {"outputs": 2}),
    )  # fmt: skip
    tile = TileParams(
        rows=7, columns=6, columns_per_adc=3, cell_bits=2, weight_bits=4, act_bits=4, adc_bits=5,
        pages=7 if pruned else 21, crossbars=2, tables=4, stream_bits=shift.bits,
    )  # fmt: skip
    return AcceleratorParams(
        tile=tile, shift=shift, channels=14, patch=1, buffers=("x", "z", "y"), layers=layers,
        fetch_shift=0, pool_shift=2, pooled_bits=4,
    )  # fmt: skip
