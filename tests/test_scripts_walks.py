# SPDX-License-Identifier: Apache-2.0
"""The picture of the walks is what the walks give, and would not be if one changed."""

import re

import pytest

from hw.address import walk
from hw.params import Direction, ShiftParams
from scripts import walks


def test_the_picture_is_current(capsys):
    assert walks.main([]) == 0
    assert capsys.readouterr().out == "docs/results/walks.svg\n"


def test_another_walk_is_noticed(monkeypatch, capsys):
    monkeypatch.setattr(
        walks, "walk", lambda params, way: walk(params, Direction(way ^ 1) if way < 2 else way)
    )
    assert walks.main([]) == 1
    assert capsys.readouterr().err == (
        "python -m scripts.walks: error: walks.svg must be as drawn: "
        "python -m scripts.walks --update\n"
    )


def test_update_writes_it(tmp_path, monkeypatch):
    folder = tmp_path / "docs/results"
    folder.mkdir(parents=True)
    monkeypatch.setattr(walks, "PICTURE", folder / "walks.svg")
    assert walks.main([]) == 1
    assert walks.main(["--update"]) == 0
    assert walks.main([]) == 0


@pytest.mark.parametrize("params", [walks.PARAMS, ShiftParams(height=3, width=3)])
def test_every_pixel_has_its_number_and_every_boundary_its_mark(params):
    picture = walks.draw(params)
    maps = picture.split("<g ")[1:]
    for direction, drawn in zip(Direction.moving(), maps, strict=True):
        cells = re.findall(
            r'<rect class="(cell(?: boundary)?)" x="(\d+)" y="(\d+)"[^>]*>\n<text[^>]*>(\d+)<',
            drawn,
        )
        found = [
            (int(y) // walks.CELL, int(x) // walks.CELL, "boundary" in kind)
            for kind, x, y, _ in cells
        ]
        assert found == list(walk(params, direction))
        assert [int(number) for *_, number in cells] == list(range(params.pixels))
    assert picture.count("boundary") - 1 == sum(
        visit.boundary for way in Direction.moving() for visit in walk(params, way)
    )
