# SPDX-License-Identifier: Apache-2.0
"""Data sets that live whole on the training device, and the batches of an epoch.

No worker processes and no copies while training: images are uint8 on the device, and shuffling
and augmentation happen there. An epoch is a function of the seed and its number alone, and several
processes share each global batch exactly as one would see it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from hw.params import ParameterError, check_integer
from model import cifar
from model.augment import Augment, normalise
from model.cifar import DataError

__all__ = [
    "Augment",
    "DataError",
    "Dataset",
    "batches",
    "epoch_generator",
    "load",
    "normalise",
    "synthetic",
]

MAX_IMAGE_SIZE = 1024

_FOLDER = "imagefolder:"
_NAMES = (*cifar.CIFAR, f"{_FOLDER}PATH", "synthetic")
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of ImageNet's training pixels; the customary values."""

_CELLS = 4


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Images and labels of two splits, on one device.

    Parameters
    ----------
    name : str
    train_images, test_images : torch.Tensor
        uint8 [N, 3, image_size, image_size].
    train_labels, test_labels : torch.Tensor
        int64 [N], 0…num_classes − 1.
    num_classes : int
    image_size : int
        Pixels.
    mean, std : tuple of float
        With which to normalise, by channel, 255 counted as 1.
    """

    name: str
    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor
    num_classes: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load(
    name: str,
    root: Path | str = "data",
    device: torch.device | str = "cpu",
    *,
    image_size: int = 224,
) -> Dataset:
    """Load a data set by its name.

    Parameters
    ----------
    name : str
        ``cifar10`` or ``cifar100``, from the file that ``scripts.fetch_data`` wrote;
        ``imagefolder:PATH``, folders of pictures; ``synthetic``, the default of `synthetic`.
    root : Path or str
        Folder of the CIFAR files.
    device : torch.device or str
    image_size : int
        Side to which the pictures of a folder are brought, pixels. The others have their own.

    Raises
    ------
    DataError
        If the data are missing or damaged.
    ParameterError
        If there is no data set of this name.
    """
    if name == "synthetic":
        return synthetic(device=device)
    if name in cifar.CIFAR:
        spec = cifar.CIFAR[name]
        arrays = cifar.read(spec, Path(root) / cifar.file_name(spec))
        return _dataset(
            name, arrays, device, num_classes=spec.num_classes, mean=spec.mean, std=spec.std
        )
    if name.startswith(_FOLDER) and "\0" not in name:
        check_integer("image_size", image_size, 8, MAX_IMAGE_SIZE)
        # Here, because only folders need Pillow.
        from model.image_folder import read_folder

        pictures, count = read_folder(Path(name.removeprefix(_FOLDER)), image_size)
        return _dataset(
            name, pictures, device, num_classes=count, mean=_IMAGENET_MEAN, std=_IMAGENET_STD
        )
    raise ParameterError(f"the data set must be one of {', '.join(_NAMES)}, not {name!r}")


def synthetic(
    *,
    train: int = 2048,
    test: int = 512,
    num_classes: int = 10,
    image_size: int = 32,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Dataset:
    """Make a data set that can be learnt: a pattern for each class, under noise.

    A pattern is 4×4 cells of random colour; a quarter of a pixel is pattern, three quarters are
    noise, uniform and independent. Labels take turns. The same arguments give the same images on
    every device.

    Parameters
    ----------
    train, test : int
        Images.
    num_classes : int
    image_size : int
        Pixels.
    seed : int
        0…2^63 − 1.
    device : torch.device or str
    """
    check_integer("train", train, 1, 1 << 20)
    check_integer("test", test, 1, 1 << 20)
    check_integer("num_classes", num_classes, 2, 1000)
    check_integer("image_size", image_size, _CELLS, MAX_IMAGE_SIZE)
    check_integer("seed", seed, 0, 2**63 - 1)
    # NumPy's, since PyTorch's numbers differ from device to device.
    source = np.random.Generator(np.random.PCG64(seed))
    cells = source.integers(0, 256, (num_classes, 3, _CELLS, _CELLS), dtype=np.uint8)
    cell = np.arange(image_size) * _CELLS // image_size
    patterns = cells[:, :, cell[:, None], cell].astype(np.uint16)
    arrays: dict[str, npt.NDArray[Any]] = {}
    for split, count in (("train", train), ("test", test)):
        labels = np.arange(count) % num_classes
        noise = source.integers(0, 256, (count, 3, image_size, image_size), dtype=np.uint8)
        images = (patterns[labels] + 3 * noise.astype(np.uint16)) // 4
        arrays[f"{split}_images"] = images.astype(np.uint8)
        arrays[f"{split}_labels"] = labels
    return _dataset(
        "synthetic", arrays, device, num_classes=num_classes, mean=(0.5,) * 3, std=(0.23,) * 3
    )


def _dataset(
    name: str,
    arrays: Mapping[str, npt.NDArray[Any]],
    device: torch.device | str,
    *,
    num_classes: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Dataset:
    """Put arrays on the device."""

    def put(key: str, dtype: torch.dtype) -> torch.Tensor:
        return torch.from_numpy(arrays[key]).to(device, dtype)

    return Dataset(
        name=name,
        train_images=put("train_images", torch.uint8),
        train_labels=put("train_labels", torch.int64),
        test_images=put("test_images", torch.uint8),
        test_labels=put("test_labels", torch.int64),
        num_classes=num_classes,
        image_size=arrays["train_images"].shape[-1],
        mean=mean,
        std=std,
    )


def epoch_generator(seed: int, epoch: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the random numbers of one epoch: of the seed and the epoch's number only.

    Raises
    ------
    ParameterError
        If either is no integer from 0 to 2^63 − 1.
    """
    check_integer("seed", seed, 0, 2**63 - 1)
    check_integer("epoch", epoch, 0, 2**63 - 1)
    # Mixed, not added: seed 1, epoch 0 must not repeat seed 0, epoch 1. PyTorch's CPU generator
    # reads only the lower 32 bits of its seed.
    mixed = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(mixed))


def batches(
    dataset: Dataset,
    batch_size: int,
    *,
    generator: torch.Generator,
    augment: Augment,
    rank: int = 0,
    world: int = 1,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Return the training batches of an epoch: shuffled, augmented, each image at most once.

    The generator decides everything, so that with `epoch_generator` an epoch can be repeated from
    its number. Images that do not fill a last batch are left out, other ones each epoch.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
        Images of a global batch, over all processes.
    generator : torch.Generator
        In the same state in all processes.
    augment : Augment
    rank, world : int
        Number of this process, and how many there are. Each gets its consecutive share of every
        global batch, with the augmentation that one process alone would have given it.

    Yields
    ------
    images : torch.Tensor
        float32 [batch_size / world, 3, H, W], normalised, on the data set's device.
    labels : torch.Tensor
        int64 [batch_size / world].

    Raises
    ------
    ParameterError
        If there are fewer images than a batch has, or a batch cannot be shared equally.
    """
    count = len(dataset.train_images)
    check_integer("batch_size", batch_size, 1, count)
    check_integer("world", world, 1, batch_size)
    check_integer("rank", rank, 0, world - 1)
    if batch_size % world:
        raise ParameterError(
            f"batch_size must be a multiple of the {world} processes, not {batch_size}"
        )
    share = batch_size // world
    mine = slice(rank * share, (rank + 1) * share)
    device = dataset.train_images.device

    def walk() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = torch.randperm(count, generator=generator, device=generator.device).to(device)
        for start in range(0, count - batch_size + 1, batch_size):
            # For the whole global batch, so that all processes stay in step.
            draws = augment.draw(batch_size, generator)[mine].to(device)
            chosen = order[start : start + batch_size][mine]
            yield augment(dataset.train_images[chosen], draws), dataset.train_labels[chosen]

    # Not a generator function itself: wrong parameters are told at the call.
    return walk()
