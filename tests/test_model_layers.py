# SPDX-License-Identifier: Apache-2.0
"""Layer lists against figures derived by hand or printed, and against hostile JSON."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re

import pytest

from hw.params import ParameterError, ParameterTypeError
from model.layers import (
    BASELINES,
    NAMES,
    LayerShape,
    layer_shapes,
    layers_from_json,
    layers_to_json,
)

EXAMPLES = ("psp_64_4", "sp_48_3", "convmixer_16_2", *BASELINES)
CONV = LayerShape(
    name="conv",
    kind="conv",
    in_channels=8,
    out_channels=12,
    kernel=3,
    stride=2,
    padding=1,
    groups=4,
    in_height=9,
    in_width=6,
)
LINEAR = {
    **CONV.to_dict(),
    "kind": "linear",
    **dict.fromkeys(("kernel", "stride", "groups", "in_height", "in_width"), 1),
    "padding": 0,
}


def weights(name: str, **options: object) -> int:
    """Return the weights of all layers together."""
    return sum(layer.weights for layer in layer_shapes(name, **options))


def test_derives_sizes_as_computed_by_hand() -> None:
    assert (CONV.out_height, CONV.out_width) == (5, 3)
    assert (CONV.rows, CONV.columns) == (2 * 9, 12)
    assert CONV.weights == 18 * 12
    assert CONV.macs == 18 * 12 * 15


def test_lists_a_psp_network_as_the_paper_describes_it() -> None:
    stem, *body, head = layer_shapes("psp_256_8")
    assert (stem.in_channels, stem.out_channels, stem.rows) == (3, 256, 12)
    assert (stem.kernel, stem.stride, stem.padding) == (2, 2, 0)
    assert (stem.in_height, stem.out_height, stem.out_width) == (32, 16, 16)
    assert len(body) == 16
    for layer in body:
        assert (layer.rows, layer.columns, layer.in_height, layer.in_width) == (256, 256, 16, 16)
    assert (head.kind, head.rows, head.columns, head.macs) == ("linear", 256, 10, 2560)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("psp_128_8", 67.5),
        ("psp_256_8", 269),
        ("psp_256_12", 403),
        ("psp_256_16", 538),
        ("psp_512_16", 2149),
    ],
)
def test_counts_multiplications(name: str, millions: float) -> None:
    # h² · 256 pixels · 2·depth, plus 12·h·256 for the stem and 10·h for the head.
    _, width, depth = name.split("_")
    h, layers = int(width), 2 * int(depth)
    macs = sum(layer.macs for layer in layer_shapes(name))
    assert macs == 256 * (layers * h * h + 12 * h) + 10 * h
    assert macs / 1e6 == pytest.approx(millions, rel=0.003)


@pytest.mark.parametrize(
    ("name", "depth"), [("resnet20", 20), ("resnet32", 32), ("resnet56", 56), ("resnet110", 110)]
)
def test_counts_the_weights_of_cifar_resnets(name: str, depth: int) -> None:
    n = (depth - 2) // 6
    plain = 9 * (3 * 16 + 2 * n * 16**2)
    for before, width in ((16, 32), (32, 64)):
        plain += 9 * (before * width + (2 * n - 1) * width**2)
    plain += 64 * 10
    assert weights(name, shortcut="identity") == plain
    assert weights(name) == plain + 16 * 32 + 32 * 64
    assert len(layer_shapes(name, shortcut="identity")) == depth
    assert len(layer_shapes(name)) == depth + 2


def test_lists_shiftresnet110_as_a_crossbar_simulator_ran_it() -> None:
    # That list: 112 layers with 194,608 weights; a block's shift strides between its two layers.
    layers = layer_shapes("shiftresnet110")
    runs = [
        (len(list(group)), *shape)
        for shape, group in itertools.groupby(
            (x.in_height, x.in_channels, x.kernel, x.out_channels, x.stride) for x in layers
        )
    ]
    assert runs == [
        (1, 32, 3, 3, 16, 1),
        (36, 32, 16, 1, 16, 1),
        (1, 32, 16, 1, 32, 1),
        (1, 16, 32, 1, 32, 1),
        (1, 32, 16, 1, 32, 2),
        (34, 16, 32, 1, 32, 1),
        (1, 16, 32, 1, 64, 1),
        (1, 8, 64, 1, 64, 1),
        (1, 16, 32, 1, 64, 2),
        (34, 8, 64, 1, 64, 1),
        (1, 1, 64, 1, 10, 1),
    ]
    assert weights("shiftresnet110") == 194_608


def test_lists_vgg8_with_its_wide_linear_layer() -> None:
    layers = layer_shapes("vgg8")
    assert [layer.columns for layer in layers] == [128, 128, 256, 256, 512, 512, 1024, 10]
    assert [layer.in_height for layer in layers] == [32, 32, 16, 16, 8, 8, 1, 1]
    assert layers[6].rows == 8192
    assert weights("vgg8") == 12_973_440  # 12.97 M


def test_lists_densenet_with_the_papers_parameter_count() -> None:
    layers = layer_shapes("densenet40_12")
    assert len(layers) == 40
    assert weights("densenet40_12") == 171_024  # 0.17 M
    bottlenecks = [layer.in_channels for layer in layers if layer.columns == 48]
    assert bottlenecks[:6] == [24, 36, 48, 60, 72, 84]
    # The first transition happens to have 48 outputs, too.
    assert bottlenecks[6:] == [96, *range(48, 120, 12), *range(60, 132, 12)]


@pytest.mark.parametrize(
    ("name", "count", "macs"), [("resnet18", 11_678_912, 1.8e9), ("mobilenetv1", 4_209_088, 569e6)]
)
def test_lists_imagenet_networks(name: str, count: int, macs: float) -> None:
    # Published: ResNet18 1.8·10⁹ multiplications (He et al., Table 1); MobileNets 569 million
    # (Howard et al., Table 4).
    options = {"num_classes": 1000, "image_size": 224}
    assert weights(name, **options) == count
    total = sum(layer.macs for layer in layer_shapes(name, **options))
    assert total == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize("name", EXAMPLES)
def test_layers_differ_in_name_and_end_in_the_head(name: str) -> None:
    layers = layer_shapes(name, num_classes=7, image_size=64)
    assert len({layer.name for layer in layers}) == len(layers)
    assert (layers[0].in_height, layers[0].in_channels) == (64, 3)
    assert (layers[-1].name, layers[-1].columns) == ("head", 7)


@pytest.mark.parametrize(
    ("name", "smallest"), [("vgg8", 8), ("vgg16", 32), ("densenet40_12", 4), ("convmixer_8_1", 2)]
)
def test_refuses_images_that_pooling_uses_up(name: str, smallest: int) -> None:
    assert layer_shapes(name, image_size=smallest)
    message = f"image_size must be an integer from {smallest} to 4096, not {smallest - 1}"
    with pytest.raises(ParameterError, match=f"^{message}$"):
        layer_shapes(name, image_size=smallest - 1)


@pytest.mark.parametrize("name", ["resnet20", "shiftresnet110", "resnet18", "mobilenetv1"])
def test_takes_images_of_one_pixel(name: str) -> None:
    assert {layer.out_height for layer in layer_shapes(name, image_size=1)} == {1}


@pytest.mark.parametrize("name", ["alexnet", "PSP_128_8", "psp_128", "resnet44", "psp_8_8\n", ""])
def test_names_what_exists_when_a_name_is_unknown(name: str) -> None:
    message = f"name must be one of {', '.join(NAMES)}, not {name!r}"
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        layer_shapes(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": 5}, "name must be a string, not int"),
        ({"name": "psp_11_8"}, "width must be an integer from 12 to 4096, not 11"),
        ({"name": "convmixer_0_8"}, "width must be an integer from 1 to 4096, not 0"),
        ({"name": "sp_64_257"}, "depth must be an integer from 1 to 256, not 257"),
        ({"num_classes": 0}, "num_classes must be an integer from 1 to 65536, not 0"),
        ({"image_size": True}, "image_size must be an integer from 2 to 4096, not True"),
        ({"image_size": 33}, "image_size must be a multiple of patch_size 2, not 33"),
        ({"patch_size": 65}, "patch_size must be an integer from 1 to 64, not 65"),
        ({"shortcut": "none"}, 'shortcut must be "projection" or "identity", not \'none\''),
    ],
)
def test_refuses_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        layer_shapes(**{"name": "psp_64_4", **options})


LINEAR_RULE = "a linear layer must have kernel, stride, groups, in_height and in_width 1, not "
NAME_RULE = "name must be 1 to 100 ASCII letters, digits, blanks or any of _.:/+-, not "


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, NAME_RULE + "''"),
        ({"name": "a\nb"}, NAME_RULE + r"'a\nb'"),
        ({"name": "a\n"}, NAME_RULE + r"'a\n'"),
        ({"name": "<b>"}, NAME_RULE + "'<b>'"),
        ({"name": 3}, "name must be a string, not int"),
        ({"kind": "pool"}, "kind must be \"conv\" or \"linear\", not 'pool'"),
        ({"in_channels": 0}, "in_channels must be an integer from 1 to 1048576, not 0"),
        ({"out_channels": -1}, "out_channels must be an integer from 1 to 1048576, not -1"),
        ({"kernel": 65}, "kernel must be an integer from 1 to 64, not 65"),
        ({"kernel": "3"}, "kernel must be an integer from 1 to 64, not '3'"),
        ({"stride": 0}, "stride must be an integer from 1 to 64, not 0"),
        ({"padding": 3}, "padding must be an integer from 0 to 2, not 3"),
        ({"groups": True}, "groups must be an integer from 1 to 1048576, not True"),
        ({"groups": 8}, "groups must divide in_channels 8 and out_channels 12, not 8"),
        ({"groups": 3}, "groups must divide in_channels 8 and out_channels 12, not 3"),
        ({"in_height": 4097}, "in_height must be an integer from 1 to 4096, not 4097"),
        ({"in_width": 0}, "in_width must be an integer from 1 to 4096, not 0"),
        (
            {"kernel": 7, "padding": 0},
            "kernel must fit in the padded map, at most 6, not 7",
        ),
        (
            {"kind": "linear"},
            LINEAR_RULE + "3, 2, 4, 9, 6",
        ),
    ],
)  # fmt: skip
def test_refuses_a_layer_that_breaks_a_rule(change: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        dataclasses.replace(CONV, **change)
    with pytest.raises(ParameterError, match=f"^layer 1: {re.escape(message)}$"):
        layers_from_json(json.dumps([LINEAR | {"name": "first"}, CONV.to_dict() | change]))


@pytest.mark.parametrize("name", EXAMPLES)
def test_json_holds_all_of_a_list(name: str) -> None:
    layers = layer_shapes(name)
    text = layers_to_json(layers)
    assert layers_from_json(text) == layers
    assert layers_from_json(text.encode()) == layers
    assert len(text.splitlines()) == len(layers) + 2


KEYS = (
    "a layer must have the keys name, kind, in_channels, out_channels, kernel, stride, padding, "
    "groups, in_height, in_width, not "
)
WITHOUT_STRIDE = {key: value for key, value in LINEAR.items() if key != "stride"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a layer list must be JSON: Expecting value: line 1 column 1 \(char 0\)"),
        (b"\xff\xfe\xfd", "a layer list must be JSON: .*decode.*"),
        ("[" * 100_000, "a layer list must be JSON: it is nested too deeply"),
        ("[" + "9" * 5000 + "]", "a layer list must be JSON: a number is too long"),
        (" " * (4 << 20) + "[]", "a layer list must have at most 4194304 bytes, not 4194306"),
        ("{}", "a layer list must be a list of 1 to 4096 layers, not a dict"),
        ("null", "a layer list must be a list of 1 to 4096 layers, not a NoneType"),
        ("[]", "a layer list must be a list of 1 to 4096 layers, not a list of 0"),
        ("[" + "0," * 4096 + "0]", ".* 1 to 4096 layers, not a list of 4097"),
        ("[7]", "layer 0: a layer must be an object, not int"),
        ("[{}]", "layer 0: " + KEYS + "without name"),
        (json.dumps([WITHOUT_STRIDE]), "layer 0: " + KEYS + "without stride"),
        (json.dumps([LINEAR | {"x" * 500: 1}]), "layer 0: " + KEYS + r"with 'x+\.\.\.x+'"),
        ('[{"name": "a", "name": "b"}]', "a layer must have each key once"),
        (json.dumps([LINEAR, LINEAR]), "layer 1: name must differ from others: 'conv'"),
        (
            json.dumps([LINEAR | {"stride": float("nan")}]),
            "layer 0: stride must be an integer, not float",
        ),
        (
            json.dumps([LINEAR | {"kernel": [3, 3]}]),
            "layer 0: kernel must be an integer, not list",
        ),
        (
            json.dumps([LINEAR | {"kind": {}}]),
            "layer 0: kind must be a string, not dict",
        ),
        (
            json.dumps([LINEAR | {"kind": "9" * 10_000}]),
            "layer 0: kind must have at most 100 characters or bits",
        ),
        (
            json.dumps([LINEAR | {"stride": 10**4000}]),
            "layer 0: stride must have at most 100 characters or bits",
        ),
    ],
    ids=range(20),
)
def test_refuses_hostile_json_in_one_short_line(text: str | bytes, message: str) -> None:
    with pytest.raises(ParameterError, match=f"^{message}$") as caught:
        layers_from_json(text)
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


def test_a_wrong_kind_is_a_type_error() -> None:
    for change in ({"stride": None}, {"kernel": True}, {"name": 1}):
        with pytest.raises(ParameterTypeError):
            LayerShape.from_dict(LINEAR | change)
    with pytest.raises(ParameterTypeError):
        LayerShape.from_dict([1])
    with pytest.raises(ParameterTypeError, match="^layer 0: "):
        layers_from_json("[1]")
