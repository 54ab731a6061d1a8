# SPDX-License-Identifier: Apache-2.0
"""Verilator finds nothing wrong in what is handed over, with all of its warnings on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cosim import simulators
from cosim.runner import WAIVERS
from hw import gen

# What an author may do as he likes: several modules in a file, a register with an initial value, a
# signal that nothing reads (its bits are cut off, or it names a field), a memory named as another
# module's instance is.
STYLE = "".join(
    f"lint_off -rule {rule}\n"
    for rule in ("DECLFILENAME", "PROCASSINIT", "UNUSEDSIGNAL", "VARHIDDEN")
)
# The declaration of a black box drives nothing.
BLACK_BOX = 'lint_off -rule UNDRIVEN -file "*crossbar_macro.v"\n'


def lint(folder: Path) -> str:
    """Return Verilator's warnings about the Verilog in a folder."""
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    waivers = folder / "waivers.vlt"
    lines = [line for line in WAIVERS.splitlines() if not line.startswith("public_flat_rw")]
    waivers.write_text("\n".join(lines) + "\n" + STYLE + BLACK_BOX, encoding="utf-8")
    with simulators.environment("verilator"):
        done = subprocess.run(
            ["verilator", "--lint-only", "-Wall", waivers, *sorted(folder.glob("*.v"))],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    return done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--fmap", "16"],
        ["--array", "--fmap", "4", "--channels", "24"],
        ["--wrapper", "axis", "--fmap", "4"],
        ["--reader"],
        ["tile", "--pages", "2"],
        ["tile", "--macro", "black-box", "--crossbars", "2"],
        ["tile", "--masks", "3", "--crossbars", "2"],
        ["tile", "--act-bits", "3", "--columns", "24", "--columns-per-adc", "3", "--passes", "2"],
        ["tile", "--columns", "4", "--columns-per-adc", "1", "--pages", "1", "--tables", "1"],
    ],
    ids=" ".join,
)
def test_no_warning(options: list[str], tmp_path: Path) -> None:
    """Every block, and tiles of unusual sizes."""
    assert gen.main([*options, "--out", str(tmp_path / "out")]) == 0
    assert lint(tmp_path / "out") == ""


def test_a_latch_is_noticed(tmp_path: Path) -> None:
    """Negative control."""
    text = "module latch(input a, input b, output reg q);\n  always @* if (a) q = b;\nendmodule\n"
    (tmp_path / "latch.v").write_text(text, encoding="utf-8")
    assert "%Warning-LATCH" in lint(tmp_path)
