# SPDX-License-Identifier: Apache-2.0
"""Files of commands: read with a bound on their size, written whole or not at all.

What is asked for is tried before long work, and refused by the same words that would end it. A
killed writer leaves nothing but a folder beside its place, which the next one removes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from hw.params import ParameterError

__all__ = [
    "OutputError",
    "check_file",
    "check_files",
    "check_folder",
    "content",
    "make_folder",
    "replace",
    "write_file",
    "write_files",
]

_BESIDE = ".writing-"


class OutputError(OSError):
    """Results cannot be written where they were asked for: a message, or what the system said."""

    def __str__(self) -> str:
        if self.filename is None:
            return super().__str__()
        return f"{self.filename} must be writable: {self.strerror}"


def content(file: Path, limit: int, error: Callable[[str], Exception] = ParameterError) -> bytes:
    """Return what a file of anybody's holds, of at most ``limit`` bytes; never reads more.

    Raises
    ------
    ParameterError
        Or what ``error`` makes of the message: if it cannot be read, or is larger.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as reason:
        raise error(f"{file} must be a readable file: {reason.strerror}") from None
    if len(data) > limit:
        raise error(f"{file} must have at most {limit} bytes")
    return data


def check_file(file: Path) -> None:
    """Refuse, before long work, a file that `write_file` would refuse at its end.

    Raises
    ------
    OutputError
    """
    try:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if _is_written_to(file) and file.exists():
            if not os.access(file, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return
        _try(Path(os.path.realpath(file)).parent)
    except OSError as error:
        raise _no_output(file, error) from None


def check_files(written: Mapping[str, Path | None], read: Iterable[Path] = ()) -> None:
    """Refuse, before long work, files that `check_file` would, two in one, and one that is read.

    Parameters
    ----------
    written : mapping of str to Path or None
        By what asks for it, such as ``--csv``; None is not asked for.
    read : iterable of Path
        Need not exist.

    Raises
    ------
    ParameterError
        Of a file that is read, or that is to be written twice.
    OutputError
    """
    sources = {*map(os.path.realpath, read)}
    places: dict[str, str] = {}
    for option, file in written.items():
        if file is None:
            continue
        place = os.path.realpath(file)
        if place in sources:
            raise ParameterError(f"{option} must be another file than {file}, which is read")
        if place in places:
            raise ParameterError(f"{places[place]} and {option} must be two files, not both {file}")
        places[place] = option
        check_file(file)


def write_file(file: Path, content: bytes) -> None:
    """Write a file as `replace` does; make the folders that it is in.

    Raises
    ------
    OutputError
        With the name of the file.
    """
    try:
        make_folder(file.parent)
    except OSError as error:
        raise _no_output(file, error) from None
    replace(file, content)


def _try(folder: Path) -> None:
    """Raise what the system would if a file were written into a folder, or it had to be made."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    # Permissions alone do not tell, of the superuser or of a file system that cannot.
    with tempfile.TemporaryFile(dir=there):
        pass


def _no_output(file: Path, error: OSError) -> OutputError:
    return OutputError(error.errno, error.strerror or type(error).__name__, str(file))


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it is in, unless it is there.

    Raises
    ------
    NotADirectoryError
        If there is a file in its place, of which the system says no more than that it exists.
    OSError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        reason = errno.ENOTDIR
        raise NotADirectoryError(reason, os.strerror(reason), str(folder)) from None


def check_folder(folder: Path, *, owner: str | None) -> None:
    """Refuse, before long work, a folder that `write_files` would refuse.

    Parameters
    ----------
    folder : Path
        Need not exist.
    owner : str, optional
        Name of the file by which an earlier result of the same command is known. Of None, the
        folder may hold anything.

    Raises
    ------
    OutputError
        If it is occupied, or cannot be written.
    """
    held = []
    try:
        with contextlib.suppress(FileNotFoundError):
            # What a killed run, or one at the same time, leaves beside its place is nobody's file.
            held = [entry for entry in folder.iterdir() if not entry.name.startswith(_BESIDE)]
        _try(folder.absolute())
    except OSError as error:
        raise _unwritable(folder, error) from None
    if held and owner is not None and not (folder / owner).is_file():
        raise OutputError(
            f"the output folder must be new, empty or hold an earlier {owner}, "
            f"not other files: {folder}"
        )


def write_files(folder: Path, files: Mapping[str, str | bytes], *, owner: str) -> None:
    """Write a stage's files into its folder; no file is ever half-written.

    All are written beside their places, then renamed one by one, the file ``owner`` first: a run
    killed between two renames leaves whole files of two results, or of a part of one, which
    ``owner``'s hashes tell, and the next run knows the folder for its own.
    A folder that holds files but not ``owner`` belongs to something else and is left alone.

    Parameters
    ----------
    folder : Path
        Made if missing, with its parents.
    files : mapping of str to str or bytes
        Contents by file name, or path in the folder; text becomes UTF-8.
    owner : str
        Name of the file by which an earlier result of the same command is known.

    Raises
    ------
    OutputError
        If the folder is occupied or cannot be written; one that is new goes again.
    """
    check_folder(folder, owner=owner)
    new = not folder.exists()
    try:
        make_folder(folder)
        with _beside(folder) as place:
            for name, content in files.items():
                data = content.encode() if isinstance(content, str) else content
                make_folder(Path(place, name).parent)
                Path(place, name).write_bytes(data)
            for name in sorted(files, key=lambda name: name != owner):
                make_folder((folder / name).parent)
                os.replace(Path(place, name), folder / name)
    except OSError as error:
        if new:
            with contextlib.suppress(OSError):  # another has written into it
                folder.rmdir()
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> OutputError:
    reason = error.strerror or type(error).__name__
    return OutputError(f"the output folder must be writable: {folder}: {reason}")


def replace(file: Path, content: bytes) -> None:
    """Write a file beside its place, then rename: a reader sees the old one or the new.

    A link stays one, and what it leads to is replaced. What is no file, such as a pipe or a
    terminal, is written to, and so is all in ``/dev`` and ``/proc``.

    Raises
    ------
    OutputError
        With the name of the file.
    """
    try:
        if _is_written_to(file):
            file.write_bytes(content)
            return
        real = Path(os.path.realpath(file))
        with _beside(real.parent) as place, (place / "new").open("wb") as new:
            new.write(content)
            new.flush()
            os.fsync(new.fileno())
            os.chmod(new.name, 0o644)
            os.replace(new.name, real)
    except OSError as error:
        raise _no_output(file, error) from None


def _is_written_to(file: Path) -> bool:
    """Whether a file is written to, not replaced."""
    special = file.exists() and not file.is_file() and not file.is_dir()
    real = Path(os.path.realpath(file))
    return special or bool({"dev", "proc"} & {*file.absolute().parts[1:2], *real.parts[1:2]})


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """Make a folder in a folder, to write in, and remove those that killed runs have left there.

    A living run holds a lock on its own. Before it has it, another may take its folder for one that
    was left, and remove it: then there is a next one.
    """
    for left in folder.glob(f"{_BESIDE}*"):
        with contextlib.suppress(OSError), _locked(left, wait=False) as dead:
            if dead:
                shutil.rmtree(left)
    with contextlib.ExitStack() as stack:
        place = None
        while place is None or not place.exists():
            place = Path(tempfile.mkdtemp(prefix=_BESIDE, dir=folder))
            with contextlib.suppress(FileNotFoundError):
                stack.enter_context(_locked(place, wait=True))
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        yield place


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of a folder, which the system lifts when the process ends, however it ends.

    Yields False if another process holds it, or the file system knows no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        held = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            held = False
        yield held
    finally:
        os.close(descriptor)
