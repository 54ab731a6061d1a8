# SPDX-License-Identifier: Apache-2.0
"""An accelerator that is configured with its memories' contents computes without any loading."""

import functools
import re

import pytest
from intnets import images, random_net

from cosim import fast, simulators
from cosim.design import emit_block
from cosim.run import check_in_one_go, rtl
from hw.accelerator import Accelerator
from hw.image import build
from hw.load import contents
from model import agreement
from model.agreement import MismatchError

# With a second affine, two crossbars, pages that leave rows and outputs; then with one operand.
NETWORKS = {
    "sp": {"width": 24, "array_rows": 12, "depth": 1, "stream_bits": 10, "classes": 5},
    "residual": {"width": 14, "array_rows": 16, "depth": 1, "act_bits": 4},
}
NETS = {form: random_net(form, 3, side=8, **options) for form, options in NETWORKS.items()}


unloaded = functools.partial(fast.Model, load=False)


@pytest.fixture(scope="module", autouse=True)
def verilator():
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)


def small_image(net):
    return build(net, columns=16, columns_per_adc=4)


def emitted(image):
    return emit_block(Accelerator(params=image.params, contents=contents(image)), fast.MODULE)


def compare(net, image, block, model=unloaded):
    with model(fast.build(block, optimise="-O0"), image) as running:
        agreement.agree(net, images(net, 2), [rtl(net, image, running)])
        check_in_one_go(net, image, running, images(net, 3)[2])


@pytest.mark.parametrize("form", NETS)
def test_contents_are_there_without_loading(form):
    net = NETS[form]
    image = small_image(net)
    compare(net, image, emitted(image))


def test_memories_that_start_empty_need_loading():
    net = NETS["sp"]
    image = small_image(net)
    block = fast.accelerator_block(image.params)
    with pytest.raises(MismatchError, match="^stem: "):
        compare(net, image, block)
    compare(net, image, block, fast.Model)


def test_loading_replaces_what_was_there():
    net = NETS["sp"]
    other = random_net("sp", 4, side=8, **NETWORKS["sp"])
    image, wrong = small_image(net), small_image(other)
    block = emit_block(Accelerator(params=image.params, contents=contents(wrong)), fast.MODULE)
    compare(net, image, block, fast.Model)


# A bit of each memory: in the first column, the entry of 0, a bias, a second affine.
@pytest.mark.parametrize(
    ("memory", "bit"),
    [
        ("lane_0[0]", 2),
        pytest.param("tables[128]", 2, marks=pytest.mark.slow),
        pytest.param("memory[0]", 12, marks=pytest.mark.slow),
        pytest.param("affines[0]", 2, marks=pytest.mark.slow),
    ],
)
def test_a_wrong_bit_in_the_contents_is_noticed(memory, bit):
    net = NETS["sp"]
    image = small_image(net)
    block = emitted(image)
    line, start, word = re.search(rf"(( {re.escape(memory)} = \d+'h)(\w+);)", block.text).groups()
    faulty = block.with_fault("wrong_bit", line, f"{start}{int(word, 16) ^ 1 << bit:x};")
    with pytest.raises(MismatchError, match="^stem: (out|second) of image "):
        compare(net, image, faulty)
