# SPDX-License-Identifier: Apache-2.0
"""What compresses a network while it trains for integers.

`model.train` knows no more of it than `Compression`; `model.prune` and `model.sparsity` are two.
All that it must remember lies in the network, as parameters and buffers, so that the averaged
network follows and a killed run goes on to the same weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from hw.params import ParameterError
from model.crossbar_sum import ArrayShape
from model.psp import PSP, SP
from model.quant_network import QuantCrossbar, QuantNetwork
from model.resnet import ConvNorm, ResNet
from model.schedule import schedule

__all__ = ["MAX_PENALTY", "Compression", "CrossbarModule", "Several", "crossbar_modules"]

MAX_PENALTY = 1e6
"""Of λ and β."""


@dataclasses.dataclass(frozen=True)
class CrossbarModule:
    """A crossbar layer of a network, of integers or of floats.

    Parameters
    ----------
    name : str
    module : nn.Module
        With a ``weight`` [O, I, k, k] or [O, I].
    carried : bool
        Whether a skip joins what it writes.
    offset : nn.Module, optional
        Whose ``bias`` is all that an output without weights says: batch norm, or the layer itself.
    weight_bits : int
    array : ArrayShape
    """

    name: str
    module: Any
    carried: bool = False
    offset: Any = None
    weight_bits: int = 8
    array: ArrayShape = dataclasses.field(default_factory=ArrayShape)

    @property
    def cells(self) -> int:
        """Of a weight."""
        return -(-self.weight_bits // self.array.cell_bits)


def crossbar_modules(network: nn.Module) -> list[CrossbarModule]:
    """Return a network's crossbar layers, numbered as in the integer network: stem, body, head.

    Raises
    ------
    ParameterError
        If the order is not known: networks of floats must be PSP, SP or ResNet.
    """
    head: Any = network.head
    if isinstance(network, QuantNetwork):
        modules: list[tuple[Any, Any]] = [
            (each.step, each.conv) for each in network.layers() if isinstance(each, QuantCrossbar)
        ]
        return [
            CrossbarModule(
                step.name, conv, bool(step.add or step.add_before_table), conv, conv.weight_bits,
                getattr(conv, "array", ArrayShape()),  # a skip without weights has none
            )
            for step, conv in modules
        ] + [CrossbarModule("head", head, False, head, head.weight_bits, head.array)]  # fmt: skip
    if isinstance(network, ResNet):
        return [*_residual(network), CrossbarModule("head", head)]
    if not isinstance(network, PSP | SP):
        raise ParameterError(
            f"only PSP, SP and ResNet can be compressed as floats, not {type(network).__name__}"
        )
    body: Any = network.body
    steps = schedule(body[0].form, len(body))
    convolutions: list[Any] = [network.get_submodule(step.name) for step in steps]
    return [
        CrossbarModule(step.name, mix[0], bool(step.add))
        for step, mix in zip(steps, convolutions, strict=True)
    ] + [CrossbarModule("head", head)]


def _residual(network: ResNet) -> Iterator[CrossbarModule]:
    """Yield stem and stages, in the order of `model.quant_cnn.QuantResNet.layers`."""
    stem: Any = network.stem
    yield CrossbarModule("stem", stem.conv, offset=stem.norm)
    for stage, blocks in network.stages.named_children():
        for number, block in blocks.named_children():
            for part in ("first", "projection", "second"):
                name, layer = f"stages.{stage}.{number}.{part}", getattr(block, part)
                if isinstance(layer, ConvNorm):
                    yield CrossbarModule(name, layer.conv, part == "second", layer.norm)
                elif not isinstance(layer, nn.Identity):
                    yield CrossbarModule(name, layer)


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

    def changed(self, progress: float) -> float:
        """Return when masks may have changed for the last time: a share of the run, 0…progress."""

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

    def changed(self, progress: float) -> float:
        """Return when any of them has changed masks for the last time."""
        return max(part.changed(progress) for part in self.parts)

    def settle(self, network: nn.Module) -> None:
        """Settle all: the first that folds a weight folds what the others made of it, too."""
        self.advance(network, 1.0)
        for part in self.parts:
            part.settle(network)
