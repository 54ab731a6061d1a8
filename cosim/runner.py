# SPDX-License-Identifier: Apache-2.0
"""Builds a design with a simulator and runs cocotb tests on it.

Builds are kept under ``build/cosim/<design>-<hash>``, where the hash covers everything that a
build depends on; workers that want the same build wait for each other. A run has a folder of its
own: ``parameters.json`` and ``.npy`` files go in, ``results.xml``, ``simulation.log`` and what
the test bodies write come out.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import logging
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cocotb_tools.config
import numpy as np
import numpy.typing as npt
from cocotb_tools.runner import get_runner

from cosim import simulators
from cosim.design import Design

__all__ = [
    "COVERAGE", "BuildError", "SimulationError", "build", "build_folder", "read_results", "run",
]  # fmt: skip

WAIVERS = Path(__file__).parent.parent.joinpath("hw/waivers.vlt").read_text(encoding="utf-8")
"""What of Verilator's warnings, all of them errors, is raised without anything being wrong."""

PORTS = 'public_flat_rw -module "bench" -var "*__*"\n'
"""What of a model cocotb must see."""

TIMESCALE = ("1ns", "1ps")

# Only the ports of the bench need to be seen: a model in which everything is takes thrice as long
# to compile. Icarus keeps the SystemVerilog rules that cocotb asks for, which are the harsher ones:
# there an `always @*` whose inputs never change never runs.
ARGUMENTS = {"icarus": [], "verilator": ["--no-public-flat-rw"]}

COVERAGE = ["--coverage-line", "--coverage-toggle"]
"""Verilator's options for counting lines that ran and bits that changed."""


class BuildError(AssertionError):
    """A design does not build; the message holds the end of the log."""


class SimulationError(AssertionError):
    """A test failed in the simulator, none ran, or the simulator crashed."""


def build_folder(
    design: Design, simulator: str, *, waves: bool = False, coverage: bool = False
) -> Path:
    """Folder of a build: its name holds a hash of all that the build depends on.

    Raises
    ------
    simulators.SimulatorError
        If the simulator does not run.
    """
    key = json.dumps(
        [
            design.text,
            design.top,
            simulator,
            simulators.version(simulator),
            importlib.metadata.version("cocotb"),
            str(cocotb_tools.config.libs_dir),
            WAIVERS + PORTS,
            ARGUMENTS[simulator] + COVERAGE * coverage,
            TIMESCALE,
            waves,
        ]
    )
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return simulators.BUILD / f"{design.name}-{simulator}-{digest}"


def build(design: Design, simulator: str, *, waves: bool = False, coverage: bool = False) -> Path:
    """Build a design, unless that has been done; returns the folder.

    Parameters
    ----------
    design : Design
    simulator : {"verilator", "icarus"}
    waves : bool
        Build so that runs can write waveforms; Verilator only.
    coverage : bool
        Build so that runs count what they have met; Verilator only.

    Raises
    ------
    BuildError
        If the simulator rejects the design.
    simulators.SimulatorError
        If the simulator is missing, does not run or cannot do this.
    """
    reason = simulators.missing(simulator)
    if reason is not None:
        raise simulators.SimulatorError(reason)
    for name, wanted in (("waves", waves), ("coverage", coverage)):
        if wanted and simulator != "verilator":
            raise simulators.SimulatorError(f"{name} must be asked of verilator, not {simulator}")
    folder = build_folder(design, simulator, waves=waves, coverage=coverage)
    complete = folder / "complete"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        source = folder / f"{design.name}.v"
        source.write_text(design.text, encoding="utf-8")
        sources = [source]
        if simulator == "verilator":
            sources.insert(0, folder / "waivers.vlt")
            sources[0].write_text(WAIVERS + PORTS, encoding="utf-8")
        log = folder / "build.log"
        _quiet()
        try:
            with simulators.environment(simulator):
                get_runner(simulator).build(
                    sources=sources,
                    hdl_toplevel=design.top,
                    build_dir=folder,
                    build_args=ARGUMENTS[simulator] + COVERAGE * coverage,
                    timescale=TIMESCALE,
                    waves=waves,
                    log_file=log,
                )
        except (RuntimeError, SystemExit, subprocess.SubprocessError) as error:
            message = f"{simulator} does not build {design.name} ({error}):\n{_end(log)}"
            raise BuildError(message) from error
        complete.touch()
    return folder


def run(
    design: Design,
    simulator: str,
    body: str,
    *,
    folder: Path,
    parameters: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]] | None = None,
    tests: str | Sequence[str] | None = None,
    waves: bool = False,
    coverage: bool = False,
) -> list[str]:
    """Run cocotb tests on a design, building it if need be.

    Parameters
    ----------
    design : Design
    simulator : {"verilator", "icarus"}
    body : str
        Module with the cocotb tests, such as ``cosim.body_shift_module``.
    folder : Path
        Folder of the run; the simulator's working folder.
    parameters : mapping
        What the tests read with ``cosim.bench.parameters``: anything that JSON can hold.
    arrays : mapping of str to numpy.ndarray, optional
        What they read with ``cosim.bench.array``.
    tests : str or sequence of str, optional
        Names of the tests to run (default: all).
    waves : bool
        Write ``dump.vcd`` with every signal; Verilator only.
    coverage : bool
        Write ``coverage.dat``: how often each line ran and each bit changed; Verilator only.

    Returns
    -------
    list of str
        Names of the tests that passed, which is all that ran.

    Raises
    ------
    SimulationError
        If a test failed, none ran, or the simulator ended with an error.
    BuildError, simulators.SimulatorError
        As `build`.
    """
    built = build(design, simulator, waves=waves, coverage=coverage)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "parameters.json").write_text(json.dumps(parameters), encoding="utf-8")
    for name, values in (arrays or {}).items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    results, log = folder / "results.xml", folder / "simulation.log"
    results.unlink(missing_ok=True)
    exit_code: object = 0
    _quiet()
    try:
        with simulators.environment(simulator):
            get_runner(simulator).test(
                test_module=body,
                hdl_toplevel=design.top,
                hdl_toplevel_lang="verilog",
                build_dir=built,
                test_dir=folder,
                testcase=tests,
                seed=0,
                extra_env={
                    "COSIM_RUN": str(folder),
                    "COCOTB_ANSI_OUTPUT": "0",
                    "PYTHONWARNINGS": "error",
                },
                waves=waves,
                results_xml=str(results),
                timescale=TIMESCALE,
                log_file=log,
            )
    except SystemExit as error:
        exit_code = error.code
    except (RuntimeError, subprocess.SubprocessError) as error:
        exit_code = error
    passed, failures = read_results(results)
    if failures:
        raise SimulationError(f"{design.name} on {simulator}: " + "\n".join(failures))
    if exit_code:
        raise SimulationError(f"{simulator} ended with {exit_code} on {design.name}:\n{_end(log)}")
    if not passed:
        raise SimulationError(f"{simulator} ran no test of {body} on {design.name}:\n{_end(log)}")
    return passed


def read_results(file: Path) -> tuple[list[str], list[str]]:
    """Read cocotb's report: the names of the tests that passed, and a line for each that did not.

    A report that is missing counts as no test at all, a damaged one as a failure.
    """
    if not file.is_file():
        return [], []
    try:
        cases = list(ElementTree.parse(file).getroot().iter("testcase"))
    except ElementTree.ParseError as error:
        return [], [f"{file.name} must be readable: {error}"]
    passed, failures = [], []
    for case in cases:
        name = case.get("name", "")
        problems = [*case.iter("failure"), *case.iter("error")]
        failures += [f"{name}: {_message(problem)}" for problem in problems]
        if not problems and case.find("skipped") is None:
            passed.append(name)
    return passed, failures


def _message(problem: ElementTree.Element) -> str:
    kind = problem.get("type") or problem.get("error_type") or problem.tag
    message = problem.get("message") or problem.get("error_msg") or (problem.text or "").strip()
    return f"{kind}: {message}"


def _end(log: Path, lines: int = 30) -> str:
    """Last lines of a log."""
    if not log.is_file():
        return "(no log)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _quiet() -> None:
    """Silence cocotb's runner, which logs commands: they are in the log files."""
    for name in ("Icarus", "Verilator"):
        logging.getLogger(name).disabled = True
