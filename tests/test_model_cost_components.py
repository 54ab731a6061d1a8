# SPDX-License-Identifier: Apache-2.0
"""Terms of the cost model, one by one, against figures computed by hand.

The layer: 128 channels to 128, 1×1, on 16×16 pixels, 8-bit weights and activations. Crossbars of
64×64 cells of 2 bits, ADCs of 32 levels for 8 columns each, 22 nm. By hand: a weight has 4 cells,
the matrix is R = 128 by C = 512, a tile has T = 512, a PE P = 256, hence 4×4 arrays of 8 ADCs, 64
arrays a tile. One tile holds 2 copies a PE (256/128) in 2 rows of PEs: 4, of 256 vectors each 64.
"""

import dataclasses

import numpy as np
import pytest
from costs import config as point
from costs import conv, network

from model.cost import components
from model.cost.chip import ASSUMED_ACTIVITY, chip_and_layers
from model.cost.components import ANALOG, GROUPS
from model.cost.mapping import map_network
from model.cost.technology import GATE_INPUT_AREA, Constants, Node

CONFIG = point(shift="fused")
NONE = Constants(**{field.name: 0.0 for field in dataclasses.fields(Constants)})


def made(*layers, config=CONFIG):
    mapping = map_network(network(*(layers or [conv(128, 128)])), config)
    return chip_and_layers(mapping, config, Node(config.node_nm, 0.5))


def constants(**values):
    return dataclasses.replace(NONE, **values)


def nonzero(values):
    return {name: pytest.approx(float(np.sum(value))) for name, value in values.items()
            if np.any(value)}  # fmt: skip


def test_the_layer_lies_as_stated():
    chip, layers = made()
    assert (chip.tiles, chip.tile_side, chip.pe_side) == (1, 512, 256)
    assert (chip.pe_rows, chip.pe_columns, chip.arrays, chip.array_adcs) == (4, 4, 64, 8)
    assert (chip.grid, chip.leaves, chip.spread) == (1, 1, 1)
    assert (chip.act_bits, chip.weight_cells, chip.code_bits) == (8, 4, 5)
    assert (chip.comparators, chip.tree_levels) == (8 * 31, 1)
    assert chip.map_bits == 8 * 128 * 256
    assert (layers.positions[0], layers.steps[0]) == (256, 64)


@pytest.mark.parametrize(
    ("tiles", "grid", "leaves", "levels", "spread"),
    [(2, 2, 2, 2, 1.5), (4, 2, 4, 3, 2), (5, 4, 8, 4, 2.5), (16, 4, 16, 5, 4), (17, 8, 32, 6, 4.5)],
)
def test_floor_plan_of_many_tiles(tiles, grid, leaves, levels, spread):
    chip = dataclasses.replace(made()[0], tiles=tiles)
    assert (chip.grid, chip.leaves, chip.spread) == (grid, leaves, spread)
    assert chip.tree_levels == levels


AREAS = {
    # One square metre each: 64 arrays of 64·64 cells.
    "cell_area": ("cells", 64 * 64 * 64),
    # 64 arrays of 8 ADCs of 31 comparators.
    "comparator_area": ("comparators", 512 * 31),
    # An adder of 5 bits, a register of 5 + 8, 4 cells.
    "shift_add_area": ("shift-adders", 512 * 22),
    # Four rows of arrays are joined by three adders.
    "tree_area": ("adder trees", 512 * 3 / 4),
    "line_area": ("line drivers", 64 * 128),
    "tile_buffer_area": ("tile buffers", 512),
    "global_buffer_area": ("global buffer", 8 * 128 * 256),
}


@pytest.mark.parametrize(("constant", "expected"), AREAS.items())
def test_area_of_each_component(constant, expected):
    chip, _ = made()
    name, value = expected
    k = constants(**{constant: 1.0})
    # 32 gates of codes and 5 of bits, of 16 inputs, whatever the constants.
    encoders = 512 * 16 * 37 * GATE_INPUT_AREA
    assert nonzero(components.areas(chip, k)) == {name: value, "encoders": encoders}
    # At 44 nm all grow fourfold.
    chip = dataclasses.replace(chip, node=Node(44.0, 0.5))
    assert nonzero(components.areas(chip, k)) == {name: 4 * value, "encoders": 4 * encoders}


def test_area_of_wires():
    # 9 tiles of 64·128 = 8192 lines, which with the encoders of 512 ADCs take 4 mm²: tiles have
    # sides of 2 mm. The tree lies over 4×4 leaves, three levels a side, on 3×3 tiles: 1.5·3·3 sides
    # long.
    chip = dataclasses.replace(made()[0], tiles=9, arrays=9 * 64)
    line = (4e-6 - 512 * 16 * 37 * GATE_INPUT_AREA) / 8192
    found = components.areas(
        chip,
        constants(line_area=line, root_area=1e-6, tree_wire_area=1e-6, local_wire_area=1e-9),
    )
    assert components.tile_length(chip, found) == pytest.approx(2e-3)
    assert found["root wires"] == pytest.approx(4 * 3 * 2e-3 * 1e-6)
    assert found["tile wires"] == pytest.approx(13.5 * 2e-3 * 1e-6)
    # 9 tiles, 4 arrays of 8 ADCs beside each other, 4 cells a weight.
    assert found["local wires"] == pytest.approx(9 * 4 * 8 * 4 * 2e-3 * 1e-9)


CYCLES = {
    # 256 vectors of 1024 bits out, of one tile of one.
    "global_cycles": ("global buffer", 256 * 1024),
    "tile_cycles": ("tile buffers", 256 * 1024),
    # 128 rows of 8 bits, in words of 64.
    "pe_cycles": ("PE buffers", 256 * 16),
    "tile_bus_cycles": ("tile buses", 256 * 1024 / 512),
    # A PE sees 128 rows, 1024 bits, and 256 columns, 512 bits; words of 64, past 4 arrays.
    "pe_bus_cycles": ("PE buses", 256 * (1024 + 512) / 64 * 4),
}
FIXED = {
    # 64 vectors a copy, 8 planes, 8 columns.
    "conversions": 64 * 8 * 8,
    "bit shift-adds": 64 * 8 * 8,
    # Of 8 columns are 2 weights.
    "weight shift-adds": 64 * 8 * 2,
    # 128 rows are 2 arrays: one level, 2 cycles, 2 weights.
    "adder trees": 64 * 2 * 2,
    "output units": 64 * 8,
}


@pytest.mark.parametrize(("constant", "expected"), CYCLES.items())
def test_cycles_of_each_component(constant, expected):
    # A clock of 1 s: cycles are seconds.
    chip, layers = made()
    name, value = expected
    found = components.latencies(chip, layers, constants(clock_base=1.0, **{constant: 1.0}))
    assert nonzero(found) == {name: value, **FIXED}


def test_cycles_of_a_layer_on_two_tiles_of_three():
    # 128 to 256: 1024 columns, two tiles beside each other, of 4 leaves in 3 levels for 3 tiles;
    # the other layer has one. Two tiles have 2^(2/3) times the links of one.
    chip, layers = made(conv(128, 256), conv(128, 128, name="other"))
    assert (chip.tiles, chip.leaves, layers.tiles.tolist()) == (3, 4, [2, 1])
    found = components.latencies(
        chip, layers, constants(clock_base=1.0, global_cycles=1.0, tile_cycles=1.0)
    )
    assert found["global buffer"].tolist() == pytest.approx(
        [256 * 2048 * 4 * 3 / 4 ** (1 / 3), 256 * 1024 * 4 * 3]
    )
    # Each tile writes its 512 columns, at the same time.
    assert found["tile buffers"].tolist() == [256 * 1024, 256 * 1024]


def test_tiles_below_each_other_write_their_sums_at_the_same_time():
    # 600 rows: two tiles of 512, the same 128 outputs.
    chip, layers = made(conv(600, 128))
    assert (layers.row_tiles[0], layers.column_tiles[0]) == (2, 1)
    found = components.latencies(
        chip, layers, constants(clock_base=1.0, global_cycles=1.0, tile_cycles=1.0)
    )
    assert found["tile buffers"].tolist() == [256 * 1024]
    assert found["global buffer"].tolist() == [256 * 1024 * 2 * 2]


def test_clock():
    chip, _ = made()
    found = chip.period(constants(clock_base=1e-9, clock_stage=1e-10, clock_row=1e-12))
    # 1 ns + log₂(8·31)·100 ps + 64·1 ps
    assert found == pytest.approx(1.8594196e-9)
    # One comparator needs no tree.
    single = dataclasses.replace(CONFIG, adc_levels=2, columns_per_adc=64)
    found = dataclasses.replace(chip, config=single).period(constants(clock_stage=1e-10))
    assert found == 0
    chip = dataclasses.replace(chip, config=dataclasses.replace(CONFIG, clock_hz=1e8))
    assert chip.period(NONE) == 1e-8


READS = 256 * 8 * 128 * 512
CONVERSIONS = 256 * 8 * 2 * 512
ENERGIES = {
    # Vectors, planes, cells.
    "read_energy": ("sensed current", READS),
    # Vectors, planes, columns of 2 rows of arrays.
    "comparator_energy": ("comparators", CONVERSIONS * 32),
    "column_energy": ("column multiplexers", CONVERSIONS * 8 * 64),
    "shift_add_energy": ("shift-adders", CONVERSIONS * 22),
    # 2·8 arrays, of 64 rows, 8 columns one after the other.
    "row_energy": ("line drivers", 256 * 8 * 16 * 8 * 64),
    "global_buffer_energy": ("global buffer", 256 * 2048),
    "tile_buffer_energy": ("tile buffers", 256 * 2048),
    # One tile of a side of 3 m; 4 arrays.
    "tree_wire_energy": ("tile wires", 256 * 2048 * 3),
    "local_wire_energy": ("local wires", 256 * 1024 * 4 * 3),
}


@pytest.mark.parametrize(("constant", "expected"), ENERGIES.items())
def test_energy_of_each_component(constant, expected):
    chip, layers = made()
    name, value = expected
    found = components.energies(chip, layers, 3.0, constants(**{constant: 1.0}))
    assert nonzero(found) == {name: value}


def test_energy_of_a_conversion_follows_the_activity():
    chip, layers = made()
    half = dataclasses.replace(layers, activity=layers.activity / 2)
    assert layers.activity.tolist() == [ASSUMED_ACTIVITY["gelu"]]
    for name, times in (("read_energy", 4), ("comparator_energy", 2), ("column_energy", 4)):
        k = constants(**{name: 1.0})
        full = sum(components.energies(chip, layers, 1.0, k).values())
        assert sum(components.energies(chip, half, 1.0, k).values()) == pytest.approx(full / times)


def test_stated_energies_are_taken_as_they_are():
    config = dataclasses.replace(
        CONFIG, cell_energy_j=(1e-15, 2e-15, 3e-15, 6e-15), adc_energy_j=2e-13, node_nm=45.0
    )
    chip, layers = made(config=config)
    found = components.energies(chip, layers, 1.0, NONE)
    # Each level is as frequent: 3 fJ a cell, in the share of rows that are driven.
    assert nonzero(found) == {
        "sensed current": READS * 0.511 * 3e-15,
        "comparators": CONVERSIONS * 2e-13,
    }


def test_a_cell_conducts_by_its_resistances_and_the_square_of_the_voltage():
    assert made()[1].cell.tolist() == pytest.approx([1.0])
    config = dataclasses.replace(CONFIG, read_v=0.25, ron_ohm=12e3, roff_ohm=1800e3)
    assert made(config=config)[1].cell.tolist() == pytest.approx([1 / 8])


def test_idle_tiles_leak():
    chip, layers = made(conv(128, 128), conv(128, 128), conv(128, 128))
    area = dict.fromkeys([name for each in GROUPS["area"].values() for name in each], 0.0)
    area |= {"comparators": 2.0, "encoders": 3.0}
    latency = np.array([1.0, 10.0, 100.0])
    found = components.leakage(chip, layers, area, latency, constants(other_leakage=6.0))
    # 30 W, of which two thirds are idle.
    assert found.tolist() == pytest.approx([20, 200, 2000])
    assert not components.leakage(chip, layers, area, latency, constants(wire_leakage=1.0)).any()


def test_each_component_is_in_one_group_of_its_quantity():
    chip, layers = made()
    found = {
        "area": components.areas(chip, NONE),
        "latency": components.latencies(chip, layers, constants(clock_base=1.0)),
        "energy": components.energies(chip, layers, 1.0, NONE),
    }
    for quantity, values in found.items():
        grouped = [name for names in GROUPS[quantity].values() for name in names]
        assert sorted(grouped) == sorted(values)
    assert {name for values in found.values() for name in values} >= ANALOG


def test_a_mapping_without_tiles_is_given_some():
    config = dataclasses.replace(CONFIG, mapping="array")
    chip, layers = made(conv(128, 128), conv(128, 128), config=config)
    # 2·8 arrays each: a tile of 4×4.
    assert (chip.tile_side, chip.pe_side, chip.tiles, chip.arrays) == (256, 128, 2, 32)
    assert layers.steps.tolist() == [256, 256]
    assert layers.column_tiles.tolist() == [2, 2]


def test_exact_counting_gives_a_copy_whole_vectors():
    config = dataclasses.replace(CONFIG, counting="exact")
    # 3×3 = 9 vectors on 4 copies: three after the other, not 2.25.
    assert made(conv(128, 128, side=3), config=config)[1].steps.tolist() == [3]
    assert made(conv(128, 128, side=3))[1].steps.tolist() == [2.25]


def test_without_tiles_area_is_that_of_the_arrays_that_are_placed():
    config = point(mapping="array", shift="fused")
    chip, _ = made(conv(128, 128), conv(128, 64), config=config)
    wanted = map_network(network(conv(128, 128), conv(128, 64)), config).owned_cells // 64**2
    assert chip.arrays == wanted > 16
    assert chip.tiles == -(-wanted // 16)
    found = components.areas(chip, constants(cell_area=1.0))
    assert found["cells"] == pytest.approx(wanted * 64 * 64)
