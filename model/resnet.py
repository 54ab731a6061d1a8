# SPDX-License-Identifier: Apache-2.0
"""Residual networks in PyTorch: of CIFAR, of ImageNet, and with shifts instead of 3×3 windows.

Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016: section 4.2 and
Table 1. The shift form: Wu et al., "Shift: A Zero FLOP, Zero Parameter Alternative to Spatial
Convolutions", CVPR 2018, with expansion 1.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

from hw.params import Direction
from model.layers import Shortcut

__all__ = ["ConvNorm", "GroupedShift", "ResNet"]


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm and, unless a sum comes first, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        parts: OrderedDict[str, nn.Module] = OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs))
        if relu:
            parts["relu"] = nn.ReLU()
        super().__init__(parts)


class GroupedShift(nn.Module):
    """The grouped shift of Wu et al., 2018, section 3.2, for 3×3 windows.

    Nine groups of C // 9 channels: eight move by one pixel each, the ninth stays, and so do the
    channels left over. Which group takes which direction is free: a permutation of channels.

    Parameters
    ----------
    stride : int
        Keep every ``stride``-th row and column of the moved map.
    """

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, C, H, W] to [B, C, ⌈H/stride⌉, ⌈W/stride⌉]."""
        group = x.shape[1] // len(Direction)
        moved = []
        for number, direction in enumerate(Direction.moving()):
            dy, dx = direction.dy, direction.dx
            # A negative pad crops: what is added on one side is cut off on the other.
            moved.append(functional.pad(x.narrow(1, number * group, group), (dx, -dx, dy, -dy)))
        x = torch.cat([*moved, x[:, len(moved) * group :]], 1)
        return x[:, :, :: self.stride, :: self.stride]

    def extra_repr(self) -> str:
        """Return the stride."""
        return f"stride={self.stride}"


class _Widen(nn.Module):
    """The skip without weights, option A: every other pixel, and more channels that are zero."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.added = outputs - inputs
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, inputs, H, W] to [B, outputs, ⌈H/stride⌉, ⌈W/stride⌉]."""
        x = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(x, (0, 0, 0, 0, 0, self.added))


class _Residual(nn.Module):
    """Two convolutions, and a skip around both; with ``shift``, pointwise around a shift."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, shift: bool, shortcut: Shortcut
    ) -> None:
        super().__init__()
        kernel = 1 if shift else 3
        self.first = ConvNorm(inputs, outputs, kernel, 1 if shift else stride)
        self.shift = GroupedShift(stride) if shift else nn.Identity()
        self.second = ConvNorm(outputs, outputs, kernel, relu=False)
        self.projection: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            if shortcut == "projection":
                self.projection = ConvNorm(inputs, outputs, stride=stride, relu=False)
            else:
                self.projection = _Widen(inputs, outputs, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, inputs, H, W] to [B, outputs, ⌈H/stride⌉, ⌈W/stride⌉]."""
        y = self.second(self.shift(self.first(x)))
        return functional.relu(y + self.projection(x))


class ResNet(nn.Module):
    """Stem, stages of residual blocks of which all but the first halve the map, head.

    Parameters
    ----------
    widths : tuple of int
        Channels of each stage.
    blocks : int
        Residual blocks of a stage.
    num_classes : int
    imagenet : bool
        Whether the stem quarters the map, as ImageNet's 224 pixels need.
    shift : bool
        Whether a block is two pointwise convolutions around a shift, instead of two of 3×3.
    shortcut : {"projection", "identity"}
        What a skip does where the shape changes; see `model.layers.layer_shapes`.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        blocks: int,
        num_classes: int,
        *,
        imagenet: bool = False,
        shift: bool = False,
        shortcut: Shortcut = "projection",
    ) -> None:
        super().__init__()
        channels = widths[0]
        self.stem = ConvNorm(3, channels, 7, 2) if imagenet else ConvNorm(3, channels, 3)
        self.pool: nn.Module = nn.MaxPool2d(3, 2, 1) if imagenet else nn.Identity()
        self.stages = nn.Sequential()
        for stage, width in enumerate(widths):
            parts = nn.Sequential()
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                parts.append(_Residual(channels, width, stride, shift, shortcut))
                channels = width
            self.stages.append(parts)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [B, 3, H, W] to logits [B, classes]."""
        x = self.pool(self.stem(x))  # ImageNet: [B, C, H/4, W/4]
        logits: torch.Tensor = self.head(self.stages(x).mean((2, 3)))
        return logits
