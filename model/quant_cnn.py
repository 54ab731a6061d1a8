# SPDX-License-Identifier: Apache-2.0
"""The integer twins of residual networks and VGGs: 3×3 windows, ReLU, no shift.

A map has as many bits as the body fetches, and one grid, on which it is both requantised and
looked up. A stage's residual stream is one map that each block adds to and writes again: what is
added before a table lies on the grid of the sum. All other layers write maps of their own, by
their own names.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from hw.params import ParameterError
from model.baselines import VGG
from model.quant import Grid
from model.quant_cnn_layers import QuantConvReLU, Widen, folded
from model.quant_layers import QuantConv, QuantHead
from model.quant_network import QUANTISABLE, QuantCrossbar, QuantMaxPool, QuantNetwork, Seen
from model.quant_stream import Scheme
from model.resnet import ConvNorm, ResNet
from model.schedule import IMAGE, Operand, Step

__all__ = ["QuantResNet", "QuantVGG"]


class _QuantCNN(QuantNetwork):
    """What both share: convolutions with ReLU, and a head after them.

    Parameters
    ----------
    scheme, image_size, mean, std
        As `QuantNetwork` takes them; the maps between layers are ``act_bits`` wide.
    """

    ENTRANCE = "head"

    def __init__(self, scheme: Scheme, *, image_size: int, mean: Any, std: Any) -> None:
        super().__init__(
            scheme, image_size=image_size, mean=mean, std=std, stream_bits=scheme.act_bits
        )

    def _conv(self, conv: nn.Conv2d, source: Grid) -> QuantConv:
        """Return a convolution; the stem, which fetches pixels, has 8-bit weights."""
        scheme, stem = self.scheme, source is self.pixels
        return QuantConv(
            conv, source, rounds=False, weight_bits=8 if stem else scheme.weight_bits,
            per_channel=scheme.per_channel and not stem, array=scheme.array,
        )  # fmt: skip

    def _layer(
        self, name: str, source: str, out: str, add_before_table: str | None = None
    ) -> QuantCrossbar:
        """Return what a `QuantConvReLU` is in the integer network."""
        unit: Any = self.get_submodule(name)
        added = None if add_before_table is None else Operand(add_before_table)
        return QuantCrossbar(
            step=Step(name, (Operand(source),), out, add_before_table=added),
            conv=unit.conv, pre=unit.pre, table=unit.table, writer=unit, grid=unit.grid,
        )  # fmt: skip

    @abc.abstractmethod
    def maps(self) -> Iterator[tuple[Grid, list[str]]]:
        """Yield each grid, and the float network's modules that give values of its map."""

    def watched(self, network: nn.Module) -> list[str]:
        """Return the names of the modules in `maps`."""
        return [name for _, names in self.maps() for name in names]

    def fit(
        self, seen: Seen, means: Seen, features: torch.Tensor, loss: Callable[[], float]
    ) -> None:
        """Choose every exponent, as `QuantNetwork.fit` says."""
        for grid, names in self.maps():
            grid.fit(torch.cat([seen[name] for name in names]))
        for module in self.modules():
            if isinstance(module, QuantConvReLU) and isinstance(module.conv, QuantConv):
                module.conv.fit(module.grid)
        self.head.fit(features)


class _QuantResidual(nn.Module):
    """Two convolutions, and a skip around both that is added before the second's ReLU."""

    def __init__(
        self, first: QuantConvReLU, second: QuantConvReLU, projection: QuantConvReLU | nn.Identity
    ) -> None:
        super().__init__()
        self.first, self.second, self.projection = first, second, projection

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, I, H, W] to [B, O, ⌈H/stride⌉, ⌈W/stride⌉]."""
        found: torch.Tensor = self.second(self.first(x), self.projection(x))
        return found


class QuantResNet(_QuantCNN):
    """The integer twin of a residual network with CIFAR's stem and 3×3 windows.

    Parameters
    ----------
    network : ResNet
        Trained; its weights are copied.
    scheme, image_size, mean, std
        As `QuantNetwork` takes them.

    Raises
    ------
    ParameterError
        If it has shifts, or ImageNet's stem, whose pooling overlaps.
    """

    def __init__(
        self, network: ResNet, scheme: Scheme, *, image_size: int, mean: Any, std: Any
    ) -> None:
        stages: Any = network.stages
        if not isinstance(stages[0][0].shift, nn.Identity):
            raise ParameterError(f"{QUANTISABLE}, not a ResNet with shifts")
        if not isinstance(network.pool, nn.Identity):
            raise ParameterError(f"{QUANTISABLE}, not a ResNet with overlapping pooling")
        super().__init__(scheme, image_size=image_size, mean=mean, std=std)
        self.streams = nn.ModuleList(Grid(scheme.act_bits) for _ in stages)
        stream: Any = self.streams[0]
        stem = folded(network.stem)
        self.take_pixels(stem)
        self.stem = QuantConvReLU(self._conv(stem, self.pixels), stream)
        self.stages = nn.Sequential()
        side = image_size
        for target, stage in zip(self.streams, stages, strict=True):
            blocks = nn.Sequential()
            for block in stage:
                blocks.append(self._residual(block, stream, target))
                stream = target
                side = math.ceil(side / block.first.conv.stride[0])
            self.stages.append(blocks)
        self.head = QuantHead(network.head, side * side, stream, scheme.array)

    def _residual(self, block: Any, source: Grid, target: Any) -> _QuantResidual:
        first = QuantConvReLU(self._conv(folded(block.first), source), self.scheme.act_bits)
        second = QuantConvReLU(self._conv(folded(block.second), first.grid), target)
        skip = block.projection
        if not isinstance(skip, nn.Identity):
            conv = block.first.conv
            copied = (
                self._conv(folded(skip), source)
                if isinstance(skip, ConvNorm)
                else Widen(conv.in_channels, conv.out_channels, conv.stride[0], source)
            )
            skip = QuantConvReLU(copied, target, relu=False)
        return _QuantResidual(first, second, skip)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map pixels on their grid to what the head pools [B, C, H/4, W/4]."""
        found: torch.Tensor = self.stages(self.stem(x))
        return found

    def _blocks(self) -> Iterator[tuple[str, str, Any]]:
        """Yield the names of stage and block, and the block."""
        for stage, blocks in self.stages.named_children():
            for name, block in blocks.named_children():
                yield f"stages.{stage}", f"stages.{stage}.{name}", block

    def layers(self) -> Iterator[QuantCrossbar]:
        """Yield the crossbar layers of stem and stages; a stage's name is that of its stream."""
        source = "stages.0"
        yield self._layer("stem", IMAGE, source)
        for stream, name, block in self._blocks():
            yield self._layer(f"{name}.first", source, f"{name}.first")
            if not isinstance(block.projection, nn.Identity):
                yield self._layer(f"{name}.projection", source, stream)
            yield self._layer(f"{name}.second", f"{name}.first", stream, stream)
            source = stream

    def maps(self) -> Iterator[tuple[Grid, list[str]]]:
        """Yield each grid, and the float network's modules that give values of its map."""
        written = {"stages.0": ["stem"]}
        for stream, name, block in self._blocks():
            yield block.first.grid, [f"{name}.first"]
            names = written.setdefault(stream, [])
            if not isinstance(block.projection, nn.Identity):
                names.append(f"{name}.projection")
            names.append(name)
        streams: Any = self.streams
        yield from zip(streams, written.values(), strict=True)


class QuantVGG(_QuantCNN):
    """The integer twin of a VGG.

    Parameters
    ----------
    network : VGG
        Trained; its weights are copied.
    scheme, image_size, mean, std
        As `QuantNetwork` takes them.
    """

    def __init__(
        self, network: VGG, scheme: Scheme, *, image_size: int, mean: Any, std: Any
    ) -> None:
        super().__init__(scheme, image_size=image_size, mean=mean, std=std)
        grid, side = self.pixels, image_size
        self.stages = nn.Sequential()
        stages: Any = network.stages
        for stage in stages:
            layers = nn.Sequential()
            for layer in stage:
                conv = folded(layer)
                if grid is self.pixels:
                    self.take_pixels(conv)
                layers.append(QuantConvReLU(self._conv(conv, grid), scheme.act_bits))
                grid = layers[-1].grid  # type: ignore[assignment]
            layers.add_module("pool", nn.MaxPool2d(2))
            self.stages.append(layers)
            side //= 2
        self.hidden = None
        if network.hidden is not None:
            # On a map, a linear layer is a convolution with a window as large as the map.
            weight = network.hidden.weight.detach().unflatten(1, (-1, side, side))
            conv = nn.Conv2d(weight.shape[1], len(weight), side)
            conv.weight = nn.Parameter(weight)
            conv.bias = network.hidden.bias
            self.hidden = QuantConvReLU(self._conv(conv, grid), scheme.act_bits)
            grid, side = self.hidden.grid, 1
        self.head = QuantHead(network.head, side * side, grid, scheme.array)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map pixels on their grid to what the head pools."""
        found: torch.Tensor = self.stages(x)
        return found if self.hidden is None else self.hidden(found)

    def layers(self) -> Iterator[QuantCrossbar | QuantMaxPool]:
        """Yield convolutions and poolings; each writes the map of its own name."""
        source, grid = IMAGE, self.pixels
        for stage, layers in self.stages.named_children():
            for number, layer in layers.named_children():
                name = f"stages.{stage}.{number}"
                if isinstance(layer, QuantConvReLU):
                    yield self._layer(name, source, name)
                    grid = layer.grid
                else:
                    yield QuantMaxPool(
                        name=name,
                        source=source,
                        written=(name,),
                        window=2,
                        writer=layer,
                        grid=grid,
                    )
                source = name
        if self.hidden is not None:
            yield self._layer("hidden", source, "hidden")

    def maps(self) -> Iterator[tuple[Grid, list[str]]]:
        """Yield each grid, and the float network's modules that give values of its map."""
        for name, module in self.named_modules():
            if isinstance(module, QuantConvReLU):
                yield module.grid, [name]

    def fit(
        self, seen: Seen, means: Seen, features: torch.Tensor, loss: Callable[[], float]
    ) -> None:
        """Choose every exponent, as `QuantNetwork.fit` says."""
        if self.hidden is not None:
            # Of the float network, this is seen before its ReLU.
            seen = {**seen, "hidden": seen["hidden"].relu()}
        super().fit(seen, means, features, loss)
