# SPDX-License-Identifier: Apache-2.0
"""Small networks in RTL, of every form, against the golden executor: every map, every cycle."""

import pytest
from intnets import images, random_net

from cosim import fast, simulators
from cosim.run import rtl
from hw import timing
from hw.image import build
from model import agreement

# Form, pass or not, what is special: two crossbars; widths that differ; maps that are no power of
# two, and wider than a byte; ADCs that saturate.
NETWORKS = [
    ("skip_over_shift", "fused", {"width": 24, "array_rows": 12}),
    ("skip_over_shift", "in_place", {"width": 16, "array_rows": 16}),
    ("skip_before_shift", "fused", {"width": 16, "act_bits": 4, "weight_bits": 4}),
    ("skip_before_shift", "in_place", {"width": 12, "stream_bits": 11, "act_bits": 5, "side": 12}),
    ("residual", "fused", {"width": 24, "array_rows": 12, "act_bits": 4, "stream_bits": 8}),
    ("residual", "in_place", {"width": 24, "array_rows": 12}),
    ("true_residual", "fused", {"width": 16, "adc_bits": 4, "extreme": True}),
    ("true_residual", "in_place", {"width": 12, "depth": 1, "classes": 3}),
    ("sp", "fused", {"width": 16, "stream_bits": 10}),
    ("sp", "in_place", {"width": 24, "array_rows": 24, "depth": 3, "classes": 5}),
]


def network(form, options):
    return random_net(form, 7, **{"side": 8, "array_rows": 16} | options)


def small_image(net, mode):
    return build(net, columns=16, columns_per_adc=4, mode=mode)


@pytest.fixture(scope="module", autouse=True)
def verilator():
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)


@pytest.mark.parametrize(("form", "mode", "options"), NETWORKS, ids=str)
def test_rtl_equals_the_golden_executor(form, mode, options):
    net = network(form, options)
    image = small_image(net, mode)
    library = fast.build(fast.accelerator_block(image.params), optimise="-O0")
    with fast.Model(library, image) as model:
        compared = agreement.agree(net, images(net, 4), [rtl(net, image, model)])
    assert compared["RTL"] > 4 * net.maps["x"].channels * 16


def test_a_pass_adds_its_cycles_and_writes_and_reading_as_if_shifted_neither():
    net = network("residual", {"width": 24, "array_rows": 12, "depth": 3})
    fused, in_place = (small_image(net, mode).params for mode in ("fused", "in_place"))
    # Two channels a group: twelve of the sixteen that move lie in the first bank.
    passes = 3 * (12 * 16 + 2)
    assert timing.accelerator_cycles(in_place) == timing.accelerator_cycles(fused) + passes
    assert timing.accelerator_writes(fused) == 7 * 24 * 16
    assert timing.accelerator_writes(in_place) == 7 * 24 * 16 + 3 * 16 * 16
    assert timing.accelerator_bound(in_place) == timing.accelerator_bound(fused)
    assert not any(timing.pass_cycles(fused, layer) for layer in fused.layers)
