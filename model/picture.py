# SPDX-License-Identifier: Apache-2.0
"""Decode a picture that may come from anywhere: RGB within a bound, or one clear error."""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from model.cifar import DataError

__all__ = ["bombs_refused", "decode_rgb"]

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")

_ERRORS = (
    OSError,
    SyntaxError,  # what Pillow calls a broken PNG
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


@contextlib.contextmanager
def bombs_refused() -> Iterator[None]:
    """Make Pillow refuse a picture of more pixels than it thinks sane; by itself it only warns.

    Wraps all decoding at once, since warning filters belong to the process, not to a thread.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode_rgb(
    source: Path | bytes,
    name: object,
    *,
    formats: tuple[str, ...],
    size: tuple[int, int] | None = None,
) -> Image.Image:
    """Decode a picture to RGB.

    Parameters
    ----------
    source : Path or bytes
        A file, or its content.
    name : object
        What to call it in a message.
    formats : tuple of str
        Pillow's names of the formats allowed; its other decoders never see the data.
    size : tuple of int, optional
        Width and height that it must have, checked before a pixel is decoded.

    Raises
    ------
    DataError
        If it is no such picture.
    """
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source, "r", formats) as (
            picture
        ):
            if size is not None and picture.size != size:
                found = "×".join(map(str, picture.size))
                raise DataError(f"{name} must have {size[0]}×{size[1]} pixels, not {found}")
            if picture.mode not in _MODES:
                # Pillow would cut their values off at 255.
                raise DataError(f"{name} must have 8 bits a colour, not mode {picture.mode}")
            return picture.convert("RGB")
    except DataError:
        raise
    except MemoryError:
        # Pillow's limit of pixels lets a few bytes become a gigabyte.
        raise DataError(f"{name} must fit into memory as a picture") from None
    except _ERRORS as error:
        reason: object = error
        if isinstance(error, UnidentifiedImageError):
            reason = "unknown format"  # Pillow quotes its buffer object, or the file once more
        elif isinstance(error, OSError) and error.strerror:
            reason = error.strerror  # of the system, which names the file once more
        raise DataError(
            f"{name} must be a whole {' or '.join(formats)} picture: {reason}"
        ) from None
