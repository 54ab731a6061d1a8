# SPDX-License-Identifier: Apache-2.0
"""The generator: same bytes anywhere, a JSON that is true, and one line for bad input."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hw import gen
from hw.verilog import emit

ROOT = Path(__file__).parent.parent


def run(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "hw.gen", *map(str, arguments)],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)} | environment, capture_output=True,
        text=True,
    )  # fmt: skip


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_default_is_the_papers_module(tmp_path):
    result = run("--fmap", 16, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    folder = tmp_path / "build/shift_16x16x8"
    assert sorted(contents(folder)) == ["shift_module.json", "shift_module.v"]
    description = json.loads((folder / "shift_module.json").read_text())
    verilog = (folder / "shift_module.v").read_bytes()
    assert description["verilog"]["sha256"] == hashlib.sha256(verilog).hexdigest()
    assert sum(port["width"] for port in description["ports"]) == 33
    assert description["cycles"]["one channel"] == 258
    assert "33 port bits" in result.stdout


@pytest.mark.parametrize(
    "options",
    [[], ["--wrapper", "axis"], ["--array", "--channels", "24"], ["--reader"],
     ["--height", "7", "--width", "14", "--bits", "3"]],
)  # fmt: skip
def test_same_bytes_in_any_folder(tmp_path, options):
    outputs = []
    for name in ("a", "deep/er/b"):
        (tmp_path / name).mkdir(parents=True)
        assert run(*options, cwd=tmp_path / name).returncode == 0
        outputs.append(contents(tmp_path / name))
    assert outputs[0] == outputs[1]
    assert all(str(tmp_path).encode() not in text for text in outputs[0].values())


@pytest.mark.parametrize("options", [[], ["--wrapper", "axis"], ["--array"], ["--reader"]])
def test_json_tells_the_ports_of_the_verilog(capsys, tmp_path, options):
    assert gen.main([*options, "--fmap", "4", "--out", str(tmp_path / "o"), "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    module = description["module"]
    text = (tmp_path / "o" / description["verilog"]["file"]).read_text()
    top = re.search(rf"^module {module}\(.*?^endmodule", text, re.DOTALL | re.MULTILINE).group()
    found = {
        name: (direction, int(high or 0) + 1)
        for direction, high, name in re.findall(
            r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", top, re.MULTILINE
        )
    }
    assert found == {p["name"]: (p["direction"], p["width"]) for p in description["ports"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            (["--fmap", value],
             f"argument --fmap: side must be an integer from 2 to 256, not {shown}")
            for value, shown in [("0", "0"), ("1", "1"), ("-4", "-4"), ("257", "257"),
                                 ("3.5", "'3.5'"), ("True", "'True'"), ("x", "'x'")]
        ),
        (["--height", "1"], "argument --height: height must be an integer from 2 to 256, not 1"),
        (["--width", "300"], "argument --width: width must be an integer from 2 to 256, not 300"),
        (["--bits", "0"], "argument --bits: bits must be an integer from 1 to 64, not 0"),
        (["--bits", "65"], "argument --bits: bits must be an integer from 1 to 64, not 65"),
        (["--array", "--channels", "11"],
         "argument --channels: channels must be an integer from 12 to 4096, not 11"),
        (["--channels", "24"], "--channels needs --array: only the array stores several channels"),
        (["--fmap", "8", "--width", "4"],
         "--fmap sets both sides: give either it or --height and --width"),
        (["--out", ""], "argument --out: must name a file or folder, not be empty"),
        (["bogus"],
         "what to generate must be tile or accelerator, or left out for the shift IP, not 'bogus'"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["--wrapper", "wishbone"], "argument --wrapper: invalid choice: 'wishbone'"),
        (["--array", "--reader"], "argument --reader: not allowed with argument --array"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, arguments, message):
    arguments = [f"{a}={b}" for a, b in [arguments]] if arguments[-1:] == ["-4"] else arguments
    result = run(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"python -m hw.gen: error: {message}")
    assert result.stderr.count("\n") == 1
    assert contents(tmp_path) == {}


def test_occupied_folder_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("years of work")
    before = contents(tmp_path)
    result = run("--out", "out", cwd=tmp_path)
    assert result.returncode == 2
    assert "must be new, empty or hold an earlier shift_module.json" in result.stderr
    assert contents(tmp_path) == before


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("a file")
    for out in ("out", "out/deeper"):
        result = run("--out", out, cwd=tmp_path)
        assert result.returncode == 2
        assert re.fullmatch(
            rf"python -m hw\.gen: error: the output folder must be writable: {out}: "
            r"Not a directory\n",
            result.stderr,
        )
    assert contents(tmp_path) == {"out": b"a file"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    result = run("--out", "out", cwd=tmp_path)
    assert result.returncode == 2
    assert "Permission denied" in result.stderr


BROKEN = """#!/bin/sh
[ "$1" = -V ] && echo Yosys 0.50 && exit
echo ERROR: broken >&2
exit 1
"""


@pytest.mark.parametrize(
    ("script", "reason"),
    [(None, "Could not find an acceptable Yosys binary. Searched: system"),
     (BROKEN, "ERROR: broken")],
)  # fmt: skip
def test_a_yosys_that_is_missing_or_fails_is_one_line(tmp_path, script, reason):
    tools = tmp_path / "tools"
    tools.mkdir()
    if script:
        (tools / "yosys").write_text(script)
        (tools / "yosys").chmod(0o755)
    before = contents(tmp_path)
    path = f"{tools}:/bin" if script else str(tools)
    result = run(cwd=tmp_path, AMARANTH_USE_YOSYS="system", PATH=path)
    told = f"python -m hw.gen: error: Yosys must write shift_module: {reason}\n"
    assert (result.returncode, result.stdout, result.stderr) == (1, "", told)
    assert contents(tmp_path) == before
    assert [each.name for each in tmp_path.iterdir()] == ["tools"]


def test_an_earlier_result_is_replaced_and_its_neighbours_kept(tmp_path):
    assert run("--out", "out", cwd=tmp_path).returncode == 0
    (tmp_path / "out/wave.vcd").write_text("kept")
    assert run("--out", "out", "--bits", "4", cwd=tmp_path).returncode == 0
    after = contents(tmp_path / "out")
    assert sorted(after) == ["shift_module.json", "shift_module.v", "wave.vcd"]
    assert json.loads(after["shift_module.json"])["parameters"]["bits"] == 4


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    (tmp_path / "out/.writing-x").mkdir(parents=True)
    (tmp_path / "out/.writing-x/shift_module.v").write_text("half")
    assert run("--out", "out", cwd=tmp_path).returncode == 0
    assert {"shift_module.json", "shift_module.v"} == set(contents(tmp_path / "out"))


def test_a_failure_in_the_middle_leaves_the_earlier_result(tmp_path, monkeypatch):
    assert gen.main(["--out", str(tmp_path / "out")]) == 0
    before = contents(tmp_path)
    monkeypatch.setattr(
        Path, "write_bytes", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full"))
    )
    with pytest.raises(SystemExit) as end:
        gen.main(["--out", str(tmp_path / "out"), "--bits", "4"])
    assert end.value.code == 2
    assert contents(tmp_path) == before


def test_a_component_converts_twice_with_equal_text():
    product = gen.shift_product(gen.ShiftParams(height=6, width=10), channels=24)
    first, second = (emit(product.component, product.module) for _ in range(2))
    assert first == second


def test_the_readers_directions_are_those_of_its_port(tmp_path):
    assert gen.main(["--fmap", "4", "--reader", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "shifted_reader.json").read_text())
    ports = {port["name"]: port["width"] for port in found["ports"]}
    assert max(found["directions"].values()) == found["directions"]["STAY"] == 8
    assert ports["direction"] == 4
