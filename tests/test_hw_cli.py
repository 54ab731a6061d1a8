# SPDX-License-Identifier: Apache-2.0
"""How a command ends: never with a traceback."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hw import cli
from hw.params import ParameterError

ROOT = Path(__file__).parent.parent


def ended(body, stdout=subprocess.PIPE):
    """Run a program whose ``main`` has this body; returns exit code and stderr."""
    code = f"from hw import cli\ndef main():\n    {body}\ncli.run(main)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("print('done')", 0, ""),
        ("return 1", 1, ""),
        ("cli.bad_input('p', 'no')", 2, "p: error: no\n"),
        ("raise KeyboardInterrupt", 130, "interrupted\n"),
        # As Amaranth of what is unused, when all is taken down.
        (
            "import atexit as a, warnings as w; a.register(w.warn, 'x'); raise KeyboardInterrupt",
            130,
            "interrupted\n",
        ),
        ("open('/none/x')", 1, "error: /none/x: No such file or directory\n"),
    ],
)
def test_ends(body, code, told):
    assert ended(body) == (code, told)


def test_what_a_message_quotes_cannot_reach_the_terminal(capsys):
    assert cli.failed("p", "é \x1b[31m \udcff\u2028x") == 1
    assert capsys.readouterr().err == "p: error: é \\x1b[31m \\udcff x\n"
    assert ended("cli.bad_input('p', '\\x07')") == (2, "p: error: \\x07\n")


def test_a_path_that_is_no_utf8_can_be_told():
    with open("/dev/null", "w") as nowhere:
        assert ended("print('\\udcff')", nowhere) == (0, "")


def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        assert ended("print('done')", full) == (1, "error: No space left on device\n")


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ("open('/none/x')", 1, "error: /none/x: No such file or directory"),
        ("disk.replace(Path('/dev/full'), b'x')", 1,
         "error: /dev/full must be writable: No space left on device"),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "interrupted"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_come_to_its_end_names_itself(tmp_path, body, code, told):
    imports = "import os, signal\nfrom pathlib import Path\nfrom hw import cli, disk\n"
    (tmp_path / "tool.py").write_text(f"{imports}cli.run(lambda: {body})\n")
    done = subprocess.run(
        [sys.executable, "-m", "tool"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, f"python -m tool: {told}\n")


def test_a_failure_and_an_option_that_does_not_apply_are_one_line(capsys):
    assert cli.failed("p", "one\n  line") == 1
    assert capsys.readouterr().err == "p: error: one line\n"
    options = argparse.Namespace(given=None)
    cli.refuse(options, ["other"], "must not come")
    with pytest.raises(ParameterError, match="^--given must not come$"):
        cli.refuse(options, ["other", "given"], "must not come")


def test_a_reader_that_has_seen_enough_is_no_error():
    program = "from hw import cli; cli.run(lambda: print('x' * 100_000))"
    shell = 'python=$0; "$python" -c "$1" | head -c 1; echo " ${PIPESTATUS[0]}"'
    done = subprocess.run(
        ["bash", "-c", shell, sys.executable, program],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("x 0\n", "")


def test_a_fault_of_the_program_keeps_its_traceback():
    code, told = ended("1 / 0")
    assert code == 1
    assert "ZeroDivisionError" in told


def test_help_shows_defaults_where_there_are_any():
    parser = cli.Parser("prog", "Does.")
    parser.add_argument("--one", default=3, help="first")
    parser.add_argument("--other", help="second")
    text = parser.format_help()
    assert "first (default: 3)" in text
    assert "default: None" not in text


def test_an_empty_path_is_not_the_working_folder(capsys):
    parser = cli.Parser("prog", "Does.")
    parser.add_argument("file", type=Path)
    parser.add_argument_group("more").add_argument("--out", type=Path, default=Path("build"))
    assert parser.parse_args(["."]) == argparse.Namespace(file=Path("."), out=Path("build"))
    for arguments, name in ([""], "file"), (["x", "--out="], "--out"):
        with pytest.raises(SystemExit, match="^2$"):
            parser.parse_args(arguments)
        assert capsys.readouterr().err == (
            f"prog: error: argument {name}: must name a file or folder, not be empty (see --help)\n"
        )
