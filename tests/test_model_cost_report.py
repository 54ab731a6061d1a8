# SPDX-License-Identifier: Apache-2.0
"""The page: totals of the simulation, bars and maps of the right size, nothing loaded."""

import dataclasses
import re
import xml.etree.ElementTree as ET
from html import escape
from pathlib import Path

import numpy as np
import pytest
from costs import config, conv, network
from hypothesis import given
from hypothesis import strategies as st
from pages import Page

from model.cost.avoided import avoided
from model.cost.charts import crossbars, stacked
from model.cost.config import keys
from model.cost.mapping import map_network
from model.cost.networks import load, named
from model.cost.occupancy import Occupancy, Rectangle, occupancy
from model.cost.report import page
from model.cost.results import NOT_MODELLED, energy_groups, shift_modes
from model.cost.simulate import simulate
from model.cost.statistics import Statistics
from model.cost.technology import Constants, load_constants

PSP = simulate(named("psp_64_4"), config())
MODEL = (Path(__file__).parent.parent / "docs/cost-model.md").read_text("utf-8")


def test_totals_are_those_of_the_simulation():
    rows = Page(page([PSP])).rows
    mapping = PSP.mapping
    assert rows[1] == [
        "psp_64_4", f"{1e6 * PSP.area:.3f}", f"{1e3 * PSP.latency:.4f}",
        f"{1e3 * PSP.shift.latency_s:.4f}", f"{1e6 * PSP.energy:.3f}",
        f"{1e6 * PSP.analog_energy:.3f}", f"{1e6 * PSP.digital_energy:.3f}",
        f"{PSP.tops_per_watt():.3f}", f"{mapping.tiles} of 256²",
        f"{100 * mapping.utilisation:.2f}", f"{100 * mapping.unique_utilisation:.2f}",
        f"{100 * mapping.array_utilisation:.2f}",
    ]  # fmt: skip
    layers = [row for row in rows if len(row) == 13]
    assert [row[0] for row in layers[1:]] == [*(layer.name for layer in PSP.layers), "total"]
    for column in (9, 10, 11):
        total = sum(float(row[column]) for row in layers[1:-1])
        assert total == pytest.approx(float(layers[-1][column]), abs=6e-3)
    found = {row[0]: row for row in rows}
    for mode, shift in shift_modes(PSP).items():
        shown = found["lanes (chosen)" if mode == "lanes" else mode]
        assert shown[1] == f"{shift.cycles:,}"
        assert shown[4] == f"{shift.moved_pixels:,}"
    for key in keys():
        assert found[key.name][1] == key.show(getattr(PSP.config, key.name))
        assert found[key.name][3] == PSP.config.sources.get(key.name, "")


def test_the_fitted_constants_are_on_the_page():
    text = page([PSP])
    folded = text[text.index("<details>") : text.index("</details>")]
    fields = dataclasses.fields(Constants)
    assert f"<summary>{len(fields)} constants, at 22 nm</summary>" in folded
    rows = {row[0]: row[1:] for row in Page(folded + "</details>").rows[1:]}
    assert list(rows) == [field.name for field in fields]
    for field in fields:
        value, unit, about, source = rows[field.name]
        assert float(value) == pytest.approx(getattr(load_constants(), field.name), rel=1e-5)
        assert (unit, about) == (field.metadata["unit"], field.metadata["about"])
        assert source


def test_the_page_is_whole_and_loads_nothing():
    text = page([PSP, simulate(named("shiftresnet110"), config(mapping="array"))], ["a < b"])
    found = Page(text)
    # Three of where it goes; of each network two by layer and one of the shift, and maps.
    assert found.svg > 3 + 2 * 3
    assert "<li>a &lt; b</li>" in text
    assert not re.search(r"(?i)https?:|//|url\(|@import|<script|<link|<img|src=|xlink", text)
    style = text[text.index("<style>") : text.index("</style>")]
    assert found.classes - {"label", "inside", "bars", "map"} <= set(
        re.findall(r"\.([a-z-]+)", style)
    )
    assert all(escape(part) in text for part in NOT_MODELLED)


def test_the_same_costs_give_the_same_bytes():
    again = simulate(named("psp_64_4"), config())
    assert page([PSP]) == page([again])
    other = simulate(named("psp_64_4"), config(adc_levels=64))
    assert page([PSP]) != page([other])


def test_names_from_outside_stay_text():
    hostile = dataclasses.replace(network(conv(8, 8)), name="<script>alert(1)</script>")
    text = page([simulate(hostile, config(sources={"shift": "</td><script>"}))])
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 2
    Page(text)


def test_what_is_not_modelled_is_what_the_document_says():
    section = MODEL[MODEL.index("## What is not modelled") :].replace("`", "").lower()
    section = " ".join(section.split())
    for part in NOT_MODELLED:
        assert part.lower() in section, part


def test_bars_are_as_long_as_their_values():
    rows = [("one", energy_groups(PSP)), ("half", {"adc": PSP.energy / 2})]
    for shares, wanted in ((False, 280), (True, 560)):
        root = ET.fromstring(stacked(rows, "J", shares=shares))
        bars = [(float(each.get("y")), float(each.get("width"))) for each in root.iter("rect")]
        assert sum(width for top, width in bars if top == 2) == pytest.approx(560, abs=0.2)
        assert sum(width for top, width in bars if top > 2) == pytest.approx(wanted, abs=0.2)


def test_labels_of_bars_do_not_overlap():
    root = ET.fromstring(stacked([(f"layer {n}" * 9, {"adc": 1e-6}) for n in range(4)], "J",
                                 shares=False))  # fmt: skip
    tops = [float(each.get("y")) for each in root.iter("text") if each.get("class") == "label"]
    assert np.diff(tops).tolist() == [22] * 3
    assert all(len(each.text) <= 28 for each in root.iter("text"))
    # A share is written where it fits only.
    root = ET.fromstring(stacked([("one", {"adc": 1, "other": 0.05})], "J", shares=True))
    inside = [each.text for each in root.iter("text") if each.get("class") == "inside"]
    assert inside == ["95.2 %"]


def areas(found: Occupancy):
    """Cells of each kind, painted cell by cell; nothing may lie on top of something else."""
    canvas = np.zeros((found.height, found.width), np.uint8)
    for value, kind in enumerate((found.used, found.copied, found.absent), 1):
        for top, left, height, width in kind:
            part = canvas[top : top + height, left : left + width]
            assert part.shape == (height, width)
            assert not part.any()
            part[:] = value
    return [int((canvas == value).sum()) for value in range(4)]


def check(layer, chosen):
    chip = map_network(network(layer), chosen)
    (mapped,) = chip.layers
    idle, used, copied, absent = areas(occupancy(mapped, chip))
    assert used == mapped.used_cells
    assert copied == (mapped.copies - 1) * mapped.used_cells
    assert idle + used + copied == mapped.owned_cells
    return absent


channels = st.integers(1, 300)


@given(channels, channels, st.sampled_from([1, 3]), st.sampled_from([16, 64]),
       st.sampled_from(["reference", "array"]))  # fmt: skip
def test_maps_have_the_cells_that_the_mapping_counts(inputs, outputs, kernel, side, mapping):
    check(conv(inputs, outputs, kernel), config(side, mapping=mapping))


@given(st.integers(2, 20), st.integers(1, 20), st.integers(1, 20),
       st.sampled_from(["reference", "array"]))  # fmt: skip
def test_maps_show_groups_on_the_diagonal(groups, inputs, outputs, mapping):
    layer = conv(groups * inputs, groups * outputs, 3, groups=groups)
    check(layer, config(16, mapping=mapping))


@pytest.mark.parametrize("stored", [(), ((0, 0),), ((0, 0), (99, 40))])
def test_maps_leave_out_pruned_crossbars(stored):
    weights = np.full((100, 50), 128, np.uint8)
    for place in stored:
        weights[place] = 129
    statistics = Statistics(weights=weights, weight_bits=8, act_bits=8, zero_point=128,
                            activity=None)  # fmt: skip
    layer = conv(100, 50, statistics=statistics)
    chosen = config(64, mapping="array")
    # 2 · 4 crossbars.
    assert check(layer, chosen) == (8 - len(stored)) * 64 * 64
    # With 3 cells a weight 2 · 3; weight 40 lies in cells 120 to 122.
    chosen = config(64, mapping="array", cell_bits=3)
    assert check(layer, chosen) == (6 - len(stored)) * 64 * 64


def test_a_map_of_another_layer_is_caught():
    chip = map_network(network(conv(60, 60, name="a"), conv(60, 61, name="b")), config())
    one, other = chip.layers
    assert areas(occupancy(other, chip))[1] != one.used_cells


def test_maps_are_drawn_as_they_are():
    shown = Occupancy(height=64, width=128, block=64, array_rows=16, array_columns=16,
                      used=(Rectangle(0, 0, 12, 20),), copied=(Rectangle(16, 32, 12, 20),),
                      absent=())  # fmt: skip
    root = ET.fromstring(crossbars(shown, 0.5))
    assert (root.get("width"), root.get("height")) == ("64.0", "32.0")
    paths = {each.get("class"): each.get("d") for each in root.iter("path")}
    assert paths["used"] == "M0 0h20v12h-20z"
    assert paths["copied"] == "M32 16h20v12h-20z"
    assert paths["tile-line"] == "M0 0h128M0 64h128M0 0v64M64 0v64M128 0v64"
    assert paths["array-line"].count("h128") == 5
    # Too fine to be seen.
    assert "array-line" not in crossbars(shown, 0.1)


@pytest.mark.parametrize("mapping", ["reference", "array"])
def test_a_page_of_a_huge_layer_is_small(mapping):
    huge = network(conv(1 << 20, 1 << 20, 64, name="huge"), conv(2, 2, name="tiny"))
    assert len(page([simulate(huge, config(mapping=mapping))])) < 50_000


def test_an_integer_network_has_a_page():
    net = load("model/zoo/psp_64_4_int8")
    cost = simulate(net, dataclasses.replace(config(), shift="fused"))
    rows = Page(page([cost])).rows
    activities = {row[8] for row in rows if len(row) == 13 and "×" in row[1]}
    assert len(activities) == 10
    assert not any("assumed" in each for each in activities)


def test_the_page_says_what_is_avoided_and_where_it_goes_on():
    costs = [simulate(named(name), config()) for name in ("psp_64_4", "vgg8")]
    shown = page(costs)
    for cost in costs:
        for name, cells, area, _ in avoided(cost):
            row = f"<td>{cost.network}</td><td>{name}</td><td>{cells / 1000:,.0f}</td>"
            assert f"{row}<td>{1e6 * area:.3f}</td>" in shown
    assert shown.count("with sparsity tables") == 2
    # Each chart and table scrolls by itself, with a shade in either colour scheme.
    assert shown.count("<table") + shown.count('<svg class="bars"') == shown.count('class="wide"')
    assert shown.count("--shade: #") == 2
