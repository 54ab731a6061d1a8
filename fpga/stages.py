# SPDX-License-Identifier: Apache-2.0
"""Stages of a build in one folder: each runs only if something that it depends on has changed.

``manifest.json`` holds, for each stage that has run, what it depended on and the sha256 of its
inputs and outputs. A stage works in a scratch folder; its outputs are renamed into place when they
are whole. So a build that was interrupted goes on at the first stage that is not up to date.
"""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fpga.toolchain import environment
from hw.disk import OutputError, check_folder, make_folder, replace

__all__ = ["BuildError", "Stage", "build", "call", "digest", "is_built", "seconds", "stale"]

MANIFEST, SECONDS = "manifest.json", "seconds.json"
FORMAT = 1
_SCRATCH = ".running-"
_FULL = 1 << 16
"""Bytes: a disk with less is taken for the reason why a tool's output is wrong."""


class BuildError(Exception):
    """A build cannot go on; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """A step from files to files.

    Parameters
    ----------
    name : str
    run : callable
        Given a folder that holds the inputs, leaves the outputs and the logs there.
    inputs, outputs, logs : tuple of str
        Names of files. Logs are kept also if the stage fails, and are not compared.
    depends : mapping
        What else the outputs depend on, as JSON can hold it: arguments, versions, code.
    """

    name: str
    run: Callable[[Path], None]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    logs: tuple[str, ...] = ()
    depends: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def digest(*files: Path) -> str:
    """Return the sha256 of files' contents, one after the other."""
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()


def build(folder: Path, stages: Sequence[Stage]) -> None:
    """Bring a folder up to date, stage by stage; tell on stderr what ran, and how long.

    Raises
    ------
    BuildError
        If a stage fails, the disk is full, the folder is removed meanwhile, or another build
        works in it.
    OutputError
        If the folder holds something else, or cannot be written.
    """
    check_folder(folder, owner=MANIFEST)
    there = False
    try:
        make_folder(folder)
        there = True
        with _locked(folder):
            _build(folder, stages)
    except OSError as error:
        if there and not folder.exists():
            told = f"the folder must stay while a build works in it: {folder} is gone"
            raise BuildError(told) from None
        raise _refusal(folder, error) from None


def _build(folder: Path, stages: Sequence[Stage]) -> None:
    for left in folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left)
    records = _stored(folder / MANIFEST)
    # Whose folder it is must be known before the first stage has ended.
    _store_records(folder, records)
    took: dict[str, float] = {}
    for number, stage in enumerate(stages):
        if _is_fresh(folder, stage, records):
            continue
        try:
            took[stage.name] = _run(folder, stage)
        except BaseException:
            # What the later stages made of older inputs is no result any more.
            for late in stages[number:]:
                records.pop(late.name, None)
                for name in late.outputs:
                    (folder / name).unlink(missing_ok=True)
            _store_records(folder, records)
            raise
        records[stage.name] = _record(folder, stage)
        _store_records(folder, records)
        _store(folder / SECONDS, took)


def _refusal(folder: Path, error: OSError) -> BuildError | OutputError:
    """Return what is to be told when the system refuses something."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BuildError(f"the disk is full: {folder}")
    reason = error.strerror or type(error).__name__
    return OutputError(f"the output folder must be writable: {error.filename or folder}: {reason}")


def is_built(folder: Path) -> bool:
    """Whether a build has ever begun in a folder."""
    return (folder / MANIFEST).is_file()


def stale(folder: Path, stages: Sequence[Stage]) -> str | None:
    """Return the name of the first stage that is not up to date, None if all are."""
    records = _stored(folder / MANIFEST)
    return next((each.name for each in stages if not _is_fresh(folder, each, records)), None)


def seconds(folder: Path) -> dict[str, float]:
    """Return how long each stage took that the last build had to run."""
    return {str(name): float(took) for name, took in _read(folder / SECONDS).items()}


def call(arguments: Sequence[str | Path], folder: Path, *, log: str) -> bytes:
    """Run a tool in a folder; return what it writes to stdout, and log what it says on stderr.

    Raises
    ------
    BuildError
        If it does not start or fails; the message is its own first error.
    """
    name = Path(arguments[0]).name
    with (folder / log).open("wb") as said:
        try:
            done = subprocess.run(
                arguments,
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                check=False,
            )
        except OSError as error:
            raise BuildError(f"{name} does not start: {error.strerror}") from None
    if done.returncode:
        raise BuildError(f"{name}: {_complaint(folder / log, done)}")
    return done.stdout


def _complaint(log: Path, done: subprocess.CompletedProcess[bytes]) -> str:
    """Return a failed tool's own first error, or what else is known."""
    said = log.read_text("utf-8", "replace") + done.stdout[-4096:].decode("utf-8", "replace")
    if found := re.search(r"^.*\berror: .*$", said, re.IGNORECASE | re.MULTILINE):
        return found[0].strip()
    lines = said.strip().splitlines()
    last = lines[-1].strip() if lines else "no output"
    if done.returncode < 0:
        return f"ended by {signal.Signals(-done.returncode).name}; last line: {last}"
    return f"exit code {done.returncode}: {last}"


def _run(folder: Path, stage: Stage) -> float:
    """Run a stage; tell, and return, how many seconds it took."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as name:
        scratch = Path(name)
        for file in stage.inputs:
            shutil.copyfile(folder / file, scratch / file)
        try:
            stage.run(scratch)
        except BuildError as error:
            # Yosys, nextpnr and prjxray's tools write on without a word.
            full = shutil.disk_usage(scratch).free < _FULL
            told = f"the disk is full: {folder}" if full else error
            raise BuildError(f"{stage.name}: {told}") from None
        finally:
            for log in stage.logs:
                if (scratch / log).exists():
                    os.replace(scratch / log, folder / log)
        for file in stage.outputs:
            if not (scratch / file).is_file():
                raise BuildError(f"{stage.name}: the tool must write {file}, and did not")
        for file in stage.outputs:
            os.replace(scratch / file, folder / file)
    took = round(time.monotonic() - start, 2)
    sys.stderr.write(f"{stage.name:<10} {took:6.1f} s\n")
    return took


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other builds out; the system lifts the lock when the process ends, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BuildError(f"another build must not work in the same folder: {folder}") from None
        yield
    finally:
        os.close(descriptor)


def _is_fresh(folder: Path, stage: Stage, records: Mapping[str, Any]) -> bool:
    present = all((folder / name).is_file() for name in (*stage.inputs, *stage.outputs))
    return present and records.get(stage.name) == _record(folder, stage)


def _record(folder: Path, stage: Stage) -> dict[str, Any]:
    """Return what the manifest says of a stage that has just run."""
    return {
        # As it comes back out of JSON: a tuple is a list there.
        "depends": json.loads(json.dumps(dict(stage.depends))),
        "inputs": _digests(folder, stage.inputs),
        "outputs": _digests(folder, stage.outputs),
    }


def _digests(folder: Path, names: Sequence[str]) -> dict[str, str]:
    return {name: digest(folder / name) for name in names}


def _read(file: Path) -> dict[str, Any]:
    """Return a JSON object of ours; what cannot be read counts as not there."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _stored(file: Path) -> dict[str, Any]:
    found = _read(file)
    stages = found.get("stages") if found.get("format") == FORMAT else None
    return stages if isinstance(stages, dict) else {}


def _store_records(folder: Path, records: Mapping[str, Any]) -> None:
    _store(folder / MANIFEST, {"format": FORMAT, "stages": records})


def _store(file: Path, content: dict[str, Any]) -> None:
    replace(file, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
