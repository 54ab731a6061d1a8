# SPDX-License-Identifier: Apache-2.0
"""A network on a chip: sums and properties."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from costs import config, conv, network
from hypothesis import given
from hypothesis import strategies as st

from hw.lfsr_params import LfsrMask, page_seed
from model.cost.components import ANALOG, GROUPS
from model.cost.config_file import NAMES, load
from model.cost.networks import named
from model.cost.report import page
from model.cost.results import assumptions
from model.cost.simulate import READS, simulate
from model.cost.statistics import Statistics
from model.cost.technology import GATE_INPUT_AREA, Constants
from model.layers import BASELINES

FUSED = config(shift="fused")


def test_one_layer_from_shapes_to_joules():
    # 128 channels to 10, one pixel: R = 128, C = 40. T = 4·64 = 256, P = 128. Copies: 2·2 in the
    # tile, and in a PE 1 row (2 arrays of 2) and 2 columns: 8. One tile, 16 arrays, 128 ADCs.
    # Area: 16·64·64 cells of 2 m², 128 ADCs of one comparator's 1 m² a code but one, and as many
    # encoders of 37 gates of 16 inputs.
    # Latency: 1/8 vector of 8 planes by 8 columns is 8 conversions, each with a shift-add; 2
    # weights in 8 planes by 1/8 vector are 2 more; a level of adders takes 2·2/8, the output 8/8.
    # Energy: 8 planes of 2·40 conversions of 32 codes, 3 J each.
    names = [field.name for field in dataclasses.fields(Constants)]
    constants = Constants(**dict.fromkeys(names, 0.0) | {
        "cell_area": 2.0, "comparator_area": 1.0, "clock_base": 1.0, "comparator_energy": 3.0,
    })  # fmt: skip
    cost = simulate(network(conv(128, 10, side=1)), FUSED, constants=constants)
    assert cost.area == 16 * 4096 * 2 + 128 * 31 + 128 * 16 * 37 * GATE_INPUT_AREA
    assert cost.latency == 8 + 8 + 2 + 0.5 + 1
    assert cost.energy == 8 * 80 * 32 * 3
    # 2·128·10 operations.
    assert cost.tops_per_watt(1) == pytest.approx(2560 / 61440 * 1e-12)
    assert cost.tops_per_watt() == pytest.approx(2560 / 61440 / 1.22 * 1e-12)


def test_totals_are_sums_of_layers_and_components():
    cost = simulate(named("psp_64_4"), config(shift="lanes"))
    assert cost.shift.latency_s > 0
    assert cost.shift.energy_j > 0
    assert cost.area == pytest.approx(sum(cost.group("area", each) for each in GROUPS["area"]))
    latency = sum(cost.group("latency", each) for each in GROUPS["latency"])
    assert sum(cost.latency_s.values()) == pytest.approx(latency)
    assert cost.latency == pytest.approx(latency + cost.shift.latency_s)
    energy = sum(cost.group("energy", each) for each in GROUPS["energy"])
    assert cost.energy == pytest.approx(energy + cost.leakage + cost.shift.energy_j)
    assert cost.energy == pytest.approx(cost.analog_energy + cost.digital_energy)
    assert sum(layer.energy for layer in cost.layers) == pytest.approx(cost.energy)
    assert sum(layer.latency for layer in cost.layers) == pytest.approx(cost.latency)
    assert [layer.name for layer in cost.layers] == [
        layer.name for layer in named("psp_64_4").layers
    ]
    analog = {name: value for name, value in cost.energy_j.items() if name in ANALOG}
    assert analog.keys() == {
        "sensed current", "comparators", "column multiplexers", "line drivers"
    }  # fmt: skip
    assert cost.analog_energy == pytest.approx(sum(analog.values()))


def test_operations_are_counted_as_chosen():
    strided = network(conv(16, 32, kernel=3, side=8, stride=2))
    # 3·3·16·32 weights on 8·8 pixels, or at 4·4 positions.
    assert simulate(strided, config(counting="reference")).operations == 2 * 4608 * 64
    assert simulate(strided, config(counting="exact")).operations == 2 * 4608 * 16


def test_energy_follows_real_weights_and_activations():
    def cost(weight, activity):
        statistics = Statistics(
            weights=np.full((128, 128), weight, np.uint8),
            weight_bits=8,
            zero_point=128,
            act_bits=8,
            activity=np.full((8, 128), activity),
        )
        return simulate(network(conv(128, 128, statistics=statistics)), FUSED).energy_j

    # Cells of 2 bits hold 3, 3, 3, 3 or nothing: 6 kΩ against 900 kΩ.
    high, low = cost(255, 0.4)["sensed current"], cost(0, 0.4)["sensed current"]
    assert high / low == pytest.approx(150)
    for name, times in (("sensed current", 4), ("comparators", 2), ("column multiplexers", 4)):
        ratio = cost(255, 0.4)[name] / cost(255, 0.2)[name]
        assert ratio == pytest.approx(times)
    for name in ("line drivers", "shift-adders", "tile wires"):
        assert cost(255, 0.4)[name] == cost(0, 0.2)[name] > 0


sides = st.sampled_from([16, 32, 64, 128, 256])
layers = st.builds(
    conv, st.integers(1, 300), st.integers(1, 300), side=st.integers(1, 32)
)  # fmt: skip


@given(layers, sides, st.sampled_from([2, 4, 16, 64, 256]), st.sampled_from([1, 2, 4]))
def test_more_codes_take_more_area_time_and_energy(layer, side, levels, cell_bits):
    few = config(side, adc_levels=levels, cell_bits=cell_bits)
    one, other = (
        simulate(network(layer), dataclasses.replace(few, adc_levels=each))
        for each in (levels, 2 * levels)
    )
    assert one.area < other.area
    assert one.latency < other.latency
    assert one.energy < other.energy


@given(layers, sides, st.integers(1, 32))
def test_more_positions_take_more_time_and_energy_and_no_less_area(layer, side, more):
    grown = dataclasses.replace(
        layer, shape=dataclasses.replace(layer.shape, in_height=layer.shape.in_height + more)
    )
    one, other = (simulate(network(each), config(side)) for each in (layer, grown))
    assert one.latency < other.latency
    assert one.energy < other.energy
    assert one.area <= other.area


@given(st.integers(1, 300), st.integers(1, 64), st.integers(1, 300), sides)
def test_more_rows_take_more_energy_and_no_less_time(inputs, more, outputs, side):
    # One copy each, that of a mapping without tiles.
    chosen = config(side, mapping="array")
    one = simulate(network(conv(inputs, outputs)), chosen)
    other = simulate(network(conv(inputs + more, outputs)), chosen)
    assert one.energy < other.energy
    # Several tiles are served at the same time.
    tiles = [-(-cost.mapping.layers[0].owned_cells // (4 * side) ** 2) for cost in (one, other)]
    assert one.latency <= other.latency * (1 + 1e-12) or tiles[0] < tiles[1]


@given(layers, sides, st.sampled_from([45.0, 32.0, 28.0]))
def test_a_smaller_node_takes_less(layer, side, node):
    one, other = (simulate(network(layer), config(side, node_nm=each)) for each in (22.0, node))
    assert one.area < other.area
    assert one.latency < other.latency
    assert one.energy < other.energy


def test_twice_the_copies_halve_the_time_of_conversions_alone():
    # 64 or 32 channels on 64 rows of a PE of 128: twice as many copies of half as many columns.
    wide, narrow = (
        simulate(network(conv(64, 64)), FUSED),
        simulate(network(conv(64, 32)), FUSED),
    )
    copies = [cost.mapping.layers[0].copies for cost in (wide, narrow)]
    assert copies[1] == 2 * copies[0]
    assert narrow.latency_s["conversions"] == pytest.approx(wide.latency_s["conversions"] / 2)
    # Each vector is converted once, by whichever copy.
    assert narrow.energy_j["comparators"] == pytest.approx(wide.energy_j["comparators"] / 2)
    assert narrow.area == wide.area


def test_gated_rows_are_not_read_where_the_design_gates():
    rng = np.random.default_rng(3)
    weights = rng.integers(129, 256, (64, 32)).astype(np.uint8)
    for group, count in enumerate((16, 40)):
        mask = LfsrMask(positions=64, count=count, seed=page_seed(64, 1, 0, group)).kept()
        weights[~mask, 16 * group : 16 * group + 16] = 128
    layers = [
        conv(64, 32, name=name, statistics=Statistics(
            weights=weights, weight_bits=8, act_bits=8, zero_point=128, activity=None))
        for name in ("first", "second")
    ]  # fmt: skip
    plain, gated = (simulate(network(*layers), load(name)) for name in ("twofold", "shiftbar"))
    table = np.array(load("twofold").cell_energy_j)
    energy = sum(table[weights >> low & 3] for low in (0, 2, 4, 6))
    share = energy[weights != 128].sum() / energy.sum()
    # The masks are those of the second layer: the first one's registers gate hardly anything.
    first, second = (
        gated.layers[n].energy_j[READS] / plain.layers[n].energy_j[READS] for n in (0, 1)
    )
    assert second == pytest.approx(share)
    assert share + 0.1 < first <= 1
    others = [{**cost.layers[1].energy_j, READS: 0} for cost in (plain, gated)]
    assert others[0] == others[1]


@pytest.mark.parametrize("point", NAMES)
def test_activations_follow_the_network_unless_they_are_stated(point):
    chosen = load(point)
    for name in (*BASELINES, "densenet40_12_dense", "psp_16_1", "sp_16_1", "convmixer_16_1"):
        cost = simulate(named(name), chosen.for_network(name))
        gelu = name.endswith("_16_1")
        assert cost.config.activations == ("gelu" if gelu else "relu")
        assert cost.config.sources["activations"] == "the network's non-linearity"
        stated = dataclasses.replace(chosen.for_network(name), activations="gelu")
        other = simulate(named(name), stated)
        assert (other.energy == cost.energy) == gelu
        assert (other.area, other.latency) == (cost.area, cost.latency)
    # A list of layers names none.
    unknown = simulate(network(conv(16, 16)), chosen)
    assert unknown.config.activations is None
    assert "as after GELU" in assumptions(unknown)[1]


def test_what_the_page_says_of_unexpected_directions():
    text = " ".join(Path("docs/cost-model.md").read_text("utf-8").split())
    bits = [simulate(named("psp_128_8"), config(weight_bits=bits)) for bits in (2, 4, 8, 16)]
    assert "{:.3f}, {:.3f}, {:.3f} and {:.3f} ms".format(*(1e3 * c.latency for c in bits)) in text
    assert [c.mapping.layers[1].copies for c in bits] == [4, 2, 4, 4]
    assert [c.mapping.tile_side for c in bits] == [256, 256, 512, 512]
    assert f"{1e3 * bits[3].latency_s['tile buffers']:.3f} ms instead" in text
    assert f"of {1e3 * bits[2].latency_s['tile buffers']:.3f}." in text
    for cell_bits, same in ((4, 1), (2, 2), (1, 3)):
        found = simulate(named("psp_128_8"), config(cell_bits=cell_bits))
        assert (found.latency, found.area) == (bits[same].latency, bits[same].area)
    for quantity in ("area", "energy"):
        values = [getattr(c, quantity) for c in bits]
        assert values == sorted(values)
    sides = [simulate(named("psp_128_8"), config(side)) for side in (16, 32, 64, 128, 256, 512)]
    shown = [f"{1e6 * c.area:.3f}" for c in sides]
    assert f"{', '.join(shown[:-1])} and {shown[-1]} mm²" in text
    tiles = [(c.mapping.tiles, c.mapping.tile_side) for c in sides]
    assert tiles == [(69, 128), (35, 256), (18, 512), (18, 512), (18, 1024), (18, 2048)]
    for key in ("read_v", "ron_ohm", "roff_ohm"):
        found = simulate(named("psp_128_8"), config(**{key: 1.5 * getattr(config(), key)}))
        assert (found.area, found.latency_s) == (sides[2].area, sides[2].latency_s)
        changed = {k for k, v in found.energy_j.items() if v != sides[2].energy_j[k]}
        assert changed == {READS}


def test_a_layer_without_weights_writes_its_biases_alone():
    def layer(name, weight):
        statistics = Statistics(
            weights=np.full((64, 32), weight, np.uint8), weight_bits=8, act_bits=8, zero_point=128,
            activity=None,
        )  # fmt: skip
        return conv(64, 32, name=name, statistics=statistics)

    chosen = config(mapping="array")
    cost = simulate(network(layer("some", 129), layer("none", 128)), chosen)
    some, none = cost.layers
    taken = {name for name, value in none.latency_s.items() if value}
    assert taken == {"global buffer", "output units"}
    assert {name for name, value in none.energy_j.items() if value} == {
        "global buffer", "tile wires",
    }  # fmt: skip
    assert none.latency_s["output units"] == some.latency_s["output units"]
    assert cost.area_m2["cells"] == simulate(network(layer("some", 129)), chosen).area_m2["cells"]
    nothing = simulate(network(layer("none", 128)), chosen)
    assert nothing.area_m2["cells"] == 0
    assert 0 < nothing.latency < cost.latency
    assert 0 < nothing.energy < cost.energy
    assert '<path class="absent"' in page([nothing])


def test_a_shared_adc_may_make_a_chip_faster_as_documented():
    document = " ".join(Path("docs/cost-model.md").read_text("utf-8").split())
    costs = {
        columns: simulate(named("psp_128_8"), config(columns_per_adc=columns))
        for columns in (1, 8, 16, 64)
    }
    one, eight, sixteen, most = (1e3 * costs[columns].latency for columns in costs)
    assert eight < one
    assert eight < sixteen < most
    assert f"takes {one:.3f} ms with an ADC for each column, {eight:.3f} ms" in document
    assert f"for 8 and {most:.3f} ms with one for 64" in document
    clocks = [1e-6 / costs[columns].period_s for columns in (1, 8)]
    assert f"{clocks[0]:.0f} MHz and {clocks[1]:.0f} MHz" in document
    shares = [costs[8].group("latency", name) for name in ("buffer", "interconnect")]
    assert 0.85 < sum(shares) / costs[8].latency < 0.95
    fixed = [
        simulate(named("psp_128_8"), config(columns_per_adc=columns, clock_hz=1e9)).latency
        for columns in costs
    ]
    assert fixed == sorted(fixed)


def test_copies_of_one_vector_divide_its_time_where_the_reference_does():
    head = network(conv(64, 10, side=1))
    reference, exact = (
        simulate(head, config(counting=counting)) for counting in ("reference", "exact")
    )
    copies = exact.mapping.layers[0].copies
    assert copies > 1
    assert exact.latency_s["conversions"] == copies * reference.latency_s["conversions"]
