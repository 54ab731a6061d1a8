# SPDX-License-Identifier: Apache-2.0
"""The worked layer: each line is what the simulator finds, and the page shows it."""

import dataclasses

import pytest

from model.cost.config_file import load
from model.cost.networks import named
from model.cost.simulate import simulate
from scripts import worked_layer
from scripts.worked_layer import CONFIG, LAYER, NETWORK, PAGE, lines, tables

CHIP = simulate(named(NETWORK), load(CONFIG))
(COST,) = (layer for layer in CHIP.layers if layer.name == LAYER)
FOUND = {part: {line.name: line.value for line in rows} for part, rows in lines(CHIP).items()}


def test_counts_are_the_mapping_s():
    mapped = COST.mapping
    assert FOUND["counts"] == {
        "R": mapped.rows,
        "C": mapped.columns,
        "vectors V": mapped.positions,
        "tiles": mapped.tiles,
        "copies": mapped.copies,
        "arrays of a copy": mapped.arrays,
        "utilisation": mapped.utilisation,
        "conversions": 256 * 8 * 2 * 512,
    }


def test_times_and_energies_are_the_simulator_s():
    time = {"clock period t": CHIP.period_s, **COST.latency_s, "shift": COST.shift.latency_s}
    assert FOUND["time"] == pytest.approx(time | {"latency": COST.latency}, rel=1e-12)
    energy = {**COST.energy_j, "leakage": COST.leakage_j, "shift": COST.shift.energy_j}
    assert FOUND["energy"] == pytest.approx(energy | {"energy": COST.energy}, rel=1e-12)


def test_another_constant_is_caught(monkeypatch):
    constants = worked_layer.load_constants()
    wrong = dataclasses.replace(constants, read_energy=1.01 * constants.read_energy)
    monkeypatch.setattr(worked_layer, "load_constants", lambda: wrong)
    found = {line.name: line.value for line in lines(CHIP)["energy"]}
    assert found["energy"] != pytest.approx(COST.energy, rel=1e-4)
    assert tables(CHIP)["energy"] not in PAGE.read_text("utf-8")


def test_the_page_shows_these_lines():
    text = PAGE.read_text("utf-8")
    for part, table in tables(CHIP).items():
        assert f"<!-- {part} -->\n{table}\n<!-- /{part} -->" in text
