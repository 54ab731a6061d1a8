# SPDX-License-Identifier: Apache-2.0
"""The page of results says what is stored, and names commands that exist."""

import importlib.util
import json
import re
import shutil

import pytest

from scripts import results


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A copy of what is stored, to be changed."""
    shutil.copytree(results.STORED, tmp_path / "results")
    monkeypatch.setattr(results, "STORED", tmp_path / "results")
    return tmp_path / "results"


def test_the_page_is_current():
    page = results.PAGE.read_text()
    for name, table in results.tables().items():
        assert f"<!-- {name} -->\n{table}\n<!-- /{name} -->" in page


def test_a_number_stands_between_marks_only():
    page = re.sub(r"<!-- (\S+) -->.*?<!-- /\1 -->", "", results.PAGE.read_text(), flags=re.DOTALL)
    assert set(re.findall(r"\d+", page)) == {"2024"}


def test_every_row_names_a_command_that_exists():
    commands = set(re.findall(r"\| `([a-z0-9_.]+)` \|", results.PAGE.read_text()))
    assert len(commands) >= 7
    assert all(importlib.util.find_spec(name) for name in commands)


@pytest.mark.parametrize(
    ("file", "change", "group", "row"),
    [
        ("accuracy.json", lambda data: data["rows"][0].update(mean=12.3), "networks",
         "FP32: accuracy | **12.30 %** |"),
        ("compression.json", lambda data: data["runs"][1].update(cycles=5), "networks",
         "accuracy, 5 cycles**"),
        ("bitstreams.json", lambda data: data["builds"]["ac701 module"]["placed"].update(luts=7),
         "hardware", "| **7 LUTs, "),
        ("mutation.json", lambda data: data[0].update(outcome="missed"), "checks", "1 missed"),
    ],
)  # fmt: skip
def test_what_is_stored_is_what_is_said(stored, file, change, group, row):
    before = results.tables()[group]
    data = json.loads((stored / file).read_text())
    change(data)
    (stored / file).write_text(json.dumps(data))
    assert row not in before
    assert row in results.tables()[group]


def test_update_writes_the_page(tmp_path, monkeypatch, capsys):
    page = tmp_path / "results.md"
    page.write_text(re.sub(r"\d", "0", results.PAGE.read_text()))
    monkeypatch.setattr(results, "PAGE", page)
    tables = results.tables().values()
    assert results.main([]) == 0
    assert capsys.readouterr().out == "".join(f"{table}\n" for table in tables)
    assert not any(table in page.read_text() for table in tables if "1" in table)
    assert results.main(["--update"]) == 0
    assert all(table in page.read_text() for table in tables)
