# SPDX-License-Identifier: Apache-2.0
"""Optimisers of a network: Muon for the matrices of the body, AdamW for the rest.

A pointwise convolution is a matrix, the one that a crossbar will hold; Muon steps in the direction
of the nearest orthogonal matrix, which trains these networks in fewer epochs (docs/training.md).
Stem, head, norms and biases go to AdamW; weight decay is for convolutions and the head only.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024;
`torch.optim.Muon`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from model.recipe import Recipe

__all__ = ["ConvolutionMuon", "make_optimizers", "set_rates"]


def _as_matrix(weight: torch.Tensor) -> torch.Tensor:
    """View a channels_last kernel [O, I, kh, kw] as the matrix [O, kh·kw·I]."""
    return weight.detach().permute(0, 2, 3, 1).flatten(1)


class ConvolutionMuon(torch.optim.Muon):
    """PyTorch's Muon, which takes matrices only, on convolutions.

    Parameters
    ----------
    weights : sequence of nn.Parameter
        channels_last [O, I, kh, kw]: seen as matrices that share their memory.
    lr, weight_decay : float
    """

    def __init__(self, weights: Sequence[nn.Parameter], *, lr: float, weight_decay: float) -> None:
        self._weights = list(weights)
        matrices = [_as_matrix(weight) for weight in self._weights]
        for weight, matrix in zip(self._weights, matrices, strict=True):
            if matrix.data_ptr() != weight.data_ptr():
                raise ValueError(f"weights must be channels_last, not {list(weight.stride())}")
        super().__init__(matrices, lr=lr, weight_decay=weight_decay)

    def step(self, closure: Any = None) -> Any:
        """Take one step with the gradients of the convolutions."""
        matrices = self.param_groups[0]["params"]
        for weight, matrix in zip(self._weights, matrices, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad)
        return super().step(closure)


def make_optimizers(model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return the optimisers that together move every parameter once.

    Parameters
    ----------
    model : nn.Module
        In channels_last.
    recipe : Recipe

    Returns
    -------
    list of torch.optim.Optimizer
        Every group's ``"highest"`` is the rate that the schedule scales: see `set_rates`.
    """
    matrices: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            plain.append(parameter)
        elif recipe.optimizer == "muon" and parameter.dim() == 4 and not name.startswith("stem"):
            matrices.append(parameter)
        else:
            decayed.append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.decay},
        {"params": plain},
    ]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=recipe.rate, weight_decay=0.0
        )
    ]
    if matrices:
        optimizers.append(
            ConvolutionMuon(matrices, lr=recipe.matrix_rate, weight_decay=recipe.decay / 2)
        )
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["highest"] = group["lr"]
    return optimizers


def set_rates(optimizers: Sequence[torch.optim.Optimizer], share: float) -> None:
    """Set every group's learning rate to a share of its highest."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["highest"] * share
