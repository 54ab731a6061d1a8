# SPDX-License-Identifier: Apache-2.0
"""All stages in one command: their order, what is stale, which exit code; one small network."""

import dataclasses
import json

import pytest
from intnets import random_net

from cosim import simulators
from model import intnet
from scripts import flow

# Each stage appends its name to the log, and to what it writes what it reads.
STUB = """
import sys; from pathlib import Path
name, out, *inputs = sys.argv[1:]
with open("log", "a") as log: log.write(name + " ")
if Path("fail").exists() and Path("fail").read_text() == name: sys.exit(7)
Path(out).mkdir(parents=True, exist_ok=True)
read = [p for i in inputs for p in ([Path(i)] if Path(i).is_file() else sorted(Path(i).iterdir()))]
Path(out, "file").write_text(name + "".join(p.read_text() for p in read if p.suffix != ".json"))
"""


@pytest.fixture
def stubs(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stub.py").write_text(STUB)
    (tmp_path / "net.safetensors").write_text("weights ")
    stages = tuple(
        dataclasses.replace(
            stage,
            command=f"stub.py {stage.name} {{{stage.folder}}} "
            + " ".join(f"{{{name}}}" for name in stage.inputs),
            outputs="**/*",
        )
        for stage in flow.STAGES
    )
    monkeypatch.setattr(flow, "STAGES", stages)


def log(folder):
    text = (folder / "log").read_text() if (folder / "log").exists() else ""
    (folder / "log").unlink(missing_ok=True)
    return text.split()


def run(*options):
    return flow.main(["net.safetensors", *options])


@pytest.mark.usefixtures("stubs")
def test_stages_run_in_order(tmp_path, capsys):
    assert run() == 0
    assert log(tmp_path) == ["export", "rtl", "cosim", "cost"]
    error = capsys.readouterr().err
    assert error.splitlines()[0] == "net in build/net: export → rtl → cosim → cost"
    assert error.splitlines()[1] == (
        "export: python stub.py export build/net/intnet net.safetensors"
    )
    assert (tmp_path / "build/net/cost/file").read_text() == (
        "costexportweights cosimexportweights "
    )
    assert run("--from", "cosim", "--to", "fpga") == 0
    assert log(tmp_path) == ["cosim", "cost", "fpga"]
    assert run("--from", "rtl", "--to", "rtl") == 0
    assert log(tmp_path) == ["rtl"]


@pytest.mark.usefixtures("stubs")
def test_the_exit_code_of_the_stage_that_fails(tmp_path, capsys):
    assert run() == 0
    (tmp_path / "fail").write_text("cosim")
    log(tmp_path)
    assert run("--from", "rtl") == 7
    assert log(tmp_path) == ["rtl", "cosim"]
    assert capsys.readouterr().err.endswith(f"{flow.PROGRAM}: error: cosim ended with 7\n")
    # It has no manifest now: what needs it does not run.
    (tmp_path / "fail").unlink()
    with pytest.raises(SystemExit, match="^2$"):
        run("--from", "cost")
    told = "build/net/cosim must hold what cosim writes: begin with --from cosim"
    assert capsys.readouterr().err.endswith(f"{flow.PROGRAM}: error: {told}\n")
    assert log(tmp_path) == []


@pytest.mark.usefixtures("stubs")
def test_stale_inputs_are_named(tmp_path, capsys):
    def told(first):
        with pytest.raises(SystemExit, match="^2$"):
            run("--from", first)
        assert log(tmp_path) == []
        return capsys.readouterr().err.splitlines()[-1].removeprefix(f"{flow.PROGRAM}: error: ")

    again = "begin with --from export"
    assert told("rtl") == f"build/net/intnet must hold what export writes: {again}"
    assert run() == 0
    log(tmp_path)
    (tmp_path / "net.safetensors").write_text("others ")
    assert told("cost") == f"build/net/intnet must be made of net.safetensors as it is now: {again}"
    assert run("--to", "export") == 0
    log(tmp_path)
    made = "build/net/cosim must be made of build/net/intnet as it is now: begin with --from cosim"
    assert told("cost") == made
    assert run("--from", "cosim") == 0
    log(tmp_path)
    (tmp_path / "build/net/cosim/file").write_text("mine")
    assert told("cost") == "build/net/cosim must be as cosim wrote it: begin with --from cosim"
    (tmp_path / "build/net/cosim/manifest.json").write_text("[]")
    assert told("cost") == "build/net/cosim must hold what cosim writes: begin with --from cosim"
    # Co-simulation needs no more than the integer network.
    assert run("--from", "cosim") == 0
    assert log(tmp_path) == ["cosim", "cost"]


@pytest.mark.usefixtures("stubs")
def test_manifests_are_the_same_in_any_folder(tmp_path):
    assert run() == run("--out", str(tmp_path / "other")) == 0
    for folder in ("intnet", "rtl", "cosim", "cost"):
        one, other = (
            (tmp_path / place / folder / "manifest.json").read_bytes()
            for place in ("build/net", "other")
        )
        assert one == other
        assert str(tmp_path).encode() not in one
    found = json.loads((tmp_path / "other/cost/manifest.json").read_text())
    assert found["arguments"] == ["stub.py", "cost", "cost", "intnet", "cosim"]
    assert list(found["inputs"]) == ["cosim", "intnet"]
    assert set(found["versions"]) == {"numpy"}


ZOO = "psp_64_4_int4, psp_64_4_int8, psp_64_4_int8_adc6"
KINDS = f"a checkpoint, a folder of an integer network or one of {ZOO}"


@pytest.mark.usefixtures("stubs")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["psp_64"], f"network must be {KINDS}, not 'psp_64'"),
        (["net.safetensors", "--from", "cost", "--to", "rtl"],
         "--to must not come before cost, as rtl does"),
        ([".", "--from", "export"], "export must be given a checkpoint, not a folder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(arguments, line, capsys):
    with pytest.raises(SystemExit, match="2"):
        flow.main(arguments)
    assert capsys.readouterr() == ("", f"{flow.PROGRAM}: error: {line}\n")


@pytest.mark.usefixtures("stubs")
def test_a_folder_that_cannot_be_written_is_refused_before_a_stage_runs(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="^2$"):
        run("--out", "file")
    told = "the output folder must be writable: file/intnet: Not a directory"
    assert capsys.readouterr().err.splitlines()[1:] == [f"{flow.PROGRAM}: error: {told}"]
    assert log(tmp_path) == []


@pytest.mark.usefixtures("stubs")
def test_a_signal_is_an_exit_code(tmp_path, monkeypatch):
    (tmp_path / "stub.py").write_text("import os; os.kill(os.getpid(), 15)")
    assert run() == 128 + 15


def test_tools_that_come_from_elsewhere_have_no_version():
    assert flow._version("numpy")
    assert flow._version("no-such-distribution") is None


@pytest.mark.skipif(simulators.missing("verilator") is not None, reason="no Verilator")
@pytest.mark.slow
def test_a_small_network_from_integers_to_its_cost(tmp_path, capfd):
    net = random_net("residual", 7, width=12, depth=1, side=32, classes=3, array_rows=16)
    intnet.write(tmp_path / "small", net)
    assert flow.main([str(tmp_path / "small"), "--out", str(tmp_path / "out")]) == 0
    out, err = capfd.readouterr()
    assert err.splitlines()[0] == f"small in {tmp_path / 'out'}: rtl → cosim → cost"
    assert "activations of 1 real image, as counted in RTL" in out
    assert (tmp_path / "out/rtl/accelerator.v").is_file()
    assert "<title>small: area" in (tmp_path / "out/cost/report.html").read_text()
    assert (
        flow.main([str(tmp_path / "small"), "--out", str(tmp_path / "out"), "--from", "cost"]) == 0
    )
