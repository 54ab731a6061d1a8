# SPDX-License-Identifier: Apache-2.0
"""Table I: the paper's printed digits, and documents that show what the code says."""

import time

import pytest

from model.cost import mapping
from model.cost.results import csv_text
from scripts import table1


def of(setting):
    return {row["row"]: row for row in table1.rows() if row["setting"] == setting}


def test_utilisation_is_the_papers_to_the_printed_digit():
    found = of("date2024")
    assert list(found) == list(table1.PAPER)
    for name, row in found.items():
        # The paper cuts some digits off where others would round.
        assert abs(row["utilisation"] - table1.PAPER[name].utilisation) < 0.01
    for name, row in of("256×256").items():
        assert round(row["utilisation"]) == table1.LARGE[name].utilisation


def test_utilisation_is_the_reference_simulators():
    for row in table1.rows():
        assert abs(row["utilisation"] - row["utilisation_reference"]) < 0.01


@pytest.mark.parametrize(
    ("name", "limit"), [("area", 0.03), ("latency", 0.03), ("efficiency", 0.08)]
)
def test_costs_are_close_to_the_reference_simulators(name, limit):
    compared = 0
    for row in table1.rows():
        reference = row[f"{name}_reference"]
        if reference is not None:
            assert row[name] == pytest.approx(reference, rel=limit)
            assert row[name] != reference
            compared += 1
    assert compared >= 10


def test_one_simulated_network_stands_for_two_rows():
    found = of("date2024")
    one, other = found["resnet110"], found["shiftresnet110"]
    assert {key for key in one if one[key] != other[key]} == {
        "row", "latency_paper", "efficiency_paper",
    }  # fmt: skip
    assert one["weights"] == 194_608


def test_like_for_like_the_baselines_are_others():
    alike = of("date2024_22nm")
    assert {
        (row["array_rows"], row["array_columns"], row["node_nm"]) for row in alike.values()
    } == {(64, 64, 22)}
    assert all(row["is"] == name for name, row in alike.items())
    others = {name for name, row in alike.items()
              if abs(row["utilisation"] - table1.PAPER[name].utilisation) >= 0.01}  # fmt: skip
    assert others == {"resnet110", "densenet40_12", "vgg8"}


def test_documents_are_what_the_code_says():
    found = table1.rows()
    document = table1.COST.read_text()
    for mark, text in table1.tables(found).items():
        assert f"<!-- {mark} -->\n{text}\n<!-- /{mark} -->" in document
        assert text not in document.replace("psp_256_12", "psp_256_13")
    assert table1.RESULTS.read_text() == csv_text(found)


def test_a_wrong_formula_would_change_them(monkeypatch):
    monkeypatch.setattr(mapping, "_copies", lambda size, outer, inner: 1)
    assert table1.RESULTS.read_text() != csv_text(table1.rows())


def test_prints_and_updates(tmp_path, monkeypatch, capsys):
    document = tmp_path / "cost.md"
    marks = table1.tables(table1.rows())
    document.write_text("".join(f"<!-- {mark} -->\n<!-- /{mark} -->\n" for mark in marks))
    monkeypatch.setattr(table1, "COST", document)
    monkeypatch.setattr(table1, "RESULTS", tmp_path / "table1.csv")
    assert table1.main([]) == 0
    printed = capsys.readouterr().out
    assert not (tmp_path / "table1.csv").exists()
    assert table1.main(["--update"]) == 0
    assert capsys.readouterr().out == printed
    for text in marks.values():
        assert text in printed
        assert text in document.read_text()
    head, *lines = (tmp_path / "table1.csv").read_text().splitlines()
    assert head.startswith("setting,row,is,weights,array_rows,")
    assert head.endswith(",efficiency_paper,efficiency_reference,efficiency,shift_ms")
    assert len(lines) == 20


def test_the_shift_is_beside_not_in_it():
    found = of("date2024")
    assert found["psp_256_8"]["shift_ms"] == pytest.approx(8 * 5378e-6)
    assert found["vgg8"]["shift_ms"] == 0


def test_all_of_it_takes_less_than_a_second():
    start = time.perf_counter()
    table1.rows()
    assert time.perf_counter() - start < 1


def test_usage(capsys):
    with pytest.raises(SystemExit) as end:
        table1.main(["--wrong"])
    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
