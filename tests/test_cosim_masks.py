# SPDX-License-Identifier: Apache-2.0
"""Masked networks in RTL: rows are gated, and every map, cycle and count is as it must be."""

import dataclasses
import random

import pytest
from intnets import images, masked, random_net

from cosim import fast, simulators
from cosim.run import check_in_one_go, rtl
from hw.image import build
from model import agreement
from model.agreement import MismatchError


def half(layer, tile, group, rows):
    return rows // 2


def any_rows(layer, tile, group, rows):
    """Some pages all, some none; that of a layer's first column group at least one."""
    source = random.Random(f"{layer} {tile} {group}")
    return source.choice([0, 1, rows // 3, rows - 1, rows])


def body_only(layer, tile, group, rows):
    return rows if layer in (0, 5) else max(1, rows // 3)


# Form, pass or not, what is special, rows that pages keep: two and three row tiles, absent pages
# and column groups besides, narrow weights, layers of fewer rows, a dense stem and head.
NETWORKS = [
    ("skip_over_shift", "fused", {"width": 24, "array_rows": 12}, half),
    ("residual", "in_place", {"width": 24, "array_rows": 12}, any_rows),
    ("skip_before_shift", "fused", {"width": 16, "act_bits": 4, "weight_bits": 4}, any_rows),
    ("true_residual", "in_place", {"width": 36, "array_rows": 12, "stream_bits": 11}, any_rows),
    ("sp", "fused", {"width": 14, "stream_bits": 10}, half),
    ("skip_over_shift", "in_place", {"width": 16, "act_bits": 5}, body_only),
]


def named(value):
    return value.__name__ if callable(value) else str(value)


def network(form, options, count):
    net = random_net(form, 7, **{"side": 8, "array_rows": 16} | options)
    return masked(net, small_image(net, "fused").params.tile.outputs, count)


def small_image(net, mode):
    return build(net, columns=16, columns_per_adc=4, mode=mode)


@pytest.fixture(scope="module", autouse=True)
def verilator():
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)


def compare(net, image, model):
    agreement.agree(net, images(net, 3), [rtl(net, image, model)])
    check_in_one_go(net, image, model, images(net, 3)[2])


@pytest.mark.parametrize(
    ("form", "mode", "options", "count"),
    [*NETWORKS[:2], *(pytest.param(*each, marks=pytest.mark.slow) for each in NETWORKS[2:])],
    ids=named,
)
def test_rtl_equals_the_golden_executor(form, mode, options, count):
    net = network(form, options, count)
    image = small_image(net, mode)
    assert image.params.tile.masks
    library = fast.build(fast.accelerator_block(image.params), optimise="-O0")
    with fast.Model(library, image) as model:
        compare(net, image, model)


RESIDUAL = network("residual", {"width": 24, "array_rows": 12, "depth": 1}, half)


def disagreement(net, change=lambda block: block, schedule=lambda params: params):
    """What the comparison says of a model with a fault, in its RTL or in its schedule's masks."""
    image = small_image(net, "fused")
    block = change(fast.accelerator_block(schedule(image.params)))
    library = fast.build(block, optimise="-O0")
    with fast.Model(library, image) as model, pytest.raises(MismatchError) as caught:
        compare(net, image, model)
    return str(caught.value)


# Name, old text, new text, the first difference. x^4 + x + 1 has the same period as x^4 + x^3 + 1.
FAULTS = {
    "other_taps": ("= \\$1  ^ \\$2 ;", "= \\$1  ^ { \\$2 [3], 2'h0, \\$2 [3] };", "stem: out"),
    "taps_that_end_early": ("= \\$1  ^ \\$2 ;", "= \\$1 ;", "stem: cycles"),
    "mask_moved_by_a_row": (
        "assign position = \\$3 [3:0];",
        "assign position = state;",
        "stem: out",
    ),
    "one_row_too_few": ("= | left;", "= left > 4'h1;", "stem: out"),
    "all_rows": ("keep = valid & \\$4 ;", "keep = valid;", "stem: out"),
    "sums_of_gated_rows": ("taken & kept[0]", "taken", "stem: out"),
    "wordlines_of_gated_rows": (" & words[23:12]", "", "first: out"),
    "masks_of_the_group_before": ("page + advance", "page + 1'h0", "stem: out"),
}


FAST = {"mask_moved_by_a_row"}


@pytest.mark.parametrize(
    "name",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in FAULTS],
)
def test_a_seeded_fault_is_noticed(name):
    old, new, message = FAULTS[name]
    assert message in disagreement(RESIDUAL, lambda block: block.with_fault(name, old, new))


def with_masks(params, masks):
    layers = [
        dataclasses.replace(layer, masks=own)
        for layer, own in zip(params.layers, masks, strict=True)
    ]
    tile = dataclasses.replace(params.tile, masks=max(map(len, masks)))
    return dataclasses.replace(params, tile=tile, layers=tuple(layers))


@pytest.mark.parametrize(("more", "message"), [(1, "active_wordlines"), (-1, "body.0.first: out")])
def test_a_count_off_by_one_is_noticed(more, message):
    def schedule(params):
        masks = [[list(group) for group in layer.masks] for layer in params.layers]
        mask = masks[1][2][1]
        masks[1][2][1] = dataclasses.replace(mask, count=mask.count + more)
        return with_masks(params, masks)

    assert message in disagreement(RESIDUAL, schedule=schedule)


def test_where_adcs_saturate_nothing_is_gated_and_nothing_may_be():
    options = {"width": 24, "array_rows": 12, "depth": 1}
    net = network("residual", options | {"adc_bits": 3}, half)
    image = small_image(net, "fused")
    assert not image.params.tile.masks
    masks = [layer.masks for layer in small_image(RESIDUAL, "fused").params.layers]
    forced = dataclasses.replace(image, params=with_masks(image.params, masks))
    for each, message in ((image, None), (forced, ": out of image")):
        library = fast.build(fast.accelerator_block(each.params), optimise="-O0")
        with fast.Model(library, each) as model:
            if message is None:
                compare(net, each, model)
            else:
                with pytest.raises(MismatchError, match=message):
                    compare(net, each, model)
