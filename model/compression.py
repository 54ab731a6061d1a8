# SPDX-License-Identifier: Apache-2.0
"""What compresses a network while it trains for integers.

`model.train` knows no more of it than `Compression`; `model.prune` and `model.sparsity` are two.
All that it must remember lies in the network, as parameters and buffers, so that the averaged
network follows and a killed run goes on to the same weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn

__all__ = ["Compression", "Several"]


class Compression(Protocol):
    """What is done to the weights of a network for integers, from its first step to its last."""

    def attach(self, network: Any) -> None:
        """Parametrise the weights of the current or the averaged network, before the first step.

        Parameters
        ----------
        network : model.quant_network.QuantNetwork
            Calibrated.

        Raises
        ------
        hw.params.ParameterError
            If the network cannot be compressed as asked.
        """

    def penalty(self, network: nn.Module) -> torch.Tensor:
        """Return what joins a step's loss: a scalar."""

    def advance(self, network: nn.Module, progress: float) -> None:
        """Look at the masks before a step, after a share ``progress`` of all of them, 0…1."""

    def settle(self, network: nn.Module) -> None:
        """Leave plain weights, after the last step; what is masked is exactly 0."""


class Several:
    """Compressions of the same weights: each sees what those before it leave.

    Parameters
    ----------
    parts : sequence of Compression
    """

    def __init__(self, parts: Sequence[Compression]) -> None:
        self.parts = tuple(parts)

    def attach(self, network: Any) -> None:
        """Attach all, in their order."""
        for part in self.parts:
            part.attach(network)

    def penalty(self, network: nn.Module) -> torch.Tensor:
        """Return the sum of all penalties."""
        return torch.stack([part.penalty(network) for part in self.parts]).sum()

    def advance(self, network: nn.Module, progress: float) -> None:
        """Advance all, in their order."""
        for part in self.parts:
            part.advance(network, progress)

    def settle(self, network: nn.Module) -> None:
        """Settle all: the first that folds a weight folds what the others made of it, too."""
        self.advance(network, 1.0)
        for part in self.parts:
            part.settle(network)
