# SPDX-License-Identifier: Apache-2.0
"""A step of training: a batch's loss, its gradients, and what the optimisers do with them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from model.recipe import Recipe
from model.state import State

__all__ = ["backward", "distance", "step"]

CLIP = 1.0
"""Of the norm of all gradients together."""


def distance(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the mean divergence of what logits [B, classes] say from what others say.

    Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015,
    at temperature 1.
    """
    found, wanted = logits.log_softmax(1), wanted.log_softmax(1)
    return functional.kl_div(found, wanted, reduction="batchmean", log_target=True)


def backward(
    state: State, recipe: Recipe, images: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Leave the gradients of a batch in the parameters; returns the loss."""
    bf16 = recipe.precision == "bf16"
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        logits = state.run(images)
        loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.smoothing)
        if state.teacher:
            loss = loss.lerp(distance(logits, state.teacher(images)), recipe.distil)
        if state.compression:
            loss = loss + state.compression.penalty(state.model)
    state.model.zero_grad(set_to_none=True)
    loss.backward()
    return loss.detach()


def step(state: State, recipe: Recipe, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Train on a batch, at the rates that are set; returns the loss."""
    loss = backward(state, recipe, images, labels)
    nn.utils.clip_grad_norm_(state.model.parameters(), CLIP)
    for optimizer in state.optimizers:
        optimizer.step()
    return loss
