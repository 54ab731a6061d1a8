# SPDX-License-Identifier: Apache-2.0
"""No command writes over what it reads: it is refused before the work, and nothing is touched."""

import shutil
from pathlib import Path

import pytest

from cosim import run
from hw import disk
from hw.params import ParameterError
from model import export, onnx_export
from model.cost import __main__ as cost
from scripts import report

ZOO = Path(__file__).parent.parent / "model/zoo/psp_64_4_int8"

# Of each command, the option that is refused, and the file that it would overwrite.
COMMANDS = [
    (cost, "{net} --csv {net}/intnet.json", "--csv", "intnet.json"),
    (cost, "{net} --html {net}/intnet.safetensors", "--html", "intnet.safetensors"),
    (run, "--intnet {net} --counters {net}/intnet.json", "--counters", "intnet.json"),
    (run, "--intnet {net} --vcd {net}/intnet.safetensors", "--vcd", "intnet.safetensors"),
    (run, "--intnet {net} --vcd {net}/../net/intnet.json", "--vcd", "intnet.json"),
    (export, "{net}/model.safetensors --out {net}/new --onnx {net}/model.safetensors",
     "--onnx", "model.safetensors"),
    (export, "{net}/model.safetensors --out {net} --onnx {net}/intnet.json",
     "--onnx", "intnet.json"),
    (onnx_export, "{net} --out {net}/intnet.json", "--out", "intnet.json"),
    (report, "{net} --out {net}/intnet.html", "the figures of --out", "intnet.json"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "line", "option", "name"), COMMANDS, ids=[line for _, line, _, _ in COMMANDS]
)
def test_an_input_is_not_overwritten(tmp_path, capsys, command, line, option, name):
    net = tmp_path / "net"
    shutil.copytree(ZOO, net)
    before = {file.name: file.read_bytes() for file in net.iterdir()}
    with pytest.raises(SystemExit, match="^2$"):
        command.main(line.format(net=net).split())
    told = capsys.readouterr().err
    assert told.startswith(f"{command.PROGRAM}: error: {option} must be another file than ")
    assert told.endswith(f"{name}, which is read\n")
    assert {file.name: file.read_bytes() for file in net.iterdir()} == before


def test_two_in_one_a_link_to_an_input_and_no_place(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.touch()
    other.symlink_to(one)
    disk.check_files({"--a": one, "--b": None, "--c": tmp_path / "new"}, [other.parent / "third"])
    with pytest.raises(ParameterError, match="^--a and --c must be two files, not both .*/other$"):
        disk.check_files({"--a": one, "--b": None, "--c": other})
    with pytest.raises(ParameterError, match="^--a must be another file than .*, which is read$"):
        disk.check_files({"--a": other}, [one])
    with pytest.raises(disk.OutputError, match="must be writable: Not a directory$"):
        disk.check_files({"--a": one / "x"})
