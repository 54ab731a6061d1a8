# SPDX-License-Identifier: Apache-2.0
"""Augmentation of a whole batch at once, each image by its own random numbers.

Drawing and applying are apart: `Augment.draw` makes one row of numbers an image from an explicit
generator, and applying is a pure function of image and row. So a resumed run repeats exactly,
and of several processes each can draw the global batch's rows and apply its own.

Sources: flip and translation with reflection as in K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a
Single GPU", 2024; cutout: T. DeVries and G. W. Taylor, "Improved Regularization of Convolutional
Neural Networks with Cutout", 2017.
"""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch.nn import functional

from hw.params import ParameterError, check_integer, check_number

__all__ = ["DRAWS", "Augment", "normalise"]

MAX_PIXELS = 1024

DRAWS = 12
"""Numbers an image: flip, dy, dx, cutout y and x, three of colour, four of the affine map. All
are drawn whether used or not, so that one option does not change another's random numbers."""

_LUMA = (0.299, 0.587, 0.114)


@functools.cache
def _per_channel(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Constants by channel, float32 [C, 1, 1]; made once, since a copy to a GPU waits for it."""
    return torch.tensor(values, device=device)[:, None, None]


def normalise(
    images: torch.Tensor,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    memory_format: torch.memory_format = torch.contiguous_format,
) -> torch.Tensor:
    """Bring pixels to mean 0 and deviation 1, channel by channel.

    Parameters
    ----------
    images : torch.Tensor
        uint8 or float [B, C, H, W], 0…255.
    mean, std : tuple of float
        C each, 255 counted as 1.
    memory_format : torch.memory_format
        Of the result.

    Returns
    -------
    torch.Tensor
        float32 [B, C, H, W].
    """
    result = images - 255 * _per_channel(mean, images.device)
    result.div_(255 * _per_channel(std, images.device))
    # Last: on the CPU, a subtraction from channels_last takes ten times as long.
    return result.contiguous(memory_format=memory_format)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of training images, then normalisation; by default only that.

    In this order: flip, translation, affine map, colour, normalisation, cutout.

    Parameters
    ----------
    mean, std : tuple of float
        Of the training pixels by channel, 255 counted as 1.
    flip : bool
        Mirror left and right, one image in two.
    translate : int
        Move by −translate…translate pixels in both axes; what comes in from outside is the
        image reflected at its border (the border itself not repeated).
    cutout : int
        Side in pixels of a square set to the mean. Its centre lies anywhere in the image, so part
        of it may be outside.
    colour : float
        0…1. Brightness, contrast and saturation are each scaled by a factor in 1 ± colour.
    affine : float
        0…0.5. Each entry of the 2×2 matrix that maps coordinates about the image's centre is off
        the identity's by up to this: rotation, scale and shear together. Bilinear, reflecting.
    memory_format : torch.memory_format
        Of the result.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool = False
    translate: int = 0
    cutout: int = 0
    colour: float = 0.0
    affine: float = 0.0
    memory_format: torch.memory_format = torch.contiguous_format

    def __post_init__(self) -> None:
        check_integer("translate", self.translate, 0, MAX_PIXELS)
        check_integer("cutout", self.cutout, 0, MAX_PIXELS)
        for name, value, high in (("colour", self.colour, 1.0), ("affine", self.affine, 0.5)):
            check_number(name, value, 0, high)

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Draw the random numbers of ``count`` images.

        Returns
        -------
        torch.Tensor
            float32 [count, 12] in 0 ≤ u < 1, on the generator's device.
        """
        return torch.rand(count, DRAWS, generator=generator, device=generator.device)

    def __call__(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Apply to images what their rows of random numbers say.

        Parameters
        ----------
        images : torch.Tensor
            uint8 [B, 3, H, W]; it is left as it is.
        draws : torch.Tensor
            float32 [B, 12], rows of `draw`, on the same device.

        Returns
        -------
        torch.Tensor
            float32 [B, 3, H, W], normalised.

        Raises
        ------
        ParameterError
            If the images are too small to be reflected so far, or are no such tensor.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ParameterError(
                f"images must be uint8 [B, 3, H, W], not {images.dtype} {list(images.shape)}"
            )
        side = min(images.shape[2:])
        if self.translate >= side:
            raise ParameterError(
                f"translate must be less than the image's side {side}, not {self.translate}"
            )
        u = draws.unbind(1)
        pixels = images
        if self.flip or self.translate:
            pixels = self._move(pixels, *u[0:3])
        if self.affine:
            pixels = self._warp(pixels, draws[:, 8:12])
        if self.colour:
            pixels = self._tint(pixels, draws[:, 5:8])
        result = normalise(pixels, self.mean, self.std)
        if self.cutout:
            result.mul_(self._outside_square(result, u[3], u[4]))
        return result.contiguous(memory_format=self.memory_format)

    def _move(
        self, images: torch.Tensor, flip: torch.Tensor, dy: torch.Tensor, dx: torch.Tensor
    ) -> torch.Tensor:
        """Flip and translate: one gather, by the index of each pixel's source."""
        count, channels, height, width = images.shape
        rows = self._sources(dy, height)
        columns = self._sources(dx, width)
        if self.flip:
            columns = torch.where(flip[:, None] < 0.5, width - 1 - columns, columns)
        # [B, H, 1] and [B, 1, W] → [B, 1, H·W], the same for all channels.
        index = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1)
        flat = images.flatten(2).gather(2, index.expand(-1, channels, -1))
        return flat.view(images.shape)

    def _sources(self, draw: torch.Tensor, size: int) -> torch.Tensor:
        """Index from which each pixel of an axis comes, reflected into it: int64 [B, size]."""
        # floor(u·k) < k for every float32 u < 1: the product never rounds up to k.
        offset = (draw * (2 * self.translate + 1)).long() - self.translate
        index = (torch.arange(size, device=draw.device) + offset[:, None]).abs()
        return size - 1 - (size - 1 - index).abs()

    def _warp(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Apply a random affine map about the centre: float32 [B, 3, H, W]."""
        matrix = torch.eye(2, device=images.device) + self._spread(draws, self.affine).view(
            -1, 2, 2
        )
        # No translation: that is `translate`.
        grid = functional.affine_grid(
            functional.pad(matrix, (0, 1)), list(images.shape), align_corners=False
        )
        return functional.grid_sample(
            images.float(), grid, padding_mode="reflection", align_corners=False
        )

    def _tint(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Scale brightness, contrast and saturation: float32 [B, 3, H, W] in 0…255."""
        factors = 1 + self._spread(draws, self.colour)[:, :, None, None, None]
        brightness, contrast, saturation = factors.unbind(1)
        pixels = images * brightness
        grey = (pixels * _per_channel(_LUMA, images.device)).sum(1, keepdim=True)
        # lerp(a, b, f) = a + f·(b − a): f of what sets the image apart from its grey.
        pixels = torch.lerp(grey, pixels, saturation)
        return torch.lerp(grey.mean((2, 3), keepdim=True), pixels, contrast).clamp_(0, 255)

    @staticmethod
    def _spread(draws: torch.Tensor, strength: float) -> torch.Tensor:
        """Bring 0…1 to −strength…strength."""
        return (2 * draws - 1) * strength

    def _outside_square(
        self, images: torch.Tensor, y: torch.Tensor, x: torch.Tensor
    ) -> torch.Tensor:
        """0 inside the square that is cut out, else 1: float32 [B, 1, H, W]."""
        inside = []
        for draw, size in ((y, images.shape[2]), (x, images.shape[3])):
            first = (draw * size).long() - self.cutout // 2
            distance = torch.arange(size, device=draw.device) - first[:, None]
            inside.append((distance >= 0) & (distance < self.cutout))
        return (~(inside[0][:, None, :, None] & inside[1][:, None, None, :])).float()
