# SPDX-License-Identifier: Apache-2.0
"""Image folders as ImageNet is usually unpacked: ``train`` and ``val``, in each a folder a class.

All pictures are brought to one size and held in memory together: N·3·S² bytes. ImageNet-1k takes
16 GB at 64×64 and 200 GB at 224×224.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from model.cifar import DataError
from model.picture import bombs_refused, decode_rgb

__all__ = ["fit", "read_folder"]

SUFFIXES = frozenset({".jpeg", ".jpg", ".png", ".webp"})

_FORMATS = ("JPEG", "PNG", "WEBP")
_SPLITS = {"train": "train", "test": "val"}


def fit(picture: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """Bring a picture to a square: its centre, 7/8 of its shorter side, resized.

    That is the usual evaluation transform (shorter side to 256, the central 224) in one step, so
    that no long and narrow picture grows on the way. One that has the size stays as it is.

    Returns
    -------
    numpy.ndarray
        uint8 [3, size, size].
    """
    if picture.size != (size, size):
        side = min(picture.size) * 7 / 8
        left, top = ((length - side) / 2 for length in picture.size)
        box = (left, top, left + side, top + side)
        picture = picture.resize((size, size), Image.Resampling.BILINEAR, box)
    return np.asarray(picture).transpose(2, 0, 1)


def read_folder(root: Path, size: int) -> tuple[dict[str, npt.NDArray[Any]], int]:
    """Read and decode folders of pictures.

    Parameters
    ----------
    root : Path
        Holds ``train`` and ``val``, with the same classes, numbered in the order of their names.
        Files that are not named like pictures are passed over.
    size : int
        Side of the images, pixels.

    Returns
    -------
    arrays : dict of str to numpy.ndarray
        ``train_images`` and ``test_images``, uint8 [N, 3, size, size]; ``train_labels`` and
        ``test_labels``, int64 [N].
    num_classes : int

    Raises
    ------
    DataError
        If folders are missing or differ, a picture cannot be decoded, or memory is too small.
    """
    try:
        listed = {split: _list(root / folder) for split, folder in _SPLITS.items()}
    except OSError as error:
        raise DataError(
            f"{root} must hold train and val, in each a folder a class: "
            f"{error.filename}: {error.strerror}"
        ) from None
    names = list(listed["train"])
    if list(listed["test"]) != names:
        differing = sorted(listed["train"].keys() ^ listed["test"].keys())
        raise DataError(f"{root} must have the same classes in train and val, not {differing[0]}")
    for folder in (f for classes in listed.values() for f, files in classes.items() if not files):
        raise DataError(f"{root} must have pictures in every class folder, in {folder} too")
    count = sum(len(files) for classes in listed.values() for files in classes.values())
    needed = count * 3 * size * size
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise DataError(
            f"{root} at {size}×{size} needs {needed} bytes of memory, this machine has {memory}: "
            "choose a smaller image size"
        )
    arrays: dict[str, npt.NDArray[Any]] = {}
    for split, classes in listed.items():
        sizes = [len(files) for files in classes.values()]
        arrays[f"{split}_labels"] = np.repeat(np.arange(len(names)), sizes)
        arrays[f"{split}_images"] = _decode(
            [file for files in classes.values() for file in files], size
        )
    return arrays, len(names)


def _list(folder: Path) -> dict[str, list[Path]]:
    """Picture files by class, both in the order of their names."""
    return {
        place.name: sorted(file for file in place.iterdir() if file.suffix.lower() in SUFFIXES)
        for place in sorted(folder.iterdir())
        if place.is_dir()
    }


def _decode(files: list[Path], size: int) -> npt.NDArray[np.uint8]:
    """Decode pictures to uint8 [N, 3, size, size]."""
    images = np.empty((len(files), 3, size, size), np.uint8)

    def decode(number: int) -> None:
        images[number] = fit(decode_rgb(files[number], files[number], formats=_FORMATS), size)

    # Threads: Pillow decodes and resizes without holding the interpreter's lock.
    with bombs_refused(), ThreadPoolExecutor() as pool:
        for _ in pool.map(decode, range(len(files))):
            pass
    return images
