# SPDX-License-Identifier: Apache-2.0
"""``make -C fpga``: what it tells, and that a value reaches the program as it was typed."""

import subprocess
from pathlib import Path

import pytest

from fpga.boards import BOARDS
from fpga.designs import DESIGNS
from fpga.networks import NETWORK

ROOT = Path(__file__).parent.parent


def make(*arguments):
    # As if `make setup` had been run.
    command = ["make", "-s", "-C", "fpga", "-o", "../.venv/.installed", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_tells_every_board_design_and_network_and_the_defaults():
    said = make("help").stdout
    for name in (*BOARDS, *DESIGNS):
        assert name in said
    line = next(line for line in said.splitlines() if line.startswith("  NET="))
    assert line.startswith(f"  NET={NETWORK} ")
    zoo = {file.parent.name for file in (ROOT / "model/zoo").glob("*/intnet.json")}
    assert zoo <= set(line.replace(",", " ").split())


@pytest.mark.parametrize("value", ["it's", "$(touch x)", "a b;c"])
def test_a_value_reaches_the_program_as_it_was_typed(value):
    done = make("report", "DESIGN=accelerator", f"NET={value.replace('$', '$$')}")
    assert done.returncode == 2
    assert f"or a folder with an intnet.json, not {value!r}" in done.stderr
