# SPDX-License-Identifier: Apache-2.0
"""Design points: ranges, what goes together, what must be equal, values for one network."""

import dataclasses
import math
import re
from pathlib import Path

import pytest
from costs import config
from hypothesis import given
from hypothesis import strategies as st

from model.cost.config import ConfigError, differences, keys
from model.cost.config_file import NAMES, load

DOCUMENT = Path(__file__).parent.parent / "docs/cost.md"
KEYS = {key.name: key for key in keys()}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("array_rows", -1, "must be an integer from 2 to 4096, not -1"),
        ("array_rows", 64.0, "must be an integer from 2 to 4096, not 64.0"),
        ("act_bits", True, "must be an integer from 1 to 16, not True"),
        ("cell_bits", 9, "must be an integer from 1 to 8, not 9"),
        ("cell_bits", 0, "must be an integer from 1 to 8, not 0"),
        ("adc_levels", 1, "must be an integer from 2 to 65536, not 1"),
        ("node_nm", 2.2e-8, "must be a number from 5 to 250 nm, not 2.2e-08"),
        ("node_nm", "22", "must be a number from 5 to 250 nm, not '22'"),
        ("node_nm", math.nan, "must be a number from 5 to 250 nm, not nan"),
        ("read_v", math.inf, "must be a number from 0.01 to 5 V, not inf"),
        ("ron_ohm", -6e3, "must be a number from 100 to 1e+09 ohm, not -6000.0"),
        ("pulse_s", 10, "must be a number from 1e-11 to 1e-05 s, not 10"),
        ("clock_hz", 0, "must be a number from 100000 to 1e+11 Hz, not 0"),
        ("efficiency_divisor", 0.5, "must be a number from 1 to 2, not 0.5"),
        ("shift", "line", 'must be "fused", "lanes" or "in_place", not \'line\''),
        ("row_gating", "rows", "must be \"registers\", not 'rows'"),
        (
            "row_gating",
            "registers",
            "must be with cell_energy_j, not without: what a row saves follows from its cells",
        ),
        ("mapping", ["array"], 'must be "reference" or "array", not [\'array\']'),
        ("activations", "silu", 'must be "gelu" or "relu", not \'silu\''),
        ("cell_energy_j", 1e-12, "must be a list of numbers in J, not 1e-12"),
        ("cell_energy_j", (), "must be a list of numbers in J, not ()"),
        ("cell_energy_j", (0, 0, 0, -1), "must be a number from 0 to 1e-09 J, not -1"),
        ("cell_energy_j", (0, 0), "must have a value for each of the 4 levels of a cell, not 2"),
        ("weight_bits", 1, None),
        ("columns_per_adc", 65, "must be at most array_columns 64, not 65"),
        ("ron_ohm", 900e3, "must be less than roff_ohm 900000, not 900000"),
    ],
)
def test_refuses_values(name, value, message):
    whole = f"{name} {message}"
    if message is None:  # what breaks is the key that depends on it
        name, whole = "cell_bits", "cell_bits must be at most weight_bits 1, not 2"
        value = {"weight_bits": 1}
    else:
        value = {name: value}
    with pytest.raises(ConfigError) as error:
        config(**value)
    assert str(error.value) == whole
    assert error.value.key == name


@given(st.sampled_from([key for key in KEYS.values() if key.high]), st.floats())
def test_no_value_outside_its_range_passes(key, value):
    wanted = key.low <= value <= key.high and key.kind == "number"
    assert (key.check(value) == "") == wanted


def test_every_key_says_what_it_is():
    for key in KEYS.values():
        assert len(key.about) > 5
        assert (key.unit == "") == (key.kind == "choice")
        if key.kind != "choice":
            assert 0 <= key.low < key.high


def test_shows_values_with_units():
    assert KEYS["pulse_s"].show(1e-8) == "1e-08 s"
    assert KEYS["adc_levels"].show(32) == "32"
    assert KEYS["clock_hz"].show(None) == "none"
    assert KEYS["cell_energy_j"].show((1e-13, 2e-13)) == "1e-13, 2e-13 J"
    assert KEYS["shift"].show("fused") == "fused"


def test_table_i_compares_what_cannot_be_compared():
    mixed, alike = load("date2024"), load("date2024_22nm")
    assert differences(mixed.for_network("psp_128_8"), mixed.for_network("vgg8")) == (
        "node_nm must be equal, not 22 nm and 32 nm: it is the technology's, not the design's",
    )
    assert differences(mixed.for_network("psp_128_8"), mixed.for_network("sp_256_24")) == ()
    assert differences(alike.for_network("psp_128_8"), alike.for_network("vgg8")) == ()


def test_a_design_may_choose_its_crossbars():
    free = {"array_rows": 128, "array_columns": 32, "cell_bits": 1, "adc_levels": 64,
            "columns_per_adc": 4, "clock_hz": 1e9, "shift": "fused", "adc_energy_j": 1e-13,
            "shift_clock_hz": 5e8, "activations": "relu"}  # fmt: skip
    assert differences(config(), config(**free)) == ()
    # Gating needs energies of cells.
    assert load("shiftbar").row_gating == "registers"
    assert differences(load("twofold"), load("shiftbar")) == ()
    assert {*free, "row_gating"} == {key.name for key in KEYS.values() if not key.equal}


@pytest.mark.parametrize("name", [key.name for key in KEYS.values() if key.equal])
def test_what_is_not_the_design_s_must_be_equal(name):
    others = {
        "integer": 7, "number": 1.5, "numbers": (1e-13, 2e-13, 3e-13, 4e-13), "choice": None,
    }  # fmt: skip
    special = {"mapping": "array", "counting": "exact", "node_nm": 32, "ron_ohm": 7e3,
               "roff_ohm": 8e5, "pulse_s": 2e-8, "shift_energy_j": 1e-13}  # fmt: skip
    value = special.get(name, others[KEYS[name].kind])
    one, other = config(), config(**{name: value})
    (found,) = differences(one, other)
    before, after = KEYS[name].show(getattr(one, name)), KEYS[name].show(value)
    assert found == f"{name} must be equal, not {before} and {after}: {KEYS[name].equal}"


def test_the_document_names_what_must_be_equal():
    text = DOCUMENT.read_text()
    table = text[text.index("These must be equal:") : text.index("A design may choose the rest")]
    rest = text[text.index("A design may choose the rest") : text.index("## The shift")]
    equal = {key.name for key in KEYS.values() if key.equal}
    assert set(re.findall("`([a-z_]+)`", table)) == equal
    assert set(re.findall("`([a-z_]+)`", rest)) == set(KEYS) - equal


def test_values_for_one_network():
    mixed = load("date2024")
    assert mixed.simulated("resnet110") == "shiftresnet110"
    assert mixed.simulated("psp_128_8") == "psp_128_8"
    vgg = mixed.for_network("vgg8")
    assert (vgg.array_rows, vgg.node_nm, vgg.adc_levels) == (32, 32, 32)
    assert vgg.networks == {}
    assert vgg.sources["node_nm"] == mixed.sources["networks.vgg8.node_nm"] == "as array_rows"
    assert vgg.sources["adc_levels"] == mixed.sources["adc_levels"]
    alike = load("date2024_22nm").for_network("psp_256_8")
    assert mixed.for_network("psp_256_8") == dataclasses.replace(
        alike, name="date2024", about=mixed.about
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_a_published_design_has_its_source(name):
    found = load(name)
    for key in KEYS.values():
        assert (getattr(found, key.name) is None) == (key.name not in found.sources)
    assert all(len(source) > 5 for source in found.sources.values())
    assert hash(found) == hash(load(name))


def test_design_points_are_what_their_papers_say():
    twofold, integer = load("twofold"), load("integer_only")
    assert twofold.cell_energy_j == (0.079e-12, 0.36e-12, 0.73e-12, 1.49e-12)
    assert twofold.adc_energy_j == 0.208e-12
    # 128 columns, one after the other, in a read of 100 ns.
    assert integer.columns_per_adc / integer.clock_hz == pytest.approx(integer.pulse_s)
    assert twofold.adc_levels >= 64 * 3 + 1
    # 8 ADCs of 16 mW, each 128 conversions in that time.
    assert integer.adc_energy_j == pytest.approx(16e-3 * integer.pulse_s / (8 * 128))
