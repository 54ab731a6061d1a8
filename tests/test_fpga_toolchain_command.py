# SPDX-License-Identifier: Apache-2.0
"""The command that finds or fetches the tools; and Debian's own, which must place and route."""

import contextlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from debian_fakes import TOOLS, Bench, deb

from fpga import debian, lockfile, toolchain
from fpga.toolchain import ToolchainError
from fpga.yosys import run as yosys


@pytest.fixture
def bench(monkeypatch, tmp_path):
    with contextlib.closing(Bench(monkeypatch, tmp_path)) as made:
        yield made


@pytest.fixture
def command(bench, monkeypatch, capsys):
    """Run the command on the bench; return its exit code, stdout and stderr."""
    monkeypatch.setattr(toolchain, "FOLDER", bench.folder)
    monkeypatch.setattr(toolchain, "LOCK", bench.lock_file)

    def call(*arguments):
        try:
            code = toolchain.main(arguments)
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return call


def test_the_command_prints_where_each_tool_lies(bench, command):
    for name, source in toolchain._SOURCES.items():
        if source not in bench.archive.packages:
            bench.archive.add(source, deb(), f"7-{name}")
    bench.lock()
    code, out, err = command("--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["bitread"] == {
        "path": str(bench.prefix / "usr/bin/bitread"), "version": "1.0-1",
    }  # fmt: skip
    assert report["database"]["version"] == "7-database"
    code, out, err = command()
    assert [line.split() for line in out.splitlines()] == [
        [name, tool["version"], tool["path"]] for name, tool in report.items()
    ]


def test_the_command_asks_installed_tools_for_their_version(bench, command, monkeypatch, tmp_path):
    (tmp_path / "db/artix7").mkdir(parents=True)
    monkeypatch.setenv("XRAY_DATABASE_DIR", str(tmp_path / "db"))
    for name in TOOLS:
        bench.program(name, "echo '(Version 0.99)'" if name == TOOLS[0] else "")
    report = json.loads(command("--json")[1])
    assert [tool["version"] for tool in report.values()] == ["0.99", *["unknown"] * 3]


def test_the_command_fails_in_one_line(bench, command, monkeypatch):
    bench.archive.served.clear()
    code, out, err = command()
    assert (code, out) == (1, "")
    assert re.fullmatch(
        r"python -m fpga\.toolchain: error: \S+ 1\.0-1 is no longer on the mirror: .*\n", err
    )
    monkeypatch.setenv(debian.VARIABLE, "nowhere")
    code, out, err = command()
    assert (code, out) == (2, "")
    rule = "SHIFTBAR_DEBIAN_MIRROR must be an http or https address, not 'nowhere'"
    assert err == f"python -m fpga.toolchain: error: {rule}\n"
    bench.lock_file.write_text("{}")
    code, out, err = command()
    assert (code, out) == (2, "")
    rule = "lock.json must have the fields of a lock: 'suite'"
    assert err == f"python -m fpga.toolchain: error: {rule}\n"


DESIGN = "module top(input clk, a, output reg q); always @(posedge clk) q <= a ^ q; endmodule"
PINS = "".join(
    f"set_property -dict {{PACKAGE_PIN {pin} IOSTANDARD LVCMOS33}} [get_ports {port}]\n"
    for port, pin in (("clk", "E3"), ("a", "A8"), ("q", "H5"))
)


@pytest.mark.slow  # fetches 22 MB
def test_debians_own_packages_place_and_route(monkeypatch, tmp_path):
    monkeypatch.setenv("XRAY_DATABASE_DIR", str(tmp_path))
    try:
        lock = lockfile.read(toolchain.LOCK)
        base = debian.mirror()
        next(debian.stream(f"{base}dists/{lock.suite}/InRelease", 1 << 20))
    except ToolchainError as error:
        pytest.skip(f"no mirror can be reached: {error}")
    tools = toolchain.install(tmp_path / "tools")
    (tmp_path / "top.v").write_text(DESIGN)
    (tmp_path / "top.xdc").write_text(PINS)
    (tmp_path / "where.py").write_text("import sys; print(sys.prefix, sys.exec_prefix, *sys.path)")
    yosys(
        ["read_verilog top.v", "synth_xilinx -arch xc7 -top top", "write_json top.json"], tmp_path
    )
    done = subprocess.run(
        [tools.nextpnr, "-q", "--device", "xc7a35tcsg324-1", "--json", "top.json",
         "-o", "xdc=top.xdc", "-o", "fasm=top.fasm", "--pre-pack", "where.py"],
        cwd=tmp_path, env=toolchain.environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "CLBL" in (tmp_path / "top.fasm").read_text()
    # The Python inside takes nothing from this machine.
    inside = str(tmp_path / "tools/prefix")
    assert all(Path(path).is_relative_to(inside) for path in done.stdout.split())
    assert done.stdout.split()
    for part in ("xc7a35tcsg324-1", "xc7a100tcsg324-1", "xc7a200tfbg676-2"):
        assert (tools.database / part / "part.yaml").is_file()
