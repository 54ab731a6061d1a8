# SPDX-License-Identifier: Apache-2.0
"""Nodes and their scales, and the file of constants."""

import dataclasses
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.cost.technology import CONSTANTS_FILE, SUPPLY_V, Constants, Node, load_constants


def test_nothing_changes_at_the_node_of_the_constants():
    node = Node(22.0, 0.43)
    scales = (node.area, node.delay, node.logic_energy, node.sense_energy, node.wire_energy)
    assert (*scales, node.leakage) == (1.0,) * 6


def test_scales_from_22_to_32_nm_by_hand():
    # F grows by 32/22 = 1.454545, V from 0.8 to 0.9, 1.125.
    node = Node(32.0, 0.5)
    assert node.area == pytest.approx(2.115702, rel=1e-6)
    assert node.delay == pytest.approx(1.206045, rel=1e-6)
    assert node.logic_energy == pytest.approx(1.454545 * 1.265625, rel=1e-6)
    assert node.sense_energy == pytest.approx(1.454545, rel=1e-6)
    assert node.wire_energy == pytest.approx(1.265625, rel=1e-6)
    # Power a transistor width stays but for V: F·V over an area that grows with F².
    assert node.leakage * node.area == pytest.approx(1.454545 * 1.125, rel=1e-6)


def test_supply_is_interpolated_over_the_logarithm_and_held_outside():
    # 26.533 nm is the geometric mean of 22 and 32: half way from 0.8 to 0.9 V.
    assert Node(704**0.5, 1.0).supply * 0.8 == pytest.approx(0.85)
    assert Node(5.0, 1.0).supply * 0.8 == pytest.approx(0.7)
    assert Node(180.0, 1.0).supply * 0.8 == pytest.approx(1.3)
    for nm, volt in SUPPLY_V.items():
        assert Node(nm, 1.0).supply * 0.8 == pytest.approx(volt)


@given(st.floats(5, 250), st.floats(1.001, 2))
def test_a_smaller_node_is_smaller_faster_and_takes_less(nm, factor):
    small, large = Node(nm, 0.43), Node(nm * factor, 0.43)
    assert small.area < large.area
    assert small.delay < large.delay
    assert small.logic_energy < large.logic_energy
    assert small.sense_energy < large.sense_energy
    assert small.wire_energy <= large.wire_energy
    assert small.leakage > large.leakage


def test_every_constant_is_stored_with_its_unit_meaning_and_source():
    stored = tomllib.loads(CONSTANTS_FILE.read_text("utf-8"))
    fields = {field.name: field for field in dataclasses.fields(Constants)}
    assert stored.keys() == fields.keys()
    for name, entry in stored.items():
        assert entry.keys() == {"value", "unit", "about", "source"}
        assert entry["unit"] == fields[name].metadata["unit"]
        assert entry["about"] == fields[name].metadata["about"]
        assert entry["source"].startswith("fitted to ")
        assert entry["value"] == getattr(load_constants(), name) >= 0


def test_magnitudes_are_those_of_the_technology():
    constants = load_constants()
    # 4F by 12F: a cell beside its access transistor.
    assert constants.cell_area == pytest.approx(48 * (22e-9) ** 2, rel=1e-3)
    # A copper wire has about 0.2 fF/µm: 0.1 to 0.2 pJ/mm at 0.8 V, if a bit toggles it each time.
    assert 1e-11 < constants.tree_wire_energy < 2e-10
    # Delay follows the node less than linearly: voltages do not scale with it.
    assert 0 < constants.delay_exponent < 1
