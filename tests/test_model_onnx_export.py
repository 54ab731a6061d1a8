# SPDX-License-Identifier: Apache-2.0
"""The command that writes an integer network as ONNX, and its files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import intnets
import numpy as np
import onnx
import pytest
from intnets import small

from hw import disk
from model import agreement, executor, golden, intnet, onnx_export, qonnx_graph
from model.onnx_export import write
from model.onnx_layers import IMAGES, to_onnx
from model.onnx_runtime import session

PROGRAM = "python -m model.onnx_export"


def test_the_same_network_gives_the_same_bytes(tmp_path):
    code = (
        "import sys, pathlib, intnets; from model.onnx_export import write; "
        "write(intnets.small('sp', adc_bits=5), pathlib.Path(sys.argv[1]))"
    )
    root = Path(__file__).parent.parent
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": f"{root}:{root}/tests"}
        (tmp_path / seed).mkdir()
        subprocess.run(
            [sys.executable, "-c", code, tmp_path / seed / "net.onnx"],
            cwd=tmp_path, env=environment, check=True,
        )  # fmt: skip
    write(small("sp", adc_bits=5), tmp_path / "net.onnx")
    files = [tmp_path / "net.onnx", *(tmp_path / seed / "net.onnx" for seed in "12")]
    assert len({hashlib.sha256(file.read_bytes()).hexdigest() for file in files}) == 1
    write(small("sp", adc_bits=6), tmp_path / "net.onnx")
    assert files[0].read_bytes() != files[1].read_bytes()


def test_a_written_file_runs(tmp_path):
    net = small("residual")
    images = intnets.images(net, 1)
    write(net, tmp_path / "net.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    model = onnx.load(tmp_path / "net.onnx")
    assert np.array_equal(session(model).run(None, {IMAGES: images})[0], executor.run(net, images))


def test_a_failed_write_leaves_the_earlier_file(tmp_path, monkeypatch):
    file = tmp_path / "net.onnx"
    write(small("residual"), file)
    before = file.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(disk.OutputError, match=f"^{re.escape(f'{file} must be writable: full')}$"):
        write(small("sp"), file)
    assert file.read_bytes() == before
    assert [left.name for left in tmp_path.iterdir()] == ["net.onnx"]


@pytest.fixture
def folder(tmp_path):
    intnet.write(tmp_path / "net", small("residual"))
    return tmp_path / "net"


def run(*line):
    return onnx_export.main([str(each) for each in line])


def test_the_command_writes_what_was_compared(folder, tmp_path, capsys):
    net, file = small("residual"), tmp_path / "net.onnx"
    assert run(folder, "--out", file, "--images", 3, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    numbers = 3 * sum(
        seen.size for layer in intnets.golden_trace(net, intnets.images(net, 1)).values()
        for seen in layer.values()
    )  # fmt: skip
    assert found == {
        "name": "psp_12_2", "digest": intnet.digest(net), "images": 3,
        "compared": {"ONNX Runtime": numbers},
    }  # fmt: skip
    assert file.read_bytes() == to_onnx(net).SerializeToString(deterministic=True)
    assert run(folder, "--out", file, "--images", 3) == 0
    line = f"{file}: psp_12_2, {numbers} numbers of 3 images agree in ONNX Runtime\n"
    assert capsys.readouterr().out == line


def test_nothing_is_written_if_they_disagree(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(golden, "apply_table", lambda pre, table: table[pre] + np.int64(1))
    assert run(folder, "--out", tmp_path / "net.onnx") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(
        rf"{PROGRAM}: error: stem: out of image 0, channel 0, row 0, column 0 must be -?\d+ "
        r"as in the golden executor, not -?\d+ as in ONNX Runtime\n",
        captured.err,
    )
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def refused(capsys, *line):
    with pytest.raises(SystemExit) as caught:
        run(*line)
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_bad_input_is_one_line(folder, tmp_path, capsys):
    for place, reason in (
        (folder, "Is a directory"),
        (folder / "intnet.json" / "net.onnx", "Not a directory"),
        (Path("/dev/full"), "No space left on device"),
    ):
        message = f"{PROGRAM}: error: {place} must be writable: {reason}\n"
        assert refused(capsys, folder, "--out", place) == message
    message = f"{tmp_path}/intnet.json must be a readable file: No such file or directory"
    assert refused(capsys, tmp_path, "--out", tmp_path / "a") == f"{PROGRAM}: error: {message}\n"


@pytest.mark.parametrize(
    ("package", "option", "extra"),
    [
        ("onnx", [], "onnx"),
        ("onnxruntime", [], "onnx"),
        ("onnx", ["--qonnx"], "qonnx"),
        ("qonnx", ["--qonnx"], "qonnx"),
    ],
)
def test_a_missing_extra_is_one_line(package, option, extra, tmp_path, capsys, monkeypatch):
    for name in agreement.EXTRAS["qonnx"]:
        monkeypatch.setitem(sys.modules, name, onnx)  # as if it were there
    monkeypatch.setitem(sys.modules, package, None)
    message = f"{PROGRAM}: error: {package} must be installed: pip install 'shiftbar[{extra}]'\n"
    # Before anything is read: there is no such folder.
    assert refused(capsys, tmp_path / "none", "--out", tmp_path / "net.onnx", *option) == message


def test_the_command_needs_neither_torch_nor_onnx_to_say_so(folder, tmp_path):
    code = (
        "import sys; sys.modules['onnx'] = sys.modules['torch'] = None;"
        "from model.onnx_export import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder, "--out", tmp_path / "net.onnx"],
        cwd=Path(__file__).parent.parent, capture_output=True, text=True,
    )  # fmt: skip
    message = f"{PROGRAM}: error: onnx must be installed: pip install 'shiftbar[onnx]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_qonnx_is_written_the_same_way(tmp_path, monkeypatch):
    net = small("sp")
    write(net, tmp_path / "net.onnx", qonnx=True)
    model = onnx.load(tmp_path / "net.onnx")
    assert model == qonnx_graph.to_qonnx(net)
