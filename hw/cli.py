# SPDX-License-Identifier: Apache-2.0
"""What every command of the project has in common.

Results go to stdout, progress and errors to stderr. Exit code 0: done; 1: the check or the build
failed; 2: bad input or usage, told in one line. A leaf: the standard library and ``hw.params``.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from hw.disk import OutputError
from hw.params import ParameterError, check_integer

__all__ = ["Parser", "ToolError", "bad_input", "failed", "integer", "refuse", "run"]


class ToolError(Exception):
    """A program that the work needs is missing, or has failed."""


def bad_input(program: str, message: object) -> NoReturn:
    """End the program with exit code 2 and one line on stderr."""
    sys.stderr.write(f"{program}: error: {_line(message)}\n")
    raise SystemExit(2)


def failed(program: str, message: object) -> int:
    """Tell in one line on stderr why a check or a build failed; return exit code 1."""
    sys.stderr.write(f"{program}: error: {_line(message)}\n")
    return 1


def _line(message: object) -> str:
    """Return a message in one line of printable characters: it may quote a file of anybody's.

    Of what the system refuses, the file and the reason, not the number.
    """
    if isinstance(message, OSError) and not isinstance(message, OutputError) and message.strerror:
        named = "" if message.filename is None else f"{message.filename}: "
        message = named + message.strerror
    text = " ".join(str(message).split())
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def refuse(options: argparse.Namespace, names: Iterable[str], rule: str) -> None:
    """Refuse options that do not apply: those given of some whose default is argparse.SUPPRESS.

    Raises
    ------
    ParameterError
        The first one's name, then the rule, such as ``must come with --design shift``.
    """
    for name in names:
        if name in options:
            raise ParameterError(f"--{name} {rule}")


def run(main: Callable[[], int | None]) -> NoReturn:
    """End the program with what ``main`` returns, and without a traceback for what may happen.

    Ctrl-C is exit code 130. A reader that has seen enough (``| head``) is no error. Anything else
    that the system refuses, like writing results to a full disk, is one line and exit code 1; so is
    a `ToolError`.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path that is no UTF-8 is a good path, and can be told.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main() or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        # Amaranth would complain of each block whose generation has been cut short.
        warnings.simplefilter("ignore")
        sys.stderr.write(f"{_named()}interrupted\n")
        code = 130
    except ToolError as error:
        sys.stderr.write(f"{_named()}error: {_line(error)}\n")
        code = 1
    except OSError as error:
        code = 0
        if error.errno != errno.EPIPE:
            sys.stderr.write(f"{_named()}error: {_line(error)}\n")
            code = 1
        # What is still in the buffer cannot be written either, and Python would try at its end.
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    raise SystemExit(code)


def _named() -> str:
    """Return how a line of the program that runs begins; code given with -c has no name."""
    spec = sys.modules["__main__"].__spec__
    return f"python -m {spec.name.removesuffix('.__main__')}: " if spec else ""


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def _path(text: str) -> Path:
    """Return a path; refuse none, as of ``--out "$UNSET"``, which would be the working folder."""
    if not text:
        raise argparse.ArgumentTypeError("must name a file or folder, not be empty")
    return Path(text)


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that shows defaults in its help and reports an error in one line.

    An option or argument of ``type=Path`` must not be empty.
    """

    def __init__(self, program: str, description: str, **options: object) -> None:
        super().__init__(
            prog=program,
            description=description,
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
            **options,  # type: ignore[arg-type]
        )
        self.register("type", Path, _path)

    def error(self, message: str) -> NoReturn:
        """End the program with exit code 2."""
        bad_input(self.prog, f"{message} (see --help)")


def integer(name: str, low: int, high: int) -> Callable[[str], int]:
    """Return an argparse type for an integer from ``low`` to ``high``."""

    def parse(text: str) -> int:
        value: object = text
        # Python takes 6_4 and other alphabets' digits too, which are more likely slips.
        if text.isascii() and "_" not in text:
            with contextlib.suppress(ValueError):
                value = int(text)
        try:
            return check_integer(name, value, low, high)
        except ParameterError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse
