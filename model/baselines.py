# SPDX-License-Identifier: Apache-2.0
"""The networks that PSP and SP are compared with, in PyTorch.

Every convolution and linear layer is one of `model.layers.layer_shapes`, in its order and under
its name. Batch norm follows each convolution, but precedes it in DenseNet; weights start as He
et al., 2015, drew them. Parameters with 10 classes, and what the DATE 2024 paper prints:

================  ==========  ======  =========================================================
network           parameters  paper   remark
================  ==========  ======  =========================================================
resnet20             272,474  –       269,722 with shortcut="identity", as He et al. count
resnet32             466,906  0.47    464,154 with shortcut="identity"
resnet56             855,770  –       853,018 with shortcut="identity"
resnet110          1,730,714  1.73    1,727,962 with shortcut="identity"
shiftresnet110       202,906  0.20
vgg8              12,978,058  12.97   truncated, as the paper does with PSP; rounded 12.98
vgg16             14,724,042  –
densenet40_12        176,122  0.17    truncated; the BC form, the plain one has 1.0 M
resnet18          11,689,512  11.17   1000 classes; 11,176,512 without the head, truncated
mobilenetv1        4,231,976  4.2     1000 classes
convmixer_256_8      594,186  –
================  ==========  ======  =========================================================

Sources: as named in `model.layers`, function by function.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

from hw.params import ParameterError
from model.layers import (
    BASELINES,
    MIXER_KERNEL,
    MIXER_PATCH,
    MOBILENET_BLOCKS,
    VGG_STAGES,
    Shortcut,
    layer_shapes,
)
from model.resnet import ConvNorm, ResNet

__all__ = ["VGG", "create_baseline"]


class VGG(nn.Module):
    """Stages of 3×3 convolutions, each ended by 2×2 max pooling; VGG8 has a hidden layer."""

    def __init__(self, name: str, num_classes: int, image_size: int) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        channels = 3
        for widths in VGG_STAGES[name]:
            parts = nn.Sequential()
            for width in widths:
                parts.append(ConvNorm(channels, width, 3))
                channels = width
            self.stages.append(parts)
        self.hidden = None
        if name == "vgg8":
            side = image_size // 2 ** len(self.stages)
            self.hidden = nn.Linear(channels * side**2, 1024)
            channels = 1024
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [B, 3, H, W] to logits [B, classes]."""
        for stage in self.stages:
            x = functional.max_pool2d(stage(x), 2)
        flat = x.mean((2, 3)) if self.hidden is None else self.hidden(x.flatten(1)).relu()
        logits: torch.Tensor = self.head(flat)  # from [B, 512], or VGG8's [B, 1024]
        return logits


class _DenseLayer(nn.Module):
    """Batch norm, ReLU, pointwise to 48; batch norm, ReLU, 3×3 to 12; beside the input."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.first_norm = nn.BatchNorm2d(inputs)
        self.bottleneck = nn.Conv2d(inputs, 48, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(48)
        self.grow = nn.Conv2d(48, 12, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, C, H, W] to [B, C + 12, H, W]."""
        y = self.bottleneck(functional.relu(self.first_norm(x)))
        return torch.cat([x, self.grow(functional.relu(self.second_norm(y)))], 1)


class _DenseNet(nn.Module):
    """DenseNet-BC, L = 40, k = 12: three stages of six layers."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, padding=1, bias=False)
        self.stages = nn.ModuleList()
        self.transitions = nn.ModuleList()
        channels = 24
        for stage in range(3):
            self.stages.append(nn.Sequential(*(_DenseLayer(channels + 12 * n) for n in range(6))))
            channels += 72
            if stage < 2:
                halving = nn.Conv2d(channels, channels // 2, 1, bias=False)
                self.transitions.append(
                    nn.Sequential(
                        OrderedDict(
                            norm=nn.BatchNorm2d(channels),
                            relu=nn.ReLU(),
                            conv=halving,
                            pool=nn.AvgPool2d(2),
                        )
                    )
                )
                channels //= 2
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [B, 3, H, W] to logits [B, classes]."""
        x = self.stages[0](self.stem(x))
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            x = stage(transition(x))
        logits: torch.Tensor = self.head(functional.relu(self.norm(x)).mean((2, 3)))
        return logits


class _MobileNet(nn.Module):
    """MobileNetV1: depthwise and pointwise convolutions in turn."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, 3, 2)
        self.blocks = nn.Sequential()
        channels = 32
        for width, stride in MOBILENET_BLOCKS:
            depthwise = ConvNorm(channels, channels, 3, stride, groups=channels)
            pointwise = ConvNorm(channels, width)
            self.blocks.append(nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=pointwise)))
            channels = width
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [B, 3, H, W] to logits [B, classes]."""
        logits: torch.Tensor = self.head(self.blocks(self.stem(x)).mean((2, 3)))
        return logits


def _mix(conv: nn.Conv2d) -> nn.Sequential:
    """Convolve, bend, normalise: the order of ConvMixer."""
    parts = OrderedDict(conv=conv, gelu=nn.GELU(), norm=nn.BatchNorm2d(conv.out_channels))
    return nn.Sequential(parts)


class _MixerBlock(nn.Module):
    """A depthwise convolution with a skip, then a pointwise one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = _mix(
            nn.Conv2d(width, width, MIXER_KERNEL, padding=MIXER_KERNEL // 2, groups=width)
        )
        self.pointwise = _mix(nn.Conv2d(width, width, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, h, H, W] to the same shape."""
        y: torch.Tensor = self.pointwise(x + self.depthwise(x))
        return y


class _ConvMixer(nn.Module):
    """ConvMixer, ``convmixer_{width}_{depth}``; its convolutions have a bias, as published."""

    def __init__(self, width: int, depth: int, num_classes: int) -> None:
        super().__init__()
        self.stem = _mix(nn.Conv2d(3, width, MIXER_PATCH, MIXER_PATCH))
        self.body = nn.Sequential(*(_MixerBlock(width) for _ in range(depth)))
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [B, 3, H, W] to logits [B, classes]."""
        logits: torch.Tensor = self.head(self.body(self.stem(x)).mean((2, 3)))
        return logits


def create_baseline(
    name: str, *, num_classes: int = 10, image_size: int = 32, shortcut: Shortcut = "projection"
) -> nn.Module:
    """Make a baseline by its name, with fresh weights from torch's global generator.

    Parameters
    ----------
    name : str
        One of `model.layers.BASELINES`, or ``convmixer_{width}_{depth}``.
    num_classes, image_size, shortcut
        As `model.layers.layer_shapes` takes them.

    Returns
    -------
    nn.Module
        Maps images [B, 3, image_size, image_size] to logits [B, num_classes].

    Raises
    ------
    ParameterError
        If the name is unknown or no baseline, a number is out of range, or the image is too
        small.
    """
    layer_shapes(name, num_classes=num_classes, image_size=image_size, shortcut=shortcut)
    net: nn.Module
    if name in VGG_STAGES:
        net = VGG(name, num_classes, image_size)
    elif name == "densenet40_12":
        net = _DenseNet(num_classes)
    elif name == "mobilenetv1":
        net = _MobileNet(num_classes)
    elif name == "resnet18":
        net = ResNet((64, 128, 256, 512), 2, num_classes, imagenet=True)
    elif name in BASELINES:
        blocks = (int(name.partition("resnet")[2]) - 2) // 6
        shift = name.startswith("shift")
        net = ResNet((16, 32, 64), blocks, num_classes, shift=shift, shortcut=shortcut)
    elif name.startswith("convmixer_"):
        _, width, depth = name.split("_")
        net = _ConvMixer(int(width), int(depth), num_classes)
    else:
        raise ParameterError(f"{name} is no baseline: model.psp makes it")
    net.apply(_initialise)
    return net


def _initialise(module: nn.Module) -> None:
    """Draw weights as He et al., 2015: variance 2 / inputs, as ReLU halves it; no bias."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
