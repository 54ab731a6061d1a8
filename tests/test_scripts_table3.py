# SPDX-License-Identifier: Apache-2.0
"""Table III: the paper's accuracies on ImageNet and ours."""

import pytest

from model.cost.results import csv_text
from scripts import table3

HEAD = {"resnet18", "psp_512_12", "psp_512_16"}
"""Printed without the weights of 1000 classes."""


def test_the_paper_s_rows_are_all_there_in_its_order():
    found = table3.rows()
    assert [each["row"] for each in found] == list(table3.PAPER)
    assert [each["accuracy_paper"] for each in found] == [69.15, 70.60, 72.20, 73.18, 74.87]


def test_parameters_are_those_printed_but_for_some_heads():
    for each in table3.rows():
        # Biases and batch norm are in the paper's count.
        ours = each["weights"] - (512_000 if each["row"] in HEAD else 0)
        assert ours / 1e6 == pytest.approx(each["parameters_paper_m"], abs=0.04)
        assert (abs(each["weights"] / 1e6 - each["parameters_paper_m"]) > 0.4) == (
            each["row"] in HEAD
        )


def test_ours_are_imagenet_s_alone(monkeypatch):
    found = {
        ("imagefolder:/data/imagenet", "psp_256_12", "float"): 72.0,
        ("imagefolder:/data/imagenet", "psp_512_12", "int8"): 71.0,
        ("imagefolder:/data/cats", "psp_512_16", "float"): 99.0,
        ("cifar10", "resnet18", "float"): 95.0,
    }
    monkeypatch.setattr(table3, "measured", lambda: found)
    rows = table3.rows()
    assert [each["accuracy"] for each in rows] == [None, None, 72.0, None, None]
    assert table3.table(rows).splitlines()[4:6] == [
        "| psp_256_12 | 1.80 | 1.83 | 72.20 | 72.00 | -0.20 |",
        "| psp_512_12 | 6.32 | 6.81 | 73.18 | – | – |",
    ]


def test_documents_are_what_the_code_says():
    found = table3.rows()
    document = table3.TRAINING.read_text()
    assert f"<!-- table3 -->\n{table3.table(found)}\n<!-- /table3 -->" in document
    assert table3.table([each | {"row": "X"} for each in found]) not in document
    assert table3.TABLE.read_text() == csv_text(found)


def test_prints_and_updates(tmp_path, monkeypatch, capsys):
    document = tmp_path / "training.md"
    document.write_text("<!-- table3 -->\n<!-- /table3 -->\n")
    monkeypatch.setattr(table3, "TRAINING", document)
    monkeypatch.setattr(table3, "TABLE", tmp_path / "table3.csv")
    assert table3.main([]) == 0
    printed = capsys.readouterr().out.strip()
    assert not (tmp_path / "table3.csv").exists()
    assert table3.main(["--update"]) == 0
    assert printed in document.read_text()
    assert len((tmp_path / "table3.csv").read_text().splitlines()) == 6
