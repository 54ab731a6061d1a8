# SPDX-License-Identifier: Apache-2.0
"""Files of commands: refused before and after the work, whole or not there, after kills too."""

import os
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hw import disk

ROOT = Path(__file__).parent.parent


def test_a_file_is_no_folder_and_none_can_be_made_in_it(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "file/deep", "file/deep/er"):
        with pytest.raises(NotADirectoryError, match=rf"Not a directory: '{tmp_path / name}'$"):
            disk.make_folder(tmp_path / name)
    for _ in range(2):
        disk.make_folder(tmp_path / "new/deep")
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
        for refuse in (disk.check_file, lambda file: disk.write_file(file, b"x")):
            with pytest.raises(disk.OutputError) as caught:
                refuse(file)
            assert str(caught.value) == f"{file} must be writable: {reason}"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_file_that_can_be_written_is_not_refused_and_its_check_leaves_nothing(tmp_path):
    (tmp_path / "link").symlink_to("deep/file")
    for file in (tmp_path / "new/deep/file", tmp_path / "link", Path("/dev/null")):
        disk.check_file(file)
    assert [each.name for each in tmp_path.iterdir()] == ["link"]
    disk.write_file(tmp_path / "new/deep/file", b"x")
    disk.check_file(tmp_path / "new/deep/file")
    assert (tmp_path / "new/deep/file").read_bytes() == b"x"


def test_a_folder_that_cannot_be_written_is_refused_before_and_after_the_work(tmp_path):
    (tmp_path / "file").touch()
    for folder, reason in {
        tmp_path / "file": "Not a directory",
        tmp_path / "file/deep": "Not a directory",
        Path("/proc/none"): "No such file or directory",
    }.items():
        for refuse in (
            lambda folder: disk.check_folder(folder, owner=None),
            lambda folder: disk.write_files(folder, {"a": "x"}, owner="a"),
        ):
            with pytest.raises(disk.OutputError) as caught:
                refuse(folder)
            assert str(caught.value) == f"the output folder must be writable: {folder}: {reason}"
    disk.check_folder(tmp_path, owner=None)
    disk.check_folder(tmp_path / "new/deep", owner="a")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    disk.write_files(tmp_path / "new", {"a": "x", "deep/b": "y"}, owner="a")
    assert (tmp_path / "new/deep/b").read_text() == "y"


def test_a_link_stays_one_and_leads_to_the_new_content(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    disk.replace(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        found = pool.submit(pipe.read_bytes)
        disk.replace(pipe, b"content")
        assert found.result(timeout=10) == b"content"
    assert pipe.is_fifo()


def test_a_device_stays_one():
    disk.replace(Path("/dev/null"), b"content")
    assert Path("/dev/null").is_char_device()


def test_what_killed_writers_left_is_removed_and_what_living_ones_write_is_not(tmp_path):
    code = f"""
        from pathlib import Path
        from hw import disk
        with disk._beside(Path({str(tmp_path)!r})) as place:
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
        disk.replace(tmp_path / "a", b"1")
        disk.write_files(tmp_path, {"b": "2"}, owner="a")
        assert (place / "half").exists()
        living.kill()
    # The system may close the files of a process a little after its end.
    deadline = time.monotonic() + 30
    while place.exists() and time.monotonic() < deadline:
        disk.replace(tmp_path / "a", b"3")
    assert {file.name for file in tmp_path.iterdir()} == {".writing-notes", "a", "b"}


def test_several_processes_may_replace_the_same_file(tmp_path):
    file = tmp_path / "a"

    def write(number):
        for _ in range(50):
            disk.replace(file, bytes([number]) * 1000)
            assert len(set(file.read_bytes())) == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("renames", [1, 2])
def test_a_folder_may_be_written_again_after_a_kill_between_two_renames(tmp_path, renames):
    code = f"""
        import os, signal, sys
        from pathlib import Path
        from hw import disk
        done = []
        def hear(event, arguments):
            if event == "os.rename":
                done.append(event)
                if len(done) > {renames}:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hear)
        disk.write_files(Path({str(tmp_path)!r}), dict.fromkeys("abc", "x"), owner="b")
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT)
    assert killed.returncode == -9
    assert (tmp_path / "b").read_text() == "x"
    disk.write_files(tmp_path, dict.fromkeys("abc", "y"), owner="b")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys("abc", "y")
