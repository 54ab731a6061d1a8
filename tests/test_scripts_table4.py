# SPDX-License-Identifier: Apache-2.0
"""Table IV: exact latencies, energies within 5 %, and documents that show what the code says."""

import dataclasses

import pytest

from hw import timing
from hw.formula import Formula
from model.cost.results import csv_text
from scripts import table4


def test_the_papers_latencies_are_its_formula_s():
    found = table4.rows()
    # 21 channels a group, 16·16 pixels, 8, 24 and 32 blocks, a pixel a nanosecond.
    wanted = [21 * 256 * blocks * 1e-6 for blocks in (8, 24, 32)]
    assert [row["latency_formula_ms"] for row in found] == pytest.approx(wanted, rel=1e-12)
    for row in found:
        assert round(row["latency_formula_ms"], 5) == row["latency_paper_ms"]


def test_another_formula_misses_them(monkeypatch):
    overhead = Formula((*timing.PAPER.terms, (2, ())))
    monkeypatch.setattr(timing, "PAPER", overhead)
    found = table4.rows()
    assert [round(row["latency_formula_ms"], 5) == row["latency_paper_ms"] for row in found] == [
        False, False, False,
    ]  # fmt: skip


def test_ours_takes_two_cycles_more_a_block_and_none_fused():
    for row, blocks in zip(table4.rows(), (8, 24, 32), strict=True):
        more = row["latency_ours_ms"] - row["latency_formula_ms"]
        assert more == pytest.approx(2 * blocks * 1e-6, rel=1e-6)
        assert f"{more / row['latency_formula_ms']:.2%}" == "0.04%"
        assert row["latency_fused_ms"] == 0


def test_the_labels_are_not_what_was_measured():
    for row, right in zip(table4.rows(), (False, False, True), strict=True):
        assert (abs(row["latency_of_label_ms"] / row["latency_paper_ms"] - 1) < 0.001) == right


def test_energies_are_within_five_percent():
    for row in table4.rows():
        assert row["energy_ours_nj"] == pytest.approx(row["energy_paper_nj"], rel=0.05)
        assert row["normalised_ours_nj"] == pytest.approx(row["normalised_paper_nj"], rel=0.05)
        # The divisor from 28 to 22 nm, in all rows the same.
        assert row["energy_paper_nj"] / row["normalised_paper_nj"] == pytest.approx(1.233, abs=5e-4)


def test_documents_are_what_the_code_says():
    found = table4.rows()
    document = table4.COST.read_text()
    text = table4.table(found)
    assert f"<!-- table4 -->\n{text}\n<!-- /table4 -->" in document
    assert table4.table([row | {"row": "X"} for row in found]) not in document
    assert table4.RESULTS.read_text() == csv_text(found)


def test_prints_and_updates(tmp_path, monkeypatch, capsys):
    document = tmp_path / "cost.md"
    document.write_text("<!-- table4 -->\n<!-- /table4 -->\n")
    monkeypatch.setattr(table4, "COST", document)
    monkeypatch.setattr(table4, "RESULTS", tmp_path / "table4.csv")
    assert table4.main([]) == 0
    printed = capsys.readouterr().out.strip()
    assert not (tmp_path / "table4.csv").exists()
    assert table4.main(["--update"]) == 0
    assert printed in document.read_text()
    assert len((tmp_path / "table4.csv").read_text().splitlines()) == 4


def test_the_energy_of_a_move_is_the_configuration_s(monkeypatch):
    twice = dataclasses.replace(table4.load("date2024_22nm"), shift_energy_j=0.4024e-12)
    before = table4.rows()
    monkeypatch.setattr(table4, "load", lambda name: twice)
    for row, old in zip(table4.rows(), before, strict=True):
        assert row["energy_ours_nj"] == pytest.approx(2 * old["energy_ours_nj"])
