# SPDX-License-Identifier: Apache-2.0
"""The picture of where cost goes: the model's figures, the report's colours, the same bytes."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from costs import config

from model.cost.networks import named
from model.cost.simulate import simulate
from scripts import cost_picture

COSTS = [simulate(named(name), config()) for name in cost_picture.NETWORKS]


def test_the_stored_picture_is_the_models(capsys):
    assert cost_picture.main([]) == 0
    assert capsys.readouterr().out == "docs/results/cost.svg\n"
    assert cost_picture.PICTURE.read_bytes() == cost_picture.draw(COSTS)
    other = [simulate(named(name), config(adc_levels=64)) for name in cost_picture.NETWORKS]
    assert cost_picture.PICTURE.read_bytes() != cost_picture.draw(other)


def test_the_same_bytes_in_any_folder(tmp_path):
    root = str(cost_picture.ROOT)
    code = (
        "from pathlib import Path; from scripts import cost_picture as c; "
        "c.PICTURE = Path('cost.svg').resolve(); c.ROOT = Path().resolve(); c.main(['--update'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": root},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "cost.svg\n", "")
    assert (tmp_path / "cost.svg").read_bytes() == cost_picture.PICTURE.read_bytes()


def test_a_stale_picture_is_noticed_and_written_again(tmp_path, monkeypatch, capsys):
    file = tmp_path / "cost.svg"
    monkeypatch.setattr(cost_picture, "PICTURE", file)
    monkeypatch.setattr(cost_picture, "ROOT", tmp_path)
    line = f"{cost_picture.PROGRAM}: cost.svg must be that of the model: --update\n"
    for _ in ("missing", "stale"):
        assert cost_picture.main([]) == 1
        assert capsys.readouterr() == ("", line)
        file.write_text("<svg/>")
    assert cost_picture.main(["--update"]) == 0
    assert cost_picture.main([]) == 0


@pytest.mark.parametrize("quantity", cost_picture.QUANTITIES)
def test_bars_are_shares_of_the_total(quantity):
    for cost, (name, shares, text) in zip(COSTS, cost_picture.bars(COSTS, quantity), strict=True):
        assert name == cost.network
        assert sum(shares.values()) == pytest.approx(100)
        assert text == cost_picture.QUANTITIES[quantity][1](getattr(cost, quantity))
        assert text in cost_picture.PICTURE.read_text("utf-8")


def test_the_picture_is_whole_and_loads_nothing():
    text = cost_picture.PICTURE.read_text("utf-8")
    ET.fromstring(text)
    assert "<image" not in text
    assert all(name in text for name in ("leakage", "shift", *cost_picture.NETWORKS))
