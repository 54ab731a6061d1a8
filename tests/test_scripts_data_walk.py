# SPDX-License-Identifier: Apache-2.0
"""The picture of the walk of data has the widths of the network, and names files that exist."""

import dataclasses
import re

from scripts import data_walk


def test_the_picture_is_current(capsys):
    assert data_walk.main([]) == 0
    assert capsys.readouterr().out == "docs/results/data.svg\n"


def test_other_widths_are_noticed(monkeypatch, capsys):
    sizes = data_walk.params()
    narrow = dataclasses.replace(sizes, tile=dataclasses.replace(sizes.tile, adc_bits=6))
    monkeypatch.setattr(data_walk, "params", lambda: narrow)
    assert data_walk.main([]) == 1
    assert capsys.readouterr().err == (
        "python -m scripts.data_walk: error: data.svg must be as drawn: "
        "python -m scripts.data_walk --update\n"
    )


def test_update_writes_it(tmp_path, monkeypatch):
    folder = tmp_path / "docs/results"
    folder.mkdir(parents=True)
    monkeypatch.setattr(data_walk, "PICTURE", folder / "data.svg")
    assert data_walk.main(["--update"]) == 0
    assert data_walk.main([]) == 0


def test_every_file_that_it_names_exists():
    named = re.findall(r">(hw/\w+\.py)<", data_walk.draw(data_walk.params()))
    assert len(named) == 10
    assert all((data_walk.ROOT / name).is_file() for name in named)
