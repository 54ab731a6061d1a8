# SPDX-License-Identifier: Apache-2.0
"""Turn a trained PSP or SP network into one that trains for integers.

The shape of the network stays: stem, body and head are called in the same order, and each float
layer is replaced by its integer twin. Exponents come from a few images, once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hw.params import ParameterError
from model.psp import PSP, SP, PSPBlock, SPBlock
from model.quant import Grid
from model.quant_layers import PowerOfTwoNorm, QuantHead, QuantMix, Scheme, Stream, StreamAdd

__all__ = ["QuantNetwork", "calibrate", "freeze_norms", "quantise"]

PIXEL_OFFSET = 128
PIXEL_EXPONENT = -7
"""Pixels less 128 count as −1 to 127/128, so that the stem's weights keep their size."""


class QuantNetwork(nn.Module):
    """A PSP or SP network on power-of-two grids.

    Parameters
    ----------
    network : PSP or SP
        Trained. Its modules are taken over, not copied.
    scheme : Scheme
    mean, std : tuple of float
        By which its images are normalised; the stem takes pixels, and they go into its weights.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, network: PSP | SP, scheme: Scheme, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.scheme = scheme
        self.register_buffer("mean", 255 * torch.tensor(mean)[:, None, None])
        self.register_buffer("std", 255 * torch.tensor(std)[:, None, None])
        self.pixels = Grid(8)
        self.stream = Stream(scheme)
        outer = Scheme(stream_bits=scheme.stream_bits, crossbar=scheme.crossbar)
        conv: Any
        norm: Any
        conv, _, norm = network.stem
        self.pixels.settle(PIXEL_EXPONENT)
        with torch.no_grad():
            bias = (conv.weight * ((PIXEL_OFFSET - self.mean) / self.std)).sum((1, 2, 3))
            conv.weight.div_(self.std * self.pixels.step)
        self.stem = QuantMix(conv, norm, self.stream, outer, source=self.pixels, bias=bias)
        self.body = network.body
        for block in self.body:
            block.add = StreamAdd(self.stream)
            names = ("first", "second") if isinstance(block, PSPBlock) else ("mix",)
            for name in names:
                conv, _, norm = getattr(block, name)
                setattr(block, name, QuantMix(conv, norm, self.stream, scheme))
            if isinstance(block, SPBlock):
                block.norm = PowerOfTwoNorm(block.norm, self.stream)  # type: ignore[arg-type]
        self.head = QuantHead(network.norm, network.head)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images [B, 3, H, W] to logits [B, classes]."""
        pixels = (images * self.std + self.mean).round_().clamp_(0, 255) - PIXEL_OFFSET
        found: torch.Tensor = self.head(self.body(self.stem(pixels * self.pixels.step)))
        return found


def quantise(
    network: nn.Module, scheme: Scheme, mean: tuple[float, ...], std: tuple[float, ...]
) -> QuantNetwork:
    """Return a network's integer twin, not calibrated yet.

    Raises
    ------
    ParameterError
        If the network is neither PSP nor SP.
    """
    if not isinstance(network, PSP | SP):
        raise ParameterError(
            f"only PSP and SP networks can be quantised, not {type(network).__name__}"
        )
    return QuantNetwork(network, scheme, mean, std)


def calibrate(network: QuantNetwork, images: torch.Tensor) -> None:
    """Choose every exponent by what the float network does with some images, and fix it.

    Parameters
    ----------
    network : QuantNetwork
    images : torch.Tensor
        float32 [B, 3, H, W], normalised; some hundreds.
    """
    grids = [module for module in network.modules() if isinstance(module, Grid)]
    for grid in grids:
        grid.observing = grid is not network.pixels
    network.eval()
    with torch.no_grad():
        network(images)
    network.stream.settle()
    for module in network.modules():
        if isinstance(module, QuantMix | QuantHead):
            module.settle()
        elif isinstance(module, SPBlock):
            module.norm.settle(network.stream.map.exponent)  # type: ignore[operator]


def freeze_norms(network: nn.Module) -> None:
    """Keep the statistics of all norms from now on."""
    for module in network.modules():
        if isinstance(module, PowerOfTwoNorm):
            module.frozen = True
