# SPDX-License-Identifier: Apache-2.0
"""Real inputs for tests and simulations: a few CIFAR-10 test images, and a stem to embed them.

NumPy and safetensors only. The images are data of the zoo, `model/zoo/cifar10_test_48.md`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from hw.params import MAX_CHANNELS, ParameterError, ParameterTypeError, check_integer

__all__ = ["IMAGES_PATH", "IMAGES_SHA256", "ImageFileError", "embed", "zoo_images"]

IMAGES_PATH = Path(__file__).parent / "zoo" / "cifar10_test_48.safetensors"
IMAGES_SHA256 = "2e45f237410e8bd50e2e5b15f94cc2142652b6a03da8e78bcb9647232b991489"
"""Of the whole file; `scripts/make_zoo_images.py` writes it byte for byte the same."""

_COUNT = 48
_SIDE = 32
_PATCH = 2
_ROWS = _PATCH * _PATCH * 3


class ImageFileError(ValueError):
    """The image file is not the one described; the message states the rule, then the value."""


def zoo_images() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the first 48 test images of CIFAR-10 and their labels.

    Returns
    -------
    images : numpy.ndarray
        uint8 [48, 3, 32, 32], planes in the order red, green, blue.
    labels : numpy.ndarray
        uint8 [48], classes 0…9.

    Raises
    ------
    ImageFileError
        If the file's bytes, or the shapes and dtypes in it, are others.
    FileNotFoundError
        If it is missing.
    """
    data = IMAGES_PATH.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != IMAGES_SHA256:
        raise ImageFileError(f"{IMAGES_PATH.name} must have sha256 {IMAGES_SHA256}, not {digest}")
    tensors = safetensors.numpy.load(data)
    found = {name: (str(value.dtype), value.shape) for name, value in sorted(tensors.items())}
    expected = {"images": ("uint8", (_COUNT, 3, _SIDE, _SIDE)), "labels": ("uint8", (_COUNT,))}
    if found != expected:
        raise ImageFileError(f"{IMAGES_PATH.name} must hold {expected}, not {found}")
    return tensors["images"], tensors["labels"]


def embed(images: npt.NDArray[np.uint8], channels: int, *, seed: int) -> npt.NDArray[np.int8]:
    """Embed images with a random stem: 2×2 patches, stride 2, integers only.

    A stand-in for a trained stem, which gives a shift block activations that have the spatial
    structure of real images and use the whole int8 range. Patch rows are ordered (ky, kx,
    channel); a pixel counts as its value − 128; int8 weights come from
    ``Generator(PCG64(seed))``; accumulators are int32, and are brought to int8 by
    ``(v + 2^(k−1)) >> k`` and saturation.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 [N, 3, 32, 32].
    channels : int
        Output channels, 1…4096.
    seed : int
        Seed of the weights, 0…2^63 − 1.

    Returns
    -------
    numpy.ndarray
        int8 [N, channels, 16, 16].

    Raises
    ------
    ParameterTypeError
        If ``images`` is no uint8 array, or a number is no integer.
    ParameterError
        If the shape or a number is out of range.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        kind = images.dtype if isinstance(images, np.ndarray) else type(images).__name__
        raise ParameterTypeError(f"images must be a numpy.ndarray of uint8, not {kind}")
    if images.ndim != 4 or images.shape[1:] != (3, _SIDE, _SIDE):
        shape = list(images.shape)
        raise ParameterError(f"images must have the shape [N, 3, {_SIDE}, {_SIDE}], not {shape}")
    check_integer("channels", channels, 1, MAX_CHANNELS)
    check_integer("seed", seed, 0, 2**63 - 1)
    generator = np.random.Generator(np.random.PCG64(seed))
    weights = generator.integers(-128, 128, size=(_ROWS, channels), dtype=np.int8)
    weights = weights.astype(np.int32)
    side = _SIDE // _PATCH
    # [N, 3, y, ky, x, kx] → [N, y, x, ky, kx, 3] → rows of 12.
    patches = (images.astype(np.int32) - 128).reshape(-1, 3, side, _PATCH, side, _PATCH)
    patches = patches.transpose(0, 2, 4, 3, 5, 1).reshape(-1, side, side, _ROWS)
    accumulators = patches @ weights
    # With L the mean Σ|w| of an output, 2^k ≤ L < 2^(k+1). All pixels are within ±128, and ±128
    # only at black and white: values fill int8, and only hard contrasts can saturate.
    k = (int(np.abs(weights).sum()) // channels).bit_length() - 1
    rounded = (accumulators + (1 << (k - 1))) >> k
    saturated: npt.NDArray[np.int8] = np.clip(rounded, -128, 127).astype(np.int8)
    return saturated.transpose(0, 3, 1, 2).copy()
