# SPDX-License-Identifier: Apache-2.0
"""Lines that tests run: counted by file and package; what is too little fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import line_coverage
from scripts.line_coverage import Lines


def measured(folder, **files):
    """Write a report of coverage with so many statements and covered lines of each file."""
    summaries = {
        name: {"summary": {"num_statements": statements, "covered_lines": covered}}
        for name, (statements, covered) in files.items()
    }
    file = folder / "coverage.json"
    file.write_text(json.dumps({"files": summaries}))
    return file


FILES = {
    "model/a.py": (100, 95),
    "model/cost/b.py": (10, 8),
    "hw/c.py": (90, 90),
    "hw/d.py": (0, 0),
}


def test_lines_are_counted_by_file_and_package(tmp_path, capsys):
    assert line_coverage.main([str(measured(tmp_path, **FILES))]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  80.0 % of    10 lines  model/cost/b.py",
        " 100.0 % of    90 lines  hw",
        "  95.0 % of   100 lines  model",
        "  80.0 % of    10 lines  model/cost",
        "  96.5 % of   200 lines  total",
    ]


@pytest.mark.parametrize(("least", "code"), [(96, 0), (97, 1)])
def test_too_little_fails(tmp_path, capsys, least, code):
    file = measured(tmp_path, **FILES)
    assert line_coverage.main([str(file), "--least", str(least)]) == code
    error = "python -m scripts.line_coverage: error: 96.5 % must be at least 97 %\n"
    assert capsys.readouterr().err == (error if code else "")


def test_an_update_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(line_coverage, "RESULTS", tmp_path / "r.json")
    assert line_coverage.main([str(measured(tmp_path, **FILES)), "--update"]) == 0
    stored = json.loads((tmp_path / "r.json").read_text())
    assert stored["low"] == {"model/cost/b.py": {"statements": 10, "covered": 8}}
    assert stored["packages"]["total"] == {"statements": 200, "covered": 193}
    assert list(stored["packages"]) == ["hw", "model", "model/cost", "total"]


@pytest.mark.parametrize("text", [None, "{", "{}", '{"files": {"a": {}}}', '{"files": {}}', "[]"])
def test_another_file_is_one_line(tmp_path, capsys, text):
    file = tmp_path / "f.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit, match="^2$"):
        line_coverage.main([str(file)])
    line = f"python -m scripts.line_coverage: error: {file} must be a result of coverage json: "
    error = capsys.readouterr().err
    assert error.startswith(line)
    assert error.count("\n") == 1


def test_what_coverage_writes_is_read(tmp_path):
    pytest.importorskip("coverage")
    (tmp_path / "m.py").write_text("import sys\nif sys.argv[1:]:\n    print()\n")
    for command in (["run", "--include", "m.py", "m.py"], ["json"]):
        subprocess.run(
            [sys.executable, "-m", "coverage", *command], cwd=tmp_path, check=True,
            capture_output=True,
        )  # fmt: skip
    found = line_coverage.read(json.loads((tmp_path / "coverage.json").read_text()))
    assert found == {"m.py": Lines(3, 2)}
    assert Path(line_coverage.MEASURED).name == "coverage.json"
