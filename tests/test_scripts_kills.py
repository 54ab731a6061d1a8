# SPDX-License-Identifier: Apache-2.0
"""Kills at random moments: what they would find, and that what is stored found nothing."""

import json
import multiprocessing
import signal
import time

import pytest

from hw import disk
from scripts import kills
from scripts.kill_programs import PROGRAMS, Program, _is_checkpoint, _is_log
from scripts.killed import Moment, call
from scripts.kills import KillError, endure
from scripts.tables import VERIFICATION

CONTEXT = multiprocessing.get_context("fork")


def step():
    time.sleep(0.02)


def careful(inputs, out, resume):
    """Write two files as they should be written."""
    for name in ("a", "b"):
        step()
        disk.write_files(out, {name: name * 1000}, owner="a")


def half(inputs, out, resume):
    """Write in place."""
    out.mkdir(exist_ok=True)
    with (out / "a").open("w") as file:
        file.write("half")
        file.flush()
        step()
        file.write("whole")


def untidy(inputs, out, resume):
    """Write beside, and leave there what a kill has left."""
    out.mkdir(exist_ok=True)
    beside = out / f".writing-{time.monotonic_ns()}"
    beside.write_text("whole")
    step()
    beside.replace(out / "a")


def forgetful(inputs, out, resume):
    """Take what is there for whole, and go on with what comes after it."""
    if not resume:
        disk.write_files(out, {"a": "1"}, owner="a")
        step()
        disk.replace(out / "b", b"2")
    else:
        disk.replace(out / "c", b"3")


def program(run, **fields):
    return Program(name="test", run=run, kills=20, **fields)


def test_what_writes_beside_its_place_endures(tmp_path):
    tally = endure(program(careful), 12, 1, tmp_path)
    assert tally.kills == 12
    assert tally.completions > 1
    assert tally.writing == 6  # in turns with kills by the clock


@pytest.mark.parametrize(
    ("killed", "told"),
    [
        (program(half), r"test, after kill \d+: a is half-written or other"),
        (program(untidy), r"test, after kill \d+ and a whole run: lost, or too many: \.writing-.*"),
        (
            program(forgetful, goes_on=lambda out: (out / "a").exists()),
            r"test, after kill \d+: c is half-written or other",
        ),
        (program(lambda *_: 3), r"test: a run must end well after 0 kills, not with exit code 3"),
    ],
)
def test_what_does_not_is_caught(tmp_path, killed, told):
    with pytest.raises(KillError, match=f"^{told}"):
        endure(killed, 20, 1, tmp_path)


def left_by(calls, folder):
    """What a kill so many calls after the file is opened leaves of it."""
    out = folder / "out"
    writes = CONTEXT.Value("q", 0, lock=False)
    process = CONTEXT.Process(
        target=call,
        args=(lambda: half(folder, out, False), out, folder / "log", Moment(1, calls), writes),
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert writes.value == 1 + (calls > 0)  # the folder is made first
    return (out / "a").read_text() if (out / "a").exists() else None


def test_the_moment_of_a_kill_does_not_depend_on_the_clock(tmp_path):
    found = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        found.append([left_by(calls, folder) for calls in range(10)])
    assert found[0] == found[1]
    assert found[0][:2] == [None, ""]
    assert "half" in found[0]
    assert set(found[0]) <= {None, "", "half"}


def test_the_readers_tell_half_from_whole():
    line = b'{"epoch": 1, "loss": 2}\n'
    assert _is_log(line)
    for half in (line[:-1], line[:9], line + line, b""):
        assert not _is_log(half)
    assert not _is_checkpoint(b"half")


def test_the_command_counts(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kills, "RESULTS", tmp_path / "kills.json")
    monkeypatch.setattr(kills, "VERIFICATION", tmp_path / "v.md")
    (tmp_path / "v.md").write_text("<!-- kills -->\n<!-- /kills -->\n")
    monkeypatch.setitem(PROGRAMS, "gen", program(careful))
    assert kills.main(["--program", "gen", "--kills", "2", "--json", "--update"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["gen"]["kills"] == 2
    assert json.loads(kills.RESULTS.read_text()) == record
    monkeypatch.setitem(PROGRAMS, "gen", program(half))
    assert kills.main(["--program", "gen"]) == 1
    assert capsys.readouterr().err.startswith("python -m scripts.kills: error: test, after kill")


def test_every_program_was_killed_and_came_to_its_end():
    stored = json.loads(kills.RESULTS.read_text())
    assert list(stored) == list(PROGRAMS)
    assert all(each["kills"] >= 5 and each["completions"] for each in stored.values())
    assert kills.table(stored) in VERIFICATION.read_text()
