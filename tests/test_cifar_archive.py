# SPDX-License-Identifier: Apache-2.0
"""Archives of CIFAR that are cut, altered or hostile: one line each, and nothing written."""

from __future__ import annotations

import os
import re
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from cifar_fakes import (
    MEMBERS,
    install,
    npm_members,
    official_members,
    pack,
    refused,
)

from model.cifar import Arrays
from scripts import cifar_archive, fetch_data


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> Arrays:
    """Return a tiny CIFAR-10, which for the test's length is the real one."""
    return install(monkeypatch)


@pytest.mark.parametrize("kind", MEMBERS)
def test_refuses_truncated_archives(
    kind: str, arrays: Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = pack(tmp_path / "whole.tar.gz", MEMBERS[kind](arrays)).read_bytes()
    archive = tmp_path / "cut.tar.gz"
    for size in (0, 1, 10, 100, len(whole) // 3, len(whole) * 9 // 10):
        archive.write_bytes(whole[:size])
        whole_or_lacking = rf"{archive} must (be a whole \.tar\.gz archive: .+|hold \S+)"
        refused(capsys, archive, whole_or_lacking)


def test_no_flipped_bit_changes_a_pixel(
    arrays: Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = npm_members(arrays)
    name = "package/data_batch_3.png"
    file = tmp_path / "cifar10.safetensors"
    source = np.random.default_rng(2)
    passed = 0
    for position in (*range(48), *source.integers(48, len(members[name]), 40)):
        picture = bytearray(members[name])
        picture[position] ^= 1 << int(source.integers(8))
        archive = pack(tmp_path / "archive.tar.gz", members | {name: bytes(picture)})
        try:
            status = fetch_data.main(["--out", str(tmp_path), "--from", str(archive)])
        except SystemExit as stop:
            status = stop.code
        told = capsys.readouterr().err
        if file.exists():
            # Pillow passes over some checksums: then the pixels are right all the same.
            assert status == 0
            assert file.read_bytes() == safetensors.numpy.save(arrays)
            file.unlink()
            passed += 1
        else:
            assert status == 2
            assert re.fullmatch(r"decoding .+\npython -m .+: error: .+\n", told)
    assert passed < 8


def header(name: str, *, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    return made


def add_raw(made: tarfile.TarInfo, *, content: bytes = b"", times: int = 1) -> Callable[..., None]:
    """Return what adds a header as it is, without tarfile's own sense of what is right."""

    def add(archive: Any) -> None:
        block = made.tobuf(tarfile.GNU_FORMAT)
        archive.fileobj.write((block + content + b"\0" * (-len(content) % 512)) * times)

    return add


FIRST = "cifar-10-batches-bin/data_batch_1.bin"
HOSTILE: dict[str, tuple[Callable[..., None], str]] = {
    "huge size": (
        add_raw(header("x", size=1 << 80)),
        r"a tar header announces 1208925819614629174706176 bytes, allowed are 268435456",
    ),
    "negative size": (
        add_raw(header("x", size=-512)),
        r"a tar header announces -512 bytes, allowed are 268435456",
    ),
    "long extension": (
        add_raw(header("x", kind=tarfile.XHDTYPE, size=4097)),
        r"a tar header announces 4097 bytes, allowed are 4096",
    ),
    "chain of extensions": (
        add_raw(header("x", kind=tarfile.GNUTYPE_LONGNAME, size=2), content=b"y\0", times=2000),
        r"maximum recursion depth exceeded.*",
    ),
    "member too large": (
        add_raw(header(FIRST, size=30_731)),
        rf"{re.escape(FIRST)} must have at most 30730 bytes, not 30731",
    ),
    "link": (
        add_raw(header(FIRST, kind=tarfile.SYMTYPE)),
        rf"{re.escape(FIRST)} must be one regular file",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_refuses_hostile_headers(
    case: str, arrays: Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra, reason = HOSTILE[case]
    archive = pack(tmp_path / "archive.tar.gz", {}, extra)
    refused(capsys, archive, rf"{archive} must be a whole \.tar\.gz archive: {reason}")


def test_refuses_a_member_twice(
    arrays: Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = official_members(arrays)
    again = add_raw(header(FIRST, size=512), content=bytes(512))
    archive = pack(tmp_path / "archive.tar.gz", members, again)
    refused(capsys, archive, rf".* archive: {re.escape(FIRST)} must be one regular file")


def test_refuses_a_short_member(
    arrays: Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = official_members(arrays)
    members[FIRST] = members[FIRST][:-1]
    archive = pack(tmp_path / "archive.tar.gz", members)
    refused(capsys, archive, rf"{re.escape(FIRST)} must have 30730 bytes, not 30729")


def test_bounds_what_an_archive_unpacks_to(
    arrays: Arrays,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cifar_archive, "MAX_UNPACKED", 1 << 20)
    monkeypatch.setattr(cifar_archive._Bounded, "_left", 1 << 20)
    bomb = {f"zeros{n}": bytes(1 << 19) for n in range(4)}
    archive = pack(tmp_path / "archive.tar.gz", bomb | official_members(arrays))
    refused(capsys, archive, rf"{archive} must .*: it unpacks to more than 1048576 bytes")


def test_other_names_are_never_written(arrays: Arrays, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    names = ["../evil", str(tmp_path / "evil"), "package/../../evil"]
    members = {name: b"evil" for name in names} | official_members(arrays)
    archive = pack(inner / "archive.tar.gz", members)
    assert fetch_data.main(["--out", str(inner), "--from", str(archive)]) == 0
    assert sorted(os.listdir(inner)) == ["archive.tar.gz", "cifar10.safetensors"]
    assert os.listdir(tmp_path) == ["inner"]


def bare_png(width: int, height: int) -> bytes:
    """Return a PNG that has a header and no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + b"\0\0\0\0IEND\xaeB`\x82"
    )


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (bare_png(1024, 11), r"have 1024×10 pixels, not 1024×11"),
        (bare_png(1024, 100_000), r"be a whole PNG picture: Image size .* decompression bomb.*"),
        (bare_png(60_000, 60_000), r"be a whole PNG picture: Image size .* decompression bomb.*"),
        (bare_png(1024, 10), r"be a whole PNG picture: .+"),
        (b"GIF89a", r"be a whole PNG picture: unknown format"),
    ],
    ids=["size", "large", "huge", "no pixels", "another format"],
)
def test_refuses_pictures(
    picture: bytes,
    reason: str,
    arrays: Arrays,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    members = npm_members(arrays) | {"package/test_batch.png": picture}
    archive = pack(tmp_path / "archive.tar.gz", members)
    refused(capsys, archive, rf"package/test_batch\.png must {reason}")


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (b"[1, 2]", "hold 10 labels, not 2"),
        (b"[" * 100_000, "be a JSON list of class numbers"),
        (b'{"0": 1}', "be a JSON list of class numbers"),
        (b"1000000000000", "be a JSON list of class numbers"),
        (b"[300]", "be a JSON list of class numbers"),
        (b"[1.0]", "be a JSON list of class numbers"),
        (b"\xff", "be a JSON list of class numbers"),
    ],
    ids=["few", "deep", "object", "number", "beyond a byte", "float", "no text"],
)
def test_refuses_labels(
    labels: bytes,
    reason: str,
    arrays: Arrays,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    members = npm_members(arrays) | {"package/test_lables.json": labels}
    archive = pack(tmp_path / "archive.tar.gz", members)
    refused(capsys, archive, rf"package/test_lables\.json must {reason}")


def test_refuses_the_pickled_archive(
    arrays: Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = pack(tmp_path / "archive.tar.gz", {"cifar-10-batches-py/data_batch_1": b"\x80\x02."})
    refused(capsys, archive, f"{archive} must hold {re.escape(FIRST)}")
