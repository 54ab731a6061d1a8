# SPDX-License-Identifier: Apache-2.0
"""The widths of an integer network, and the one grid that the maps between its layers share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import nn

from hw.params import check_integer
from model.crossbar_sum import ArrayShape
from model.quant import Grid, covering_exponents, search

__all__ = ["Scheme", "Stream", "StreamAdd"]

_FINER = 9
"""Exponents, below the one that covers all values, that the stream tries."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
    """Widths of an integer network.

    Parameters
    ----------
    act_bits, weight_bits : int
        Of the body, 2…8; stem and head are 8-bit.
    stream_bits : int
        Of the feature maps between layers, ``act_bits``…16.
    per_channel : bool
        A weight exponent for each output channel of the body, instead of one for each layer.
    array : ArrayShape

    Raises
    ------
    ParameterError
        If a width is out of its range.
    """

    act_bits: int = 8
    weight_bits: int = 8
    stream_bits: int = 8
    per_channel: bool = False
    array: ArrayShape = dataclasses.field(default_factory=ArrayShape)

    def __post_init__(self) -> None:
        check_integer("act_bits", self.act_bits, 2, 8)
        check_integer("weight_bits", self.weight_bits, 2, 8)
        check_integer("stream_bits", self.stream_bits, self.act_bits, 16)


class Stream(nn.Module):
    """The grid of all feature maps, and the coarser one on which the body fetches from them."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.map = Grid(scheme.stream_bits)
        equal = scheme.act_bits == scheme.stream_bits
        self.coarse = None if equal else Grid(scheme.act_bits)

    @property
    def fetch(self) -> Grid:
        """The grid on which the body fetches: the maps' own if it is as wide."""
        return self.coarse or self.map

    def fit(self, maps: Sequence[torch.Tensor], loss: Callable[[], float]) -> None:
        """Choose both exponents.

        The squared error, relative to each map's variance, chooses. Where layers fetch whole maps,
        what the network makes of the neighbours decides; with fewer bits, a network that is not
        calibrated yet is no judge.

        Parameters
        ----------
        maps : sequence of torch.Tensor
            float32 [N], values of each map.
        loss : callable
            Measures the network as it is.
        """
        for grid in (self.map, self.fetch):
            reach = int(covering_exponents(torch.cat(list(maps))[None], grid.bits))

            def error(grid: Grid = grid) -> float:
                return float(
                    sum((grid(x) - x).square().mean() / x.var().clamp_min(2.0**-40) for x in maps)
                )

            search(grid.exponent.fill_, range(reach - _FINER, reach + 1), error)
        chosen = int(self.map.exponent)
        if self.coarse:
            self.map.exponent.fill_(min(chosen, int(self.coarse.exponent)))
        else:
            search(self.map.exponent.fill_, range(chosen - 2, chosen + 3), loss)


class StreamAdd(nn.Module):
    """An add of two feature maps, saturating."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        # In a tuple: a grid belongs to one module, and others look at it.
        self._grids = (stream.map,)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the saturated sum."""
        found: torch.Tensor = self._grids[0](a + b)
        return found
