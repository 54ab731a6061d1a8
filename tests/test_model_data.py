# SPDX-License-Identifier: Apache-2.0
"""Data sets from files, folders and thin air."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from cifar_fakes import describe, install, make_arrays
from PIL import Image

from hw.params import ParameterError
from model import data, image_folder, picture
from model.cifar import CIFAR, Arrays
from model.data import DataError, Dataset, load, synthetic
from model.images import zoo_images

torch.set_num_threads(1)

REAL = Path(__file__).parent.parent / "data"


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Arrays:
    """Return a tiny CIFAR-10, which lies in the test's folder."""
    made = install(monkeypatch)
    (tmp_path / "cifar10.safetensors").write_bytes(safetensors.numpy.save(made))
    return made


def test_loads_cifar10(arrays: Arrays, tmp_path: Path) -> None:
    dataset = load("cifar10", tmp_path)
    assert (dataset.name, dataset.num_classes, dataset.image_size) == ("cifar10", 10, 32)
    for name, values in arrays.items():
        tensor = getattr(dataset, name)
        assert tensor.dtype == (torch.uint8 if name.endswith("images") else torch.int64)
        assert np.array_equal(tensor.numpy(), values)
    pixels = data.normalise(dataset.train_images, dataset.mean, dataset.std)
    assert torch.allclose(pixels.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(pixels.std((0, 2, 3)), torch.ones(3), atol=1e-4)


def test_loads_the_fine_labels_of_cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_arrays()
    for split in ("train", "test"):
        made[f"{split}_coarse_labels"] = made[f"{split}_labels"] // 2
    monkeypatch.setitem(CIFAR, "cifar100", describe("cifar100", made))
    (tmp_path / "cifar100.safetensors").write_bytes(safetensors.numpy.save(made))
    assert np.array_equal(load("cifar100", tmp_path).test_labels.numpy(), made["test_labels"])


@pytest.mark.skipif(not (REAL / "cifar10.safetensors").exists(), reason="data are not fetched")
def test_the_real_data_begin_with_the_images_of_the_zoo() -> None:
    dataset = load("cifar10", REAL)
    images, labels = zoo_images()
    assert np.array_equal(dataset.test_images[:48].numpy(), images)
    assert np.array_equal(dataset.test_labels[:48].numpy(), labels)


def refuses(message: str, name: str, root: Path) -> None:
    with pytest.raises(DataError, match=f"^{message}$") as caught:
        load(name, root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_data_tells_what_to_run(name: str, tmp_path: Path) -> None:
    command = f"`python -m scripts.fetch_data {name} --out {tmp_path}`"
    file = tmp_path / f"{name}.safetensors"
    reason = "No such file or directory"
    refuses(f"{file} must be a readable file: {reason}; to get it, run {command}", name, tmp_path)


def test_refuses_damaged_files(arrays: Arrays, tmp_path: Path) -> None:
    file = tmp_path / "cifar10.safetensors"
    whole = file.read_bytes()
    for position in (len(whole) - 1, len(whole) // 2):
        changed = bytearray(whole)
        changed[position] ^= 1
        file.write_bytes(changed)
        digests = "sha256 [0-9a-f]{64}, not [0-9a-f]{64}"
        refuses(f"{file}: the (train|test) split must have {digests}", "cifar10", tmp_path)
    for cut in (0, 7, 100, len(whole) - 1):
        file.write_bytes(whole[:cut])
        refuses(f"{file} must be a safetensors file: .+", "cifar10", tmp_path)
    file.write_bytes(whole + bytes(1 << 17))
    refuses(
        rf"{file} must have at most \d+ bytes, not {len(whole) + (1 << 17)}", "cifar10", tmp_path
    )
    # Control: as it was, it loads.
    file.write_bytes(whole)
    load("cifar10", tmp_path)


@pytest.mark.parametrize("change", ["missing", "more", "dtype", "shape"])
def test_refuses_other_tensors(change: str, arrays: Arrays, tmp_path: Path) -> None:
    file = tmp_path / "cifar10.safetensors"
    other = dict(arrays)
    if change == "missing":
        del other["test_labels"]
    elif change == "more":
        other["more"] = np.zeros(1, np.uint8)
    elif change == "shape":
        other["test_labels"] = other["test_labels"].reshape(2, 5)
    elif change == "dtype":
        other["test_labels"] = other["test_labels"].astype(np.int8)
    file.write_bytes(safetensors.numpy.save(other))
    refuses(rf"{file} must hold \{{.+\}}, not \{{.+\}}", "cifar10", tmp_path)


def test_little_of_a_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "cifar10.safetensors"
    file.write_bytes(safetensors.numpy.save({"x" * 3000: np.zeros(1, np.uint8)}))
    refuses(rf"{file} must hold .+, not .{{300}}", "cifar10", tmp_path)


def test_a_picture_that_takes_too_much_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")

    def load(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", load)
    with pytest.raises(DataError, match=r"^a\.png must fit into memory as a picture$"):
        picture.decode_rgb(tmp_path / "a.png", "a.png", formats=("PNG",))


def test_refuses_dtypes_that_numpy_lacks(arrays: Arrays, tmp_path: Path) -> None:
    file = tmp_path / "cifar10.safetensors"
    content = safetensors.numpy.save({"a": np.zeros(2, np.uint8)})
    for dtype in (b'"F9"', b'"F8_E4M3"'):
        header = content[8:-2].rstrip().replace(b'"U8"', dtype)
        file.write_bytes(len(header).to_bytes(8, "little") + header + content[-2:])
        refuses(f"{file} must be a safetensors file: .+", "cifar10", tmp_path)


def test_refuses_unknown_names() -> None:
    names = "cifar10, cifar100, imagefolder:PATH, synthetic"
    with pytest.raises(ParameterError, match=f"^the data set must be one of {names}, not 'mnist'$"):
        load("mnist")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return train and val with the classes a and b, pictures of several kinds and sizes."""
    root = tmp_path / "tree"
    source = np.random.default_rng(5)
    for number, (split, name, count) in enumerate(
        [("train", "b", 3), ("train", "a", 2), ("val", "a", 1), ("val", "b", 2)]
    ):
        folder = root / split / name
        folder.mkdir(parents=True)
        for n in range(count):
            pixels = source.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{n}.png")
        (folder / "notes.txt").write_text(f"{number}")
    Image.new("L", (40, 20), 77).save(root / "train" / "a" / "9.JPEG")
    (root / "README").write_text("beside the splits")
    (root / "train" / "list.txt").write_text("beside the classes")
    return root


def test_loads_folders_of_pictures(tree: Path) -> None:
    dataset = load(f"imagefolder:{tree}", image_size=16)
    assert dataset.num_classes == 2
    assert dataset.image_size == 16
    assert dataset.train_images.shape == (6, 3, 16, 16)
    assert dataset.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test_labels.tolist() == [0, 1, 1]
    files = ["train/a/0.png", "train/a/1.png", "train/a/9.JPEG", "train/b/0.png"]
    for file, image in zip(files, dataset.train_images, strict=False):
        with Image.open(tree / file) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        if file.endswith("png"):
            assert np.array_equal(image.numpy(), pixels.transpose(2, 0, 1))
        else:
            assert (image == 77).all()


def test_fit_takes_the_centre() -> None:
    # Seven eighths of the shorter side, 16: columns 17…30 and rows 1…14, two of each a pixel.
    pixels = np.zeros((16, 48, 3), np.uint8)
    pixels[:, :, 0] = np.arange(48)
    pixels[:, :, 1] = np.arange(16)[:, None]
    fitted = image_folder.fit(Image.fromarray(pixels), 7)
    assert fitted.shape == (3, 7, 7)
    assert np.abs(fitted[0] - (17.5 + 2 * np.arange(7))).max() <= 0.5
    assert np.abs(fitted[1, 1:-1] - (1.5 + 2 * np.arange(7))[1:-1, None]).max() <= 0.5
    assert image_folder.fit(Image.new("RGB", (1, 60_000)), 8).shape == (3, 8, 8)


def test_refuses_folders(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"imagefolder:{tree}"
    picture = tree / "train" / "b" / "2.png"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:-200])
    refuses(f"{picture} must be a whole JPEG or PNG or WEBP picture: .+", name, tree)
    Image.new("I;16", (8, 8), 300).save(picture, "PNG")
    refuses(f"{picture} must have 8 bits a colour, not mode I;16", name, tree)
    picture.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    refuses(f"{picture} must be a whole .+ picture: unknown format", name, tree)
    picture.unlink()
    picture.symlink_to("nowhere")
    refuses(f"{picture} must be a whole .+ picture: No such file or directory", name, tree)
    picture.unlink()
    picture.write_bytes(whole)
    with monkeypatch.context() as small:
        small.setattr(os, "sysconf", lambda key: 64)
        at = f"{tree} at 224×224 needs 1354752 bytes of memory, this machine has 4096"
        refuses(f"{at}: choose a smaller image size", name, tree)
    (tree / "val" / "c").mkdir()
    refuses(f"{tree} must have the same classes in train and val, not c", name, tree)
    (tree / "train" / "c").mkdir()
    inside = f"{tree} must have pictures in every class folder, in c too"
    refuses(inside, name, tree)
    reason = "must hold train and val, in each a folder a class"
    missing = tree / "no"
    refuses(
        f"{missing} {reason}: {missing}/train: No such file or directory",
        f"imagefolder:{missing}",
        tree,
    )


def test_synthetic_is_seeded() -> None:
    one, two = synthetic(), load("synthetic")
    assert torch.equal(one.train_images, two.train_images)
    assert torch.equal(one.test_images, two.test_images)
    assert not torch.equal(one.train_images, synthetic(seed=1).train_images)
    digest = hashlib.sha256(one.train_images.numpy().tobytes()).hexdigest()
    # NumPy does not promise its random streams for ever; a change would move every test's loss.
    assert digest == "ea5bfbfe9c51a85f65d87a9313242826f14d9573e5e828f6ba4c46135578e03e"


def test_synthetic_has_the_size_asked_for() -> None:
    dataset = synthetic(train=30, test=7, num_classes=3, image_size=10)
    assert dataset.train_images.shape == (30, 3, 10, 10)
    assert dataset.test_labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert (dataset.num_classes, dataset.image_size) == (3, 10)
    with pytest.raises(
        ParameterError, match=r"^image_size must be an integer from 4 to 1024, not 3$"
    ):
        synthetic(image_size=3)


def nearest_mean_accuracy(dataset: Dataset, labels: torch.Tensor) -> float:
    """Accuracy on the test split of the nearest of the classes' mean training images."""
    train, test = (
        images.float().flatten(1) for images in (dataset.train_images, dataset.test_images)
    )
    means = torch.stack([train[labels == n].mean(0) for n in range(dataset.num_classes)])
    found = torch.cdist(test, means).argmin(1)
    return (found == dataset.test_labels).float().mean().item()


def test_synthetic_can_be_learnt() -> None:
    dataset = synthetic(train=500, test=500)
    assert nearest_mean_accuracy(dataset, dataset.train_labels) > 0.95
    # Control: with labels that belong to other images it cannot.
    shuffled = dataset.train_labels[torch.randperm(500, generator=torch.Generator().manual_seed(0))]
    assert nearest_mean_accuracy(dataset, shuffled) < 0.4
