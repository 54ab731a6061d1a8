# SPDX-License-Identifier: Apache-2.0
"""Debian packages without apt, dpkg or root: where they are, fetching them, unpacking them.

A package is foreign: it must have the size and the sha256 that were asked for before a byte of it
is unpacked, and may write nothing but plain files and links between neighbours.
"""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import io
import lzma
import os
import re
import shutil
import subprocess
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator
from pathlib import Path, PurePosixPath

from hw.params import ParameterError

__all__ = [
    "VARIABLE",
    "MissingError",
    "Package",
    "ToolchainError",
    "fetch",
    "mirror",
    "present",
    "stream",
    "unpack",
]

VARIABLE = "SHIFTBAR_DEBIAN_MIRROR"
SILENCE_SECONDS = 20
"""For which a server may send nothing."""
MAX_UNPACKED = 1 << 30
"""Bytes of one package; prjxray's database has 430 million."""

_BLOCK = 1 << 16
_TARGET = "$(ORIGIN) $(LABEL) $(REPO_URI)"


class ToolchainError(Exception):
    """The tools are not there and cannot be had; one line says why and what helps."""


class MissingError(ToolchainError):
    """A server has no such file."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """One binary package of an archive.

    Parameters
    ----------
    name, version, architecture : str
    path : str
        Below the mirror's address.
    size : int
        Bytes.
    sha256 : str
        Of the file, 64 hexadecimal digits.
    """

    name: str
    version: str
    architecture: str
    path: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Last part of the path."""
        return PurePosixPath(self.path).name


def mirror() -> str:
    """Return the address of a Debian mirror, ending in a slash.

    It is what the variable `VARIABLE` says, else the one this machine's own apt uses.

    Raises
    ------
    ToolchainError
        If neither names one, as on Ubuntu.
    ParameterError
        If the variable holds no address.
    """
    given = os.environ.get(VARIABLE)
    if given:
        if not re.fullmatch(r"https?://[^/\s?#]+(/[^\s?#]*)?", given):
            raise ParameterError(f"{VARIABLE} must be an http or https address, not {given!r}")
        return given.rstrip("/") + "/"
    answers = (
        (r"^Debian Debian (https?://\S+)$", "indextargets", "--format", _TARGET),
        # Before the first `apt-get update` no target is known, but what it would fetch is.
        (r"^'(https?://[^/']+/debian/)dists/", "update", "--print-uris"),
    )
    for pattern, *arguments in answers:
        found = re.search(pattern, _apt(*arguments), re.MULTILINE)
        if found:
            return found[1].rstrip("/") + "/"
    raise ToolchainError(
        "this machine's apt knows no Debian mirror: set "
        f"{VARIABLE} to the address of one (of the folder that holds dists and pool)"
    )


def _apt(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["apt-get", *arguments], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return ""


def stream(url: str, limit: int) -> Generator[bytes, None, None]:
    """Yield a file of the network block by block, through the proxies of the environment.

    Parameters
    ----------
    url : str
    limit : int
        Bytes; one more is an error.

    Raises
    ------
    ToolchainError
        If it cannot be had or is larger.
    MissingError
        If the server has no such file.
    """
    try:
        with urllib.request.urlopen(url, timeout=SILENCE_SECONDS) as answer:
            while block := answer.read(_BLOCK):
                limit -= len(block)
                if limit < 0:
                    raise ToolchainError(f"{url} is larger than it should be")
                yield block
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (404, 410):
            raise MissingError(f"{url} is not there") from None
        raise ToolchainError(f"{url} cannot be fetched: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ToolchainError(f"{url} cannot be fetched: {reason}") from None


def present(cache: Path, package: Package) -> bool:
    """Whether a folder holds a package's file, with the right size and sha256."""
    file = cache / package.file_name
    try:
        with file.open("rb") as content:
            right = hashlib.file_digest(content, "sha256").hexdigest() == package.sha256
            return right and file.stat().st_size == package.size
    except FileNotFoundError:
        return False


def fetch(base: str, package: Package, cache: Path, tell: Callable[[int], None]) -> None:
    """Fetch a package's file into a folder, where it appears whole and right or not at all.

    Parameters
    ----------
    base : str
        Address of the mirror.
    package : Package
    cache : Path
        Folder.
    tell : callable
        Given how many bytes more are there, as they come.

    Raises
    ------
    ToolchainError
        If the mirror does not have it, or sends something else.
    OSError
        If it cannot be written.
    """
    part = cache / f"{package.file_name}.part"
    digest, size = hashlib.sha256(), 0
    what = f"{package.name} {package.version}"
    blocks = stream(base + package.path, package.size)
    try:
        with part.open("wb") as content:
            # Asked for one by one: an OSError of the disk is not one of the network.
            while block := next(blocks, b""):
                content.write(block)
                digest.update(block)
                size += len(block)
                tell(len(block))
        if size < package.size:
            raise ToolchainError(f"{what} was cut off after {size} of {package.size} bytes")
        if digest.hexdigest() != package.sha256:
            raise ToolchainError(
                f"{what} must have the sha256 {package.sha256}, not {digest.hexdigest()}"
            )
        part.replace(cache / package.file_name)
    except MissingError:
        raise ToolchainError(
            f"{what} is no longer on the mirror: "
            "`python -m fpga.toolchain --relock` takes today's versions"
        ) from None
    finally:
        blocks.close()
        part.unlink(missing_ok=True)


def _data(file: Path) -> io.BytesIO:
    """Return the member ``data.tar.xz`` of an ar archive."""
    content = file.read_bytes()
    if content.startswith(b"!<arch>\n"):
        place = 8
        while len(header := content[place : place + 60]) == 60 and header[58:] == b"`\n":
            size = int(header[48:58]) if header[48:58].strip().isdigit() else len(content)
            place += 60
            if header[:16].rstrip(b" /") == b"data.tar.xz" and place + size <= len(content):
                return io.BytesIO(content[place : place + size])
            place += size + size % 2
    raise ToolchainError(f"{file.name} must be an ar archive with a whole data.tar.xz")


def unpack(file: Path, folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    """Unpack those files of a package that are wanted; return their paths in the package.

    Parameters
    ----------
    file : Path
        A ``.deb`` whose data are compressed with xz, as all of Debian's.
    folder : Path
        Nothing is written outside.
    wanted : callable
        Given a path such as ``usr/bin/bitread``.

    Raises
    ------
    ToolchainError
        If the package is damaged, names a place outside its folder, holds a device, or what is
        wanted is neither a file nor a link to a neighbour.
    OSError
        If a file is there already, or cannot be written.
    """
    kept: list[str] = []
    left = MAX_UNPACKED
    try:
        with (
            lzma.LZMAFile(_data(file)) as unpacked,
            # A stream: tarfile can neither seek back nor loop over a header twice.
            tarfile.open(fileobj=unpacked, mode="r|") as archive,
        ):
            for header in archive:
                left -= header.size
                if left < 0:
                    raise tarfile.TarError(f"it holds more than {MAX_UNPACKED} bytes")
                path = PurePosixPath(header.name)
                if path.is_absolute() or ".." in path.parts:
                    raise tarfile.TarError(f"{header.name} leads outside")
                if not (header.isdir() or header.isreg() or header.issym() or header.islnk()):
                    raise tarfile.TarError(f"{header.name} is no file")
                if header.isdir() or not wanted(str(path)):
                    continue
                place = folder / path
                place.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(header) if header.isreg() else None
                if content:
                    # "x" follows no link that another package has put here.
                    with place.open("xb") as copy:
                        shutil.copyfileobj(content, copy, _BLOCK)
                    place.chmod(0o755 if header.mode & 0o100 else 0o644)
                elif header.issym() and "/" not in header.linkname and header.linkname != "..":
                    place.symlink_to(header.linkname)
                else:
                    raise tarfile.TarError(f"{header.name} is a link to elsewhere")
                kept.append(str(path))
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError) as error:
        raise ToolchainError(f"{file.name} is no sound package: {error}") from None
    return kept
