# SPDX-License-Identifier: Apache-2.0
"""Networks and sizes that the accelerator refuses: each rule, the whole message."""

import dataclasses

import pytest
from intnets import Builder, change, random_net

from hw.accelerator_params import SHIFT_MODES, FitError
from hw.image import build
from hw.params import ParameterError, ParameterTypeError
from hw.plan import plan
from model.intnet import Operand

TILE = {"columns": 32, "columns_per_adc": 4}
PATCH = {"kernel": 2, "stride": 2}
IMAGE = (Operand("image"),)
X = (Operand("x"),)


def refused(net, message, mode="fused"):
    with pytest.raises(FitError) as caught:
        plan(net, mode=mode, **TILE)
    assert str(caught.value) == message


def network(body, *, width=16, stem=PATCH, source="x", side=8, **options):
    """A stem, a body, the pool and a head."""
    make = Builder(1, side=side, **options)
    make.crossbar("stem", IMAGE, "x", width, **stem)
    body(make)
    make.sum_pool(source, "pooled")
    make.head("pooled", 3)
    return make.build("made")


def plain(make):
    make.crossbar("body", X, "y", 16)


def test_what_fits_otherwise():
    assert plan(network(plain, source="y"), mode="fused", **TILE).buffers == ("x", "y")


def test_the_pool_must_be_of_the_last_map():
    refused(
        network(plain),
        "pool: before the head there must be a sum_pool of the body's last map",
    )


def test_a_network_without_a_body():
    net = random_net("sp", 1, width=12, depth=1)
    stem, pool, head = net.layers[0], net.layers[-2], net.layers[-1]
    stem = dataclasses.replace(stem, periphery=dataclasses.replace(stem.periphery, second=None))
    pool = dataclasses.replace(pool, source=stem.out)
    maps = {name: net.maps[name] for name in ("image", stem.out, pool.out, head.out)}
    refused(
        dataclasses.replace(net, layers=(stem, pool, head), maps=maps),
        "stem: there must be a map that the stem does not write",
    )


def test_the_stem_must_read_patches():
    refused(
        network(plain, source="y", stem={"kernel": 3, "stride": 1, "padding": 1}),
        "stem: the stem must read the image in patches: a stride as large as its kernel 3 and "
        "padding 0, not 1 and 1",
    )


def test_patches_must_fit_the_maps():
    refused(
        network(plain, source="y", stem={"kernel": 4, "stride": 4}),
        "stem: patches must have at most the 16 channels of a map, not 48",
    )


def test_maps_must_have_twelve_channels():
    refused(
        network(lambda make: make.crossbar("body", X, "y", 8), width=8, source="y"),
        "stem: a map must have at least 12 channels, not 8",
    )


def test_the_body_must_be_pointwise():
    refused(
        network(lambda make: make.crossbar("body", X, "y", 16, kernel=3, padding=1), source="y"),
        "body: a layer after the stem must be pointwise, not have kernel 3 and stride 1",
    )


def test_all_maps_must_have_one_shape():
    refused(
        network(lambda make: make.crossbar("body", X, "y", 20), source="y"),
        "body: all maps must be [16, 4, 4], not [20, 4, 4]",
    )


def test_only_the_stem_reads_the_image():
    def body(make):
        make.crossbar("body", IMAGE, "y", 16)

    stem = {"kernel": 1, "stride": 1}
    refused(network(body, source="y", stem=stem), "body: only the stem can read the image")


def test_the_head_must_fetch_the_pooled_map():
    net = change(network(plain, source="y"), "head", operands=(Operand("pooled", True),))
    refused(net, "head: the head must fetch 'pooled', as it lies there")


def test_the_tile_must_be_possible():
    def body(make):
        make.crossbar("body", X, "y", 130)

    net = network(body, width=130, source="y", array_rows=2, side=4)
    refused(net, "body: crossbars must be an integer from 1 to 64, not 65")
    with pytest.raises(ParameterError, match=r"^rows must be an integer from 2 to 1024, not 1025$"):
        plan(network(plain, source="y", array_rows=1025), mode="fused", **TILE)


def both_shifted(make):
    make.crossbar("one", X, "y", 16)
    make.crossbar("two", (Operand("x", True), Operand("y", True)), "z", 16)


def test_two_maps_shifted_in_place_before_a_layer():
    net = network(both_shifted, source="z")
    assert plan(net, mode="fused", **TILE).layers[2].shift_first is None
    refused(
        net,
        "two: one map can be shifted in place before a layer, not 'x' and 'y'; "
        "shift 'fused' would fit",
        "in_place",
    )


def test_a_map_read_as_it_was_after_a_layer_before_shifted_it():
    def body(make):
        make.crossbar("one", (Operand("x", True),), "y", 16)
        make.crossbar("two", X, "z", 16)

    net = network(body, source="z")
    refused(
        net,
        "two: 'x' must not be read as it was after a pass has shifted it in place; "
        "shift 'fused' would fit",
        "in_place",
    )
    written_anew = network(
        lambda make: [
            make.crossbar("one", (Operand("x", True),), "y", 16),
            make.crossbar("again", (Operand("y"),), "x", 16),
            make.crossbar("two", X, "z", 16),
        ],
        source="z",
    )
    assert plan(written_anew, mode="in_place", **TILE).layers[1].shift_first == 0


def test_parameters_of_the_accelerator():
    net = network(plain, source="y")
    params = build(net, **TILE).params
    with pytest.raises(ParameterError, match=r"^shift must be fused or in_place, not 'moved'$"):
        plan(net, mode="moved", **TILE)
    with pytest.raises(ParameterTypeError, match=r"^tile must be TileParams, not 64$"):
        dataclasses.replace(params, tile=64)
    assert SHIFT_MODES == ("fused", "in_place")
