# SPDX-License-Identifier: Apache-2.0
"""What the demo refuses before it builds a simulation."""

import pytest

from cosim import demo, runner, simulators


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--json", "{place} must be writable: Not a directory"),
        ("--out", "the output folder must be writable: {place}: Not a directory"),
    ],
)
def test_outputs_are_checked_before_the_build(tmp_path, monkeypatch, capsys, option, told):
    monkeypatch.setattr(simulators, "missing", lambda _: None)
    monkeypatch.setattr(runner, "build", pytest.fail)
    (tmp_path / "file").touch()
    place = tmp_path / "file/deep"
    with pytest.raises(SystemExit, match="^2$"):
        demo.main(["--out", str(tmp_path / "new"), option, str(place)])
    assert capsys.readouterr().err == f"{demo.PROGRAM}: error: {told.format(place=place)}\n"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
