# SPDX-License-Identifier: Apache-2.0
"""Shift-pointwise networks: PSP and SP.

A 2×2 patch embedding, ``depth`` equal blocks of pointwise convolutions (what an RRAM crossbar
computes) and shifts (what a digital address generator does for nothing), and a linear head.

Source: Guan, Li et al., "An Isotropic Shift-Pointwise Network for Crossbar-Efficient Neural
Network Design", DATE 2024: section III, Fig. 2. P is a pointwise convolution without bias, G is
GELU, B is batch norm, S is the shift block. The figure leaves open how the skip joins the shift,
so that is an option here; all forms have the same parameters and the same crossbars.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

import torch
from torch import nn

from hw.params import CHANNEL_DIVIDER, ParameterError, check_integer
from model.layers import Shortcut
from model.shift import Shift

__all__ = ["BLOCKS", "DEFAULT_FORM", "PSP", "SP", "BlockForm", "create_model"]

BlockForm = Literal["skip_over_shift", "skip_before_shift", "residual", "true_residual"]
BLOCKS: tuple[BlockForm, ...] = get_args(BlockForm)
DEFAULT_FORM: BlockForm = "skip_before_shift"
"""The most accurate of the four in docs/results/ablation.json."""
MAX_WIDTH = 4096
MAX_DEPTH = 256


def _mix(inputs: int, outputs: int, patch_size: int = 1) -> nn.Sequential:
    """P, G, B: mix channels, bend, normalise. The stem is the same on patches."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, patch_size, stride=patch_size, bias=False),
        nn.GELU(),
        nn.BatchNorm2d(outputs),
    )


class Add(nn.Module):
    """The sum of two maps: a module, so that an integer network can put a saturating one here."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return a + b."""
        return a + b


class PSPBlock(nn.Module):
    """Pointwise, shift, pointwise.

    Parameters
    ----------
    width : int
        Channels h.
    form : BlockForm
        ======================  =============================================================
        ``skip_over_shift``     y = x + S(B(G(P1 x))), out = B(G(P2 y)): ConvMixer's pattern
        ``skip_before_shift``   y = S(x + B(G(P1 x))), out = B(G(P2 y))
        ``residual``            y = S(x + B(G(P1 x))), out = y + B(G(P2 y)): an identity path
                                for the channels that stay; beyond the paper
        ``true_residual``       out = x + B(G(P2 S(B(G(P1 x))))): an identity path for all;
                                beyond the paper
        ======================  =============================================================
    """

    def __init__(self, width: int, form: BlockForm) -> None:
        super().__init__()
        self.form = form
        self.first: nn.Module = _mix(width, width)
        self.shift = Shift(width)
        self.second: nn.Module = _mix(width, width)
        self.add: nn.Module = Add()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, h, H, W] to the same shape."""
        if self.form == "skip_over_shift":
            out: torch.Tensor = self.second(self.add(x, self.shift(self.first(x))))
        elif self.form == "true_residual":
            out = self.add(x, self.second(self.shift(self.first(x))))
        else:
            y = self.shift(self.add(x, self.first(x)))
            out = self.second(y)
            if self.form == "residual":
                out = self.add(y, out)
        return out

    def extra_repr(self) -> str:
        """Return the form."""
        return f"form={self.form}"


class SPBlock(nn.Module):
    """Shift, pointwise: y = x + S(B'(x)), out = B(G(P y)).

    Parameters
    ----------
    width : int
        Channels h.
    """

    form = "sp"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm: nn.Module = nn.BatchNorm2d(width)
        self.shift = Shift(width)
        self.mix: nn.Module = _mix(width, width)
        self.add: nn.Module = Add()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, h, H, W] to the same shape."""
        out: torch.Tensor = self.mix(self.add(x, self.shift(self.norm(x))))
        return out


class _Isotropic(nn.Module):
    """Stem, equal blocks, head: B, average pool, linear."""

    def __init__(
        self, width: int, blocks: list[nn.Module], num_classes: int, patch_size: int
    ) -> None:
        super().__init__()
        self.stem = _mix(3, width, patch_size)
        self.body = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images [B, 3, H, W] to logits [B, classes]."""
        x = self.norm(self.body(self.stem(x)))  # [B, h, H/p, W/p]
        logits: torch.Tensor = self.head(x.mean((2, 3)))
        return logits


class PSP(_Isotropic):
    """A PSP network, ``psp_{width}_{depth}``.

    Parameters
    ----------
    width : int
        Channels h, 12…4096.
    depth : int
        Blocks, 1…256; each has two pointwise layers.
    num_classes, patch_size : int
    form : BlockForm
        How the skip joins the shift; see `PSPBlock`.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        *,
        num_classes: int = 10,
        patch_size: int = 2,
        form: BlockForm = DEFAULT_FORM,
    ) -> None:
        blocks: list[nn.Module] = [PSPBlock(width, form) for _ in range(depth)]
        super().__init__(width, blocks, num_classes, patch_size)


class SP(_Isotropic):
    """An SP network, ``sp_{width}_{depth}``: one pointwise layer a block."""

    def __init__(
        self, width: int, depth: int, *, num_classes: int = 10, patch_size: int = 2
    ) -> None:
        blocks: list[nn.Module] = [SPBlock(width) for _ in range(depth)]
        super().__init__(width, blocks, num_classes, patch_size)


def create_model(
    name: str,
    *,
    num_classes: int = 10,
    image_size: int = 32,
    patch_size: int = 2,
    form: BlockForm = DEFAULT_FORM,
    shortcut: Shortcut = "projection",
) -> nn.Module:
    """Make a network by its name, with fresh weights from torch's global generator.

    Parameters
    ----------
    name : str
        ``psp_{width}_{depth}``, ``sp_{width}_{depth}``, or one of ``model.baselines``.
    num_classes : int
        Classes, 1…65536.
    image_size : int
        Height and width of the images; a multiple of ``patch_size``.
    patch_size : int
        Side of the patches that the stem embeds; the baselines have none.
    form : BlockForm
        Block form of a PSP network.
    shortcut : {"projection", "identity"}
        What a CIFAR ResNet's skip does where the shape changes; see `model.layers.layer_shapes`.

    Raises
    ------
    ParameterError
        If the name is unknown, or a number out of range.
    """
    check_integer("num_classes", num_classes, 1, 65536)
    check_integer("patch_size", patch_size, 1, 64)
    check_integer("image_size", image_size, patch_size, 4096)
    if form not in BLOCKS:
        raise ParameterError(f"form must be one of {', '.join(BLOCKS)}, not {form!r}")
    parts = re.fullmatch(r"(psp|sp)_(\d{1,6})_(\d{1,6})", name)
    if not parts:
        from model.baselines import create_baseline  # only where one is asked for

        return create_baseline(
            name, num_classes=num_classes, image_size=image_size, shortcut=shortcut
        )
    if image_size % patch_size:
        raise ParameterError(
            f"image_size must be a multiple of patch_size {patch_size}, not {image_size}"
        )
    width = check_integer("width", int(parts[2]), CHANNEL_DIVIDER, MAX_WIDTH)
    depth = check_integer("depth", int(parts[3]), 1, MAX_DEPTH)
    if parts[1] == "sp":
        return SP(width, depth, num_classes=num_classes, patch_size=patch_size)
    return PSP(width, depth, num_classes=num_classes, patch_size=patch_size, form=form)
