# SPDX-License-Identifier: Apache-2.0
"""A crossbar that is configured with its cells."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module

from hw.crossbar import Crossbar
from hw.tile_params import TileParams

__all__ = ["Lanes", "PresetCrossbar"]

Lanes = Sequence[Sequence[Sequence[int]]]
"""Of each ADC, the words of its columns."""


class PresetCrossbar(Crossbar):
    """A stand-in whose cells are there from the start.

    Parameters
    ----------
    params : TileParams
        Keyword only.
    lanes : sequence
        Of each ADC, columns in the order of their addresses, as ``cells`` of `program_layout`.
    """

    def __init__(self, *, params: TileParams, lanes: Lanes) -> None:
        self._lanes = lanes
        super().__init__(params=params)

    def elaborate(self, platform: object) -> Module:
        m = super().elaborate(platform)
        for adc, columns in enumerate(self._lanes):
            m.submodules[f"lane_{adc}"].init = columns
        return m
