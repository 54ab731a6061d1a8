# SPDX-License-Identifier: Apache-2.0
"""The command line against the simulated device behind a pseudo-terminal, and what it says."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import serial

from cosim import simulators
from fpga import host, shift_host
from fpga.session import Session
from hw import timing
from hw.params import Direction, ShiftParams
from model import golden

ROOT = Path(__file__).parent.parent
PARAMS = ShiftParams(height=4, width=6, bits=7)
CYCLES = timing.shift_cycles(PARAMS)
PROGRAM = host.PROGRAM


@contextlib.contextmanager
def simulated(*arguments):
    """Serve a simulated device; yields its port."""
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    command = [sys.executable, "-m", "cosim.device", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as device:
        try:
            yield device.stdout.readline().strip()
        finally:
            device.send_signal(signal.SIGINT)
            assert device.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def port():
    with simulated("--height", "4", "--width", "6", "--bits", "7") as path:
        yield path


def call(port, *arguments):
    return host.main(["--port", port, *arguments])


def refused(capsys, *arguments):
    """Return what a command says that ends with exit code 2, after the program's name."""
    with pytest.raises(SystemExit, match="^2$"):
        host.main(list(arguments))
    line = capsys.readouterr().err
    assert line.startswith(f"{PROGRAM}: error: ")
    assert line.count("\n") == 1
    return line.removeprefix(f"{PROGRAM}: error: ").strip()


def test_info(port, capsys):
    assert call(port, "info") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shift at 100 MHz"
    assert "region map: 30 bytes, rw" in lines
    assert lines[-3:] == ["height: 4", "width: 6", "bits: 7"]
    assert call(port, "--json", "info") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["design"] == "shift"
    assert found["parameters"] == {"height": 4, "width": 6, "bits": 7}
    assert [region["name"] for region in found["regions"]] == ["info", "registers", "map"]


@pytest.mark.parametrize("direction", ["RIGHT", "left_down"])
def test_a_random_map(port, direction, capsys):
    assert call(port, "--json", "shift", "--direction", direction, "--seed", "4") == 0
    found = json.loads(capsys.readouterr().out)
    pixels = shift_host.random_map(PARAMS, np.random.Generator(np.random.PCG64(4)))
    assert found["map"] == pixels.tolist()
    wanted = golden.shift_channel(pixels, Direction[direction.upper()])
    assert found["shifted"] == wanted.tolist()
    assert (found["direction"], found["cycles"]) == (direction.upper(), CYCLES)


def test_what_a_shift_prints_is_a_map_again(port, tmp_path, capsys):
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    file = tmp_path / "map.txt"
    file.write_text("# a map\n" + "\n".join(" ".join(map(str, row)) for row in pixels))
    assert call(port, "shift", "--direction", "UP", "--map", str(file)) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == f"# UP, {CYCLES} cycles"
    file.write_text(printed)
    assert call(port, "--json", "shift", "--direction", "DOWN", "--map", str(file)) == 0
    pixels[0] = 0
    assert json.loads(capsys.readouterr().out)["shifted"] == pixels.tolist()


def test_selftest_and_counters(port, capsys):
    assert call(port, "counters") == 0
    before = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    assert call(port, "selftest") == 0
    wanted = "8 directions: maps as the golden shift's, cycles as in hw.timing\n"
    assert capsys.readouterr().out == wanted
    assert call(port, "--json", "counters") == 0
    after = json.loads(capsys.readouterr().out)
    assert after["runs"] == int(before["runs"]) + 8
    assert (after["busy"], after["cycles"]) == (0, CYCLES)


def test_selftest_says_what_differs(port, capsys, monkeypatch):
    monkeypatch.setattr(timing, "shift_cycles", lambda params: CYCLES + 1)
    assert call(port, "--json", "selftest") == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["passed"]
    assert found["differences"] == [
        f"{direction.name}: cycles must be {CYCLES + 1} as in hw.timing, not {CYCLES}"
        for direction in Direction.moving()
    ]


def test_it_starts_without_torch_and_amaranth():
    code = "import sys, fpga.host; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"torch", "amaranth", "PIL", "cosim"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n3\n", "must hold rows of the same length"),
        ("", "must hold rows of the same length"),
        ("1 2\n3 x\n", "must hold rows of numbers: invalid literal for int() with base 10: 'x'"),
        ("1 256\n", "must hold numbers from 0 to 255"),
        ("0 " * (1 << 19) + "0", "must have at most 1048576 bytes"),
        ("1 2\n3 4\n", None),
    ],
)
def test_a_map_is_checked(port, text, message, tmp_path, capsys):
    file = tmp_path / "map.txt"
    file.write_text(text)
    wanted = f"{file}: a map must be uint8 [4, 6], not uint8 [2, 2]"
    found = refused(capsys, "--port", port, "shift", "--direction", "UP", "--map", str(file))
    assert found == (f"{file} {message}" if message else wanted)


def test_a_map_that_is_missing(port, tmp_path, capsys):
    file = tmp_path / "none"
    found = refused(capsys, "--port", port, "shift", "--direction", "UP", "--map", str(file))
    assert found == f"{file} must be a readable file: No such file or directory"


def test_a_port_that_is_none(tmp_path, capsys):
    found = refused(capsys, "--port", str(tmp_path / "none"), "info")
    assert found == (
        f"the port must be a serial port: {tmp_path / 'none'}: No such file or directory"
    )
    file = tmp_path / "file"
    file.touch()
    found = refused(capsys, "--port", str(file), "info")
    assert found.startswith(f"the port must be a serial port: {file}: ")


def test_a_port_in_use_is_said(port, capsys):
    with serial.Serial(port, exclusive=True):
        assert call(port, "info") == 1
    told = f"{PROGRAM}: error: {port}: another program must not use the port\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("command", [["info"], ["counters"], ["shift", "--direction", "UP"]])
def test_json_is_taken_before_the_command_and_after_it(port, command, capsys):
    assert call(port, "--json", *command) == 0
    before = json.loads(capsys.readouterr().out)
    assert call(port, *command, "--json") == 0
    assert json.loads(capsys.readouterr().out) == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["classify", "a.png", "--images", "2"], "--images must come with --dataset, not"),
        (["classify", "a.png", "--data", "x"], "--data must come with --dataset, not"),
        (["shift", "--direction", "UP", "--map", "m", "--seed", "1"],
         "--seed must come with a random map, not with --map"),
        (["selftest", "--images", "2"], "--images must come with the design accelerator, not"),
        (["selftest", "--intnet", "x"], "--intnet must come with the design accelerator, not"),
        (["load", "--intnet", "psp_9"], "a network must be one of the zoo (psp_64_4, "),
    ],
)  # fmt: skip
def test_options_that_do_not_apply_are_refused(port, arguments, told, capsys):
    assert refused(capsys, "--port", port, *arguments).startswith(told)


def test_usage(capsys):
    assert refused(capsys, "--port", "p") == (
        "the following arguments are required: command (see --help)"
    )
    found = refused(capsys, "--port", "p", "classify", "--intnet", "net")
    assert found == "classify must be given either pictures or --dataset"
    with pytest.raises(SystemExit, match="^2$"):
        host.main(["--port", "p", "shift", "--direction", "STAY"])
    assert "argument --direction: invalid choice: 'STAY'" in capsys.readouterr().err


def test_the_wrong_design(port, capsys):
    assert call(port, "load", "--intnet", "psp_64_4") == 1
    wanted = f"{PROGRAM}: error: {port}: the device must be the design accelerator, not shift\n"
    assert capsys.readouterr().err == wanted


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(host, "TIMEOUT", 0.01)


@pytest.mark.usefixtures("quick")
def test_nobody_answers(capsys):
    device, terminal = os.openpty()
    port = os.ttyname(terminal)
    assert call(port, "info") == 1
    wanted = f"{PROGRAM}: error: {port}: the device does not answer: asked 9 times to begin\n"
    assert capsys.readouterr().err == wanted
    os.close(device)
    os.close(terminal)


def test_the_line_is_cut(capsys, monkeypatch):
    device, terminal = os.openpty()
    port = os.ttyname(terminal)
    os.close(terminal)
    sync = Session.sync
    monkeypatch.setattr(Session, "sync", lambda self: (os.close(device), sync(self)))
    assert call(port, "selftest") == 1
    found = capsys.readouterr().err
    assert found.startswith(f"{PROGRAM}: error: {port}: the line is cut: ")
    assert found.count("\n") == 1


@pytest.mark.slow
def test_a_trained_network_behind_a_pseudo_terminal(capsys):
    with simulated("--design", "accelerator", "--net", "psp_64_4_int4") as path:
        assert call(path, "selftest", "--images", "20") == 0
        assert capsys.readouterr().out == (
            "20 images: logits as the integer executor's, cycles as in hw.timing\n"
        )
        assert call(path, "load") == 0
        assert call(path, "selftest", "--images", "1") == 0
