# SPDX-License-Identifier: Apache-2.0
"""Choose what the cells hold for a weight of 0, such that saturating converters lose little.

Most weights are small. With 128 as the zero of 8 bits, the cells of the top digit, two bits wide,
hold 1 or 2, so that the columns that count most are as full as any; with 80 or so they hold 0 or 1.
Weights that no longer fit are clipped, but large ones are rare. The periphery takes Z·ΣQ away in
any case, so this costs nothing. What is then lost on average goes into the biases.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from model.quant_layers import QuantConv, QuantHead
from model.quant_network import QuantNetwork

__all__ = ["fit_zero_points"]

_STEPS = 32
"""Of half of all codes; zero points from a quarter of it up are tried."""


@torch.no_grad()
def fit_zero_points(twin: QuantNetwork, images: torch.Tensor) -> None:
    """Choose the zero point of every layer by the squared error of its sums, in place.

    Parameters
    ----------
    twin : QuantNetwork
        Calibrated.
    images : torch.Tensor
        float32 [B, 3, H, W], normalised; some tens.
    """
    array = twin.scheme.array
    layers: list[Any] = [
        layer for layer in twin.modules() if isinstance(layer, QuantConv | QuantHead)
    ]
    for layer in layers:
        layer.array = dataclasses.replace(array, adc_bits=16)
        layer.zero_point.fill_(1 << (layer.weight_bits - 1))
    inputs, wanted = {}, {}

    def keep(layer: Any, taken: Any, out: torch.Tensor) -> None:
        inputs[layer], wanted[layer] = taken[0], out

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    twin.eval()
    twin(images)
    for hook in hooks:
        hook.remove()
    for layer in layers:
        layer.array = array
        half = 1 << (layer.weight_bits - 1)
        errors, means = {}, {}
        for zero_point in range(half, half // 4 - 1, -max(1, half // _STEPS)):
            layer.zero_point.fill_(zero_point)
            lost = (wanted[layer] - layer(inputs[layer])).transpose(0, 1).flatten(1)
            means[zero_point] = lost.mean(1)
            errors[zero_point] = float(lost.var(1).mean())
        best = min(errors, key=errors.__getitem__)
        layer.zero_point.fill_(best)
        if layer.bias is not None:
            layer.bias.add_(means[best])
