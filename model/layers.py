# SPDX-License-Identifier: Apache-2.0
"""Layer lists of every network that has a name here: what gets mapped onto crossbars.

A list holds the layers that own weights, in the order in which they run; a projection comes
after the convolutions that it bypasses. Shifts, pooling, skips, batch norm and bias own no
crossbar and are not listed. `model.psp` and `model.baselines` build networks of exactly these
layers, the latter under these names. A leaf: the standard library only.

Sources: PSP and SP, and what the baselines are compared with: Guan, Li et al., "An Isotropic
Shift-Pointwise Network for Crossbar-Efficient Neural Network Design", DATE 2024: section III,
Tables I to III. The baselines: the papers named at each function.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable
from typing import Literal, get_args

from hw.params import CHANNEL_DIVIDER, ParameterError, ParameterTypeError, check_integer
from model.layer_shape import MAX_MAP, LayerShape, layers_from_json, layers_to_json

__all__ = [
    "BASELINES",
    "MIXER_KERNEL",
    "MIXER_PATCH",
    "MOBILENET_BLOCKS",
    "NAMES",
    "VGG_STAGES",
    "LayerShape",
    "Shortcut",
    "layer_shapes",
    "layers_from_json",
    "layers_to_json",
]

Shortcut = Literal["projection", "identity"]

MAX_WIDTH = 4096
MAX_DEPTH = 256

VGG_STAGES = {
    "vgg8": ((128,) * 2, (256,) * 2, (512,) * 2),
    "vgg16": ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
}
"""Output channels of the 3×3 convolutions; a 2×2 pooling ends each stage."""

MOBILENET_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
"""Output channels and stride of each depthwise-separable block."""

MIXER_PATCH = 2
MIXER_KERNEL = 5
"""Patch and depthwise kernel that the authors of ConvMixer use on CIFAR-10."""


class _Network:
    """A list that grows, and the map [channels, side, side] that its next layer reads."""

    def __init__(self, image_size: int) -> None:
        self.layers: list[LayerShape] = []
        self.channels, self.side = 3, image_size

    def conv(
        self, name: str, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        """Add a convolution whose padding keeps the side, except where it strides."""
        self._add(name, "conv", outputs, kernel, stride, kernel // 2, groups)

    def embed(self, outputs: int, patch: int) -> None:
        """Add a stem that reads patches which do not overlap, without padding."""
        self._add("stem", "conv", outputs, patch, patch, 0, 1)

    def linear(self, name: str, outputs: int) -> None:
        """Add a linear layer on what is left after pooling over the whole map."""
        self.side = 1
        self._add(name, "linear", outputs, 1, 1, 0, 1)

    def pool(self) -> None:
        """Halve the map by 2×2 pooling: an odd last row and column are dropped."""
        self.side //= 2

    def _add(
        self,
        name: str,
        kind: Literal["conv", "linear"],
        outputs: int,
        kernel: int,
        stride: int,
        padding: int,
        groups: int,
    ) -> None:
        layer = LayerShape(
            name=name,
            kind=kind,
            in_channels=self.channels,
            out_channels=outputs,
            kernel=kernel,
            stride=stride,
            padding=padding,
            groups=groups,
            in_height=self.side,
            in_width=self.side,
        )
        self.layers.append(layer)
        self.channels, self.side = layer.out_channels, layer.out_height


def _residual(
    net: _Network, name: str, width: int, stride: int, kernel: int, shortcut: Shortcut
) -> None:
    """Add two convolutions, then the projection that bypasses them where the shape changes.

    With ``kernel`` 1 the shift lies between the two, and it is the shift that strides.
    """
    channels, side = net.channels, net.side
    if kernel == 1:
        net.conv(f"{name}.first", width)
        net.side = -(-side // stride)
    else:
        net.conv(f"{name}.first", width, kernel, stride)
    net.conv(f"{name}.second", width, kernel)
    if (channels != width or stride != 1) and shortcut == "projection":
        net.channels, net.side = channels, side
        net.conv(f"{name}.projection", width, stride=stride)


def _cifar_resnet(net: _Network, name: str, shortcut: Shortcut) -> None:
    """He et al., "Deep Residual Learning", 2016, section 4.2: 6n + 2 layers; and its shift form.

    The shift form: Wu et al., "Shift: A Zero FLOP, Zero Parameter Alternative", 2018, with
    expansion 1. Each 3×3 convolution pair becomes two pointwise layers around a shift.
    """
    depth = int(name.removeprefix("shift").removeprefix("resnet"))
    kernel = 1 if name.startswith("shift") else 3
    net.conv("stem", 16, 3)
    for stage, width in enumerate((16, 32, 64)):
        for block in range((depth - 2) // 6):
            stride = 2 if stage and not block else 1
            _residual(net, f"stages.{stage}.{block}", width, stride, kernel, shortcut)


def _resnet18(net: _Network, name: str, shortcut: Shortcut) -> None:
    """He et al., 2016, Table 1, 18 layers, with projections (option B)."""
    net.conv("stem", 64, 7, 2)
    net.side = (net.side + 1) // 2  # 3×3 max pooling, stride 2, padding 1
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            _residual(net, f"stages.{stage}.{block}", width, stride, 3, "projection")


def _vgg(net: _Network, name: str, shortcut: Shortcut) -> None:
    """Simonyan and Zisserman, 2015, Table 1, D, cut to CIFAR: one linear layer; and VGG8.

    VGG8 is the crossbar simulators' example: six 3×3 layers, then 8192 → 1024 → classes.
    """
    for stage, widths in enumerate(VGG_STAGES[name]):
        for number, width in enumerate(widths):
            net.conv(f"stages.{stage}.{number}", width, 3)
        net.pool()
    if name == "vgg8":
        net.channels *= net.side**2
        net.linear("hidden", 1024)


def _densenet(net: _Network, name: str, shortcut: Shortcut) -> None:
    """Huang et al., "Densely Connected Convolutional Networks", 2017: BC, L = 40, k = 12.

    Bottlenecks of 4k channels, transitions that halve: the form with 0.17 M parameters. The
    plain L = 40, k = 12 network has 1.0 M.
    """
    net.conv("stem", 24, 3)
    for stage in range(3):
        for number in range(6):
            channels = net.channels
            net.conv(f"stages.{stage}.{number}.bottleneck", 48)
            net.conv(f"stages.{stage}.{number}.grow", 12, 3)
            net.channels += channels  # what went in is kept beside what came out
        if stage < 2:
            net.conv(f"transitions.{stage}", net.channels // 2)
            net.pool()


def _mobilenet(net: _Network, name: str, shortcut: Shortcut) -> None:
    """Howard et al., "MobileNets", 2017, Table 1."""
    net.conv("stem", 32, 3, 2)
    for number, (width, stride) in enumerate(MOBILENET_BLOCKS):
        net.conv(f"blocks.{number}.depthwise", net.channels, 3, stride, net.channels)
        net.conv(f"blocks.{number}.pointwise", width)


def _isotropic(net: _Network, family: str, width: int, depth: int, patch_size: int) -> None:
    """PSP and SP: DATE 2024, section III. ConvMixer: Trockman and Kolter, 2022, section 2."""
    net.embed(width, patch_size)
    for block in range(depth):
        if family == "convmixer":
            net.conv(f"body.{block}.depthwise", width, MIXER_KERNEL, groups=width)
            net.conv(f"body.{block}.pointwise", width)
        elif family == "psp":
            net.conv(f"body.{block}.first", width)
            net.conv(f"body.{block}.second", width)
        else:
            net.conv(f"body.{block}.mix", width)


_FIXED: dict[str, tuple[Callable[[_Network, str, Shortcut], None], int]] = {
    "resnet20": (_cifar_resnet, 1),
    "resnet32": (_cifar_resnet, 1),
    "resnet56": (_cifar_resnet, 1),
    "resnet110": (_cifar_resnet, 1),
    "shiftresnet110": (_cifar_resnet, 1),
    "vgg8": (_vgg, 8),
    "vgg16": (_vgg, 32),
    "densenet40_12": (_densenet, 4),
    "resnet18": (_resnet18, 1),
    "mobilenetv1": (_mobilenet, 1),
}
"""Networks without numbers in their names: what lists them, and the least image side."""

BASELINES = tuple(_FIXED)
"""The baselines by name; ``convmixer_W_D`` is one, too."""

NAMES = ("psp_W_D", "sp_W_D", "convmixer_W_D", *BASELINES)
"""All names; W stands for the width in channels, D for the depth in blocks."""


_NUMBER = "(0|[1-9][0-9]{0,39})"


def layer_shapes(
    name: str,
    *,
    num_classes: int = 10,
    image_size: int = 32,
    patch_size: int = 2,
    shortcut: Shortcut = "projection",
) -> tuple[LayerShape, ...]:
    """Return the layers of a network that own weights, in the order in which they run.

    Parameters
    ----------
    name : str
        One of `NAMES`. ``resnet18`` and ``mobilenetv1`` are ImageNet's: ask for 1000 classes
        and 224 pixels. Width 12…4096 (ConvMixer 1…4096), depth 1…256.
    num_classes : int
        Outputs of the last layer, 1…65536.
    image_size : int
        Height and width of the images, up to 4096; PSP and SP: a multiple of ``patch_size``.
    patch_size : int
        Side of the patches that PSP and SP embed, 1…64; ConvMixer's are 2.
    shortcut : {"projection", "identity"}
        What the skips of a CIFAR ResNet do where the shape changes: a pointwise convolution
        (option B), or padding with zero channels, which has no weights (option A). With
        projections ResNet32 and ResNet110 have the 0.47 M and 1.73 M parameters of the DATE
        2024 paper's Table II; without, 0.46 M and 1.73 M. Wu et al. use projections, too.

    Returns
    -------
    tuple of LayerShape
        Layers whose names differ.

    Raises
    ------
    ParameterError
        If the name is unknown, a number is out of range, or the image is too small.
    """
    if not isinstance(name, str):
        raise ParameterTypeError(f"name must be a string, not {type(name).__name__}")
    if shortcut not in get_args(Shortcut):
        raise ParameterError(
            f'shortcut must be "projection" or "identity", not {reprlib.repr(shortcut)}'
        )
    check_integer("num_classes", num_classes, 1, 65536)
    if parts := re.fullmatch(rf"(psp|sp|convmixer)_{_NUMBER}_{_NUMBER}", name):
        family, mixer = parts[1], parts[1] == "convmixer"
        width = check_integer("width", int(parts[2]), 1 if mixer else CHANNEL_DIVIDER, MAX_WIDTH)
        depth = check_integer("depth", int(parts[3]), 1, MAX_DEPTH)
        patch = MIXER_PATCH if mixer else check_integer("patch_size", patch_size, 1, 64)
        net = _Network(check_integer("image_size", image_size, patch, MAX_MAP))
        if image_size % patch and not mixer:
            raise ParameterError(
                f"image_size must be a multiple of patch_size {patch}, not {image_size}"
            )
        _isotropic(net, family, width, depth, patch)
    elif name in _FIXED:
        build, smallest = _FIXED[name]
        net = _Network(check_integer("image_size", image_size, smallest, MAX_MAP))
        build(net, name, shortcut)
    else:
        raise ParameterError(f"name must be one of {', '.join(NAMES)}, not {reprlib.repr(name)}")
    net.linear("head", num_classes)
    return tuple(net.layers)
