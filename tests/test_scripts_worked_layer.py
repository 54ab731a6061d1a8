# SPDX-License-Identifier: Apache-2.0
"""The worked layer: each line is what the simulator finds, and the page shows it."""

import dataclasses
import math
import re

import pytest

from model.cost.config_file import load
from model.cost.networks import named
from model.cost.simulate import simulate
from model.cost.text import si
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


PREFIXES = {"m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18}


def number(text):
    """Return a number that may have a unit: 1.23 nJ, 60.6 pJ/m, 2,562."""
    value, prefix = re.match(r"([\d.,e-]+)(?: ([mµnpfa])(?:[sWJ]|m\b))?", text).groups()
    return float(value.replace(",", "")) * PREFIXES.get(prefix, 1)


def product(text, words):
    """Return a product as a reader with a calculator finds it."""
    found = 1.0
    for factor in text.replace("(", "").replace(")", "").split(" · "):
        first, *divisors = factor.split(" / ")
        found *= next((value for word, value in words.items() if first.startswith(word)), None) or (
            number(first)
        )
        for divisor in divisors:
            found /= number(divisor)
    return found


def shown_lines():
    """Return the lines of the page: the sum as text, the result as shown."""
    return {
        part: {name: (text, result) for name, text, result in
               (row[2:-2].split(" | ") for row in table.splitlines()[2:])}
        for part, table in tables(CHIP).items()
    }  # fmt: skip


def closes(value, result):
    digits = len(re.sub(r"[^0-9].*", "", result.replace(".", "", 1)).lstrip("0"))
    return si(value, result[-1], digits) == result


def test_a_calculator_finds_each_line_from_those_above():
    page = shown_lines()
    times = {name: result for name, (_, result) in page["time"].items()}
    base, stage, row = map(number, re.split(r" \+ (?:log₂.*?\) · |64 rows · )",
                                            page["time"]["clock period t"][0]))  # fmt: skip
    assert closes(base + math.log2(8 * 31) * stage + 64 * row, times["clock period t"])
    words = {"t": number(times["clock period t"]), "as many": 64 * 8 * 8, "8/4": 2, "⌈log₂ 2⌉": 1,
             "1024 + 512": 1536, "80/8": (80 / 8 * 256 + 2) * 1e-9}  # fmt: skip
    parts = [name for name in times if name not in ("clock period t", "latency")]
    for name in parts:
        text = page["time"][name][0]
        assert closes(product(text.partition(" · 256 + 2")[0] if name == "shift" else text, words),
                      times[name]), name  # fmt: skip
    assert closes(sum(number(times[name]) for name in parts), times["latency"])
    without = sum(number(times[name]) for name in parts if name != "shift")
    words = {"conversions": 2097152, "V": 256, "bits": 256 * 256 * 8,
             "the same bits": 256 * 256 * 8, "128 + 128": 256, "17/18": 17 / 18,
             "the time": without}  # fmt: skip
    energies = {name: result for name, (_, result) in page["energy"].items() if name != "energy"}
    for name, result in energies.items():
        text = page["energy"][name][0].partition(";")[0].replace("2 · 5 + 8 + 4", "22")
        assert closes(product(text.replace(" tiles of ", " · "), words), result), name
    assert closes(sum(map(number, energies.values())), page["energy"]["energy"][1])
    # A constant of three digits does not do.
    assert not closes(product("1.88 ns · 3.79 · 256 · 1024 · 1 / 64", {}), times["PE buffers"])


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
