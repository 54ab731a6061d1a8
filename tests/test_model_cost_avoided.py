# SPDX-License-Identifier: Apache-2.0
"""What other schemes would add to a network's chip: Huai et al.'s figures."""

import pytest

from model.cost.avoided import FLOAT_SCALES, SPARSITY_TABLES, avoided
from model.cost.config_file import load
from model.cost.networks import named
from model.cost.simulate import simulate
from model.cost.text import comparison


def test_the_overheads_are_the_papers():
    assert (SPARSITY_TABLES.storage, SPARSITY_TABLES.area, SPARSITY_TABLES.power) == (1.44, 1.1, 1)
    assert (FLOAT_SCALES.storage, FLOAT_SCALES.area, FLOAT_SCALES.power) == (1, 1.09, 1.07)


def test_each_scheme_adds_its_own_to_the_same_network():
    cost = simulate(named("psp_64_4"), load("shiftbar"))
    plain, tables, scales, both = avoided(cost)
    owned = sum(layer.mapping.owned_cells for layer in cost.layers)
    assert plain == ("as it is", owned, cost.area, cost.energy)
    assert tables == ("with sparsity tables", 1.44 * owned, 1.1 * cost.area, cost.energy)
    assert scales[0] == "with floating-point scales"
    assert scales[1:] == pytest.approx((owned, 1.09 * cost.area, 1.07 * cost.energy))
    assert both[1:] == pytest.approx((1.44 * owned, 1.199 * cost.area, 1.07 * cost.energy))


def test_a_comparison_ends_with_it():
    costs = [simulate(named(name), load("shiftbar")) for name in ("psp_64_4", "psp_128_8")]
    lines = comparison(costs).splitlines()
    head = next(number for number, line in enumerate(lines) if "what it avoids" in line)
    shown = [line.split() for line in lines[head + 1 :]]
    assert [words[0] for words in shown[:8]] == ["psp_64_4"] * 4 + ["psp_128_8"] * 4
    assert f"{1e6 * 1.1 * costs[0].area:.3f}" in shown[1]
    assert f"{1e6 * costs[1].area:.3f}" in shown[4]
