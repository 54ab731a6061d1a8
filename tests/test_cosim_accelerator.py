# SPDX-License-Identifier: Apache-2.0
"""Small networks in RTL, of every form, against the golden executor: every map, every cycle."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from intnets import change, images, random_net

from cosim import fast, simulators
from cosim.activity import activity
from cosim.design import bundle
from cosim.host import host_parameters
from cosim.run import check_in_one_go, rtl, run_images
from cosim.runner import SimulationError, run
from hw import pages, timing
from hw.accelerator_params import SHIFT_MODES
from hw.accesses import accelerator_accesses
from hw.image import build
from model import agreement, intnet
from model.agreement import MismatchError
from model.images import zoo_images
from model.random_intnet import prune

ZOO = Path(__file__).parent.parent / "model/zoo"

# Form, pass or not, what is special: two crossbars; widths that differ; maps that are no power of
# two, and wider than a byte; outputs that fill no column group; ADCs that saturate; pages that are
# not stored, in one crossbar of two or in both, or of the whole network.
NETWORKS = [
    ("skip_before_shift", "in_place", {"width": 12, "stream_bits": 11, "act_bits": 5, "side": 12}),
    ("residual", "fused", {"width": 24, "array_rows": 12, "act_bits": 4, "stream_bits": 8}),
    ("true_residual", "fused", {"width": 16, "adc_bits": 4, "extreme": True}),
    ("sp", "fused", {"width": 14, "stream_bits": 10}),
    ("skip_over_shift", "fused", {"width": 24, "array_rows": 12, "pruned": 0.5}),
]
MORE_NETWORKS = [
    ("skip_over_shift", "fused", {"width": 24, "array_rows": 12}),
    ("skip_over_shift", "in_place", {"width": 16, "array_rows": 16}),
    ("skip_before_shift", "fused", {"width": 16, "act_bits": 4, "weight_bits": 4}),
    ("residual", "in_place", {"width": 24, "array_rows": 12}),
    ("true_residual", "in_place", {"width": 12, "depth": 1, "classes": 3}),
    ("skip_over_shift", "fused", {"width": 24, "array_rows": 12, "depth": 1}),
    ("sp", "in_place", {"width": 24, "array_rows": 24, "depth": 3, "classes": 5}),
    ("residual", "in_place", {"width": 24, "array_rows": 12, "act_bits": 4, "pruned": 0.3}),
    ("true_residual", "fused", {"width": 24, "array_rows": 12, "adc_bits": 5, "pruned": 0.5}),
    ("sp", "fused", {"width": 14, "depth": 1, "pruned": 1.0}),
]


def network(form, options, *, pruned=0.0, outputs=4):
    options = {"side": 8, "array_rows": 16} | options
    share = options.pop("pruned", pruned)
    return prune(random_net(form, 7, **options), 7, share=share, outputs=outputs)


def small_image(net, mode):
    return build(net, columns=16, columns_per_adc=4, mode=mode)


def compare(net, image, model):
    compared = agreement.agree(net, images(net, 4), [rtl(net, image, model)])
    check_in_one_go(net, image, model, images(net, 3)[2])
    return compared


@pytest.fixture(scope="module", autouse=True)
def verilator():
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [*NETWORKS, *(pytest.param(*network, marks=pytest.mark.slow) for network in MORE_NETWORKS)],
    ids=str,
)
def test_rtl_equals_the_golden_executor(form, mode, options):
    net = network(form, options)
    image = small_image(net, mode)
    library = fast.build(fast.accelerator_block(image.params), optimise="-O0")
    with fast.Model(library, image) as model:
        compared = compare(net, image, model)
    assert compared["RTL"] > 4 * net.maps["x"].channels * 16


@pytest.mark.parametrize("bits", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_offsets_of_all_16_bits_in_maps_of_few(bits):
    net = network("sp", {"act_bits": bits, "depth": 1})
    second = net.layers[0].periphery.second
    ends = np.array([-(1 << 15), (1 << 15) - 1], np.int16)
    offset = np.resize(ends, second.affine.offset.shape)
    affine = dataclasses.replace(second.affine, offset=offset, fraction_bits=12)
    net = change(net, net.layers[0].name, second=dataclasses.replace(second, affine=affine))
    image = small_image(net, "fused")
    library = fast.build(fast.accelerator_block(image.params), optimise="-O0")
    with fast.Model(library, image) as model:
        compare(net, image, model)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_putting_out_takes_longer_than_converting(share):
    options = {"width": 64, "depth": 1, "act_bits": 4, "weight_bits": 4, "array_rows": 32}
    net = network("skip_before_shift", options, pruned=share, outputs=16)
    image = build(net, columns=64, columns_per_adc=1)
    assert timing.page_cycles(image.params.tile, planes=4) < image.params.tile.outputs == 16
    assert image.params.skips == (share > 0)
    with fast.Model(
        fast.build(fast.accelerator_block(image.params), optimise="-O0"), image
    ) as model:
        compare(net, image, model)


@pytest.mark.slow
@pytest.mark.parametrize("groups", [(0,), (1, 2)])
def test_psp_64_4_pruned_in_fewer_cycles_and_with_fewer_conversions(groups):
    net = whole = intnet.read(ZOO / "psp_64_4_int8")
    for layer in whole.layers[:-2]:
        weights = layer.weights.copy()
        for group in groups:
            weights[:, 16 * group : 16 * group + 16] = layer.zero_point
        net = change(net, layer.name, weights=weights)
    image, pixels = build(net), zoo_images()[0][:1]
    result = run_images(net, image, pixels, optimise="-O1")
    assert result.compared == 9 * 64 * 16 * 16 + 64 + 10
    left = 37 - 9 * len(groups)
    cycles = [timing.accelerator_cycles(each.params) for each in (image, build(whole))]
    assert cycles[0] / cycles[1] == pytest.approx(left / 37, rel=0.05)
    counts = activity(net, image.params, pixels[0])
    assert counts["sampled_pages"] == (left - 1) * 256 + 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", SHIFT_MODES)
def test_psp_128_8_on_a_real_image(mode):
    net = random_net("skip_over_shift", 7, width=128, depth=8, side=32)
    result = run_images(net, build(net, mode=mode), zoo_images()[0][:1], optimise="-O1")
    assert net.name == "psp_128_8"
    assert result.compared == 17 * 128 * 16 * 16 + 128 + 10


def test_a_pass_adds_its_cycles_and_writes_and_reading_as_if_shifted_neither():
    net = network("residual", {"width": 24, "array_rows": 12, "depth": 3})
    fused, in_place = (small_image(net, mode).params for mode in ("fused", "in_place"))
    # Two channels a group: twelve of the sixteen that move lie in the first bank.
    passes = 3 * (12 * 16 + 2)
    assert timing.accelerator_cycles(in_place) == timing.accelerator_cycles(fused) + passes
    assert accelerator_accesses(fused).writes == 7 * 24 * 16
    assert accelerator_accesses(in_place).writes == 7 * 24 * 16 + 3 * 16 * 16
    assert timing.accelerator_bound(in_place) == timing.accelerator_bound(fused)
    assert not any(timing.pass_cycles(fused, layer) for layer in fused.layers)


SP = network("sp", {"width": 14, "depth": 1, "stream_bits": 10, "classes": 3}), "in_place"
RESIDUAL = network("residual", {"width": 24, "array_rows": 12, "depth": 1}), "fused"
PRUNED = network("residual", {"width": 24, "array_rows": 12, "depth": 1, "pruned": 0.5}), "fused"

# Network, old text, new text, the first difference.
FAULTS = {
    "image_before_stays_in_the_pool": (SP, "place_2[2] ? ", "1'h0 ? ", "pool: out of image 1"),
    "one_operand_only": (SP, "entry[4] ? \\data", "1'h0 ? \\data", "body.0.mix: out"),
    "second_affine_without_sign": (SP, "[1] ? \\$33 ", "[0] ? \\$33 ", "stem: second"),
    "dropped_outputs_written": (SP, "= outputs__valid & \\$1 ;", "= outputs__valid;", "map_writes"),
    "a_channel_is_not_moved": (SP, "== 3'h7;", "== 3'h6;", "body.0.mix: cycles"),
    "shifted_map_fetched_plainly": (
        RESIDUAL, "assign direction = entry[5] ?", "assign direction = 1'h0 ?", "second: out",
    ),
    "nothing_added": (
        RESIDUAL, "whole = $signed(value) +", "whole = $signed(value) + 0 *", "first: out",
    ),
    "skipped_sums_are_not_zero": (PRUNED, "= r_data[21] ? 21'h", "= 1'h0 ? 21'h", "stem: out"),
    "one_skipped_sum_too_few": (PRUNED, "= turn == 2'h3;", "= turn == 2'h2;", "stem: cycles"),
    "skipped_pages_take_no_place": (PRUNED, "= free - \\$51 ;", "= free - \\$50 ;", "cycles"),
    "first_bank_only": (RESIDUAL, "bank + full_bank", "{ 1'h0, bank }", "stem: out"),
}  # fmt: skip


def disagreement(net, mode, change=lambda block: block, edit=lambda image: image):
    """What the comparison says of a model with a fault, in its RTL or in its memories."""
    image = small_image(net, mode)
    block = change(fast.accelerator_block(image.params))
    library = fast.build(block, optimise="-O0")
    with fast.Model(library, edit(image)) as model, pytest.raises(MismatchError) as caught:
        compare(net, image, model)
    return str(caught.value)


FAST = {"a_channel_is_not_moved", "shifted_map_fetched_plainly", "skipped_sums_are_not_zero"}


@pytest.mark.parametrize(
    "name",
    [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in FAULTS],
)
def test_a_seeded_fault_is_noticed(name):
    (net, mode), old, new, message = FAULTS[name]
    assert message in disagreement(net, mode, lambda block: block.with_fault(name, old, new))


def test_a_page_that_counts_must_be_stored(monkeypatch):
    net, mode = PRUNED
    second, truly = net.layers[2], pages.counted
    assert truly(net, second, 4)[2].tolist() == [True, False]

    def one_less(net, layer, outputs):
        found = truly(net, layer, outputs)
        found[2, 0] &= layer.name != second.name
        return found

    monkeypatch.setattr(pages, "counted", one_less)
    assert f"{second.name}: out of image " in disagreement(net, mode)


def test_a_page_on_which_an_adc_saturates_must_be_stored(monkeypatch):
    net = network("skip_before_shift", {"width": 16, "adc_bits": 4, "depth": 1, "pruned": 0.5})
    assert not small_image(net, "fused").params.pruned
    truly = pages.counted
    lossless = {"adc_bits": 16}
    monkeypatch.setattr(
        pages, "counted", lambda net, *of: truly(dataclasses.replace(net, **lossless), *of)
    )
    assert small_image(net, "fused").params.pruned
    assert ": out of image " in disagreement(net, "fused")


def test_a_page_must_be_that_of_its_column_group():
    net, mode = PRUNED
    params = small_image(net, mode).params
    second = params.layers[2]
    one, other = (number for number, row in enumerate(second.pages) if None not in row)
    swapped = list(second.pages)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    layers = list(params.layers)
    layers[2] = dataclasses.replace(second, pages=tuple(swapped))
    block = fast.accelerator_block(dataclasses.replace(params, layers=tuple(layers)))
    assert f"{second.name}: out of image " in disagreement(net, mode, lambda _: block)


MISCOUNTED = {
    "conversions": ("converted * 3'h4", "converted * 3'h2"),
    "active_wordlines": ("active_wordlines + active;", "active_wordlines + active[3:0];"),
    "sampled_pages": ("sampled_pages + table_0[1:0]", "sampled_pages + table_0[0]"),
}


def test_a_counter_that_miscounts_is_noticed():
    net, mode = RESIDUAL
    image, pixels = small_image(net, mode), images(net, 3)[2]
    block = fast.accelerator_block(image.params)
    for name, (old, new) in MISCOUNTED.items():
        block = block.with_fault(f"miscounts_{name}", old, new)
    wanted = activity(net, image.params, pixels)
    with fast.Model(fast.build(block, optimise="-O0"), image) as model:
        with pytest.raises(MismatchError) as caught:
            check_in_one_go(net, image, model, pixels)
        found = model.counters()
    assert str(caught.value) == (
        f"an image: conversions must be {wanted['conversions']} as in the golden executor, "
        f"not {wanted['conversions'] // 2} in RTL"
    )
    assert {name for name in wanted if found[name] != wanted[name]} == set(MISCOUNTED)


# The first cell; the table's entry of 0; the third byte of a bias.
@pytest.mark.parametrize(("field", "byte"), [("pages", 0), ("tables", 128), ("channels", 2)])
def test_a_wrong_bit_in_a_memory_is_noticed(field, byte):
    def edit(image):
        array = getattr(image, field).copy()
        array.view("u1").reshape(-1)[byte] ^= 1
        return dataclasses.replace(image, **{field: array})

    assert "stem: out of image " in disagreement(*SP, edit=edit)


def host_side(simulator, mode, folder, change=lambda block: block, tests=None):
    """Run the tests of the host's side."""
    reason = simulators.missing(simulator)
    if reason is not None:
        pytest.skip(reason)
    image = small_image(SP[0], mode)
    block = change(fast.accelerator_block(image.params))
    return run(
        bundle(block.name, [block]),
        simulator,
        "cosim.body_accelerator",
        folder=folder,
        parameters=host_parameters(SP[0], image, block, images(SP[0], 4)[2:]),
        tests=tests,
    )


@pytest.mark.parametrize(
    ("simulator", "mode"),
    [
        ("icarus", "fused"),
        pytest.param("verilator", "fused", marks=pytest.mark.slow),
        pytest.param("verilator", "in_place", marks=pytest.mark.slow),
        pytest.param("icarus", "in_place", marks=pytest.mark.slow),
    ],
)
def test_the_hosts_side(simulator, mode, tmp_path):
    assert len(host_side(simulator, mode, tmp_path)) == 3


@pytest.mark.parametrize(
    ("name", "old", "new", "test", "message"),
    [
        (
            "reset_ignored", "if (rst) begin", "if (1'h0) begin",
            "reset_at_random_moments", "ready|logits",
        ),
        ("never_steps", " | step;", ";", "layer_by_layer", "must be ready after"),
    ],
)  # fmt: skip
def test_a_fault_on_the_hosts_side_is_noticed(name, old, new, test, message, tmp_path):
    with pytest.raises(SimulationError, match=message):
        host_side("icarus", "fused", tmp_path, lambda b: b.with_fault(name, old, new), tests=test)
