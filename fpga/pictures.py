# SPDX-License-Identifier: Apache-2.0
"""Images to classify: pictures from anywhere, or a data set's test images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hw import disk
from hw.params import ParameterError
from model import cifar
from model.cifar import DataError
from model.intnet import IntNet

__all__ = ["CLASSES", "dataset", "pictures"]

CLASSES = {
    "cifar10": (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )
}  # fmt: skip
"""Names of classes, in their order, by data set; source: its file ``batches.meta``."""

MAX_BYTES = 1 << 26
"""Of a picture's file."""

_FORMATS = ("PNG", "JPEG", "WEBP")


def dataset(name: str, root: Path, count: int) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """Return the first test images of a data set, uint8 [N, C, H, W], and their labels.

    Raises
    ------
    DataError
        If the data set is missing or damaged.
    """
    spec = cifar.CIFAR[name]
    arrays = cifar.read(spec, root / cifar.file_name(spec))
    return arrays["test_images"][:count], arrays["test_labels"][:count].tolist()


def pictures(files: Sequence[Path], net: IntNet) -> npt.NDArray[np.uint8]:
    """Return pictures as a network takes them, uint8 [N, 3, S, S]; others than S × S are resized.

    Raises
    ------
    DataError
        If one is no picture.
    ParameterError
        If the network takes no square RGB images.
    """
    # Here, because nothing else needs Pillow.
    from model.image_folder import fit
    from model.picture import bombs_refused, decode_rgb

    colours, height, width = net.input_shape
    if colours != 3 or height != width:
        raise ParameterError(
            f"a network must take square RGB images, not {list(net.input_shape)}, for pictures"
        )
    with bombs_refused():
        images = [
            fit(decode_rgb(disk.content(file, MAX_BYTES, DataError), file, formats=_FORMATS), width)
            for file in files
        ]
    return np.stack(images)
