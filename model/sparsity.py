# SPDX-License-Identifier: Apache-2.0
"""Twofold sparsity: masks that a shift register makes, and bits that cost little to read.

Two terms join the loss of a network that trains for integers,

    λ Σ_l ‖W_l ∘ (1 − M_l)‖₂ + β Σ_l (#W_l / #W) · (mean energy of the codes of W_l, pJ).

The first, the norm and not its square, makes small what the mask M leaves out; then that becomes
exactly 0, and the rest trains on. M needs no table: the register of each page (`hw.lfsr_params`)
follows from the page's place, so that hardware makes M again. The second is the published table of
energies by pairs of bits (`model.cell_energy`).

That table is jagged: 63 → 64 turns 00 11 11 11 into 01 00 00 00. Its differences say nothing of
where to go, and those of a smoothed table lead to places that are cheap on average, not to codes
that are. So the gradient is that of the table's Moreau envelope, min_v E(v) + (u − v)²/R² : it
points to the code that is worth the way, R steps for 1 pJ, and vanishes there.

Source: F. Karimzadeh, "Twofold Sparsity: Joint Bit- and Network-level Sparse Deep Neural Network
for Energy-efficient RRAM Based CIM". λ, β, and the registers are not published; there the second
term is the norm of all bits.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils import parametrize

from hw.lfsr_params import MIN_POSITIONS, LfsrMask, page_seed
from hw.params import ParameterError, check_integer, check_number
from model.cell_energy import Encoding, best_zero_point, weight_energy
from model.compression import MAX_PENALTY, CrossbarModule, crossbar_modules
from model.quant import two_to
from model.quant_layers import QuantConv, QuantHead
from model.quant_network import QuantNetwork

__all__ = ["Granularity", "TwofoldSparsity", "page_mask"]

Granularity = Literal["row", "weight"]
"""Whole rows of a page, which hardware gates; or single weights, as published."""

CLIPPED = 1 / 500
"""Share of a layer's weights that a zero point chosen before training may clip."""


def page_mask(
    rows: int, outputs: int, *, layer: int, array_rows: int, sparsity: float,
    granularity: Granularity = "row", page_outputs: int = 16,
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Return what the registers of a layer's pages keep: bool [rows, outputs].

    Parameters
    ----------
    rows, outputs : int
        Of the layer.
    layer : int
        Its number among the network's crossbar layers, from 0.
    array_rows, page_outputs : int
        Of a page.
    sparsity : float
        Of N positions of a page, round(N·(1 − sparsity)) are kept.
    granularity : Granularity
        ``row``: N rows of the page. ``weight``: position row·(the page's outputs) + output.
        A page of fewer than four positions is kept.
    """
    kept = np.ones((rows, outputs), np.bool_)
    for tile, first in enumerate(range(0, rows, array_rows)):
        for group, start in enumerate(range(0, outputs, page_outputs)):
            page = kept[first : first + array_rows, start : start + page_outputs]
            shape = (len(page), 1) if granularity == "row" else page.shape
            positions = shape[0] * shape[1]
            if positions >= MIN_POSITIONS:
                mask = LfsrMask(
                    positions=positions,
                    count=round(positions * (1 - sparsity)),
                    seed=page_seed(positions, layer, tile, group),
                )
                page &= mask.kept().reshape(shape)
    return kept


class _Mask(nn.Module):
    """Leaves weights as they are, until what is not kept becomes 0."""

    kept: torch.Tensor
    hard: torch.Tensor

    def __init__(self, kept: torch.Tensor) -> None:
        super().__init__()
        # Buffers, so that averaged weights and resumed runs have them as well.
        self.register_buffer("kept", kept)
        self.register_buffer("hard", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def begin(self, weight: torch.Tensor) -> None:
        """Let what was masked in a run before stay 0."""
        self.hard.fill_(not bool(torch.where(self.kept, 0.0, weight).any()))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Mask a layer's weights."""
        return torch.where(self.kept | ~self.hard, weight, 0.0)


class _Energy(torch.autograd.Function):
    """Look up the energy of codes; the gradient is another table."""

    @staticmethod
    def forward(
        ctx: Any, places: torch.Tensor, table: torch.Tensor, slope: torch.Tensor
    ) -> torch.Tensor:
        index = (places + 0.5).floor().clamp(0, len(table) - 1).long()
        ctx.save_for_backward(slope[index])
        return table[index]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (slope,) = ctx.saved_tensors
        return grad * slope, None, None


@functools.cache
def _tables(encoding: Encoding, bits: int, reach: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the energy of each code, pJ, and the gradient of its Moreau envelope, pJ a code."""
    energy = torch.from_numpy(weight_energy(encoding, bits))
    codes = torch.arange(len(energy))
    way = codes[:, None] - codes
    goal = (energy + way**2 / reach**2).argmin(1)
    return energy.float(), (2 * (codes - goal) / reach**2).float()


class TwofoldSparsity:
    """Masks of registers and codes of little energy, in a run for integers.

    Parameters
    ----------
    sparsity : float
        Share of each page's positions that is masked, 0 up to less than 1.
    penalty : float
        λ.
    bit_penalty : float
        β, in 1/pJ. Above 0, converters without loss and ``offset`` given, each layer also gets the
        zero point of least energy: before training one that clips hardly any weight, after it one
        that clips none.
    granularity : Granularity
    encoding : Encoding
        Of the energies.
    head : bool
        Whether the head is masked, too; the stem never is.
    phase : float
        Share of the run after which masked weights are 0, 0…1.
    reach : float
        R: codes that a weight may move for 1 pJ.
    columns : int
        Of a crossbar: a page has as many outputs as it has whole weights.

    Raises
    ------
    ParameterError
        If a number is out of its range, or a word unknown.
    """

    def __init__(
        self, sparsity: float, *, penalty: float = 0.01, bit_penalty: float = 0.0,
        granularity: Granularity = "row", encoding: Encoding = "offset", head: bool = False,
        phase: float = 0.3, reach: float = 4.0, columns: int = 64,
    ) -> None:  # fmt: skip
        check_number("sparsity", sparsity, 0, 0.999)
        check_number("penalty", penalty, 0, MAX_PENALTY)
        check_number("bit_penalty", bit_penalty, 0, MAX_PENALTY)
        check_number("phase", phase, 0, 1)
        check_number("reach", reach, 0.1, 256)
        if granularity not in get_args(Granularity):
            raise ParameterError(f"granularity must be one of row, weight, not {granularity!r:.60}")
        weight_energy(encoding)
        self.sparsity, self.strength, self.bit_strength = sparsity, penalty, bit_penalty
        self.granularity, self.encoding, self.head = granularity, encoding, head
        self.phase, self.reach = phase, reach
        self.columns = check_integer("columns", columns, 1, 4096)

    def attach(self, network: Any) -> None:
        """Parametrise the weights, before optimisers and averaged copy are made.

        Parameters
        ----------
        network : QuantNetwork, PSP or SP
            If for integers, calibrated; its zero points may change.
        """
        layers = crossbar_modules(network)
        for number, layer in enumerate(layers):
            module = layer.module
            inner = number > 0 and (self.head or module is not network.head)
            if inner and hasattr(module, "weight"):
                mask = _Mask(self._kept(layer, number)).to(module.weight.device)
                mask.begin(module.weight)
                parametrize.register_parametrization(module, "weight", mask)
            self._place(module, clipped=CLIPPED)

    def _kept(self, layer: CrossbarModule, number: int) -> torch.Tensor:
        """Return the mask of a layer, in the order of its weights."""
        shape = layer.module.weight.shape  # [O, I, k, k] or [O, I]
        kept = page_mask(
            shape[1:].numel(), shape[0], layer=number, array_rows=layer.array.rows,
            sparsity=self.sparsity, granularity=self.granularity,
            page_outputs=max(1, self.columns // layer.cells),
        )  # fmt: skip
        if not kept.any():
            raise ParameterError(
                f"sparsity must leave each page a row, not be {self.sparsity:g}: more would empty "
                f"{layer.name}"
            )
        # Rows of a crossbar are ordered (ky, kx, channel).
        return torch.from_numpy(kept.T).reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1)

    def penalty(self, network: nn.Module) -> torch.Tensor:
        """Return what joins a step's loss: a scalar."""
        total = torch.zeros((), device=next(network.parameters()).device)
        for layer, mask in _masked(network):
            if self.strength and not mask.hard:
                left_out = torch.where(mask.kept, 0.0, layer.weight)
                total = total + self.strength * torch.linalg.vector_norm(left_out)
        if self.bit_strength and isinstance(network, QuantNetwork):
            total = total + self.bit_strength * self.energy(network)
        return total

    def energy(self, network: nn.Module) -> torch.Tensor:
        """Return the mean energy of a weight, pJ, of which masked ones take none: a scalar."""
        parts, weights = [], 0
        for layer in network.modules():
            if isinstance(layer, QuantConv | QuantHead):
                parts.append(self._energies(layer).sum())
                weights += layer.weight.numel()
        return torch.stack(parts).sum() / weights

    def _energies(self, layer: Any) -> torch.Tensor:
        table, slope = _tables(self.encoding, layer.weight_bits, self.reach)
        zero = layer.zero_point if self.encoding == "offset" else 1 << layer.weight_bits - 1
        step = two_to(layer.weight_exponent).view(-1, *[1] * (layer.weight.dim() - 1))
        weight = layer.weight
        found: torch.Tensor = _Energy.apply(
            weight / step + zero, table.to(weight.device), slope.to(weight.device)
        )
        mask = _mask_of(layer)
        return found if mask is None else torch.where(mask.kept, found, 0.0)

    def advance(self, network: nn.Module, progress: float) -> None:
        """Make the masks hard once their time has come; before every step, progress 0…1."""
        for _, mask in _masked(network):
            mask.hard.logical_or_(torch.tensor(progress >= self.phase))

    def changed(self, progress: float) -> float:
        """Return when the masks became hard, 0…progress."""
        return self.phase if progress >= self.phase else 0.0

    @torch.no_grad()
    def settle(self, network: nn.Module) -> None:
        """Fold masks into plain weights, and choose the zero points that change no number."""
        layers = [each.module for each in crossbar_modules(network)]
        for layer in layers:
            mask = _mask_of(layer)
            if mask is not None:
                mask.hard.fill_(True)
            whole = isinstance(layer, QuantConv | QuantHead)
            # What saturates at this zero point must not grow at another.
            weight = layer.rounded()[0] if whole else None
            self._place(layer)
            if mask is not None:
                parametrize.remove_parametrizations(layer, "weight")
            if weight is not None:
                layer.weight.copy_(weight)

    def _place(self, layer: Any, *, clipped: float = 0.0) -> None:
        """Choose a layer's zero point, if it has one and it is free."""
        free = isinstance(layer, QuantConv | QuantHead) and layer.array.lossless
        if free and self.bit_strength and self.encoding == "offset":
            codes, mask = layer.integers()[0].detach(), _mask_of(layer)
            if mask is not None and self.granularity == "row":
                codes = codes[mask.kept]  # the others are not read
            integers = codes.cpu().numpy().astype(np.int64)
            layer.zero_point.fill_(best_zero_point(integers, layer.weight_bits, clipped=clipped))


def _mask_of(layer: nn.Module) -> _Mask | None:
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    parts: Any = layer.parametrizations
    # Other compressions may have theirs on the same weights.
    return next((part for part in parts.weight if isinstance(part, _Mask)), None)


def _masked(network: nn.Module) -> Iterator[tuple[Any, _Mask]]:
    for layer in network.modules():
        if (mask := _mask_of(layer)) is not None:
            yield layer, mask
