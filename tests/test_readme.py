# SPDX-License-Identifier: Apache-2.0
"""What the README tells people to type works, and its targets exist."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.tables import insert, proofs_table

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
GENERATE = re.findall(r"^python (-m hw\.gen[^#\n]*)", README, re.MULTILINE)
TARGETS = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))


def test_the_commands_were_found():
    assert len(GENERATE) == 6
    assert {"demo", "test", "prove", "mutate", "size", "bench", "lint"} <= TARGETS


@pytest.mark.parametrize("command", GENERATE)
def test_generator_lines(tmp_path, command):
    done = subprocess.run(
        [sys.executable, *shlex.split(command)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "build").rglob("*.v"))) == 1


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_targets_exist(target):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_missing_target_is_noticed():
    done = subprocess.run(["make", "-n", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0


def test_tables_go_between_their_marks(tmp_path):
    document = tmp_path / "d.md"
    document.write_text("a\n<!-- t -->\nold\n<!-- /t -->\nb\n")
    insert(document, "t", "| new |")
    assert document.read_text() == "a\n<!-- t -->\n| new |\n<!-- /t -->\nb\n"
    with pytest.raises(ValueError, match=r"^d\.md must have the marks of u once, not 0 times$"):
        insert(document, "u", "")


def test_proofs_that_do_not_hold_are_not_counted():
    proof = {"name": "p", "claim": "c", "method": "m", "seconds": 1.0, "fault": "f",
             "control": "not refuted", "passed": False}  # fmt: skip
    assert proofs_table([proof]).startswith("0 of 1 proofs hold")
    assert proofs_table([json.loads(json.dumps(proof)) | {"passed": True}]).startswith("1 of 1")
