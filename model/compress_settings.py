# SPDX-License-Identifier: Apache-2.0
"""How a network is compressed: the settings, their rules, and what they make."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from hw.params import ParameterError, check_integer, check_number
from model.compression import MAX_PENALTY, Compression, Several
from model.crossbar_sum import ArrayShape
from model.prune import AlignedPruning
from model.sparsity import TwofoldSparsity

__all__ = ["GRANULARITIES", "METHODS", "Compress"]

METHODS = ("aligned", "twofold", "joint")
GRANULARITIES = ("row", "weight")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compress:
    """How a network is compressed; a checkpoint keeps it, beside the recipe.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    sparsity : float
        Share that is to go, 0 up to less than 1: of pages, of the weights in each, or, of
        ``joint``, of all weights.
    page_sparsity : float
        Of ``joint``: share of the pages that go first.
    penalty, bit_penalty : float
        λ and β.
    granularity : str
        What the register of a page masks: its rows, or weights.
    rows, columns : int
        Of a crossbar, cells. Masks are those of the crossbars that the network trains with, and so
        are the pages of networks that have RTL.
    kernels : bool
        Prune kernel groups first, then pages: ResNet and VGG.

    Raises
    ------
    ParameterError, ParameterTypeError
    """

    method: str
    sparsity: float
    page_sparsity: float = 0.0
    penalty: float = 0.01
    bit_penalty: float = 0.0
    granularity: str = "row"
    rows: int = 64
    columns: int = 64
    kernels: bool = False

    def __post_init__(self) -> None:
        for name, words in (("method", METHODS), ("granularity", GRANULARITIES)):
            if getattr(self, name) not in words:
                raise ParameterError(
                    f"{name} must be one of {', '.join(words)}, not {getattr(self, name)!r:.60}"
                )
        for name in ("sparsity", "page_sparsity"):
            if not 0 <= getattr(self, name) < 1:  # false for NaN, too
                raise ParameterError(
                    f"{name} must be at least 0 and below 1, not {getattr(self, name):g}"
                )
        for name in ("penalty", "bit_penalty"):
            check_number(name, getattr(self, name), 0, MAX_PENALTY)
        if self.page_sparsity and self.method != "joint":
            raise ParameterError(
                f"page_sparsity must be 0 for {self.method}, not {self.page_sparsity:g}: "
                f"only joint has pages and weights to tell apart"
            )
        if self.method == "aligned" and (self.bit_penalty or self.granularity != "row"):
            name = "bit_penalty" if self.bit_penalty else "granularity"
            raise ParameterError(f"{name} must be left out with aligned: it is one of masks")
        if self.page_sparsity > self.sparsity:
            raise ParameterError(
                f"page_sparsity must be at most the sparsity, {self.sparsity:g}, "
                f"not {self.page_sparsity:g}"
            )
        for name in ("rows", "columns"):
            check_integer(name, getattr(self, name), 1, 4096)
        if self.rows != ArrayShape().rows and not (self.kernels and self.method == "aligned"):
            raise ParameterError(
                f"rows must be the {ArrayShape().rows} of the integer network's crossbars, "
                f"not {self.rows}: only aligned pages of ResNet and VGG may be others"
            )

    def make(self) -> Compression:
        """Return what compresses."""
        if self.method == "aligned":
            return Several(self._pruning(self.sparsity, 0.4))
        # Joint: of the share of weights that pages leave, so much that the sum is right.
        within = 1 - (1 - self.sparsity) / (1 - self.page_sparsity)
        # Pages have gone when the masks of their weights come.
        pruning = self._pruning(self.page_sparsity, 0.3) if self.method == "joint" else []
        return Several([self._twofold(within), *pruning])

    def _twofold(self, sparsity: float) -> Compression:
        granularity: Any = self.granularity
        return TwofoldSparsity(
            sparsity, penalty=self.penalty, bit_penalty=self.bit_penalty,
            granularity=granularity, columns=self.columns,
        )  # fmt: skip

    def _pruning(self, sparsity: float, end: float) -> list[Compression]:
        pruning = functools.partial(
            AlignedPruning, penalty=self.penalty, rows=self.rows, columns=self.columns
        )
        if not self.kernels:
            return [pruning(sparsity, end=end)]
        return [
            pruning(sparsity / 2, kernels=True, end=end / 2),
            pruning(sparsity, begin=end / 2, end=end),
        ]
