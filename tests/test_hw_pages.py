# SPDX-License-Identifier: Apache-2.0
"""Which pages are stored, and where: numbers, what an ADC could saturate on, memory, beats."""

import dataclasses
import json

import numpy as np
import pytest
from intnets import change, random_net

from hw import gen, timing
from hw.budget import stores
from hw.image import build, restore
from hw.load import beats
from hw.pages import counted, place
from model import intnet
from model.random_intnet import prune

# Two crossbars of 12 rows; a page has four outputs, a layer of the body six column groups.
TILE = {"columns": 16, "columns_per_adc": 4}
NET = random_net("residual", 5, width=24, depth=1, side=8, array_rows=12, classes=5)
OUTPUTS = build(NET, **TILE).params.tile.outputs
STEM, FIRST, SECOND, HEAD = (layer for layer in NET.layers if layer.name != "pool")


def absent(net, name, *places):
    """The network with pages of U = Z: (row tile, column group) of a layer."""
    layer = next(layer for layer in net.layers if layer.name == name)
    weights = layer.weights.copy()
    for tile, group in places:
        rows = slice(net.array_rows * tile, net.array_rows * (tile + 1))
        weights[rows, OUTPUTS * group : OUTPUTS * (group + 1)] = layer.zero_point
    return change(net, name, weights=weights)


def layers_of(net):
    return [layer for layer in net.layers if layer.name != "pool"]


def test_without_absent_pages_a_column_group_has_one_number():
    stem, first, second, head = place(NET, layers_of(NET), OUTPUTS)
    assert stem == tuple((page,) for page in range(6))
    assert first == tuple((page, page) for page in range(6, 12))
    assert (second[0], head) == ((12, 12), ((18, 18), (19, 19)))
    params = build(NET, **TILE).params
    assert (params.pruned, params.skips, params.tile.pages, params.groups) == (
        False, False, 20, 20,
    )  # fmt: skip


def test_each_crossbar_counts_its_own_pages():
    net = absent(NET, "stem", (0, 1))
    net = absent(net, "body.0.first", (1, 0), (0, 2), (1, 2))
    stem, first, *_ = place(net, layers_of(net), OUTPUTS)
    assert stem == ((0,), (None,), (1,), (2,), (3,), (4,))
    assert first == ((5, None), (6, 0), (None, None), (7, 1), (8, 2), (9, 3))
    params = build(net, **TILE).params
    assert (params.pruned, params.skips, params.tile.pages, params.groups) == (
        True, True, 18, 20,
    )  # fmt: skip
    assert params.layers[1].visited == (True, True, False, True, True, True)
    assert not build(absent(NET, "body.0.first", (1, 0)), **TILE).params.skips


def test_a_page_on_which_an_adc_could_saturate_is_kept():
    # Twelve rows of Z = 128, whose largest cell is 2, sum up to 24; of Z = 64, to 12.
    net = absent(NET, "body.0.first", (0, 0), (1, 3))
    whole = change(NET, "body.0.first", weights=np.full((24, 24), 128, np.uint8))
    for bits, kept in ((5, False), (4, True)):
        narrow = dataclasses.replace(net, adc_bits=bits)
        found = counted(narrow, layers_of(narrow)[1], OUTPUTS)
        assert found.tolist() == [
            [kept, True], [True, True], [True, True], [True, kept], [True, True], [True, True],
        ]  # fmt: skip
        narrow = dataclasses.replace(whole, adc_bits=bits)
        assert (counted(narrow, layers_of(narrow)[1], OUTPUTS) == kept).all()
    quarter = change(whole, "body.0.first", zero_point=64, weights=np.full((24, 24), 64, np.uint8))
    quarter = dataclasses.replace(quarter, adc_bits=4)
    assert not counted(quarter, layers_of(quarter)[1], OUTPUTS).any()
    # Z = 0 has no cells, and any ADC will do.
    none = change(quarter, "body.0.first", zero_point=0, weights=np.zeros((24, 24), np.uint8))
    none = dataclasses.replace(none, adc_bits=1)
    assert not counted(none, layers_of(none)[1], OUTPUTS).any()


def test_one_weight_keeps_a_page():
    net = absent(NET, "body.0.first", (0, 0))
    weights = layers_of(net)[1].weights.copy()
    for row, output in ((0, 0), (11, 3)):
        other = weights.copy()
        other[row, output] += 1
        kept = change(net, "body.0.first", weights=other)
        assert counted(kept, layers_of(kept)[1], OUTPUTS).all()
    weights[12, 3] += 1  # of the other row tile
    weights[11, 4] += 1  # of the next column group
    same = change(net, "body.0.first", weights=weights)
    assert not counted(same, layers_of(same)[1], OUTPUTS)[0, 0]


@pytest.mark.parametrize("mode", ["fused", "in_place"])
@pytest.mark.parametrize("form", ["residual", "sp"])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_pruned_network_comes_back_from_its_image(form, mode, share):
    net = random_net(form, 3, side=8, width=24, array_rows=12, act_bits=4, weight_bits=4)
    net = prune(net, 3, share=share, outputs=4)
    image = build(net, mode=mode, **TILE)
    back = restore(image, net)
    for layer, wanted in zip(layers_of(back), layers_of(net), strict=True):
        assert np.array_equal(layer.weights, wanted.weights)
    assert image.params.tile.pages < image.params.groups
    again = build(back, mode=mode, **TILE)
    assert again.params == image.params
    assert all(
        np.array_equal(getattr(again, field), getattr(image, field))
        for field in ("pages", "tables", "channels")
    )


def test_absent_pages_take_no_memory_and_no_beats():
    net = absent(NET, "body.0.first", *((tile, group) for tile in (0, 1) for group in range(6)))
    net = absent(net, "body.0.second", (0, 0))
    dense, image = build(NET, **TILE), build(net, **TILE)
    assert (dense.params.tile.pages, image.params.tile.pages) == (20, 13)
    assert image.pages.shape[1] == 13
    program = [len(beats(each)["program"]) for each in (dense, image)]
    assert program == [2 * 16 * 20, 2 * 16 * 13]
    found = [stores(each.params)["pages"] for each in (dense, image)]
    assert [store.words for store in found] == [4 * 20, 4 * 13]
    # Parameters of channels stay where they were.
    assert np.array_equal(image.channels, dense.channels)


def test_the_json_counts_pages(tmp_path):
    net = absent(NET, "body.0.first", (1, 0), (0, 2), (1, 2))
    intnet.write(tmp_path / "net", net)
    sizes = ["--columns=16", "--columns-per-adc=4"]
    folders = ["--intnet", str(tmp_path / "net"), "--out", str(tmp_path / "out")]
    assert gen.main(["accelerator", *folders, *sizes]) == 0
    assert json.loads((tmp_path / "out/accelerator.json").read_text())["pages"] == {
        "stored": 31,
        "absent": 3,
        "layers": {
            "stem": {"stored": 6, "absent": 0},
            "body.0.first": {"stored": 9, "absent": 3},
            "body.0.second": {"stored": 12, "absent": 0},
            "head": {"stored": 4, "absent": 0},
        },
    }


def test_cycles_fall_with_the_pages_that_all_row_tiles_lack():
    net = random_net("skip_over_shift", 1, width=64, depth=4, side=32)
    dense = timing.accelerator_cycles(build(net).params)
    for groups in ((0,), (1, 3), (0, 1)):
        pruned = net
        for layer in net.layers[:-2]:
            weights = layer.weights.copy()
            for group in groups:
                weights[:, 16 * group : 16 * group + 16] = layer.zero_point
            pruned = change(pruned, layer.name, weights=weights)
        params = build(pruned).params
        visited = sum(sum(layer.visited) for layer in params.layers)
        assert visited == 37 - 9 * len(groups)
        share = timing.accelerator_cycles(params) / dense
        assert share == pytest.approx(visited / 37, rel=0.01)
        assert timing.accelerator_bound(params) <= timing.accelerator_cycles(params)


def test_a_page_that_one_row_tile_stores_is_visited():
    one = absent(NET, "body.0.first", *((0, group) for group in range(6)))
    both = absent(one, "body.0.first", *((1, group) for group in range(6)))
    cycles = [timing.accelerator_cycles(build(net, **TILE).params) for net in (NET, one, both)]
    assert cycles[0] == cycles[1] > cycles[2]
    # What is left: to load 12 rows, and six cycles in which 24 sums of 0 are put out.
    pixels = 16
    layer = timing.layer_cycles(build(both, **TILE).params, build(both, **TILE).params.layers[1])
    assert layer // pixels == 24 + 1
    assert intnet.digest(both) != intnet.digest(one)
