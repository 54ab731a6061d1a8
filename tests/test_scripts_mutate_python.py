# SPDX-License-Identifier: Apache-2.0
"""Single faults in Python: which are seeded, that they are noticed, and what is stored of them."""

import ast
import concurrent.futures
import json
import multiprocessing
import sys

import pytest

from scripts import mutate_python
from scripts.mutate_python import FILES, Subject, judge
from scripts.python_faults import FaultyImporter, list_faults, seed
from scripts.tables import ROOT, VERIFICATION
from scripts.verdicts import Verdict

MAPPING = "model/cost/mapping.py"

SOURCE = '''
"""A docstring stays."""
__all__ = ["f"]

class C:
    def f(self, x: int = 3) -> "int":
        """So does this."""
        if x < 1 and not x:
            raise ValueError(f"{x} of {x + 2}")
        print(x)
        return [-y for y in (x,) if y]

if __name__ == "__main__":
    print(1 + 1)
'''


def test_faults_of_a_small_class():
    assert list_faults(SOURCE) == [
        ("C.f", "def f(self, x: int = 3) -> \"int\":: 3 → 4"),
        ("C.f", "def f(self, x: int = 3) -> \"int\":: 3 → 2"),
        ("C.f", "if x < 1 and not x:: negated"),
        ("C.f", "x < 1 and not x: and → or"),
        ("C.f", "x < 1: < → <="),
        ("C.f", "x < 1: 1 → 2"),
        ("C.f", "x < 1: 1 → 0"),
        ("C.f", "not x: without not"),
        ("C.f", 'raise ValueError(f"{x} of {x + 2}"): removed'),
        ("C.f", "f\"{x} of {x + 2}\": ' of ' → 'X of '"),
        ("C.f", 'f"{x} of {x + 2}": + → -'),
        ("C.f", 'f"{x} of {x + 2}": 2 → 3'),
        ("C.f", 'f"{x} of {x + 2}": 2 → 1'),
        ("C.f", "print(x): removed"),
        ("C.f", "return [-y for y in (x,) if y]: returns None"),
        ("C.f", "-y: without -"),
        ("C.f", "[-y for y in (x,) if y]: without its if"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("a + b", ["a - b"]), ("a << b", ["a >> b"]), ("a // b", ["a * b"]), ("a % b", ["a // b"]),
        ("a & b", ["a | b"]), ("a >= b", ["a > b"]), ("a == b", ["a != b"]), ("~a", ["a"]),
        ("a is b", ["a is not b"]), ("a in b", ["a not in b"]), ("a or b", ["a and b"]),
        ("True", ["False"]), ("0", ["1", "-1"]), ("'s'", ["'Xs'"]), ("b's'", ["b'Xs'"]),
        ("a if b else c", ["a if not b else c"]), ("a", []), ("None", []), ("1.5", []),
        ("f()", ["pass"]), ("a += b", ["pass", "a -= b"]), ("x: int = a", []), ("import a", []),
        ("while a:\n    break", ["while not a:\n    break", "while a:\n    continue"]),
    ],
)  # fmt: skip
def test_changes(code, changed):
    source = (
        f"x = {code}" if isinstance(ast.parse(code).body[0], ast.Expr) and code != "f()" else code
    )
    tree = ast.parse(source)
    made = [ast.unparse(ast.fix_missing_locations(tree)) for _ in seed(source, tree)]
    assert [each.removeprefix("x = ") for each in made] == changed
    assert ast.unparse(tree) == source  # each was taken back


def test_faults_of_the_same_text_are_numbered():
    assert [fault for _, fault in list_faults("x = (True, True)")] == [
        "(True, True): True → False", "(True, True): True → False (2)",
    ]  # fmt: skip


def test_the_importer_seeds_one_fault_in_one_module(tmp_path, monkeypatch):
    for name in ("victim", "bystander"):
        (tmp_path / f"{name}.py").write_text("VALUES = (1, 5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    importer = FaultyImporter("victim", tmp_path / "victim.py", 2)
    monkeypatch.setattr(sys, "meta_path", [importer, *sys.meta_path])
    import bystander
    import victim

    assert (victim.VALUES, bystander.VALUES) == ((1, 6), (1, 5))
    assert victim.__file__ == str(tmp_path / "victim.py")
    for name in ("victim", "bystander"):
        monkeypatch.delitem(sys.modules, name)


def number_of(function, fault, file=MAPPING):
    return list_faults((ROOT / file).read_text()).index((function, fault))


TEST = "tests/test_model_cost_mapping.py"


def judged(number, test, seconds=60):
    """Judge where nothing has been imported."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        subject = Subject((f"{TEST}::{test}",), ())
        return pool.submit(judge, MAPPING, number, subject, seconds).result()


def test_a_fault_is_caught_by_the_test_that_sees_it_and_by_no_other():
    number = number_of("_positions", 'config.counting == "exact": == → !=')
    sees = "test_counts_vectors_with_and_without_padding"
    assert judged(-1, sees) == ""
    assert judged(number, sees) == sees
    assert judged(number, "test_crossbars_need_not_be_square") == ""


def test_a_fault_without_end_meets_the_time_limit():
    number = number_of("choose_tile_side", "side //= 2: removed")
    assert judged(number, "test_a_pointwise_layer_by_hand", seconds=5) == "time limit"


def test_tests_that_fail_without_a_fault_are_no_check(monkeypatch, capsys):
    monkeypatch.setitem(FILES, MAPPING, Subject(("tests/no_such_file.py",), ()))
    assert mutate_python.main(["--file", MAPPING, "--jobs", "1"]) == 1
    assert capsys.readouterr().err == (
        "python -m scripts.mutate_python: error: the tests of model/cost/mapping.py must pass "
        "without a fault, not fail: crash\n"
    )


VERDICTS = [
    Verdict("a.py", "f", "1 → 2", "caught", "test_f"),
    Verdict("a.py", "f", "a | b: | → &", "equivalent", "a and b share no bit"),
    Verdict("b.py", "g", "removed", "missed", ""),
]


def test_tables():
    assert mutate_python.table(VERDICTS).splitlines()[2:] == [
        "| `a.py` | 2 | 1 | 1 | 0 | 50.0 % |",
        "| `b.py` | 1 | 0 | 0 | 1 | 0.0 % |",
    ]
    assert mutate_python.listing(VERDICTS).splitlines()[2:] == [
        "| `a.py` | `f` | `a \\| b: \\| → &` | a and b share no bit |",
        "| `b.py` | `g` | `removed` | missed |",
    ]


def test_a_missed_fault_fails_and_what_was_caught_is_not_tried_again(monkeypatch, tmp_path, capsys):
    document = tmp_path / "d.md"
    marks = [
        f"<!-- python-{name} -->\n<!-- /python-{name} -->\n" for name in ("mutants", "survivors")
    ]
    document.write_text("".join(marks))
    monkeypatch.setattr(mutate_python, "VERIFICATION", document)
    monkeypatch.setattr(mutate_python, "RESULTS", tmp_path / "r.json")
    faults = list_faults((ROOT / MAPPING).read_text())
    tried = []

    def check(file, *, jobs, numbers):
        tried.append(numbers)
        return [
            Verdict(file, *fault, "missed" if number == 3 and len(tried) == 1 else "caught", "t")
            for number, fault in enumerate(faults)
            if numbers is None or number in numbers
        ]

    monkeypatch.setattr(mutate_python, "check", check)
    options = ["--file", MAPPING, "--update"]
    assert mutate_python.main(options) == 1
    assert capsys.readouterr().out.startswith(f"missed {MAPPING} {' '.join(faults[3])}\n")
    assert mutate_python.main([*options, "--left", "--json"]) == 0
    assert [each["fault"] for each in json.loads(capsys.readouterr().out)] == [faults[3][1]]
    assert tried == [None, [3]]
    assert [(v.block, v.fault) for v in mutate_python.stored()] == faults
    assert mutate_python.table(mutate_python.stored()) in document.read_text()


@pytest.mark.parametrize("file", FILES)
def test_what_is_stored_is_of_the_files_as_they_are(file):
    # If not: python -m scripts.mutate_python --left --update
    verdicts = [v for v in mutate_python.stored() if v.design == file]
    assert [(v.block, v.fault) for v in verdicts] == list_faults((ROOT / file).read_text())
    assert not [v for v in verdicts if v.outcome == "missed"]
    assert sum(v.outcome == "caught" for v in verdicts) >= 0.95 * len(verdicts)
    reasons = mutate_python.equivalents().get(file, {})
    survivors = {f"{v.block}: {v.fault}": v.by for v in verdicts if v.outcome == "equivalent"}
    assert survivors == reasons


def test_docs_say_what_is_stored():
    verdicts = mutate_python.stored()
    text = VERIFICATION.read_text(encoding="utf-8")
    for name, shown in (
        ("python-mutants", mutate_python.table(verdicts)),
        ("python-survivors", mutate_python.listing(verdicts)),
    ):
        assert f"<!-- {name} -->\n{shown}\n<!-- /{name} -->" in text
