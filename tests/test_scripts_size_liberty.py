# SPDX-License-Identifier: Apache-2.0
"""Standard cells: areas add up, netlists are proven, a library that lacks something is refused."""

import json

import pytest

from hw.params import ParameterError, ShiftParams
from hw.shift import ShiftModule
from scripts import size, size_liberty

# Cells that no process has; areas are made up so that sums tell which cells were counted.
PIN = "pin({}) {{ direction : input; }} "
HEADER = 'library(made_up) { time_unit : "1ns"; capacitive_load_unit(1, pf);\n'
CELL = """cell({}) {{ area : {}; {} pin({}) {{ direction : output; function : "{}"; }} }}
"""


def gate(name, area, function, inputs):
    return CELL.format(name, area, "".join(map(PIN.format, inputs)), "Y", function)


CELLS = {
    "INV": gate("INV", 10, "!A", "A"),
    "BUF": gate("BUF", 15, "A", "A"),
    "NAND2": gate("NAND2", 20, "!(A&B)", "AB"),
    "NAND2_LARGE": gate("NAND2_LARGE", 35, "(!A)|(!B)", "AB"),
    "NOR2": gate("NOR2", 25, "!(A|B)", "AB"),
    "DFF": CELL.format(
        "DFF", 100, 'ff(IQ,IQN) { clocked_on : "CK"; next_state : "D"; } '
        + PIN.format("D") + "pin(CK) { direction : input; clock : true; }", "Q", "IQ",
    ),
}  # fmt: skip


def library(folder, *without, **other):
    file = folder / "made_up.lib"
    cells = {name: text for name, text in CELLS.items() if name not in without} | other
    file.write_text(HEADER + "".join(cells.values()) + "}\n")
    return file


def test_a_gate_equivalent_is_the_smallest_nand(tmp_path):
    found = size_liberty.read(library(tmp_path))
    assert found.nand == "NAND2"
    assert found.areas == {
        "INV": 10,
        "BUF": 15,
        "NAND2": 20,
        "NAND2_LARGE": 35,
        "NOR2": 25,
        "DFF": 100,
    }
    assert found.flip_flops == {"DFF"}
    assert size_liberty.read(library(tmp_path, "NAND2")).nand == "NAND2_LARGE"


def test_a_shift_module_is_proven_and_an_inverted_cell_noticed(tmp_path):
    module = ShiftModule(params=ShiftParams(height=2, width=2, bits=1))
    found = size_liberty.size(module, size_liberty.read(library(tmp_path)))
    assert found["flip_flops"] == 7
    assert found["area_um2"] > 700
    assert found["gate_equivalents"] == round(found["area_um2"] / 20, 1)
    assert found["proven"] == found["pairs"] > 7
    assert found["control"] < found["pairs"]
    assert size_liberty.faults({"one": found}) == []
    for key, value in (("proven", 1), ("control", found["pairs"])):
        assert len(size_liberty.faults({"one": found | {key: value}})) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GDSII", "a library must be in Liberty, not "),
        (b"", "a library must "),
        (b"\x00\xff\x00", "a library must be in Liberty, not "),
    ],
)
def test_what_is_no_library_is_one_line(tmp_path, capsys, content, message):
    file = tmp_path / "none.lib"
    file.write_bytes(content)
    with pytest.raises(SystemExit) as end:
        size.main(["--liberty", str(file)])
    shown = capsys.readouterr()
    assert (end.value.code, shown.out) == (2, "")
    assert shown.err.startswith(f"python -m scripts.size: error: {message}")
    assert shown.err.count("\n") == 1


def test_a_library_that_lacks_something_is_refused(tmp_path):
    file = library(tmp_path, "NAND2", "NAND2_LARGE")
    with pytest.raises(ParameterError) as refused:
        size_liberty.read(file)
    assert str(refused.value) == f"a library must have a two-input NAND with an area, not {file}"
    library(tmp_path, "NAND2_LARGE", NAND2=gate("NAND2", 0, "!(A&B)", "AB"))
    with pytest.raises(ParameterError, match="a library must have a two-input NAND with an area"):
        size_liberty.read(file)
    library(tmp_path, "DFF")
    with pytest.raises(ParameterError) as refused:
        size_liberty.read(file)
    assert str(refused.value) == f"a library must have a D flip-flop, not {file}"


def test_a_library_that_is_missing_or_too_large(tmp_path, monkeypatch):
    with pytest.raises(ParameterError, match="the library must be readable: .*: No such file"):
        size_liberty.read(tmp_path / "none")
    monkeypatch.setattr(size_liberty, "MAX_BYTES", 10)
    with pytest.raises(ParameterError, match="a library must have at most 10 bytes, not "):
        size_liberty.read(library(tmp_path))


def test_options_that_do_not_apply(capsys):
    for option in (["--update"], ["--part", "shift"]):
        with pytest.raises(SystemExit) as end:
            size.main(["--liberty", "x", *option])
        assert end.value.code == 2
        message = f"python -m scripts.size: error: {option[0]} must come without --liberty\n"
        assert capsys.readouterr().err == message


def found(**fields):
    return {"cells": 3, "flip_flops": 1, "area_um2": 40.0, "gate_equivalents": 2.0,
            "pairs": 5, "proven": 5, "control": 4} | fields  # fmt: skip


@pytest.mark.parametrize(("fields", "code"), [({}, 0), ({"proven": 4, "control": 3}, 1)])
def test_exit_code_and_table(tmp_path, monkeypatch, capsys, fields, code):
    monkeypatch.setattr(size_liberty, "measure", lambda library: {"block": found(**fields)})
    file = str(library(tmp_path))
    assert size.main(["--liberty", file]) == code
    shown = capsys.readouterr()
    assert f"| block | 3 | 1 | 40.0 | 2.0 | {found(**fields)['proven']} of 5 |" in shown.out
    assert shown.out.endswith("A gate equivalent is NAND2: 20 µm².\n")
    assert shown.err.count("\n") == code
    size.main(["--liberty", file, "--json"])
    assert json.loads(capsys.readouterr().out) == {"block": found(**fields)}
