# SPDX-License-Identifier: Apache-2.0
"""One case of fuzzing after the other: what a reader may do with a damaged input, and what not.

It may take it, or raise one of its own errors with a short message. Anything else is a fault:
another exception, a warning, more time or memory than such an input can be worth.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import resource
import signal
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType

__all__ = ["Files", "Outcome", "Target", "fault", "limited", "make", "run"]

SECONDS = 3
"""Of a case: seconds of processor time, so that others may use the machine as well."""

MEMORY_BYTES = 1 << 30
"""Of address space beyond what the process has before its first case."""

MESSAGE = 2000
"""Characters of an error at most, without the name of the file."""

Files = dict[str, bytes]
"""Contents by name; what is not a file has a name as well."""


class _TooLongError(BaseException):
    """The time of a case is over; nothing that is read may catch it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """A format: sound inputs, how they are damaged, and who reads them.

    Parameters
    ----------
    seeds : sequence of Files
        Sound ones: `read` takes each.
    damage : callable
        Takes a generator, one of the seeds and all of them; returns the input of a case.
    read : callable
    errors : tuple of exceptions
        What it raises for bad input.
    """

    seeds: Sequence[Files]
    damage: Callable[[random.Random, Files, Sequence[Files]], Files]
    read: Callable[[Files], object]
    errors: tuple[type[BaseException], ...]


@dataclasses.dataclass
class Outcome:
    """What became of some cases.

    Parameters
    ----------
    taken, refused : int
        Inputs that the reader took, damaged as they are, and refused.
    faults : dict of int to str
        By the number of the case, what was wrong, in one line.
    """

    taken: int = 0
    refused: int = 0
    faults: dict[int, str] = dataclasses.field(default_factory=dict)

    @property
    def cases(self) -> int:
        """All of them."""
        return self.taken + self.refused + len(self.faults)


def make(target: Target, name: str, seed: int, number: int) -> Files:
    """Return the input of a case, which depends on nothing else."""
    chance = random.Random(f"{seed} {name} {number}")
    return target.damage(chance, chance.choice(target.seeds), target.seeds)


def fault(target: Target, files: Files, outcome: Outcome, *, where: bool = False) -> str | None:
    """Let the reader have an input; return what it does wrong, None if nothing.

    Parameters
    ----------
    target : Target
    files : Files
    outcome : Outcome
        Counts what was taken and what was refused.
    where : bool
        Return the traceback instead of its last line.
    """
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        target.read(files)
    except target.errors as error:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if len(str(error)) > MESSAGE:
            return f"a message of {len(str(error))} characters: {str(error)[:100]!r}"
        outcome.refused += 1
        return None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        signal.setitimer(signal.ITIMER_PROF, 0)
        if where:
            return "".join(traceback.format_exception(error))
        if isinstance(error, _TooLongError):
            return f"longer than {SECONDS} s, in {_place(error)}"
        return f"{type(error).__name__} in {_place(error)}: {str(error)[:200]!r}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    outcome.taken += 1
    return None


def _place(error: BaseException) -> str:
    """Return the innermost place in this project from which an exception comes, this file apart."""
    frames = traceback.extract_tb(error.__traceback__)
    root = str(Path(__file__).parent.parent)
    own = [
        frame for frame in frames
        if frame.filename.startswith(root)
        and "/.venv/" not in frame.filename
        and frame.filename != __file__
    ]  # fmt: skip
    return f"{Path(own[-1].filename).relative_to(root)}:{own[-1].lineno}" if own else "?"


def run(
    target: Target,
    name: str,
    seed: int,
    numbers: Iterable[int],
    tell: Callable[[int], object] = lambda number: None,
) -> Outcome:
    """Run cases in this process; within `limited`.

    Parameters
    ----------
    target : Target
    name : str
        Of the format.
    seed : int
    numbers : iterable of int
        Of the cases.
    tell : callable
        Gets each number before its case.

    Raises
    ------
    ValueError
        If a sound input is refused: the cases would show nothing.
    """
    for files in target.seeds:
        check = Outcome()
        wrong = fault(target, files, check)
        if not check.taken:
            raise ValueError(f"{name}: sound input must be taken, not {wrong or 'refused'}")
    outcome = Outcome()
    for number in numbers:
        tell(number)
        wrong = fault(target, make(target, name, seed, number), outcome)
        if wrong is not None:
            outcome.faults[number] = wrong
    return outcome


@contextlib.contextmanager
def limited(more: int = MEMORY_BYTES) -> Iterator[None]:
    """Bound the time of each case and the memory of all, and make every warning an exception."""

    def end(number: int, frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGPROF, end)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, hard))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)
