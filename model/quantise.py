# SPDX-License-Identifier: Apache-2.0
"""Turn a trained network into its integer twin, which trains on; here, those of PSP and SP.

Stem, blocks and head are called in the same order, and each float layer is replaced by its twin of
`model.quant_layers`. Exponents come from a few images, once (`calibrate`).
"""

from __future__ import annotations

import contextlib
import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn

from hw.params import ParameterError
from model.baselines import VGG
from model.power_norm import PowerOfTwoNorm, batch_norm
from model.psp import PSP, SP, Add
from model.quant import MAX_EXPONENT, Grid
from model.quant_cnn import QuantResNet, QuantVGG
from model.quant_layers import QuantConv, QuantHead
from model.quant_network import QUANTISABLE, QuantCrossbar, QuantNetwork, Seen
from model.quant_stream import Scheme, Stream, StreamAdd
from model.quant_table import TableGELU
from model.resnet import ResNet
from model.schedule import schedule
from model.step import distance

__all__ = ["QuantIsotropic", "calibrate", "check_integers", "freeze_norms", "quantise"]

_KEPT = 1 << 14
"""Values kept of each observed tensor."""
_BATCH = 64
_MAX_ZERO = 128
_SEARCHED = 128
"""Images on which exponents are compared."""


class QuantIsotropic(QuantNetwork):
    """The integer twin of a PSP or SP network.

    Parameters
    ----------
    network : PSP or SP
        Trained; its weights are copied.
    scheme, image_size, mean, std
        As `QuantNetwork` takes them.
    """

    ENTRANCE = "norm"

    def __init__(
        self, network: PSP | SP, scheme: Scheme, *, image_size: int, mean: Any, std: Any
    ) -> None:
        super().__init__(
            scheme, image_size=image_size, mean=mean, std=std, stream_bits=scheme.stream_bits
        )
        self.stream = Stream(scheme)
        network = copy.deepcopy(network)
        stem: Any = network.stem[0]
        self.take_pixels(stem)
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
        with torch.no_grad():
            gain, offset = batch_norm(network.norm)
            network.head.bias.add_(network.head.weight @ offset)
            network.head.weight.mul_(gain)
        side = image_size // stem.stride[0]
        self.head = QuantHead(network.head, side * side, self.stream.map, scheme.array)

    def _mix(self, layers: nn.Sequential, source: Grid, scheme: Scheme) -> nn.Sequential:
        conv: Any
        conv, _, norm = layers
        gelu = TableGELU(scheme.act_bits)
        return nn.Sequential(
            QuantConv(
                conv, source, rounds=source not in (self.pixels, self.stream.map),
                weight_bits=scheme.weight_bits, per_channel=scheme.per_channel,
                array=scheme.array, table=gelu,
            ),
            gelu,
            PowerOfTwoNorm(norm, gelu.act, self.stream.map, gelu),
        )  # fmt: skip

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map pixels on their grid to what the head pools [B, h, H/p, W/p]."""
        found: torch.Tensor = self.body(self.stem(x))
        return found

    @property
    def fetch_shift(self) -> int:
        """r: how many bits the body drops as it fetches."""
        return int(self.stream.fetch.exponent - self.stream.map.exponent)

    def layers(self) -> Iterator[QuantCrossbar]:
        """Yield the crossbar layers of stem and body, in the order in which they run."""
        children = (child for block in self.body for child in block.children())
        seconds = iter([child for child in children if isinstance(child, PowerOfTwoNorm)])
        body: Any = self.body
        for step in schedule(body[0].form, len(body)):
            mix: Any = self.get_submodule(step.name)
            conv, gelu, norm = mix
            adder = f"{step.name.rpartition('.')[0]}.add"
            yield QuantCrossbar(
                step=step, conv=conv, pre=gelu.pre, table=gelu.table.numpy(), norm=norm,
                writer=self.get_submodule(adder) if step.add else mix, grid=self.stream.map,
                second=next(seconds) if step.second else None,
            )  # fmt: skip

    def mixes(self) -> Iterator[tuple[str, Any]]:
        """Yield name and layers (convolution, GELU, norm) of the stem and of all in the body."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Sequential) and isinstance(module[0], QuantConv):
                yield name, module

    def watched(self, network: nn.Module) -> list[str]:
        """Return the names of all modules without children."""
        return [name for name, module in network.named_modules() if not list(module.children())]

    def fit(
        self, seen: Seen, means: Seen, features: torch.Tensor, loss: Callable[[], float]
    ) -> None:
        """Choose every exponent, and correct the biases, as `QuantNetwork.fit` says."""
        writers = [
            name
            for name, module in self.named_modules()
            if isinstance(module, PowerOfTwoNorm | StreamAdd)
        ]
        mixes = dict(self.mixes())
        for name, (_, gelu, _) in mixes.items():
            gelu.fit(seen[f"{name}.0"])
        pooled = features.mean((2, 3), dtype=torch.float64)

        def fitted_loss() -> float:
            for conv, gelu, _ in mixes.values():
                conv.fit(gelu.pre)
            for module in self.modules():
                if isinstance(module, PowerOfTwoNorm):
                    module.fit()
            self.head.fit(pooled)
            return loss()

        self.stream.fit([seen[name] for name in writers], fitted_loss)
        fitted_loss()
        self._correct_biases(means, loss)

    def _correct_biases(self, means: Seen, loss: Callable[[], float]) -> None:
        """Give every sum the mean that it has in the float network, layer after layer.

        Half of what GELU gives is nearly nothing, one value: to round it moves whole maps.
        Source: M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
        Correction", ICCV 2019.
        """
        for name, (conv, gelu, _) in self.mixes():
            with averages(self, [f"{name}.0"]) as found:
                loss()
            conv.bias.add_(means[f"{name}.0"] - gelu.threshold - found[f"{name}.0"])


TWINS: dict[Any, Any] = {PSP | SP: QuantIsotropic, ResNet: QuantResNet, VGG: QuantVGG}


def quantise(
    network: nn.Module, scheme: Scheme, *, image_size: int, mean: Any, std: Any
) -> QuantNetwork:
    """Return the twin of a float network.

    Parameters
    ----------
    network : nn.Module
        Trained; its weights are copied.
    scheme, image_size, mean, std
        As `QuantNetwork` takes them.

    Raises
    ------
    ParameterError
        If such networks have no twin.
    """
    for kinds, twin in TWINS.items():
        if isinstance(network, kinds):
            found: QuantNetwork = twin(network, scheme, image_size=image_size, mean=mean, std=std)
            return found
    raise ParameterError(f"{QUANTISABLE}, not {type(network).__name__.lstrip('_')}")


@contextlib.contextmanager
def averages(network: nn.Module, names: Iterable[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Give the mean [C] of what each of the modules gives next."""
    found: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, out: torch.Tensor) -> None:
            found[name] = out.flatten(2).mean((0, 2)) if out.dim() > 2 else out.mean(0)

        return hook

    hooks = [network.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def calibrate(twin: QuantNetwork, network: nn.Module, images: torch.Tensor) -> None:
    """Choose every exponent by what the float network does with some images.

    Parameters
    ----------
    twin : QuantNetwork
        Made of ``network``.
    network : nn.Module
    images : torch.Tensor
        float32 [B, 3, H, W], normalised; some hundreds.
    """
    seen: dict[str, list[torch.Tensor]] = defaultdict(list)
    features: list[torch.Tensor] = []

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, out: torch.Tensor) -> None:
            flat = out.flatten()
            seen[name] += [flat[:: -(-flat.numel() // _KEPT)], flat.min()[None], flat.max()[None]]

        return hook

    entrance = network.get_submodule(twin.ENTRANCE)
    hooks = [entrance.register_forward_pre_hook(lambda _, taken: features.append(taken[0]))]
    hooks += [
        network.get_submodule(name).register_forward_hook(keep(name))
        for name in twin.watched(network)
    ]
    network.eval()
    for part in images.split(_BATCH):
        network(part)
    for hook in hooks:
        hook.remove()
    images = images[:: -(-len(images) // _SEARCHED)]
    with averages(network, twin.watched(network)) as means:
        wanted = network(images)

    def divergence() -> float:
        return float(distance(twin(images), wanted))

    twin.eval()
    values = {name: torch.cat(parts) for name, parts in seen.items()}
    for name, found in values.items():
        if not bool(found.isfinite().all()):
            raise ParameterError(f"{name} must give numbers, so that exponents can be chosen")
    twin.fit(values, means, torch.cat(features), divergence)


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
        If an exponent leaves −64…64, a table's zero its grid, or a weight is no number.
    """
    for name, value in network.state_dict().items():
        clipped = value.clamp(-MAX_EXPONENT, MAX_EXPONENT)
        if value.dtype == torch.int32 and not torch.equal(value, clipped):
            raise ParameterError(f"{name} must be from -{MAX_EXPONENT} to {MAX_EXPONENT}")
        if value.dtype == torch.int16 and not 0 <= int(value) <= _MAX_ZERO:
            raise ParameterError(f"{name} must be from 0 to {_MAX_ZERO}")
        if value.dtype.is_floating_point and not bool(value.isfinite().all()):
            raise ParameterError(f"{name} must hold numbers")
