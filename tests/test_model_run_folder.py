# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: of one at a time, and with a name."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hw.params import ParameterError
from model import compress, train
from model.run_folder import held

ROOT = Path(__file__).parent.parent
LINE = ["psp_12_1", "--dataset", "synthetic", "--epochs", "1"]
HOLD = """
import sys; from pathlib import Path; from model.run_folder import held
with held(Path(sys.argv[1]), new=True): print("held", flush=True); sys.stdin.read()
"""


def test_two_runs_in_one_folder_are_noticed(tmp_path, capsys):
    out = tmp_path / "run"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out)], env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == b"held\n"
        rule = f"{out} must be of one run at a time: another is at work"
        for arguments in (LINE, [*LINE, "--resume"]):
            with pytest.raises(SystemExit, match="^2$"):
                train.main([*arguments, "--out", str(out)])
            assert capsys.readouterr() == ("", f"python -m model.train: error: {rule}\n")
        # The other processes of that run, and runs elsewhere, are not in its way.
        with held(out, new=True, rank=1), held(tmp_path / "elsewhere", new=True):
            pass
        other.send_signal(signal.SIGKILL)
    # Killed, it leaves nothing behind.
    assert list(out.iterdir()) == []
    with (
        held(out, new=False),
        pytest.raises(ParameterError, match=f"^{re.escape(rule)}$"),
        held(out, new=False),
    ):
        pass
    with held(out, new=False):
        pass


@pytest.mark.parametrize("main", [train.main, compress.main])
def test_a_folder_without_a_name(tmp_path, monkeypatch, capsys, main):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="^2$"):
        main([*LINE[:1], "--out", ""])
    error = capsys.readouterr().err
    assert "error: argument --out: must name a file or folder, not be empty (see --help)\n" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_neither_made_nor_held(tmp_path):
    with held(tmp_path / "run", new=False), held(tmp_path / "run", new=False):
        assert list(tmp_path.iterdir()) == []


def test_a_run_writes_into_the_folder_that_it_holds(tmp_path):
    program = (
        "from pathlib import Path; from hw import disk; from model import run_folder\n"
        "out = Path('out')\n"
        "with run_folder.held(out, new=True): disk.replace(out / 'file', b'whole')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=30
    )
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["file"]


def refused(out, kept):
    with held(out, new=True):
        for name in kept:
            (out / name).touch()
        raise ParameterError("refused")


@pytest.mark.parametrize("kept", [[], ["kept"]])
def test_a_new_folder_goes_again_with_a_run_that_is_refused(kept, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ParameterError):
        refused(out, kept)
    assert out.exists() == bool(kept)
