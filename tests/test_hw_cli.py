# SPDX-License-Identifier: Apache-2.0
"""How a command ends: never with a traceback."""

import argparse
import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
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
        ("cli.replace(Path('/dev/full'), b'x')", 1,
         "error: /dev/full must be writable: No space left on device"),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "interrupted"),
    ],
)  # fmt: skip
def test_a_program_that_does_not_come_to_its_end_names_itself(tmp_path, body, code, told):
    imports = "import os, signal\nfrom pathlib import Path\nfrom hw import cli\n"
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


def test_a_file_is_no_folder_and_none_can_be_made_in_it(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "file/deep", "file/deep/er"):
        with pytest.raises(NotADirectoryError, match=rf"Not a directory: '{tmp_path / name}'$"):
            cli.make_folder(tmp_path / name)
    for _ in range(2):
        cli.make_folder(tmp_path / "new/deep")
    assert (tmp_path / "new/deep").is_dir()


def test_a_file_that_cannot_be_written_is_refused_before_and_after_the_work(tmp_path):
    (tmp_path / "file").touch()
    long = tmp_path / ("x" * 300)
    for file, reason in {
        tmp_path: "Is a directory",
        tmp_path / "file/x": "Not a directory",
        tmp_path / "file/deep/x": "Not a directory",
        long: "File name too long",
        Path("/proc/none/x"): "No such file or directory",
    }.items():
        for refuse in (cli.check_file, lambda file: cli.write_file(file, b"x")):
            with pytest.raises(cli.OutputError) as caught:
                refuse(file)
            assert str(caught.value) == f"{file} must be writable: {reason}"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_file_that_can_be_written_is_not_refused_and_its_check_leaves_nothing(tmp_path):
    (tmp_path / "link").symlink_to("deep/file")
    for file in (tmp_path / "new/deep/file", tmp_path / "link", Path("/dev/null")):
        cli.check_file(file)
    assert [each.name for each in tmp_path.iterdir()] == ["link"]
    cli.write_file(tmp_path / "new/deep/file", b"x")
    cli.check_file(tmp_path / "new/deep/file")
    assert (tmp_path / "new/deep/file").read_bytes() == b"x"


def test_a_folder_that_cannot_be_written_is_refused_before_and_after_the_work(tmp_path):
    (tmp_path / "file").touch()
    for folder, reason in {
        tmp_path / "file": "Not a directory",
        tmp_path / "file/deep": "Not a directory",
        Path("/proc/none"): "No such file or directory",
    }.items():
        for refuse in (
            lambda folder: cli.check_folder(folder, owner=None),
            lambda folder: cli.write_files(folder, {"a": "x"}, owner="a"),
        ):
            with pytest.raises(cli.OutputError) as caught:
                refuse(folder)
            assert str(caught.value) == f"the output folder must be writable: {folder}: {reason}"
    cli.check_folder(tmp_path, owner=None)
    cli.check_folder(tmp_path / "new/deep", owner="a")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    cli.write_files(tmp_path / "new", {"a": "x", "deep/b": "y"}, owner="a")
    assert (tmp_path / "new/deep/b").read_text() == "y"


def test_a_link_stays_one_and_leads_to_the_new_content(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    cli.replace(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        found = pool.submit(pipe.read_bytes)
        cli.replace(pipe, b"content")
        assert found.result(timeout=10) == b"content"
    assert pipe.is_fifo()


def test_a_device_stays_one():
    cli.replace(Path("/dev/null"), b"content")
    assert Path("/dev/null").is_char_device()


def test_what_killed_writers_left_is_removed_and_what_living_ones_write_is_not(tmp_path):
    code = f"""
        from pathlib import Path
        from hw import cli
        with cli._beside(Path({str(tmp_path)!r})) as place:
            (place / "half").write_text("half")
            print(place, flush=True)
            input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as living:  # fmt: skip
        place = Path(living.stdout.readline().strip())
        (tmp_path / ".writing-notes").write_text("a file of somebody's")
        cli.replace(tmp_path / "a", b"1")
        cli.write_files(tmp_path, {"b": "2"}, owner="a")
        assert (place / "half").exists()
        living.kill()
    # The system may close the files of a process a little after its end.
    deadline = time.monotonic() + 30
    while place.exists() and time.monotonic() < deadline:
        cli.replace(tmp_path / "a", b"3")
    assert {file.name for file in tmp_path.iterdir()} == {".writing-notes", "a", "b"}


def test_several_processes_may_replace_the_same_file(tmp_path):
    file = tmp_path / "a"

    def write(number):
        for _ in range(50):
            cli.replace(file, bytes([number]) * 1000)
            assert len(set(file.read_bytes())) == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("renames", [1, 2])
def test_a_folder_may_be_written_again_after_a_kill_between_two_renames(tmp_path, renames):
    code = f"""
        import os, signal, sys
        from pathlib import Path
        from hw import cli
        done = []
        def hear(event, arguments):
            if event == "os.rename":
                done.append(event)
                if len(done) > {renames}:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hear)
        cli.write_files(Path({str(tmp_path)!r}), dict.fromkeys("abc", "x"), owner="b")
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT)
    assert killed.returncode == -9
    assert (tmp_path / "b").read_text() == "x"
    cli.write_files(tmp_path, dict.fromkeys("abc", "y"), owner="b")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys("abc", "y")
