# SPDX-License-Identifier: Apache-2.0
"""Table II: the paper's accuracies and ours."""

import json

import pytest

from model.cost.results import csv_text
from scripts import table2


def row(found, dataset, model):
    (one,) = (each for each in found if (each["dataset"], each["row"]) == (dataset, model))
    return one


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Take accuracies from here."""

    def store(*entries):
        keys = ("dataset", "model", "precision", "mean")
        found = [
            dict(zip(keys, entry[:4], strict=True)) | {"recipe": {"adc_bits": entry[4]}}
            for entry in entries
        ]
        (tmp_path / "accuracy.json").write_text(json.dumps({"rows": found}))
        monkeypatch.setattr(table2, "RESULTS", tmp_path / "accuracy.json")

    return store


def test_the_paper_s_rows_are_all_there_in_its_order(results):
    results()
    found = table2.rows()
    assert [each["row"] for each in found] == 2 * list(table2.PARAMETERS)
    figures = [row(found, "cifar100", "psp_256_12")[f"{p}_paper"] for p in table2.PRECISIONS]
    assert figures == [77.94, 76.55, 76.10]
    assert all(each["float"] is each["int8"] is each["int4_difference"] is None for each in found)


def test_parameters_are_those_printed():
    for each in table2.rows():
        if each["parameters_paper_m"]:
            assert each["weights"] / 1e6 == pytest.approx(each["parameters_paper_m"], abs=0.02)


def test_ours_stand_beside_with_the_difference(results):
    results(
        ("cifar10", "psp_256_12", "int8", 94.0, 8),
        ("cifar10", "psp_256_12", "int4", 90.0, 6),  # saturates
        ("cifar100", "psp_64_4", "float", 60.0, 8),
        ("synthetic", "psp_64_4", "float", 99.0, 8),
        ("cifar10", "vgg8", "float", 90.0, 8),  # Table I's
    )
    found = table2.rows()
    mine = row(found, "cifar10", "psp_256_12")
    assert (mine["int8"], mine["int8_difference"], mine["int4"]) == (94.0, -0.88, None)
    assert row(found, "cifar100", "psp_64_4")["float_difference"] is None
    assert len(found) == 11
    lines = table2.table(found).splitlines()
    assert "| 94.88 | 94.00 | -0.88 | 94.50 | – | – |" in lines[5]
    assert lines[-1] == "| cifar100 | psp_64_4 | – | 0.04 | – | 60.00 | – | – | – | – | – | – | – |"


def test_resnets_share_figures_that_cannot_be_both():
    found = table2.rows()
    small, large = row(found, "cifar10", "resnet32"), row(found, "cifar10", "resnet110")
    assert small["int8_paper"] == large["int8_paper"]
    assert small["int4_paper"] == large["int4_paper"]
    assert small["float_paper"] != large["float_paper"]


def test_documents_are_what_the_code_says():
    found = table2.rows()
    document = table2.TRAINING.read_text()
    assert f"<!-- table2 -->\n{table2.table(found)}\n<!-- /table2 -->" in document
    assert table2.table([each | {"row": "X"} for each in found]) not in document
    assert table2.TABLE.read_text() == csv_text(found)


def test_prints_and_updates(tmp_path, monkeypatch, capsys):
    document = tmp_path / "training.md"
    document.write_text("<!-- table2 -->\n<!-- /table2 -->\n")
    monkeypatch.setattr(table2, "TRAINING", document)
    monkeypatch.setattr(table2, "TABLE", tmp_path / "table2.csv")
    assert table2.main([]) == 0
    printed = capsys.readouterr().out.strip()
    assert not (tmp_path / "table2.csv").exists()
    assert table2.main(["--update"]) == 0
    assert printed in document.read_text()
    assert (tmp_path / "table2.csv").read_text().startswith("dataset,row,parameters_paper_m,")
