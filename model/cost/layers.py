# SPDX-License-Identifier: Apache-2.0
"""What the cost simulator knows of a layer, and of a network: `model.cost.networks` makes them.

A leaf.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from hw.params import ParameterError
from model.cost.statistics import Statistics
from model.layer_shape import LayerShape

__all__ = ["Layer", "Network"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer that owns crossbars.

    Parameters
    ----------
    shape : LayerShape
    moved : int
        Channels of its input that the shift block moves before it; 0 if nothing is shifted.
    pool : int
        Side of the pooling window that follows, which steps by its side; 1 if none does.
    statistics : Statistics, optional
        Of real weights and activations; without, the simulation assumes some.
    """

    shape: LayerShape
    moved: int = 0
    pool: int = 1
    statistics: Statistics | None = dataclasses.field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Path of the layer in its network."""
        return self.shape.name

    @property
    def rows(self) -> int:
        """Rows R of the matrix that lies in crossbars: cin·k², of all groups together.

        A grouped convolution is one block-diagonal matrix, whose other cells store nothing.
        """
        return self.shape.in_channels * self.shape.kernel**2

    @property
    def outputs(self) -> int:
        """Weights a row: cout."""
        return self.shape.out_channels

    @property
    def positions(self) -> int:
        """Vectors an image: the output pixels, those that need padding included."""
        return self.shape.out_height * self.shape.out_width

    @property
    def unpadded_positions(self) -> int:
        """Vectors an image as the reference simulator counts them.

        ⌊(H − k + 1)/s · (W − k + 1)/s⌋, rounded once: 900 instead of 1024 for a 3×3 layer on 32×32
        pixels, and 240 instead of 256 for the 2×2 stem, without any padding.
        """
        height = self.shape.in_height - self.shape.kernel + 1
        width = self.shape.in_width - self.shape.kernel + 1
        # A padded kernel may be larger than the map; one position is left.
        return max(1, max(0, height) * max(0, width) // self.shape.stride**2)

    @property
    def operations(self) -> int:
        """Multiplications and additions of an image: 2·weights·positions."""
        return 2 * self.shape.macs

    @property
    def unstrided_operations(self) -> int:
        """Operations as the reference simulator counts them: 2·H·W·R·cout, with no stride."""
        return 2 * self.shape.weights * self.shape.in_height * self.shape.in_width

    @property
    def moved_pixels(self) -> int:
        """Pixels of an image that the shift block moves before this layer."""
        return self.moved * self.shape.in_height * self.shape.in_width


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A network that is mapped onto crossbars.

    Parameters
    ----------
    name : str
    layers : tuple of Layer
        At least one; their names differ.
    activations : {"gelu", "relu"}, optional
        Its non-linearity, where it is known.
    """

    name: str
    layers: tuple[Layer, ...]
    activations: Literal["gelu", "relu"] | None = None

    def __post_init__(self) -> None:
        if not self.layers:
            raise ParameterError(f"{self.name}: a network must have at least 1 layer, not 0")

    @property
    def weights(self) -> int:
        """Weights of all layers, without bias."""
        return sum(layer.shape.weights for layer in self.layers)

    @property
    def operations(self) -> int:
        """Operations of an image."""
        return sum(layer.operations for layer in self.layers)
