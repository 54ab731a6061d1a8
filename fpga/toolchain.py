# SPDX-License-Identifier: Apache-2.0
"""Place and route for Artix-7: tools that are installed, or a private copy of Debian's.

    python -m fpga.toolchain            # where the tools lie; fetches them if need be
    python -m fpga.toolchain --relock   # takes the versions that Debian has today

The copy needs neither root nor apt. It lies in build/toolchain: `packages` as they were fetched,
`prefix` as they are used, with a stamp. A prefix that was moved, or is of another lock, is made
anew from the packages.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fpga import debian, lockfile, prefix
from fpga.debian import ToolchainError
from fpga.lockfile import Lock
from fpga.prefix import Tell, environment
from hw import cli, disk
from hw.params import ParameterError

__all__ = ["Toolchain", "ToolchainError", "environment", "find", "install", "main", "relock"]

PROGRAM = "python -m fpga.toolchain"
FOLDER = Path(__file__).parent.parent / "build" / "toolchain"
LOCK = Path(__file__).with_name("toolchain.json")
STAMP = "stamp.json"

_TOOLS = {
    "nextpnr": "nextpnr-himbaechel-xilinx",
    "frames2bit": "xc7frames2bit",
    "bitread": "bitread",
}
_SOURCES = {
    "nextpnr": "nextpnr-himbaechel-xilinx",
    "frames2bit": "prjxray",
    "bitread": "prjxray",
    "database": "prjxray-database",
}
"""Packages."""
_DATABASE = "usr/share/prjxray/database"
_PATCHES = 1 << 18
"""Bytes by which releases of patchelf may differ in what they add to the programs."""


@dataclasses.dataclass(frozen=True)
class Toolchain:
    """Where the tools lie; run them with the variables that `environment` returns.

    Parameters
    ----------
    nextpnr, frames2bit, bitread : Path
        Programs ``nextpnr-himbaechel-xilinx``, ``xc7frames2bit`` and ``bitread``.
    database : Path
        prjxray's folder ``artix7``.
    """

    nextpnr: Path
    frames2bit: Path
    bitread: Path
    database: Path


def find(folder: Path = FOLDER, lock_file: Path = LOCK) -> Toolchain:
    """Return the tools on the path, else those of the private copy.

    To the former belongs the database in XRAY_DATABASE_DIR, or else Debian's.

    Raises
    ------
    ToolchainError
        If they are not there.
    ParameterError
        If the lock breaks a rule.
    """
    programs = {key: Path(shutil.which(name) or "") for key, name in _TOOLS.items()}
    database = Path(os.environ.get("XRAY_DATABASE_DIR") or f"/{_DATABASE}", "artix7")
    if all(each.is_file() for each in programs.values()) and database.is_dir():
        return Toolchain(**programs, database=database)
    lock = lockfile.read(lock_file)
    place = folder.resolve() / "prefix"
    try:
        right = (place / STAMP).read_bytes() == _stamp(place, lock)
    except OSError:
        right = False
    if not right:
        raise ToolchainError(
            f"there is no {_TOOLS['nextpnr']} for this checkout: run `make -C fpga toolchain`"
        )
    return _in(place)


def _in(place: Path) -> Toolchain:
    programs = {key: place / "usr/bin" / name for key, name in _TOOLS.items()}
    return Toolchain(**programs, database=place / _DATABASE / "artix7")


def _stamp(place: Path, lock: Lock) -> bytes:
    """Return what tells a whole prefix, where it was made, from any other."""
    files = [
        (str(file.relative_to(place)), file.stat().st_size, file.stat().st_mode)
        for file in place.rglob("*")
        # Python's caches come and go.
        if file.is_file() and file.name != STAMP and file.parent.name != "__pycache__"
    ]
    listed = hashlib.sha256(json.dumps(sorted(files)).encode()).hexdigest()
    content = {"lock": lock.sha256, "prefix": str(place), "files": listed}
    return json.dumps(content, indent=2).encode()


def install(
    folder: Path = FOLDER, lock_file: Path = LOCK, tell: Tell = lambda stage, size: None
) -> Toolchain:
    """Return the tools that `find` finds, after making the private copy if there are none.

    Parameters
    ----------
    folder : Path
        Made if missing. Another process that is at work there is waited for.
    lock_file : Path
    tell : callable
        Told of progress, from several threads.

    Raises
    ------
    ToolchainError
        If the copy cannot be made; what was fetched whole is not fetched again.
    ParameterError
        If the lock, or the variable that names a mirror, breaks a rule.
    """
    with contextlib.suppress(ToolchainError):
        return find(folder, lock_file)
    lock = lockfile.read(lock_file)
    with prefix.alone(folder, lock):
        # Another process may have been faster.
        with contextlib.suppress(ToolchainError):
            return find(folder, lock_file)
        place = folder.resolve() / "prefix"
        with prefix.removed(folder / "unpacking") as fresh:
            prefix.build(lock, list(_TOOLS.values()), folder / "packages", fresh, place, tell)
            found = _size(fresh)
            if abs(found - lock.unpacked) > _PATCHES:
                raise ToolchainError(
                    f"`unpacked` of {lock_file.name} must be {found} bytes, not {lock.unpacked}"
                )
            shutil.rmtree(place, ignore_errors=True)
            fresh.replace(place)
        tools = _in(place)
        for name in _TOOLS:
            _said_version(getattr(tools, name))
        # Last: a prefix without it is none.
        disk.replace(place / STAMP, _stamp(place, lock))
        return tools


def relock(
    folder: Path = FOLDER, lock_file: Path = LOCK, tell: Tell = lambda stage, size: None
) -> Lock:
    """Lock the versions that the suite has today, of those packages only that contribute a file.

    Raises
    ------
    ToolchainError
        If they cannot be had, or do not make working programs; the lock is unchanged then.
    ParameterError
        If the old lock, or the variable that names a mirror, breaks a rule.
    """
    old = lockfile.read(lock_file)
    index = lockfile.index(debian.mirror(), old.suite)
    wide = dataclasses.replace(old, packages=lockfile.closure(index, old.roots))
    with (
        prefix.alone(folder, wide),
        prefix.removed(folder / "unpacking") as fresh,
    ):
        tools = list(_TOOLS.values())
        kept = prefix.build(wide, tools, folder / "packages", fresh, folder.resolve(), tell)
        new = dataclasses.replace(
            wide,
            packages=tuple(package for package in wide.packages if kept[package.name]),
            unpacked=_size(fresh),
        )
        disk.replace(lock_file, lockfile.encode(new).encode())
    return new


def _size(place: Path) -> int:
    """Return the bytes of all files in a folder."""
    files = [file for file in place.rglob("*") if not file.is_symlink()]
    return sum(file.stat().st_size for file in files if file.is_file())


def _said_version(tool: Path) -> str:
    """Return what a tool says of its version, after checking that it starts."""
    said = prefix.run([str(tool), "--version"], f"{tool.name} does not start")
    found = re.search(r"Version ([^)\s]+)", said)
    return found[1] if found else "unknown"


def _report(tools: Toolchain) -> dict[str, dict[str, str]]:
    """Return path and version of each tool, as --json prints them."""
    paths = {field.name: getattr(tools, field.name) for field in dataclasses.fields(tools)}
    if tools == _in(FOLDER.resolve() / "prefix"):
        locked = {package.name: package.version for package in lockfile.read(LOCK).packages}
        versions = {name: locked[_SOURCES[name]] for name in paths}
    else:
        versions = {name: _said_version(paths[name]) for name in _TOOLS} | {"database": "unknown"}
    return {name: {"path": str(paths[name]), "version": versions[name]} for name in paths}


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Tell]:
    """Yield what shows progress on a terminal, in bytes of the packages."""
    if not sys.stderr.isatty():
        yield lambda stage, size: None
        return
    # Here, because only a terminal needs it.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress

    columns = ("{task.description}", BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = {stage: progress.add_task(stage, total=total) for stage in ("fetch", "unpack")}
        yield lambda stage, size: progress.advance(tasks[stage], size)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    command = cli.Parser(PROGRAM, "Find the tools that place and route, or fetch them.")
    command.add_argument(
        "--relock", action="store_true", help="first lock the versions that Debian has today"
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = command.parse_args(arguments)
    try:
        size = sum(package.size for package in lockfile.read(LOCK).packages)
        if options.relock:
            with _progress(size) as tell:
                relock(FOLDER, LOCK, tell)
        with _progress(size) as tell:
            report = _report(install(FOLDER, LOCK, tell))
    except ParameterError as error:
        cli.bad_input(PROGRAM, error)
    except ToolchainError as error:
        return cli.failed(PROGRAM, error)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        for name, tool in report.items():
            print(f"{name:10}  {tool['version']:50}  {tool['path']}")
    return 0


if __name__ == "__main__":
    # So that a termination, too, removes what is half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cli.run(main)
