# SPDX-License-Identifier: Apache-2.0
"""Small random integer networks, as tests take them, and how traces are compared."""

import numpy as np
from hypothesis import strategies as st

from model import executor
from model.random_intnet import KINDS, change, images, masked, random_net
from model.random_layers import Builder
from model.schedule import FORMS

__all__ = [
    "FORMS", "KINDS", "Builder", "change", "differing", "golden_trace", "images",
    "just_below_a_half", "masked", "nets", "random_net", "small",
]  # fmt: skip

SMALL = {"width": 12, "depth": 2, "side": 4, "classes": 3}
CNN = {"width": 3, "side": 8, "classes": 3}


def small(kind, seed=1, **options):
    return random_net(kind, seed, **(CNN if kind in ("resnet", "vgg") else SMALL) | options)


def just_below_a_half(**fields):
    """Return a network whose stem computes just less than a half everywhere, before rounding."""
    net = small("residual")
    stem = net.layers[0]
    return change(
        net,
        "stem",
        weights=np.full_like(stem.weights, stem.zero_point),
        bias=np.full(12, (1 << 22) - 1, np.int32),
        k=np.array([23], np.int8),
        **fields,
    )


@st.composite
def nets(draw):
    """Draw a small network of any kind, of any widths and converters."""
    kind = draw(st.sampled_from(KINDS))
    act_bits = draw(st.integers(2, 8))
    return random_net(
        kind,
        draw(st.integers(0, 1 << 32)),
        width=draw(st.integers(12, 14) if kind in FORMS else st.integers(1, 4)),
        depth=draw(st.integers(1, 2)),
        side=4,
        classes=draw(st.integers(1, 4)),
        act_bits=act_bits,
        weight_bits=draw(st.integers(1, 8)),
        stream_bits=draw(st.integers(act_bits, 16)),
        extreme=draw(st.booleans()),
        array_rows=draw(st.integers(1, 40)),
        cell_bits=draw(st.integers(1, 8)),
        adc_bits=draw(st.integers(1, 10)),
    )


def golden_trace(net, images):
    trace = {}
    executor.run(net, images, trace=trace)
    return trace


def differing(wanted, found):
    """Return the names of the traces that differ, in the order of the layers."""
    assert wanted.keys() == found.keys()
    return [
        f"{name}.{key}"
        for name in wanted
        for key in sorted(wanted[name], key=["acc", "pre", "out", "second"].index)
        if not np.array_equal(
            wanted[name][key].reshape(len(wanted[name][key]), -1),
            found[name][key].reshape(len(wanted[name][key]), -1),
        )
    ]
