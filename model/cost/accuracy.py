# SPDX-License-Identifier: Apache-2.0
"""Measured accuracy of a design, where the zoo has its integers; a leaf.

Accuracy is that of the integers, so it holds for each design that computes the same ones: same
network, same widths, and converters that either lose nothing or saturate in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from model import intnet
from model.cost.config import Config
from model.cost.layers import Network
from model.intnet import Crossbar

__all__ = ["Integers", "integers", "largest_sum", "measured"]

ZOO = Path(__file__).parent.parent / "zoo"
_CARD = re.compile(r"converters\), trained on cifar10: \*\*(\d+\.\d+) %\*\*")


class Integers(NamedTuple):
    """What decides which integers come out of a design.

    Parameters
    ----------
    network : str
    bits : frozenset of tuple of int
        Widths of weights and activations of its layers.
    converter : tuple of int
        Rows that are summed, bits of a cell and codes of an ADC; empty where it loses nothing.
    """

    network: str
    bits: frozenset[tuple[int, int]]
    converter: tuple[int, ...]


def integers(network: Network, config: Config) -> Integers:
    """Return which integers a network gives on a chip."""
    rows = max(layer.rows for layer in network.layers)
    bits = frozenset({(config.weight_bits, config.act_bits)})
    converter = _converter(min(rows, config.array_rows), config.cell_bits, config.adc_levels)
    return Integers(network.name, bits, converter)


def _converter(rows: int, cell_bits: int, levels: int) -> tuple[int, ...]:
    return () if levels > largest_sum(rows, cell_bits) else (rows, cell_bits, levels)


def largest_sum(rows: int, cell_bits: int) -> int:
    """Return what a column of cells sums up to at most; an ADC without a code for it saturates."""
    return rows * ((1 << cell_bits) - 1)


def measured(zoo: Path = ZOO) -> dict[Integers, float]:
    """Return the accuracies on the cards of a zoo's integer networks, CIFAR-10's, in %.

    Raises
    ------
    ParameterError
        If one of its integer networks cannot be read.
    """
    return dict(_read(sorted(zoo.glob("*/intnet.json"))))


def _read(files: Iterable[Path]) -> Iterable[tuple[Integers, float]]:
    for file in files:
        card = file.parent.with_suffix(".md")
        text = " ".join(card.read_text(encoding="utf-8").split()) if card.exists() else ""
        if found := _CARD.search(text):
            net = intnet.read(file.parent)
            layers = [layer for layer in net.layers if isinstance(layer, Crossbar)]
            rows = min(net.array_rows, max(layer.rows for layer in layers))
            bits = frozenset((layer.weight_bits, layer.act_bits) for layer in layers)
            converter = _converter(rows, net.cell_bits, 1 << net.adc_bits)
            yield Integers(net.name, bits, converter), float(found[1])
