# SPDX-License-Identifier: Apache-2.0
"""Verilator's compiled models behind a thin C interface: building, and keeping what is built.

``compiled.cpp`` makes a module with a clock tick; the harness of a design, compiled with it as one
unit, drives its other ports: ``fast.cpp`` the accelerator's, ``serial.cpp`` a serial line.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cosim import simulators
from cosim.design import Block
from cosim.runner import COVERAGE, WAIVERS, BuildError

__all__ = ["build"]

MODULE = "dut"
COMMON = Path(__file__).with_suffix(".cpp")
CLOCK = "@(posedge clk)"
"""What Verilator calls the event of the rising clock."""
OPTIONS = ["--x-assign", "fast", "--x-initial", "fast", "--noassert", "--no-timing", "-O3"]


def build(
    block: Block,
    harness: Path,
    *,
    optimise: str = "-O1",
    waves: bool = False,
    coverage: bool = False,
) -> Path:
    """Compile a model, unless that has been done; returns the library.

    Parameters
    ----------
    block : Block
        Its clock is ``clk``, its reset ``rst``.
    harness : Path
        C++ that drives the other ports of a ``Dut``.
    optimise : str
        The compiler's option: ``-O1`` for seconds of simulation, ``-O2`` for minutes.
    waves : bool
        With ``waves_open``; several times slower.
    coverage : bool
        With ``coverage_write``: lines that ran, bits that changed. Several times slower, too.

    Raises
    ------
    BuildError
        If Verilator or the compiler refuses it.
    simulators.SimulatorError
        If one of them is missing.
    """
    reason = simulators.missing("verilator")
    if reason is not None:
        raise simulators.SimulatorError(reason)
    text = "".join(part.read_text(encoding="utf-8") for part in (COMMON, harness))
    flags = [optimise, "-march=native", f"-DWAVES={int(waves)}"]
    options = [*OPTIONS, *["--trace-vcd"] * waves]
    if coverage:
        flags.append("-DCOVERAGE=1")
        options += COVERAGE
    with simulators.environment("verilator"):
        versions = [simulators.version("verilator"), _processor(), flags]
        runtime = _made("runtime", versions, functools.partial(_compile_runtime, flags))
        compile_model = functools.partial(_compile_model, block, text, runtime, options, flags)
        key = [*versions, block.name, block.text, text, WAIVERS, options]
        return _made(harness.stem, key, compile_model)


def _processor() -> str:
    """Return what the compiler takes this processor for: its models may run on no other."""
    done = _call(["c++", "-march=native", "-###", "-E", "-x", "c", "/dev/null"])
    return done.stderr


def _made(name: str, key: list[Any], make: Callable[[Path], None]) -> Path:
    """Return the file that ``make`` makes, in a folder named by what it depends on."""
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    folder = simulators.BUILD / f"{name}-{digest}"
    result = folder / "result"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder / "unfinished")
            os.replace(folder / "unfinished", result)
    return result


def _compile_runtime(flags: list[str], output: Path) -> None:
    """Compile what all models share."""
    include = Path(_verilator_root(), "include")
    unit = output.with_name("runtime.cpp")
    names = ["verilated", "verilated_threads", "verilated_vcd_c"]
    names += ["verilated_cov"] * ("-DCOVERAGE=1" in flags)
    parts = [include / f"{name}.cpp" for name in names]
    unit.write_text("".join(f'#include "{part}"\n' for part in parts), encoding="utf-8")
    _compile(["-c", str(unit), "-o", str(output)], flags)


def _compile_model(
    block: Block, harness: str, runtime: Path, options: list[str], flags: list[str], output: Path
) -> None:
    """Compile model and harness as one unit: reading the headers takes longest."""
    folder = output.parent
    source = folder / f"{MODULE}.v"
    source.write_text(block.text, encoding="utf-8")
    waivers = folder / "waivers.vlt"
    waivers.write_text(WAIVERS, encoding="utf-8")
    target = ["--prefix", f"V{MODULE}", "--top-module", block.name, "--Mdir", str(folder)]
    _call(["verilator", "--cc", *options, *target, str(waivers), str(source)])
    parts = sorted(part.name for part in folder.glob(f"V{MODULE}*.cpp"))
    flags = [*flags, f"-DCLOCK_ONLY={int(_follows_the_clock_only(folder))}"]
    unit = folder / "unit.cpp"
    text = "".join(f'#include "{part}"\n' for part in parts) + harness
    unit.write_text(text, encoding="utf-8")
    inputs = [str(unit), "-x", "none", str(runtime)]
    _compile(["-shared", f"-I{folder}", *inputs, "-o", str(output), "-pthread"], flags)


def _follows_the_clock_only(folder: Path) -> bool:
    """Whether nothing but the rising clock makes a model act: no logic that must settle, say."""
    text = "".join(part.read_text("utf-8") for part in folder.glob(f"V{MODULE}*.cpp"))
    return set(re.findall(r"trigger index \d+ is active: (@\(.*?\))\\n", text)) == {CLOCK}


def _compile(arguments: list[str], flags: list[str]) -> None:
    include = Path(_verilator_root(), "include")
    includes = [f"-I{include}", f"-I{include / 'vltstd'}"]
    _call(["c++", "-std=c++17", "-fPIC", *flags, *includes, *arguments])


def _call(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise BuildError(f"{command[0]} does not build the model:\n{end}")
    return done


def _verilator_root() -> str:
    done = subprocess.run(
        ["verilator", "--getenv", "VERILATOR_ROOT"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
