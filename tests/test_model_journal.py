# SPDX-License-Identifier: Apache-2.0
"""The journal: a line an epoch, the same curve from the same log, a bar on a terminal only."""

import contextlib
import importlib.util
import json
import os
import pty
import re
import sys
import threading
import xml.etree.ElementTree as ET

import pytest

from hw.params import ParameterError
from model import journal as journal_module
from model import train
from model.data import synthetic
from model.journal import BOARD, CURVE, LOG, Journal, draw_curve


def lines(count):
    return [
        {"epoch": epoch, "loss": 2.5 / epoch, "accuracy": 1 - 0.5 / epoch, "seconds": 1.25,
         "images_per_s": 1000 + epoch}
        for epoch in range(1, count + 1)
    ]  # fmt: skip


def journal(out, **options):
    return Journal(out, epochs=3, steps=4, batch_size=64, **options)


def keep(out, count, **options):
    """Report some epochs."""
    with journal(out, **options) as reports:
        for log in (lines(epoch + 1) for epoch in range(count)):
            reports.begin(len(log) - 1)
            for _ in range(4):
                reports.step()
            assert reports.trained().keys() == {"seconds", "images_per_s"}
            reports.record(log)
        reports.finish(lines(count), "psp_12_1")


def test_a_line_an_epoch(tmp_path, capsys):
    keep(tmp_path, 3)
    text = (tmp_path / LOG).read_text()
    assert text.endswith("}\n")
    assert [json.loads(line) for line in text.splitlines()] == lines(3)
    told = capsys.readouterr()
    assert told.out == ""
    assert re.fullmatch(
        "epoch   1 of 3  loss 2.5000  test 50.00 %  1001 images/s  0.0 min left\n"
        "epoch   2 of 3  loss 1.2500  test 75.00 %  1002 images/s  0.0 min left\n"
        "epoch   3 of 3  loss 0.8333  test 83.33 %  1003 images/s  0.0 min left\n",
        told.err,
    )


def test_the_log_is_that_of_the_checkpoint_even_if_killed_between(tmp_path):
    # A run killed before `record` of its last epoch has nothing to train when resumed.
    with journal(tmp_path) as reports:
        reports.finish(lines(3), "psp_12_1")
    assert len((tmp_path / LOG).read_text().splitlines()) == 3


def test_throughput_and_time_left(tmp_path, monkeypatch, capsys):
    clock = iter(range(0, 1000, 30))
    monkeypatch.setattr(journal_module.time, "monotonic", lambda: float(next(clock)))
    reports = journal(tmp_path)
    reports.begin(0)  # at 30 s
    assert reports.trained() == {"seconds": 30.0, "images_per_s": round(4 * 64 / 30)}
    reports.record(lines(1))  # 60 s after the epoch began, two more to come
    assert capsys.readouterr().err.endswith("2.0 min left\n")


def test_a_silent_journal_writes_nothing(tmp_path, capsys):
    keep(tmp_path, 2, silent=True, tensorboard=True)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("count", [1, 2, 40])
def test_the_same_log_draws_the_same_bytes_anywhere(tmp_path, count):
    pictures = []
    for folder in ("a", "another/folder"):
        (tmp_path / folder).mkdir(parents=True)
        draw_curve(tmp_path / folder / CURVE, lines(count), "psp_12_1, synthetic, seed 0")
        pictures.append((tmp_path / folder / CURVE).read_bytes())
    assert pictures[0] == pictures[1]
    draw_curve(tmp_path / CURVE, lines(count), "psp_12_1, synthetic, seed 1")
    assert (tmp_path / CURVE).read_bytes() != pictures[0]
    root = ET.fromstring(pictures[0])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = "".join(root.itertext())
    for word in ("seed 0", "training loss", "test accuracy", "epoch"):
        assert word in words
    assert str(tmp_path) not in words


def test_a_title_cannot_break_the_picture(tmp_path):
    draw_curve(tmp_path / CURVE, lines(2), "imagefolder:/a<b>&c")
    assert "/a<b>&c" in "".join(ET.fromstring((tmp_path / CURVE).read_bytes()).itertext())


HAS_TENSORBOARD = importlib.util.find_spec("tensorboard") is not None
COMMAND = ["psp_12_1", "--dataset", "synthetic", "--epochs", "1", "--batch-size", "64"]


@pytest.mark.skipif(not HAS_TENSORBOARD, reason="tensorboard is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tensorboard's own
def test_event_files(tmp_path):
    keep(tmp_path, 2, tensorboard=True)
    assert [file.name[:6] for file in (tmp_path / BOARD).iterdir()] == ["events"]


def test_missing_tensorboard_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    data = synthetic(train=64, test=8)
    monkeypatch.setattr(train, "load", lambda *_, **__: data)
    rule = "tensorboard must be installed to write event files: pip install tensorboard"
    with pytest.raises(ParameterError, match=f"^{rule}$"):
        journal(tmp_path, tensorboard=True)
    with pytest.raises(SystemExit) as ended:
        train.main([*COMMAND, "--out", str(tmp_path / "o"), "--tensorboard"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"python -m model.train: error: {rule}\n"
    assert not (tmp_path / "o").exists()


def test_a_bar_on_a_terminal(tmp_path, monkeypatch, capsys):
    main, terminal = pty.openpty()
    shown = []

    def read():
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while part := os.read(main, 4096):
                shown.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with os.fdopen(terminal, "w") as errors:
        monkeypatch.setattr(sys, "stderr", errors)
        keep(tmp_path, 2)
        monkeypatch.undo()
    reader.join(timeout=10)
    os.close(main)
    text = b"".join(shown).decode()
    assert capsys.readouterr() == ("", "")  # the bar is not among the results
    assert "━" in text
    assert "images/s" in text
    for epoch in (1, 2):
        assert text.count(f"epoch   {epoch} of 3  loss ") == 1
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back
    assert text.endswith("\x1b[1A\x1b[2K")  # and the bar is gone
