# SPDX-License-Identifier: Apache-2.0
"""Run a document's sessions, and compare what the commands print with what it says they print.

A session is a block of code marked ``console``: a line that begins with ``$`` is a command, and
what follows is its standard output. ``…`` stands for anything within a line, and alone for any
number of lines: for what another machine's floats or clock would print differently. All commands
run in one shell, in order, in an empty folder. A block below ``<!-- toolchain -->`` is left out
where place and route are not installed.

``python -m scripts.tutorial`` checks `docs/tutorial.md`; ``--update`` writes outputs that differ.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fpga.toolchain import ToolchainError, find
from hw import cli, disk

__all__ = ["Command", "SessionError", "commands", "difference", "main", "run", "updated"]

PROGRAM = "python -m scripts.tutorial"
ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "docs/tutorial.md"
LIMIT = 1200
"""Seconds for all commands; on a machine with nothing else to do they take one minute."""

_BLOCK = re.compile(r"(<!-- toolchain -->\n)?^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_END = "--- end of a command, with"


class SessionError(Exception):
    """A session is not as the document says; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of a document.

    Parameters
    ----------
    text : str
        As it is typed.
    output : str
        What it prints, whole lines.
    place : tuple of int
        Where the output stands in the document: from, to.
    toolchain : bool
        It needs place and route.
    """

    text: str
    output: str
    place: tuple[int, int]
    toolchain: bool


def commands(document: str) -> list[Command]:
    """Return all commands of a document, in order.

    Raises
    ------
    SessionError
        If a session does not begin with a command.
    """
    found = []
    for block in _BLOCK.finditer(document):
        if not block[2].startswith("$ "):
            first = block[2].partition("\n")[0]
            raise SessionError(f"a session must begin with a command, not {first!r}")
        for each in _COMMAND.finditer(document, *block.span(2)):
            found.append(Command(each[1], each[2], each.span(2), block[1] is not None))
    return found


def run(texts: Sequence[str], folder: Path) -> list[str]:
    """Run commands in one shell; return what each prints.

    Parameters
    ----------
    texts : sequence of str
    folder : Path
        Where they run.

    Raises
    ------
    SessionError
        If one fails, or all take longer than `LIMIT`.
    """
    # Processes in the background end with the shell.
    script = "trap 'kill $(jobs -p) 2>/dev/null' EXIT\n" + "".join(
        f'{text}\ncode=$?; echo "{_END} $code"; [ $code = 0 ] || exit $code\n' for text in texts
    )
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder, env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
    ) as shell:  # fmt: skip
        try:
            printed, _ = shell.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise SessionError(f"all commands must end within {LIMIT} s") from None
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
    parts = re.split(rf"{_END} (\d+)\n", printed)
    outputs, codes = parts[:-1:2], parts[1::2]
    if codes and codes[-1] != "0":
        raise SessionError(
            f"{_quoted(texts[len(codes) - 1])} must succeed, not end with {codes[-1]}"
        )
    if len(codes) != len(texts):
        raise SessionError(f"{_quoted(texts[len(codes)])} must leave the shell running")
    return outputs


def _quoted(text: str) -> str:
    """Return a command in one line."""
    return "`" + " ".join(text.replace("\\\n", " ").split()) + "`"


def _matches(said: str, printed: str) -> bool:
    """Whether a command prints what is said of it."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…\n" else r".*?".join(map(re.escape, line.split("…")))
        for line in said.splitlines(keepends=True)
    )
    return re.fullmatch(pattern, printed) is not None


def difference(command: Command, printed: str) -> str:
    """Return in one line what a command does not print as the document says; empty if it does."""
    if _matches(command.output, printed):
        return ""
    said = command.output.splitlines(keepends=True)
    found = printed.splitlines(keepends=True)
    name = _quoted(command.text)
    # The first line from which on it cannot be right.
    for number in range(1, len(said) + 1):
        start = "".join(said[:number])
        if not any(_matches(start, "".join(found[:end])) for end in range(len(found) + 1)):
            return f"{name} must print {said[number - 1].rstrip()!r}"
    return f"{name} must print nothing" + (f" after {said[-1].rstrip()!r}" if said else "")


def updated(document: str, ran: Sequence[tuple[Command, str]]) -> str:
    """Return the document with the outputs that were printed; those that are as said stay."""
    for command, printed in reversed(ran):
        if difference(command, printed):
            start, end = command.place
            document = document[:start] + printed + document[end:]
    return document


def _has_toolchain() -> bool:
    try:
        find()
    except ToolchainError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Run the tutorial, and compare what its commands print.")
    parser.add_argument("--update", action="store_true", help="write outputs that differ")
    options = parser.parse_args(arguments)
    document = TUTORIAL.read_text("utf-8")
    has_tools = _has_toolchain()
    try:
        todo = [each for each in commands(document) if has_tools or not each.toolchain]
        with tempfile.TemporaryDirectory() as folder:
            printed = run([each.text for each in todo], Path(folder))
        ran = list(zip(todo, printed, strict=True))
        if options.update:
            disk.replace(TUTORIAL, updated(document, ran).encode())
        elif wrong := next(filter(None, (difference(*each) for each in ran)), ""):
            raise SessionError(wrong)
    except SessionError as error:
        return cli.failed(PROGRAM, f"{TUTORIAL.name}: {error}")
    print(
        f"{TUTORIAL.name}: {len(ran)} commands" + ("" if has_tools else ", without place and route")
    )
    return 0


if __name__ == "__main__":
    cli.run(main)
