# SPDX-License-Identifier: Apache-2.0
"""CIFAR-10 and CIFAR-100 as arrays: what a file of them must hold, to the last byte.

A split's identity is the sha256 of its official binary form: for each image its label bytes, then
the red, green and blue planes of 1024 bytes each; the files of the split one after another. So
it does not matter from which archive the images came. NumPy and safetensors only.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", technical report,
University of Toronto, 2009; layouts and class counts from https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

__all__ = [
    "CIFAR",
    "SIDE",
    "Arrays",
    "Cifar",
    "DataError",
    "check",
    "file_name",
    "official_layout",
    "read",
    "split_sha256",
]

SIDE = 32

_CHUNK = 1000
_HEADER_BYTES = 1 << 16

Arrays = dict[str, npt.NDArray[np.uint8]]
"""By tensor name, as `Cifar.shapes` lists them; all uint8."""


class DataError(ValueError):
    """A data set is missing, damaged, or other than described."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cifar:
    """A data set of 32×32 RGB images in two splits, ``train`` and ``test``.

    Parameters
    ----------
    name : str
    num_classes : int
    label_columns : tuple of str
        Label bytes in front of each image, in the official order; ``labels`` is the class.
    images : mapping of str to int
        Number of images by split.
    sha256 : mapping of str to str
        Of the official binary form, by split.
    mean, std : tuple of float
        Of the training pixels by channel, 255 counted as 1.
    """

    name: str
    num_classes: int
    label_columns: tuple[str, ...]
    images: Mapping[str, int]
    sha256: Mapping[str, str]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor of a file, by name."""
        shapes: dict[str, tuple[int, ...]] = {}
        for split, count in self.images.items():
            shapes[f"{split}_images"] = (count, 3, SIDE, SIDE)
            shapes |= {f"{split}_{column}": (count,) for column in self.label_columns}
        return shapes


CIFAR = {
    "cifar10": Cifar(
        name="cifar10",
        num_classes=10,
        label_columns=("labels",),
        images={"train": 50_000, "test": 10_000},
        sha256={
            "train": "a0181da372c0d63a5920fdbea2ec3f83ecbc552d378218e1cb473cf634941a3b",
            "test": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        },
        mean=(0.49140, 0.48216, 0.44653),
        std=(0.24703, 0.24349, 0.26159),
    ),
    "cifar100": Cifar(
        name="cifar100",
        num_classes=100,
        label_columns=("coarse_labels", "labels"),
        images={"train": 50_000, "test": 10_000},
        sha256={
            "train": "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
            "test": "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
        },
        mean=(0.50708, 0.48655, 0.44092),
        std=(0.26733, 0.25644, 0.27615),
    ),
}


def file_name(dataset: Cifar) -> str:
    """Name of the file that holds a data set, in its folder."""
    return f"{dataset.name}.safetensors"


def official_layout(images: npt.NDArray[np.uint8], *labels: npt.NDArray[np.uint8]) -> bytes:
    """Return the official binary form: for each image its label bytes, then 3072 pixel bytes.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 [N, 3, 32, 32].
    *labels : numpy.ndarray
        uint8 [N] each.
    """
    return np.column_stack([*labels, images.reshape(len(images), -1)]).tobytes()


def split_sha256(dataset: Cifar, arrays: Arrays, split: str) -> str:
    """Return the sha256 of a split's official binary form, in hexadecimal."""
    images = arrays[f"{split}_images"]
    labels = [arrays[f"{split}_{column}"] for column in dataset.label_columns]
    digest = hashlib.sha256()
    for start in range(0, len(images), _CHUNK):
        part = slice(start, start + _CHUNK)
        digest.update(official_layout(images[part], *(column[part] for column in labels)))
    return digest.hexdigest()


def check(dataset: Cifar, arrays: Arrays, where: object) -> None:
    """Check names, dtypes, shapes and every byte of a data set.

    Parameters
    ----------
    dataset : Cifar
    arrays : dict of str to numpy.ndarray
    where : object
        What the arrays came from, for the message.

    Raises
    ------
    DataError
        If anything differs from ``dataset``.
    """
    expected = {name: ("uint8", shape) for name, shape in sorted(dataset.shapes.items())}
    found = {name: (str(value.dtype), value.shape) for name, value in sorted(arrays.items())}
    if found != expected:
        raise DataError(f"{where} must hold {expected}, not {found!s:.300}")
    for split, wanted in dataset.sha256.items():
        digest = split_sha256(dataset, arrays, split)
        if digest != wanted:
            raise DataError(f"{where}: the {split} split must have sha256 {wanted}, not {digest}")


def read(dataset: Cifar, file: Path) -> Arrays:
    """Read a data set from the file that `scripts.fetch_data` wrote, and check it.

    Raises
    ------
    DataError
        If the file is missing or holds anything else.
    """
    size = sum(int(np.prod(shape)) for shape in dataset.shapes.values())
    try:
        # Before a byte is read: a file from elsewhere could be of any size.
        if file.stat().st_size > size + _HEADER_BYTES:
            raise DataError(
                f"{file} must have at most {size + _HEADER_BYTES} bytes, not {file.stat().st_size}"
            )
        with safe_open(file, framework="np") as content:
            arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"{file} must be a readable file: {reason}; to get it, run "
            f"`python -m scripts.fetch_data {dataset.name} --out {file.parent}`"
        ) from None
    # AttributeError and TypeError: a dtype that NumPy does not have. An error may quote the file.
    except (SafetensorError, AttributeError, TypeError) as error:
        raise DataError(f"{file} must be a safetensors file: {error!s:.200}") from None
    check(dataset, arrays, file)
    return arrays
