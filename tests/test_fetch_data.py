# SPDX-License-Identifier: Apache-2.0
"""The command that fetches CIFAR: what it writes, refuses, and leaves behind."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import re
import signal
import stat
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from cifar_fakes import (
    IMAGES,
    MEMBERS,
    describe,
    install,
    make_arrays,
    official_members,
    pack,
    refused,
)

from model.cifar import CIFAR, Arrays, DataError, official_layout
from scripts import fetch_data


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """Return a tiny CIFAR-10, which for the test's length is the real one."""
    return install(monkeypatch)


@pytest.mark.parametrize("kind", MEMBERS)
def test_fetches_from_a_file(
    kind: str, arrays: Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = pack(tmp_path / "archive.tar.gz", MEMBERS[kind](arrays))
    out = tmp_path / "made" / "data"
    assert fetch_data.main(["--out", str(out), "--from", str(archive), "--json"]) == 0
    file = out / "cifar10.safetensors"
    # Its bytes do not depend on the kind of archive.
    assert file.read_bytes() == safetensors.numpy.save(arrays)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert os.listdir(out) == [file.name]
    captured = capsys.readouterr()
    assert captured.err == f"decoding {archive}\n"
    report = json.loads(captured.out)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert report == {
        "dataset": "cifar10",
        "file": str(file),
        "sha256": digest,
        "images": IMAGES,
        "source": "archive.tar.gz",
    }


def test_second_run_verifies_and_ends(
    arrays: Arrays,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = pack(tmp_path / "archive.tar.gz", official_members(arrays))
    assert fetch_data.main(["--out", str(tmp_path), "--from", str(archive)]) == 0
    first = capsys.readouterr().out
    assert re.fullmatch(rf"{tmp_path}/cifar10\.safetensors  sha256 [0-9a-f]{{64}}\n", first)
    monkeypatch.setattr(fetch_data, "SOURCES", {"cifar10": ()})
    assert fetch_data.main(["--out", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (first, "")


def test_damaged_file_is_replaced(
    arrays: Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = pack(tmp_path / "archive.tar.gz", official_members(arrays))
    command = ["--out", str(tmp_path), "--from", str(archive)]
    assert fetch_data.main(command) == 0
    file = tmp_path / "cifar10.safetensors"
    right = file.read_bytes()
    file.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    capsys.readouterr()
    assert fetch_data.main(command) == 0
    pattern = (
        rf"{file}: the train split must have sha256 [0-9a-f]{{64}}, not [0-9a-f]{{64}}: "
        rf"it is fetched anew\ndecoding {archive}\n"
    )
    assert re.fullmatch(pattern, capsys.readouterr().err)
    assert file.read_bytes() == right


def test_cifar100_keeps_both_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = make_arrays()
    for split in IMAGES:
        arrays[f"{split}_coarse_labels"] = arrays[f"{split}_labels"] // 2
    monkeypatch.setitem(CIFAR, "cifar100", describe("cifar100", arrays))
    members = {
        f"cifar-100-binary/{split}.bin": official_layout(
            *(arrays[f"{split}_{name}"] for name in ("images", "coarse_labels", "labels"))
        )
        for split in IMAGES
    }
    archive = pack(tmp_path / "archive.tar.gz", members)
    assert fetch_data.main(["cifar100", "--out", str(tmp_path), "--from", str(archive)]) == 0
    written = safetensors.numpy.load((tmp_path / "cifar100.safetensors").read_bytes())
    assert written.keys() == arrays.keys()
    assert all(np.array_equal(written[name], arrays[name]) for name in arrays)


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_refuses_other_content_by_its_hash_alone(
    kind: str,
    name: str,
    arrays: Arrays,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Two images or labels change places: sizes, classes and statistics stay as they are.
    values = arrays[name]
    second = int(np.argmax(values != values[0])) if values.ndim == 1 else 1
    values[[0, second]] = values[[second, 0]]
    archive = pack(tmp_path / "archive.tar.gz", MEMBERS[kind](arrays))
    split = name.partition("_")[0]
    digests = "sha256 [0-9a-f]{64}, not [0-9a-f]{64}"
    refused(capsys, archive, f"{archive}: the {split} split must have {digests}")
    # Control: where these are the expected hashes, nothing else is wrong.
    monkeypatch.setitem(CIFAR, "cifar10", describe("cifar10", arrays))
    assert fetch_data.main(["--out", str(tmp_path / "out"), "--from", str(archive)]) == 0


def test_cross_checks_can_fail(arrays: Arrays) -> None:
    dataset = CIFAR["cifar10"]
    fetch_data.cross_check(dataset, arrays)
    labels = arrays["test_labels"].copy()
    labels[labels == 4] = 5
    message = "each class must have 1 test images, not [1, 1, 1, 1, 0, 2, 1, 1, 1, 1]"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        fetch_data.cross_check(dataset, arrays | {"test_labels": labels})
    beyond = labels.copy()
    beyond[0] = 200
    with pytest.raises(DataError, match=r"^each class must have 1 test images, not \[.*, 1\]$"):
        fetch_data.cross_check(dataset, arrays | {"test_labels": beyond})
    pattern = (
        r"^channel 2 must have mean and deviation 0\.\d+ and 0\.\d+, not 0\.\d{5} and 0\.\d{5}$"
    )
    for changed in ("mean", "std"):
        values = getattr(dataset, changed)
        other = dataclasses.replace(dataset, **{changed: (*values[:2], values[2] + 3e-5)})
        with pytest.raises(DataError, match=pattern):
            fetch_data.cross_check(other, arrays)


def test_refuses_what_only_the_cross_check_sees(
    arrays: Arrays,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = arrays["test_labels"]
    labels[labels == 4] = 5
    monkeypatch.setitem(CIFAR, "cifar10", describe("cifar10", arrays))
    archive = pack(tmp_path / "archive.tar.gz", official_members(arrays))
    refused(capsys, archive, r"each class must have 1 test images, not \[.+\]")


def test_refuses_files_that_are_no_archives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    refused(capsys, missing, f"{missing} must be a readable file: No such file or directory")
    refused(capsys, tmp_path / ".", f"{tmp_path} must be a readable file: Is a directory")
    text = tmp_path / "text"
    text.write_text("text")
    refused(capsys, text, rf"{text} must be a whole \.tar\.gz archive: Not a gzipped file .*")


def test_refuses_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="^2$"):
        fetch_data.main(["mnist"])
    pattern = r"python -m scripts\.fetch_data: error: argument dataset: invalid choice: .*\n"
    assert re.fullmatch(pattern, capsys.readouterr().err)
    occupied = tmp_path / "file"
    occupied.touch()
    with pytest.raises(SystemExit, match="^2$"):
        fetch_data.main(["--out", str(occupied)])
    message = (
        "python -m scripts.fetch_data: error: "
        f"--out must be a folder: {occupied}: Not a directory\n"
    )
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("place", ["fsync", "chmod", "replace"])
@pytest.mark.parametrize("before", [None, b"an earlier file"])
def test_failed_write_leaves_nothing(
    place: str,
    before: bytes | None,
    arrays: Arrays,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = pack(tmp_path / "archive.tar.gz", official_members(arrays))
    out = tmp_path / "out"
    out.mkdir()
    if before:
        (out / "cifar10.safetensors").write_bytes(before)

    def fail(*arguments: object) -> None:
        assert len(os.listdir(out)) == (2 if before else 1)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, place, fail)
    with pytest.raises(SystemExit, match="^2$"):
        fetch_data.main(["--out", str(out), "--from", str(archive)])
    message = f"error: {out / 'cifar10.safetensors'} must be writable: No space left on device"
    assert capsys.readouterr().err.endswith(f"\npython -m scripts.fetch_data: {message}\n")
    left = {path.name: path.read_bytes() for path in out.iterdir()}
    assert left == ({"cifar10.safetensors": before} if before else {})


def test_interruption_leaves_nothing(
    arrays: Arrays,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = pack(tmp_path / "archive.tar.gz", official_members(arrays))

    def interrupt(*arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_data.main(["--out", str(tmp_path), "--from", str(archive)])
    assert os.listdir(tmp_path) == ["archive.tar.gz"]
