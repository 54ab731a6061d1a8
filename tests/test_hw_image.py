# SPDX-License-Identifier: Apache-2.0
"""From integer networks to memory images and back; networks that do not fit."""

import dataclasses

import intnets
import numpy as np
import pytest
from intnets import change, random_net

from hw.accelerator_params import FitError, Read
from hw.image import build, patches, restore
from hw.params import ParameterError
from model import golden, intnet
from model.intnet import Operand
from model.schedule import FORMS

TILE = {"columns": 32, "columns_per_adc": 4}
NET = random_net("residual", 5, width=24, side=8, array_rows=12)


def with_k_a_channel(net):
    """The same network; k has an entry a channel everywhere."""
    for layer in net.layers:
        periphery = getattr(layer, "periphery", None)
        if periphery is not None:
            k = np.broadcast_to(periphery.k, (layer.outputs,)).copy()
            net = change(net, layer.name, k=k)
    return net


@pytest.mark.parametrize("mode", ["fused", "in_place"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "options",
    [
        {"width": 12, "array_rows": 64},
        {"width": 16, "array_rows": 16, "extreme": True},
        {"width": 24, "array_rows": 12, "act_bits": 4, "weight_bits": 4, "stream_bits": 8},
        {"width": 24, "array_rows": 24, "act_bits": 5, "weight_bits": 3, "cell_bits": 1},
    ],
    ids=str,
)
def test_a_network_comes_back_from_its_image(form, mode, options):
    net = random_net(form, 3, side=8, **options)
    image = build(net, mode=mode, **TILE)
    back = restore(image, net)
    assert intnet.encode(back) == intnet.encode(with_k_a_channel(net))


@pytest.mark.parametrize("field", ["pages", "tables", "channels"])
def test_one_bit_of_an_image_changes_the_network(field):
    image = build(NET, **TILE)
    array = getattr(image, field).copy()
    array.view(np.uint8).reshape(-1)[0] ^= 1
    other = restore(dataclasses.replace(image, **{field: array}), NET)
    assert intnet.encode(other) != intnet.encode(with_k_a_channel(NET))


def test_the_schedule_of_a_block():
    params = build(NET, **TILE).params
    assert params.buffers == ("x", "y")
    stem, first, second = params.layers[:3]
    assert (stem.operands, stem.out) == ((Read(1),), 0)  # the image lies in y
    assert (first.operands, first.add, first.out) == ((Read(0),), Read(0), 1)
    assert (second.operands, second.add, second.out) == ((Read(1, True),), Read(1, True), 0)
    assert (stem.rows, stem.crossbars, first.rows, first.crossbars) == (12, 1, 12, 2)
    # Four outputs a page: ten pages of 8-bit weights with 2-bit cells in 32 columns of 8.
    assert (stem.group, stem.groups, first.group) == (0, 3, 3)
    assert params.layers[-1].operands == (Read(params.pooled),)


def test_a_pass_comes_before_the_first_shifted_read():
    second = build(NET, mode="in_place", **TILE).params.layers[2]
    assert second.shift_first == 1
    assert (second.operands, second.add) == ((Read(1),), Read(1))
    assert build(NET, mode="in_place", **TILE).params.moved == (12, 4)


def test_the_image_as_the_stem_reads_it():
    pixels = intnets.images(NET, 3)
    wanted = golden.patches(pixels.astype(np.int64) - 128, 2, 2, 0)
    params = build(NET, **TILE).params
    for image, rows in zip(pixels, wanted, strict=True):
        assert np.array_equal(patches(params, image), rows.transpose(2, 0, 1))
    with pytest.raises(
        ParameterError, match=r"^an image must be uint8 \[3, 8, 8\], not uint8 \[3, 8, 6\]$"
    ):
        patches(params, pixels[0, :, :, :6])


def refused(net, message, **options):
    with pytest.raises(FitError) as caught:
        build(net, **TILE | options)
    assert str(caught.value) == message


def test_networks_that_do_not_fit():
    refused(
        random_net("sp", 1, width=20, side=8, array_rows=16),
        "body.0.mix: rows must be at most the 16 of a crossbar or a multiple of them, not 20; "
        "16 or 32 would fit",
    )
    refused(
        random_net("sp", 1, width=12, side=4, classes=1 << 16),
        "head: a crossbar must have at most 65536 pages, not 65572 up to this layer; "
        "65536 outputs in all would fit",
        columns=4,
        columns_per_adc=1,
    )
    refused(
        random_net("vgg", 1),
        "shrink: layers must be those of a PSP or SP network: stem, blocks, sum_pool, head",
    )
    refused(
        random_net("sp", 1, width=12, depth=1, side=514),
        "stem: height must be an integer from 2 to 256, not 257",
    )


def test_maps_above_the_memory():
    net = random_net("sp", 1, width=24, depth=1, side=256)
    refused(
        net,
        "stem: a bank must have at most 262144 words, not 393216: 24 channels of 128 by 128 "
        "pixels; 16 such channels would fit",
    )
    assert build(dataclasses.replace(net, array_rows=12), **TILE).params.bank_depth == 12 << 14


def test_a_map_that_is_read_as_it_was_after_a_pass():
    net = change(NET, "body.0.second", add=Operand("y"))
    assert build(net, **TILE).params.layers[2].add == Read(1)
    refused(
        net,
        "body.0.second: 'y' must not be read as it was after a pass has shifted it in place; "
        "shift 'fused' would fit",
        mode="in_place",
    )


def test_layers_that_the_periphery_cannot_do():
    refused(
        change(NET, "body.1.first", affine=None),
        "body.1.first: an affine must follow the table, and nothing be added before it",
    )
    refused(
        change(NET, "body.1.first", add_before_table=Operand("x")),
        "body.1.first: an affine must follow the table, and nothing be added before it",
    )
