# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: made if it is new, and of one run at a time.

The system's lock (``flock``) is on the folder itself: nothing lies there that a killed run would
leave, and the lock goes with the process. Processes on other machines see it where the file system
passes such locks on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from hw import disk
from hw.params import ParameterError

__all__ = ["held"]


@contextlib.contextmanager
def held(out: Path, *, new: bool, rank: int = 0) -> Iterator[None]:
    """Keep other runs out of a folder.

    Parameters
    ----------
    out : Path
    new : bool
        Whether to make it, if it is not there. A folder that is not there is not held. One that is
        still empty when the run fails goes again.
    rank : int
        Of the processes of a run, the first makes and holds the folder for all.

    Raises
    ------
    ParameterError
        If there can be no such folder, or another run is at work in it.
    """
    if new and not rank:
        try:
            disk.make_folder(out)
        except OSError as error:
            raise ParameterError(f"--out must be a folder: {out}: {error.strerror}") from None
    if rank or not out.is_dir():
        yield
        return
    descriptor = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ParameterError(
                f"{out} must be of one run at a time: another is at work"
            ) from None
        except OSError:
            pass  # a file system without such locks
        try:
            yield
        except BaseException:
            if new:
                with contextlib.suppress(OSError):  # it holds something
                    out.rmdir()
            raise
    finally:
        os.close(descriptor)
