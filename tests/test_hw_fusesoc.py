# SPDX-License-Identifier: Apache-2.0
"""The cores as FuseSoC runs them: generated, simulated, linted; with parameters of another core."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cosim import simulators
from hw.fusesoc_generator import arguments_of

ROOT = Path(__file__).parent.parent
USER = """\
CAPI=2:
name: example:system:user:1.0.0
filesets:
  generator: {depend: [shiftbar:ip:generator]}
generate:
  shift: {generator: shiftbar, parameters: PARAMETERS}
targets:
  default: &default {filesets: [generator], generate: [shift], toplevel: shift_axis}
  lint:
    <<: *default
    flow: lint
    flow_options: {tool: verilator, verilator_options: [-Wall]}
  old_lint:
    <<: *default
    default_tool: verilator
    tools: {verilator: {mode: lint-only}}
"""


def fusesoc(folder, cores, target, core, simulator):
    reason = simulators.missing(simulator)
    if reason is not None:
        pytest.skip(reason)
    scripts = sysconfig.get_path("scripts")
    with simulators.environment(simulator):
        # The generator's python3 is this one; no settings and no cache but here.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        own = {"PATH": path, "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
        roots = [option for each in cores for option in ("--cores-root", each)]
        done = subprocess.run(
            [Path(scripts, "fusesoc"), *roots, "run", f"--target={target}", core],
            cwd=folder, env=os.environ | own, capture_output=True, text=True,
        )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_shift_module_in_a_plain_verilog_bench(tmp_path):
    code, log = fusesoc(tmp_path, [ROOT / "hw"], "sim", "shiftbar:ip:shift", "icarus")
    assert code == 0, log
    assert "PASS: 16 channels shifted" in log


def test_the_bench_notices_a_fault(tmp_path):
    shutil.copytree(ROOT / "hw", tmp_path / "hw", ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "hw/shift.py"
    text = source.read_text()
    assert "Mux(boundary, 0, self.mem_rdata)" in text
    source.write_text(text.replace("Mux(boundary, 0, self.mem_rdata)", "self.mem_rdata"))
    code, log = fusesoc(tmp_path, [tmp_path / "hw"], "sim", "shiftbar:ip:shift", "icarus")
    assert code != 0
    assert "FATAL" in log
    assert "direction 0, pixel 0, 15" in log


@pytest.mark.parametrize("core", ["tile", pytest.param("shift", marks=pytest.mark.slow)])
def test_no_warning(tmp_path, core):
    code, log = fusesoc(tmp_path, [ROOT / "hw"], "lint", f"shiftbar:ip:{core}", "verilator")
    assert code == 0, log
    assert "%Warning" not in log


@pytest.mark.parametrize("target", [pytest.param("lint", marks=pytest.mark.slow), "old_lint"])
def test_another_core_sets_the_parameters(tmp_path, target):
    core = USER.replace("PARAMETERS", "{wrapper: axis, height: 7, width: 14}")
    (tmp_path / "user.core").write_text(core)
    code, log = fusesoc(
        tmp_path, [ROOT / "hw", tmp_path], target, "example:system:user", "verilator"
    )
    assert code == 0, log
    assert "%Warning" not in log
    verilog = next(tmp_path.glob("build/**/shift_axis.v"))
    assert "module shift_axis(" in verilog.read_text()


def test_a_bad_parameter_is_told(tmp_path):
    (tmp_path / "user.core").write_text(USER.replace("PARAMETERS", "{fmap: 1}"))
    code, log = fusesoc(
        tmp_path, [ROOT / "hw", tmp_path], "lint", "example:system:user", "verilator"
    )
    assert code != 0
    assert "argument --fmap: side must be an integer from 2 to 256, not 1" in log


def test_parameters_are_the_options():
    assert arguments_of({}) == []
    assert arguments_of({"block": "shift", "fmap": 4}) == ["--fmap=4"]
    assert arguments_of({"array": True, "channels": 24}) == ["--array", "--channels=24"]
    assert arguments_of({"block": "tile", "rows": 8}) == ["tile", "--rows=8"]
