# SPDX-License-Identifier: Apache-2.0
"""What the demo refuses before it builds a simulation."""

import os

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


def test_a_run_killed_between_its_files_leaves_the_folder_to_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "build", lambda *_: None)
    monkeypatch.setattr(runner, "run", lambda *_, **__: None)
    monkeypatch.setattr(demo, "compare", lambda *_: ([], None))

    def draw(beside, *_):
        for name in demo.FILES:
            (beside / name).write_text(name)

    monkeypatch.setattr(demo, "_pictures", draw)
    renamed, truly = [], os.replace

    def killed(source, target):
        if renamed:
            raise KeyboardInterrupt
        renamed.append(target)
        truly(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            demo.main(["--out", str(tmp_path)])
    assert len(list(tmp_path.iterdir())) == 1
    demo.main(["--out", str(tmp_path)])
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(demo.FILES)
