# SPDX-License-Identifier: Apache-2.0
"""The lock ``toolchain.json``: which Debian packages hold the tools, and what is kept of them.

It names no host: a package is its path below a mirror and its sha256. Written in one way only, so
that the same archive gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import lzma
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fpga.debian import MissingError, Package, ToolchainError, fetch, stream
from hw.params import ParameterError

__all__ = ["Lock", "closure", "encode", "index", "read"]

_FIELDS = {
    "name": r"[a-z0-9][a-z0-9+.-]+",
    "version": r"[0-9A-Za-z.+:~-]+",
    "architecture": "all|amd64",
    "path": r"pool/main(/[0-9A-Za-z+~%_-][0-9A-Za-z.+~%_-]*)+\.deb",
    "sha256": "[0-9a-f]{64}",
}
_MAX_PACKAGE = 1 << 26
_MAX_INDEX = 1 << 26
_MAX_PACKAGES = 1 << 28
"""Letters of an index, unpacked."""
_MAX_LOCK = 1 << 20
_KEYRINGS = ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lock:
    """Contents of a lock.

    Parameters
    ----------
    suite : str
        Of Debian, where `index` looks for newer versions.
    roots : tuple of str
        Packages that are wanted for themselves.
    keep : tuple of str
        What is kept of the packages: paths in which ``*`` stands for anything but a slash.
    unpacked : int
        Bytes on disk of what is kept.
    packages : tuple of Package
        All that are needed, in the order of their names.

    Raises
    ------
    ParameterError
        If a field of a package breaks its rule, or their order.
    """

    suite: str
    roots: tuple[str, ...]
    keep: tuple[str, ...]
    unpacked: int
    packages: tuple[Package, ...]

    def __post_init__(self) -> None:
        for package in self.packages:
            for field, pattern in _FIELDS.items():
                value = getattr(package, field)
                if not re.fullmatch(pattern, value):
                    raise ParameterError(
                        f"{field} of a package must match {pattern}, not {value!r:.100}"
                    )
            if type(package.size) is not int or not 0 < package.size <= _MAX_PACKAGE:
                raise ParameterError(
                    f"size of {package.name:.100} must be 1 to {_MAX_PACKAGE} bytes, "
                    f"not {package.size!r:.60}"
                )
        names = [package.name for package in self.packages]
        if names != sorted(set(names)):
            raise ParameterError(
                f"packages must be in the order of their names, not {names!s:.200}"
            )
        texts = [self.suite, *self.roots, *self.keep]
        if not all(isinstance(text, str) for text in texts) or type(self.unpacked) is not int:
            raise ParameterError("suite, roots and keep must be text, unpacked a number of bytes")

    def wanted(self, path: str) -> bool:
        """Whether a file of a package is kept."""
        return any(
            re.fullmatch(re.escape(each).replace(r"\*", "[^/]*"), path) for each in self.keep
        )

    @property
    def sha256(self) -> str:
        """Of the lock as `encode` writes it."""
        return hashlib.sha256(encode(self).encode()).hexdigest()


def encode(lock: Lock) -> str:
    """Return a lock as text."""
    return json.dumps(dataclasses.asdict(lock), indent=2) + "\n"


def read(file: Path) -> Lock:
    """Read and check a lock.

    Raises
    ------
    ParameterError
        If it breaks a rule or cannot be read.
    """
    try:
        with file.open("rb") as content:
            text = content.read(_MAX_LOCK + 1)
        if len(text) > _MAX_LOCK:
            raise ParameterError(f"{file.name} must have at most {_MAX_LOCK} bytes")
        data = json.loads(text.decode("utf-8"))
    except ParameterError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise ParameterError(f"{file.name} must be a readable JSON file: {error}") from None
    try:
        return Lock(
            suite=data["suite"],
            roots=tuple(data["roots"]),
            keep=tuple(data["keep"]),
            unpacked=data["unpacked"],
            packages=tuple(Package(**package) for package in data["packages"]),
        )
    except (TypeError, KeyError) as error:
        raise ParameterError(
            f"{file.name} must have the fields of a lock: {error!s:.200}"
        ) from None
    except ParameterError as error:
        raise ParameterError(f"{file.name}: {error}") from None


def index(base: str, suite: str) -> dict[str, dict[str, str]]:
    """Return what a mirror's suite holds for amd64 in main: the fields of each package.

    The release file is checked with gpgv where that and Debian's keyring are installed; stderr
    says so where they are not.

    Raises
    ------
    ToolchainError
        If the mirror does not have it, or sends something else.
    """
    root = f"{base}dists/{suite}/"
    try:
        release = _signed(b"".join(stream(f"{root}InRelease", 1 << 20)))
    except MissingError:
        raise ToolchainError(f"the mirror {base} has no suite {suite}") from None
    folder = "main/binary-amd64"
    found = re.search(rf"^ ([0-9a-f]{{64}}) +(\d+) {folder}/Packages\.xz$", release, re.MULTILINE)
    if not found or int(found[2]) > _MAX_INDEX:
        raise ToolchainError(f"the release file of {suite} must list {folder}/Packages.xz")
    # By its hash: the mirror may be about to replace the one of that name.
    packages = Package(
        name="the index of", version=suite, architecture="amd64",
        path=f"dists/{suite}/{folder}/by-hash/SHA256/{found[1]}",
        size=int(found[2]), sha256=found[1],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        fetch(base, packages, Path(place), lambda size: None)
        with lzma.open(Path(place, packages.file_name), "rt", encoding="utf-8") as content:
            text = content.read(_MAX_PACKAGES + 1)
    if len(text) > _MAX_PACKAGES:
        raise ToolchainError(f"the index of {suite} must unpack to {_MAX_PACKAGES} letters at most")
    stanzas = text.split("\n\n")
    fields = (dict(re.findall(r"^(\S+): (.*)$", stanza, re.MULTILINE)) for stanza in stanzas)
    return {each["Package"]: each for each in fields if each}


def _signed(text: bytes) -> str:
    """Return the text of a clear-signed file, of that part that is signed."""
    keyrings = [Path("/usr/share/keyrings", name) for name in _KEYRINGS]
    keyring = next((each for each in keyrings if each.is_file()), None)
    program = shutil.which("gpgv")
    if keyring is None or program is None:
        sys.stderr.write("the release file is not verified: gpgv or Debian's keyring is missing\n")
        return text.decode("utf-8", "replace")
    with tempfile.TemporaryDirectory() as place:
        signed, plain = Path(place, "signed"), Path(place, "plain")
        signed.write_bytes(text)
        command = [program, "--keyring", str(keyring), "--output", str(plain), str(signed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise ToolchainError(f"the release file's signature is not Debian's: {last}")
        return plain.read_text("utf-8")


def closure(packages: Mapping[str, Mapping[str, str]], roots: Sequence[str]) -> tuple[Package, ...]:
    """Return packages and all that they depend on, in the order of their names.

    Parameters
    ----------
    packages : mapping
        As `index` returns them.
    roots : sequence of str
        Names.

    Raises
    ------
    ToolchainError
        If one is not there.
    """
    providers: dict[str, str] = {}
    for name in sorted(packages, reverse=True):
        for provided in re.findall(r"[^\s,()]+(?: \([^)]*\))?", packages[name].get("Provides", "")):
            providers[provided.split()[0]] = name
    found: dict[str, Any] = {}
    names = list(roots)
    while names:
        name = names.pop()
        name = name if name in packages else providers.get(name, name)
        if name in found:
            continue
        if name not in packages:
            raise ToolchainError(f"the mirror has no package {name}")
        found[name] = fields = packages[name]
        for field in ("Pre-Depends", "Depends"):
            for group in filter(None, fields.get(field, "").split(", ")):
                choices = [re.split(r"[ :]", choice)[0] for choice in group.split(" | ")]
                known = [each for each in choices if each in packages or each in providers]
                names.append((known or choices)[0])
    return tuple(
        Package(
            name=name, version=fields["Version"], architecture=fields["Architecture"],
            path=fields["Filename"], size=int(fields["Size"]), sha256=fields["SHA256"],
        )
        for name, fields in sorted(found.items())
    )  # fmt: skip
