# SPDX-License-Identifier: Apache-2.0
"""Crossbar-aligned pruning: whole pages of a crossbar become 0 while a network trains on.

A page is what one crossbar holds, ``rows`` × ``columns`` cells. Each has a factor δ, 1 or 0. At
intervals pages are ranked over all layers by how much the loss answers to their δ, E[(∂L/∂δ)²];
those below the threshold count nothing until the next ranking. They still get their gradient, at
δ = 0, so a page may return. Pages that are about to go are made small before. After the last
ranking masks stay, and the weights train on.

In the source δ is trained, by a penalty, and ranked by its size, in networks that train from the
start. Here the network is trained, and its integers have fixed grids: a δ of 0.3 costs two of eight
bits, and batch norm makes up for its size, so that the penalty shrinks all alike. (Tried: 31 %
after an epoch in which a quarter of the pages of psp_64_4 went.)

Sources: S. Huai et al., "Crossbar-Aligned & Integer-Only Neural Network Compression for Efficient
In-Memory Acceleration", DATE 2023, Algorithm 1; P. Molchanov et al., "Importance Estimation for
Neural Network Pruning", CVPR 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from hw.params import ParameterError, check_integer, check_number
from model.compression import MAX_PENALTY, CrossbarModule, crossbar_modules

__all__ = ["AlignedPruning", "Pages"]

RANKINGS = 10
"""At equal intervals; the share of pages that is asked for is reached at the fifth."""
MEMORY = 0.02
"""Share that a step's gradient has in the mean of squares."""


class Pages(nn.Module):
    """Let each page of a layer's weights count, or not.

    Parameters
    ----------
    shape : tuple of int
        Of the weights, [O, I, k, k]: rows of a crossbar are ordered (ky, kx, channel).
    rows, outputs : int
        Of a page; the last ones may be smaller.
    kernels : bool
        Whether a page has all rows instead: a kernel group.
    carried : bool
        Whether a skip joins the outputs: they say something even if no page of theirs does.
    """

    kept: torch.Tensor
    doomed: torch.Tensor
    answer: torch.Tensor
    ranked: torch.Tensor

    def __init__(
        self, shape: tuple[int, ...], rows: int, outputs: int, *, kernels: bool = False,
        carried: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.shape, self.outputs, self.kernels, self.carried = shape, outputs, kernels, carried
        self.rows = math.prod(shape[1:]) if kernels else rows
        self.crossbars = -(-self.rows // rows) if kernels else 1
        self.tiles = -(-math.prod(shape[1:]) // self.rows)
        self.groups = -(-shape[0] // outputs)
        # Buffers, so that averaged weights and resumed runs have them as well.
        pages = self.tiles, self.groups
        self.register_buffer("kept", torch.ones(pages, dtype=torch.bool))
        self.register_buffer("doomed", torch.zeros(pages, dtype=torch.bool))
        self.register_buffer("answer", torch.zeros(pages))
        self.register_buffer("ranked", torch.zeros((), dtype=torch.int32))

    @property
    def final(self) -> bool:
        """Whether the last ranking is over."""
        return int(self.ranked) == RANKINGS

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Mask the weights [O, I, k, k]."""
        delta = self.kept.to(weight.dtype)
        if self.training and not self.final:
            delta.requires_grad_().register_hook(self._watch)
        masked: torch.Tensor = weight * self._spread(delta)
        return masked

    def _watch(self, gradient: torch.Tensor) -> None:
        # A page that is 0 before it comes here has no gradient: nothing is lost with it.
        self.answer.lerp_(gradient.square(), MEMORY).mul_(gradient != 0)

    def _spread(self, delta: torch.Tensor) -> torch.Tensor:
        """Return each weight's δ."""
        outputs, inputs, *window = self.shape
        spread = delta.repeat_interleave(self.rows, 0).repeat_interleave(self.outputs, 1)
        spread = spread[: math.prod(self.shape[1:]), :outputs]
        return spread.T.reshape(outputs, *window, inputs).movedim(-1, 1)

    @torch.no_grad()
    def begin(self, weight: torch.Tensor) -> None:
        """Let pages of weights that are all 0 already stay so."""
        for tile in range(self.tiles):
            for group in range(self.groups):
                one = torch.zeros_like(self.kept)
                one[tile, group] = True
                self.kept[tile, group] = bool((weight.cpu() * self._spread(one.float())).any())

    def loose(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the norm of the weights that are about to go: a scalar."""
        spread = self._spread((self.doomed & self.kept).to(weight.dtype))
        norm: torch.Tensor = torch.linalg.vector_norm(weight * spread)
        return norm

    @torch.no_grad()
    def mask(self, kept: torch.Tensor, doomed: torch.Tensor) -> None:
        """Let only some pages count from now on, bool [tiles, groups]; others are to follow."""
        self.kept.copy_(kept)
        self.doomed.copy_(doomed)
        self.ranked.add_(1)


class _Bias(nn.Module):
    """Leave the outputs of kernel groups that are masked nothing to say: ReLU gives 0."""

    def __init__(self, pages: Pages) -> None:
        super().__init__()
        self._pages = (pages,)

    def forward(self, bias: torch.Tensor) -> torch.Tensor:
        """Mask the biases [O]."""
        (pages,) = self._pages
        return bias * pages.kept[0].repeat_interleave(pages.outputs)[: len(bias)]


class AlignedPruning:
    """Pages of crossbars that are not needed become 0, in a run for integers.

    Parameters
    ----------
    sparsity : float
        Share of the pages of all layers but the first and the head, 0 up to less than 1. Of each
        layer one stays; if they are kernel groups, fewer may go than asked for.
    penalty : float
        λ, of Σ_l ‖W_l‖₂ over the pages that are about to go.
    rows, columns : int
        Of a crossbar, cells.
    kernels : bool
        Whether what is pruned are all pages of the same outputs together: kernel groups.
    begin, end : float
        Shares of the run between which pages are ranked.

    Raises
    ------
    ParameterError
        If a number is out of its range.
    """

    def __init__(
        self, sparsity: float, *, penalty: float = 0.01, rows: int = 64, columns: int = 64,
        kernels: bool = False, begin: float = 0.0, end: float = 0.4,
    ) -> None:  # fmt: skip
        if not 0 <= sparsity < 1:  # false for NaN, too
            raise ParameterError(f"sparsity must be at least 0 and below 1, not {sparsity:g}")
        check_number("penalty", penalty, 0, MAX_PENALTY)
        if not 0 <= begin < end <= 1:
            raise ParameterError(
                f"begin and end must be shares of the run in their order, not {begin:g} and {end:g}"
            )
        check_integer("rows", rows, 1, 4096)
        check_integer("columns", columns, 1, 4096)
        self.sparsity, self.strength, self.rows, self.columns = sparsity, penalty, rows, columns
        self.kernels, self.begin, self.end = kernels, begin, end

    def attach(self, network: nn.Module) -> None:
        """Parametrise the weights of all convolutions but the first.

        Raises
        ------
        ParameterError
            If so many pages cannot go without emptying a layer.
        """
        layers = _pruned(network)
        made = [self._pages(layer) for layer in layers]
        self._check(dict(zip((layer.name for layer in layers), made, strict=True)))
        for layer, pages in zip(layers, made, strict=True):
            conv = layer.module
            pages.begin(conv.weight)
            parametrize.register_parametrization(conv, "weight", pages.to(conv.weight.device))
            if self.kernels and getattr(layer.offset, "bias", None) is not None:
                parametrize.register_parametrization(layer.offset, "bias", _Bias(pages))

    def _pages(self, layer: CrossbarModule) -> Pages:
        if layer.cells > self.columns:
            raise ParameterError(
                f"columns must be at least the {layer.cells} cells of a weight, not {self.columns}"
            )
        return Pages(
            tuple(layer.module.weight.shape), self.rows, self.columns // layer.cells,
            kernels=self.kernels, carried=layer.carried,
        )  # fmt: skip

    def _check(self, layers: dict[str, Pages]) -> None:
        total, most = self._room(list(layers.values()))
        if not self.kernels and self._count(total, self.sparsity) > most:
            name = min(layers, key=lambda name: layers[name].kept.numel())
            pages = layers[name]
            raise ParameterError(
                f"sparsity of pages must be at most {math.floor(1000 * most / total) / 1000:g}, "
                f"not {self.sparsity:g}: more would empty {name}, "
                f"which has {pages.tiles}x{pages.groups} pages"
            )

    @staticmethod
    def _room(layers: list[Pages]) -> tuple[int, int]:
        """Return how many crossbars there are, and how many of them may go."""
        total = sum(pages.kept.numel() * pages.crossbars for pages in layers)
        return total, total - sum(pages.crossbars for pages in layers)

    @staticmethod
    def _count(total: int, share: float) -> int:
        return math.floor(total * share + 0.5)

    def penalty(self, network: nn.Module) -> torch.Tensor:
        """Return λ times the norms of what is about to go, layer by layer."""
        total = torch.zeros((), device=next(network.parameters()).device)
        for layer in _pruned(network):
            for pages in self._of(layer.module):
                if self.strength and not pages.final:
                    total = total + self.strength * pages.loose(layer.module.weight)
        return total

    def advance(self, network: nn.Module, progress: float) -> None:
        """Rank all pages, if it is time to; before every step, progress 0…1."""
        due = self._due(progress)
        layers = [pages for layer in _pruned(network) for pages in self._of(layer.module)]
        # More than one may be due in a run of few steps: only the last counts.
        while layers and int(layers[0].ranked) < due:
            self._rank(layers)

    def _due(self, progress: float) -> int:
        """Return how many rankings there should have been."""
        share = (progress - self.begin) / (self.end - self.begin)
        return max(0, min(RANKINGS, math.floor(RANKINGS * share + 1e-9)))

    def changed(self, progress: float) -> float:
        """Return the time of the last ranking, 0…progress."""
        due = self._due(progress)
        return self.begin + (self.end - self.begin) * due / RANKINGS if due else 0.0

    def _rank(self, layers: list[Pages]) -> None:
        """Mask the pages of all layers that answer least; one of each layer stays."""
        number = int(layers[0].ranked) + 1
        highest = max(float(pages.answer.max()) for pages in layers)
        answers = [self._answers(pages, highest) for pages in layers]
        order = torch.cat([each.flatten() for each in answers]).argsort(stable=True).cpu()
        crossbars = torch.cat(
            [torch.full((pages.kept.numel(),), pages.crossbars) for pages in layers]
        )
        taken = crossbars[order].cumsum(0)
        total, most = self._room(layers)
        sizes = [each.numel() for each in answers]

        def least(share: float) -> torch.Tensor:
            found = torch.zeros(len(order), dtype=torch.bool)
            found[order[taken <= min(self._count(total, share), most)]] = True
            return found

        gone, doomed = least(self.sparsity * min(1.0, 2 * number / RANKINGS)), least(self.sparsity)
        for pages, part, rest in zip(layers, gone.split(sizes), doomed.split(sizes), strict=True):
            shape = pages.kept.shape
            pages.mask(~part.view(shape), rest.view(shape))

    @staticmethod
    def _answers(pages: Pages, highest: float) -> torch.Tensor:
        """Return by what a layer's pages are ranked; `inf` for those that stay."""
        answers = pages.answer
        best = answers.argmax()
        if not (pages.carried or pages.kernels):
            # To silence an output is the last thing to do, unless it is silent anyway.
            value, most = answers.max(0, keepdim=True)
            last = torch.where(value > 0, value + highest, value)
            answers = answers.scatter(0, most, last)
        return answers.flatten().scatter(0, best, math.inf)

    def settle(self, network: nn.Module) -> None:
        """Fold masks and δ into plain weights."""
        self.advance(network, 1.0)
        for layer in _pruned(network):
            for module, name in ((layer.module, "weight"), (layer.offset, "bias")):
                if module is not None and parametrize.is_parametrized(module, name):
                    parametrize.remove_parametrizations(module, name)

    def _of(self, conv: Any) -> Iterator[Pages]:
        """Yield this pruning's pages: kernel groups and crossbars may be pruned in one run."""
        if parametrize.is_parametrized(conv, "weight"):
            for part in conv.parametrizations.weight:
                if isinstance(part, Pages) and part.kernels == self.kernels:
                    yield part


def _pruned(network: nn.Module) -> list[CrossbarModule]:
    """Return the layers with pages to prune: all with weights but the first and the head."""
    return [each for each in crossbar_modules(network)[1:-1] if hasattr(each.module, "weight")]
