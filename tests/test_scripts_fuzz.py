# SPDX-License-Identifier: Apache-2.0
"""Hostile input: a part of the cases of every format, and what a case would catch."""

import json
import os
import random
import re
import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpga.target import DeviceError, Info
from hw.params import ParameterError
from model.intnet_codec import parse
from model.layer_shape import layers_from_json
from scripts import fuzz
from scripts.fuzz_case import Outcome, Target, fault, limited, make, run
from scripts.fuzz_commands import COMMANDS
from scripts.fuzz_mutate import damage_bytes, damage_json, damage_lines, damage_tensors
from scripts.tables import VERIFICATION

MANY = {"answer of a device", "conversation", "info of a device"}


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_nothing_is_read_badly(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    maker, _ = fuzz.TARGETS[name]
    count = 2000 if name in MANY else 300
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    again, target = map(maker, folders)
    assert again.seeds == target.seeds
    with limited():
        found = run(target, name, 2, range(count))
    assert found.faults == {}
    assert found.refused > count // 10
    assert found.cases == count


BAD = b"\xff"


class WrongError(Exception):
    """What the readers below raise for bad input."""


def reader(body):
    """A reader with a fault: it does something else with half of its cases."""

    def read(files):
        if files["file"] == BAD:
            body()

    def damage(chance, files, seeds):
        return {"file": chance.choice([BAD, b"other"])}

    return Target(seeds=[{"file": b"sound"}], damage=damage, read=read, errors=(WrongError,))


def bad_cases(count):
    """The numbers of the cases that such a reader reads badly, with seed 1."""
    target = reader(None)
    found = {number for number in range(count) if make(target, "bad", 1, number)["file"] == BAD}
    assert 0 < len(found) < count
    return found


def raises(error):
    def body():
        raise error

    return body


def grow():
    return [bytes(1 << 20) for _ in range(1 << 12)]


def hang():
    while True:
        pass


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (raises(KeyError("x")), r"KeyError in tests/test_scripts_fuzz\.py:\d+: \"'x'\""),
        (raises(SystemExit(2)), r"SystemExit in .*"),
        (lambda: warnings.warn("odd", stacklevel=1), r"UserWarning in .*'odd'"),
        (lambda: "a".encode("\ud800"), r"UnicodeEncodeError in .*"),
        (grow, r"MemoryError in .*"),
        (raises(WrongError("x" * 2001)), r"a message of 2001 characters: 'x{100}'"),
    ],
)
def test_a_reader_with_a_fault_is_caught(body, told):
    with limited(1 << 28):
        found = run(reader(body), "bad", 1, range(20))
    assert found.faults.keys() == bad_cases(20)
    assert all(re.fullmatch(told, wrong) for wrong in found.faults.values())


def test_a_reader_that_hangs_is_caught(monkeypatch):
    monkeypatch.setattr("scripts.fuzz_case.SECONDS", 0.2)
    with limited():
        wrong = fault(reader(hang), {"file": BAD}, Outcome())
    assert re.fullmatch(r"longer than 0\.2 s, in tests/test_scripts_fuzz\.py:\d+", wrong)


def dies(folder):
    return reader(lambda: os._exit(7))


def sleeps(folder):
    return reader(lambda: time.sleep(60))


def test_a_process_that_dies_or_sleeps_is_a_fault_and_the_other_cases_are_run(monkeypatch):
    monkeypatch.setattr(fuzz, "STILL_S", 1)
    for maker, how in ((dies, "exit code 7"), (sleeps, "SIGKILL")):
        found = fuzz.survey(maker, "bad", 1, 5)
        assert found.cases == 5
        assert found.faults.keys() == bad_cases(5)
        assert set(found.faults.values()) == {f"the process ended with {how}"}


def test_sound_input_must_be_taken():
    target = Target(
        seeds=[{"file": BAD}], damage=lambda chance, files, seeds: files,
        read=reader(raises(WrongError("no"))).read, errors=(WrongError,),
    )  # fmt: skip
    with limited(), pytest.raises(ValueError, match="^bad: sound input must be taken, not refused"):
        run(target, "bad", 1, range(3))


@pytest.mark.parametrize(
    ("damage", "data"),
    [
        (damage_bytes, b"some bytes"),
        (damage_json, b'{"a": [1, 2.5, "x", null], "b": {"c": true}}'),
        (damage_lines, b"a b\nc d\n"),
        (
            damage_tensors,
            (40).to_bytes(8, "little") + b'{"a":{"dtype":"U8","shape":[0]}}'.ljust(40),
        ),
    ],
)
def test_a_case_follows_from_its_number(damage, data):
    found = [
        [damage(random.Random(number), data, [data]) for number in range(300)] for _ in range(2)
    ]
    assert found[0] == found[1]
    assert len(set(found[0])) > 100


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
FIELDS = st.sampled_from(
    ["name", "kind", "in_channels", "kernel", "protocol", "design", "regions", "parameters"]
)


@given(st.lists(st.dictionaries(FIELDS, TREES)) | st.dictionaries(FIELDS, TREES) | TREES)
def test_any_json_is_read_or_refused(value):
    text = json.dumps(value).encode()
    for read, error in (
        (layers_from_json, ParameterError), (parse, ParameterError), (Info.parse, DeviceError)
    ):  # fmt: skip
        told = ""
        try:
            read(text)
        except error as caught:
            told = str(caught)
        assert len(told) <= 2000


def test_the_command_tells_and_repeats_cases(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(fuzz.TARGETS, "conversation", (dies, 5))
    options = ["--format", "conversation", "--keep", str(tmp_path)]
    monkeypatch.setattr(fuzz, "RESULTS", tmp_path / "fuzz.json")
    monkeypatch.setattr(fuzz, "VERIFICATION", tmp_path / "v.md")
    (tmp_path / "v.md").write_text("<!-- fuzz -->\n<!-- /fuzz -->\n")
    assert fuzz.main([*options, "--json", "--update"]) == 1
    said = capsys.readouterr()
    record = json.loads(said.out)
    assert record == json.loads((tmp_path / "fuzz.json").read_text())
    faults = record["conversation"]["faults"]
    assert said.err == f"5 cases, seed 1: {len(faults)} faults\n"
    assert 0 < len(faults) < 5
    for number in faults:
        assert (tmp_path / f"conversation_{number}" / "file").read_bytes() == BAD
    with pytest.raises(SystemExit, match="^2$"):
        fuzz.main(["--format", "conversation", "--keep", str(tmp_path / "v.md")])
    told = f"the output folder must be writable: {tmp_path / 'v.md'}: Not a directory"
    assert capsys.readouterr().err == f"{fuzz.PROGRAM}: error: {told}\n"
    sound = next(str(number) for number in range(5) if str(number) not in faults)
    assert fuzz.main([*options, "--case", sound]) == 0
    assert capsys.readouterr().out == "nothing is wrong\n"
    with pytest.raises(SystemExit):
        fuzz.main(["--case", "1"])
    assert capsys.readouterr().err.endswith("error: --case must come with one --format\n")


def test_every_command_is_tried():
    root = fuzz.RESULTS.parents[2]
    files = {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__main__")
        for package in ("cosim", "fpga", "hw", "model", "scripts")
        for file in (root / package).rglob("*.py")
        if re.search(r"^if __name__ == ", file.read_text(), re.MULTILINE)
    }
    # FuseSoC calls its generator; the parts of hw.gen are called through it.
    assert files - {"hw.fusesoc_generator"} == COMMANDS.keys() - {
        "hw.gen_tile",
        "hw.gen_accelerator",
    }


def test_what_is_stored_is_a_whole_run_without_a_fault():
    stored = json.loads(fuzz.RESULTS.read_text())
    assert list(stored) == list(fuzz.TARGETS)
    assert sum(each["cases"] for each in stored.values()) >= 10**6
    assert fuzz.table(stored) in VERIFICATION.read_text()
    assert not any(each["faults"] for each in stored.values())
