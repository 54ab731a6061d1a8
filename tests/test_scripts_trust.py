# SPDX-License-Identifier: Apache-2.0
"""The figures on the README's first screen: what their sources hold, and what is stored of them."""

import json

import pytest

from scripts import trust

README = trust.README.read_text(encoding="utf-8")

IMAGES = next(s.command for s in trust.SOURCES if s.file == "all_images.json")

FILES = {
    "proofs.json": [{"passed": True}, {"passed": False}],
    "equivalence.json": {
        "paired": [
            {"pairs": 3, "proven": 3, "control": 2},
            {"pairs": 3, "proven": 2, "control": 2},
            {"pairs": 3, "proven": 3, "control": 3},
        ],
        "from the start": [
            {"proven": True, "control": False},
            {"proven": True, "control": True},
            {"proven": False, "control": False},
        ],
    },
    "all_images.json": {
        "run": {"images": 120, "classes": 10, "chunk": 50},
        "logits": {"0": "", "100": "", "50": ""},
    },
    "mutation.json": [{"outcome": each} for each in ("caught", "caught", "invisible", "missed")],
    "mutation_python.json": [{"outcome": each} for each in ("caught", "equivalent")],
    "coverage.json": {
        "one": {
            "blocks": {"a": {"constant": 5, "bits": 30, "moved": 29, "lines": 7, "run": 7}},
            "not moved, by reason": {"too long": ["a: y"]},
        },
        "two": {
            "blocks": {"b": {"constant": 0, "bits": 10, "moved": 7, "lines": 1, "run": 0}},
            "not moved, by reason": {"": ["b: x"], "never full": ["b: z"]},
        },
    },
    "line_coverage.json": {"packages": {"total": {"statements": 2000, "covered": 1900}}},
    "fuzz.json": {
        "a": {"cases": 4000, "faults": {}}, "b": {"cases": 1000, "faults": {"3": "dies"}},
    },
    "kills.json": {"a": {"kills": 1000}, "b": {"kills": 5}},
}  # fmt: skip

SHOWN = [
    "1 of 2 hold",
    "2 of 6 proven",
    "1,200 of 1,200 equal, 120 images",
    "2 of 4 caught, 50.0 %; 1 proven invisible; 1 missed",
    "1 of 2 caught, 50.0 %; 1 change nothing; 0 missed",
    (
        "36 of 40 bits that are not constant, 90.00 %; 7 of 8 lines, in 2 designs; "
        "1 of the other bits and lines without a stated reason"
    ),
    "95.0 % of 2,000",
    "5,000 cases of 2 formats, 1 faults",
    "1,005 in 2 programs; no file lost or half-written",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, data in FILES.items():
        (tmp_path / name).write_text(json.dumps(data))
    monkeypatch.setattr(trust, "RESULTS", tmp_path / "trust.json")
    monkeypatch.setattr(trust, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("<!-- trust -->\n<!-- /trust -->\n")
    return tmp_path


def test_figures_are_those_of_their_files(folder, capsys):
    assert trust.main(["--update"]) == 0
    assert [figure.shown for figure in trust.stored()] == SHOWN
    lines = capsys.readouterr().out
    assert (folder / "README.md").read_text() == f"<!-- trust -->\n{lines}<!-- /trust -->\n"
    assert lines.splitlines()[2] == (
        "| proofs, each with a seeded fault that it refutes | **1 of 2 hold** | `cosim.prove` |"
    )


def test_that_all_which_does_not_move_has_a_reason_is_told_in_words(folder):
    record = FILES["coverage.json"]
    two = record["two"] | {"not moved, by reason": {"never full": ["b: x", "b: z"]}}
    (folder / "coverage.json").write_text(json.dumps(record | {"two": two}))
    found, _ = trust.figures(folder)
    shown = next(figure.shown for figure in found if figure.file == "coverage.json")
    assert shown.endswith(" lines, in 2 designs; every other bit and line has a stated reason")


def test_a_file_that_is_missing_is_told_and_left_out(folder, capsys):
    (folder / "fuzz.json").unlink()
    assert trust.main(["--update"]) == 1
    assert capsys.readouterr().err == (
        "python -m scripts.trust: docs/results/fuzz.json is missing: "
        "scripts.fuzz --update makes it\n"
    )
    assert [figure.shown for figure in trust.stored()] == SHOWN[:7] + SHOWN[8:]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("proofs.json", 3, "cosim.prove --json docs/results/proofs.json: TypeError("),
        ("proofs.json", [], "cosim.prove --json docs/results/proofs.json: ZeroDivisionError("),
        ("line_coverage.json", {}, "make coverage: KeyError('packages')"),
        ("fuzz.json", {"a": {"cases": 1}}, "scripts.fuzz --update: KeyError('faults')"),
        ("kills.json", [], "scripts.kills --update: AttributeError("),
        (
            "all_images.json",
            FILES["all_images.json"] | {"logits": {"0": "", "50": ""}},
            f"{IMAGES}: ValueError('all 120 images must be compared')",
        ),
    ],
)
def test_a_file_that_is_something_else_is_refused(folder, capsys, name, data, message):
    (folder / name).write_text(json.dumps(data))
    with pytest.raises(SystemExit, match="^2$"):
        trust.main(["--update"])
    error = capsys.readouterr().err
    assert error.startswith(f"python -m scripts.trust: error: {name} must be of {message}")
    assert not (folder / "trust.json").exists()


def test_what_is_stored_is_what_the_files_hold():
    # If not: python -m scripts.trust --update
    found, _ = trust.figures(trust.RESULTS.parent)
    assert trust.stored() == found
    assert f"<!-- trust -->\n{trust.table(found)}\n<!-- /trust -->" in README


def test_the_table_is_on_the_first_screen():
    assert README.index("<!-- trust -->") < README.index("\n## ")
    assert README[: README.index("<!-- trust -->")].count("\n") < 20


def test_what_is_promised_holds():
    values = {figure.file: figure.values for figure in trust.stored()}
    assert values["proofs.json"]["hold"] == values["proofs.json"]["proofs"]
    assert values["equivalence.json"]["equal"] == values["equivalence.json"]["netlists"]
    for name in ("mutation.json", "mutation_python.json"):
        faults = values[name]
        assert faults["caught"] >= 0.95 * (faults["faults"] - faults["none"])
        assert faults["missed"] == 0
        assert faults["caught"] + faults["none"] == faults["faults"]
    # These are not there before their commands have run.
    if "line_coverage.json" in values:
        lines = values["line_coverage.json"]
        assert lines["run"] >= 0.95 * lines["lines"]
    if "coverage.json" in values:
        assert values["coverage.json"]["unexplained"] == 0
    assert values["fuzz.json"]["faults"] == 0
    assert values["fuzz.json"]["cases"] >= 10**6
