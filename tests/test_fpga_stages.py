# SPDX-License-Identifier: Apache-2.0
"""Stages: what runs again, what is left when something fails, how a tool's failure is told."""

import errno
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from flow_fakes import script

from fpga import stages, yosys
from fpga.stages import BuildError, Stage, build, call, stale
from fpga.yosys import YosysError
from hw.disk import OutputError

ROOT = Path(__file__).parent.parent


class Steps:
    """Two stages, ``a`` to ``b``, that note when they run; and what one of them may do first."""

    def __init__(self):
        self.ran = []
        self.trouble = {}

    def step(self, name, source, target):
        def run(folder):
            self.ran.append(name)
            text = (folder / source).read_text() if source else "text"
            if trouble := self.trouble.get(name):
                (folder / target).write_text("half of it")
                trouble(folder)
            (folder / target).write_text(text.upper() if source else text)

        return run

    def stages(self, argument=1):
        return [
            Stage("first", self.step("first", None, "a"), (), ("a",), depends={"n": argument}),
            Stage("second", self.step("second", "a", "b"), ("a",), ("b",), ("b.log",)),
        ]


def raising(error):
    def trouble(folder):
        raise error

    return trouble


@pytest.fixture
def steps():
    return Steps()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_second_build_runs_nothing(steps, tmp_path, capsys):
    build(tmp_path, steps.stages())
    assert steps.ran == ["first", "second"]
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == steps.ran
    build(tmp_path, steps.stages())
    assert steps.ran == ["first", "second"]
    assert capsys.readouterr().err == ""
    assert (tmp_path / "b").read_text() == "TEXT"
    assert set(stages.seconds(tmp_path)) == {"first", "second"}


def test_two_folders_hold_the_same_manifest(steps, tmp_path):
    for name in ("one", "other"):
        build(tmp_path / name, steps.stages())
    one, other = ((tmp_path / name / "manifest.json").read_bytes() for name in ("one", "other"))
    assert one == other
    assert str(tmp_path).encode() not in one


def test_what_changed_runs_again_and_the_rest_only_if_that_changes_its_input(steps, tmp_path):
    build(tmp_path, steps.stages())
    build(tmp_path, steps.stages(argument=2))
    assert steps.ran == ["first", "second", "first"]
    (tmp_path / "b").write_text("by hand")
    assert stale(tmp_path, steps.stages(argument=2)) == "second"
    build(tmp_path, steps.stages(argument=2))
    assert steps.ran[3:] == ["second"]
    (tmp_path / "a").unlink()
    build(tmp_path, steps.stages(argument=2))
    assert steps.ran[4:] == ["first"]
    assert stale(tmp_path, steps.stages(argument=2)) is None


@pytest.mark.parametrize(
    "manifest", ["", "[]", "{", "[" * 100_000, '{"format": 9, "stages": {}}', '{"stages": 3}']
)
def test_a_damaged_manifest_is_none(steps, tmp_path, manifest):
    build(tmp_path, steps.stages())
    (tmp_path / "manifest.json").write_text(manifest)
    build(tmp_path, steps.stages())
    assert steps.ran == ["first", "second"] * 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (BuildError("no"), BuildError),
        (OSError(errno.ENOSPC, ""), BuildError),
        (OSError(errno.EROFS, "Read-only file system", "b"), OutputError),
    ],
)
def test_a_build_goes_on_where_it_ended(steps, tmp_path, error, told):
    steps.trouble["second"] = raising(error)
    with pytest.raises(told):
        build(tmp_path, steps.stages())
    assert names(tmp_path) == ["a", "manifest.json", "seconds.json"]
    assert stale(tmp_path, steps.stages()) == "second"
    del steps.trouble["second"]
    build(tmp_path, steps.stages())
    assert steps.ran == ["first", "second", "second"]
    assert (tmp_path / "b").read_text() == "TEXT"


def test_old_results_do_not_outlive_a_failure_before_them(steps, tmp_path):
    build(tmp_path, steps.stages())
    steps.trouble["first"] = raising(BuildError("no"))
    with pytest.raises(BuildError, match="^first: no$"):
        build(tmp_path, steps.stages(argument=2))
    assert names(tmp_path) == ["manifest.json", "seconds.json"]


def test_a_stage_must_write_what_it_promises(tmp_path):
    with pytest.raises(BuildError, match="^idle: the tool must write a, and did not$"):
        build(tmp_path, [Stage("idle", lambda folder: None, (), ("a",))])


def test_a_log_stays_when_the_stage_fails(steps, tmp_path):
    def trouble(folder):
        (folder / "b.log").write_text("said")
        raise BuildError("no")

    steps.trouble["second"] = trouble
    with pytest.raises(BuildError):
        build(tmp_path, steps.stages())
    assert (tmp_path / "b.log").read_text() == "said"


def test_a_build_that_ends_before_its_first_file_leaves_the_folder_to_the_next(
    steps, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(stages, "replace", lambda *_: raising(OSError(errno.ENOSPC, ""))(None))
        with pytest.raises(BuildError, match="disk is full"):
            build(tmp_path, steps.stages())
    build(tmp_path, steps.stages())
    assert names(tmp_path) == ["a", "b", "manifest.json", "seconds.json"]


def test_a_second_build_at_the_same_time_is_refused(steps, tmp_path):
    steps.trouble["second"] = lambda folder: build(tmp_path, steps.stages())
    told = f"^second: another build must not work in the same folder: {tmp_path}$"
    with pytest.raises(BuildError, match=told):
        build(tmp_path, steps.stages())


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (OSError(errno.ENOSPC, "No space"), BuildError, "the disk is full: {folder}"),
        (
            OSError(errno.EROFS, "Read-only file system", "/x/b"),
            OutputError, "the output folder must be writable: /x/b: Read-only file system",
        ),
        (
            OSError(errno.EIO, "Input/output error"),
            OutputError, "the output folder must be writable: {folder}: Input/output error",
        ),
    ],
)  # fmt: skip
def test_what_the_system_refuses_is_told_with_its_place(steps, tmp_path, error, kind, told):
    steps.trouble["second"] = raising(error)
    with pytest.raises(kind) as caught:
        build(tmp_path, steps.stages())
    assert str(caught.value) == told.format(folder=tmp_path)


@pytest.mark.parametrize("fails", [False, True])
def test_a_folder_that_is_removed_meanwhile_is_told(steps, tmp_path, fails):
    folder = tmp_path / "out"

    def trouble(_):
        shutil.rmtree(folder)
        if fails:
            raise BuildError("the tool noticed first")

    steps.trouble["second"] = trouble
    told = f"^the folder must stay while a build works in it: {folder} is gone$"
    with pytest.raises(BuildError, match=told):
        build(folder, steps.stages())


def test_a_folder_of_something_else_and_a_file_are_left_alone(steps, tmp_path):
    (tmp_path / "letter").write_text("mine")
    told = "the output folder must be new, empty or hold an earlier manifest.json"
    with pytest.raises(OutputError, match=f"^{told}, not other files: {tmp_path}$"):
        build(tmp_path, steps.stages())
    file = tmp_path / "letter"
    with pytest.raises(
        OutputError, match=f"^the output folder must be writable: {file}: Not a directory$"
    ):
        build(file, steps.stages())
    with pytest.raises(
        OutputError,
        match="^the output folder must be writable: /proc/x: No such file or directory$",
    ):
        build(Path("/proc/x"), steps.stages())
    assert steps.ran == []
    assert names(tmp_path) == ["letter"]


def test_seconds_are_those_of_the_last_build_that_ran_anything(steps, tmp_path):
    build(tmp_path, steps.stages())
    assert list(stages.seconds(tmp_path)) == ["first", "second"]
    build(tmp_path, steps.stages(argument=2))
    assert list(stages.seconds(tmp_path)) == ["first"]
    build(tmp_path, steps.stages(argument=2))
    assert list(stages.seconds(tmp_path)) == ["first"]


def test_a_killed_build_leaves_neither_lock_nor_rubbish(steps, tmp_path):
    code = f"""
        import time
        from pathlib import Path
        from fpga.stages import Stage, build
        def run(folder):
            (folder / "a").write_text("half")
            print("runs", flush=True)
            time.sleep(60)
        build(Path({str(tmp_path)!r}), [Stage("first", run, (), ("a",))])
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout.readline() == "runs\n"
        with pytest.raises(BuildError, match="^another build must not work in the same folder: "):
            build(tmp_path, steps.stages())
        killed.kill()
    assert any(name.startswith(".running-") for name in names(tmp_path))
    build(tmp_path, steps.stages())
    assert names(tmp_path) == ["a", "b", "manifest.json", "seconds.json"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "echo Info: fine >&2; echo 'ERROR: first' >&2; echo 'ERROR: second' >&2; exit 1",
            "ERROR: first",
        ),
        ("echo 'tool: error: no such part'; exit 3", "tool: error: no such part"),
        ("echo one >&2; echo 'not a word of e.' >&2; exit 7", "exit code 7: not a word of e."),
        ("exit 7", "exit code 7: no output"),
        ("echo working >&2; kill -SEGV $$", "ended by SIGSEGV; last line: working"),
    ],
)
def test_a_failed_tool_is_told_by_its_own_first_error(tmp_path, body, told):
    with pytest.raises(BuildError) as caught:
        call([script(tmp_path / "tool", body)], tmp_path, log="log")
    assert str(caught.value) == f"tool: {told}"


def test_a_tool_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BuildError, match="^tool does not start: No such file or directory$"):
        call([tmp_path / "tool"], tmp_path, log="log")


def test_what_a_tool_says_is_logged_and_what_it_writes_returned(tmp_path):
    tool = script(tmp_path / "tool", "echo out; echo said >&2; env | grep ^PYTHON >&2; exit 0")
    assert call([tool], tmp_path, log="log") == b"out\n"
    assert (tmp_path / "log").read_text() == "said\n"


def test_pads_and_clock_buffers_are_added_only_if_asked_for():
    (without,), (pads,) = yosys.synthesis("top"), yosys.synthesis("top", pads=True)
    assert without.replace(" -noiopad -noclkbuf", "") == pads
    assert without != pads


def test_yosys_leaves_a_log_also_when_it_fails(tmp_path):
    with pytest.raises(YosysError, match="^ERROR: .*none.v"):
        yosys.run(["read_verilog none.v"], tmp_path, log="yosys.log")
    assert "ERROR: " in (tmp_path / "yosys.log").read_text()
