# SPDX-License-Identifier: Apache-2.0
"""Turn a trained PSP or SP network into its integer twin, which trains on.

Stem, blocks and head are called in the same order, and each float layer is replaced by its twin of
`model.quant_layers`. Exponents come from a few images, once (`calibrate`).
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from hw.params import ParameterError
from model.power_norm import PowerOfTwoNorm
from model.psp import PSP, SP, Add, PSPBlock
from model.quant import MAX_EXPONENT, Grid
from model.quant_layers import (
    QuantConv,
    QuantHead,
    Scheme,
    Stream,
    StreamAdd,
    TableGELU,
)
from model.schedule import Step, schedule

__all__ = ["QuantNetwork", "calibrate", "check_integers", "freeze_norms", "steps_of"]

PIXEL_OFFSET = 128
PIXEL_EXPONENT = -7
"""A pixel less 128 counts as −1 to 127/128, so that the stem's weights keep their size."""
_KEPT = 1 << 14
"""Values kept of each observed tensor."""
_BATCH = 64
_SEARCHED = 128
"""Images on which exponents of the stream are compared."""


class QuantNetwork(nn.Module):
    """A PSP or SP network on power-of-two grids.

    Parameters
    ----------
    network : PSP or SP
        Trained; its weights are copied.
    scheme : Scheme
    image_size : int
        Pixels.
    mean, std : sequence of float
        By which its images are normalised; the stem takes pixels, and they go into its weights.

    Raises
    ------
    ParameterError
        If the network is neither PSP nor SP.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, network: nn.Module, scheme: Scheme, *, image_size: int, mean: Any, std: Any
    ) -> None:
        if not isinstance(network, PSP | SP):
            raise ParameterError(
                f"only PSP and SP networks can be quantised, not {type(network).__name__}"
            )
        super().__init__()
        self.scheme, self.image_size = scheme, image_size
        self.register_buffer("mean", 255 * torch.tensor(mean)[:, None, None])
        self.register_buffer("std", 255 * torch.tensor(std)[:, None, None])
        self.stream = Stream(scheme)
        self.pixels = Grid(8)
        self.pixels.exponent.fill_(PIXEL_EXPONENT)
        network = copy.deepcopy(network)
        stem: Any = network.stem[0]
        with torch.no_grad():
            bias = (stem.weight * ((PIXEL_OFFSET - self.mean) / self.std)).sum((1, 2, 3))
            stem.weight.div_(self.std * 2.0**PIXEL_EXPONENT)
            stem.bias = nn.Parameter(bias)
        outer = Scheme(stream_bits=max(8, scheme.stream_bits), array=scheme.array)
        self.stem = self._mix(network.stem, self.pixels, outer)
        self.body = network.body
        for block in self.body:
            for name, layer in list(block.named_children()):
                if isinstance(layer, nn.Sequential):
                    setattr(block, name, self._mix(layer, self.stream.fetch, scheme))
                elif isinstance(layer, nn.BatchNorm2d):
                    norm = PowerOfTwoNorm(layer, self.stream.map, self.stream.map)
                    setattr(block, name, norm)
                elif isinstance(layer, Add):
                    setattr(block, name, StreamAdd(self.stream))
        side = image_size // stem.stride[0]
        self.head = QuantHead(network.norm, network.head, side * side, scheme.array)

    def _mix(self, layers: nn.Sequential, source: Grid, scheme: Scheme) -> nn.Sequential:
        conv: Any
        conv, _, norm = layers
        gelu = TableGELU(scheme.act_bits)
        return nn.Sequential(
            QuantConv(
                conv, source, rounds=source not in (self.pixels, self.stream.map),
                weight_bits=scheme.weight_bits, per_channel=scheme.per_channel,
                array=scheme.array,
            ),
            gelu,
            PowerOfTwoNorm(norm, gelu.act, self.stream.map),
        )  # fmt: skip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalised images [B, 3, H, W] to logits [B, classes]."""
        pixels = (images * self.std + self.mean).round_().clamp_(0, 255) - PIXEL_OFFSET
        found: torch.Tensor = self.head(self.body(self.stem(pixels * self.pixels.step)))
        return found

    def mixes(self) -> Iterator[tuple[str, nn.Sequential]]:
        """Yield name and layers (convolution, GELU, norm) of the stem and of all in the body."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Sequential) and isinstance(module[0], QuantConv):
                yield name, module

    def steps(self) -> tuple[Step, ...]:
        """Return the layers of stem and body, with what they read and write."""
        return steps_of(self)

    def second_norms(self) -> list[PowerOfTwoNorm]:
        """Return the norms of SP blocks, in the order of the layers that apply them."""
        children = (child for block in self.body for child in block.children())
        return [child for child in children if isinstance(child, PowerOfTwoNorm)]


def steps_of(network: Any) -> tuple[Step, ...]:
    """Return the layers of stem and body, with what they read and write."""
    block = network.body[0]
    return schedule(block.form if isinstance(block, PSPBlock) else "sp", len(network.body))


def calibrate(twin: QuantNetwork, network: nn.Module, images: torch.Tensor) -> None:
    """Choose every exponent by what the float network does with some images.

    Parameters
    ----------
    twin : QuantNetwork
        Made of ``network``.
    network : PSP or SP
    images : torch.Tensor
        float32 [B, 3, H, W], normalised; some hundreds.
    """
    twin.eval()
    with torch.no_grad():
        seen, features = _observe(network, images)
        stream = [
            values
            for name, values in seen.items()
            if isinstance(network.get_submodule(name), nn.BatchNorm2d | Add) and name != "norm"
        ]
        mixes: dict[str, Any] = dict(twin.mixes())
        for name, (_, gelu, _) in mixes.items():
            gelu.fit(seen[f"{name}.0"], seen[f"{name}.1"])
        images = images[:: -(-len(images) // _SEARCHED)]
        wanted = network(images).log_softmax(1)

        def divergence() -> float:
            for conv, gelu, _ in mixes.values():
                conv.fit(gelu.pre)
            for module in twin.modules():
                if isinstance(module, PowerOfTwoNorm):
                    module.fit()
            twin.head.fit(features)
            found = twin(images).log_softmax(1)
            return float(functional.kl_div(found, wanted, reduction="batchmean", log_target=True))

        twin.stream.fit(torch.cat(stream), divergence)
        divergence()


def _observe(
    network: nn.Module, images: torch.Tensor
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return some values that each layer gives, by its name, and all that the body gives."""
    seen: dict[str, list[torch.Tensor]] = defaultdict(list)
    features: list[torch.Tensor] = []

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, out: torch.Tensor) -> None:
            flat = out.flatten()
            seen[name] += [flat[:: -(-flat.numel() // _KEPT)], flat.min()[None], flat.max()[None]]

        return hook

    body: Any = network.get_submodule("body")
    hooks = [body.register_forward_hook(lambda _, __, out: features.append(out))]
    hooks += [
        module.register_forward_hook(keep(name))
        for name, module in network.named_modules()
        if not list(module.children())
    ]
    network.eval()
    for part in images.split(_BATCH):
        network(part)
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(parts) for name, parts in seen.items()}, torch.cat(features)


def freeze_norms(network: nn.Module) -> None:
    """Keep the statistics of all twins of batch norm from now on."""
    for module in network.modules():
        if isinstance(module, PowerOfTwoNorm):
            module.frozen = True


def check_integers(network: QuantNetwork) -> None:
    """Refuse a network, from a file of anybody's, whose numbers cannot be.

    Raises
    ------
    ParameterError
        If an exponent leaves −64…64, or a weight is no number.
    """
    for name, value in network.state_dict().items():
        clipped = value.clamp(-MAX_EXPONENT, MAX_EXPONENT)
        if value.dtype == torch.int32 and not torch.equal(value, clipped):
            raise ParameterError(f"{name} must be from -{MAX_EXPONENT} to {MAX_EXPONENT}")
        if value.dtype.is_floating_point and not bool(value.isfinite().all()):
            raise ParameterError(f"{name} must hold numbers")
