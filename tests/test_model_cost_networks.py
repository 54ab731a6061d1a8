# SPDX-License-Identifier: Apache-2.0
"""Networks by name, from integer networks and from JSON, and what is counted of a layer."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from costs import conv, network
from hypothesis import given
from hypothesis import strategies as st
from intnets import KINDS, small

from hw.params import ParameterError
from model import intnet
from model.cost.layers import Network
from model.cost.networks import REFERENCE_DENSENET, from_intnet, from_json, load, named
from model.intnet import Crossbar, Operand
from model.layer_shape import LayerShape
from model.layers import BASELINES, layer_shapes, layers_to_json

FIELDS = [field.name for field in dataclasses.fields(LayerShape)]
ZOO = Path(__file__).parent.parent / "model/zoo"


def listed(name):
    """Return the layers as the reference simulator lists them: height, width, cin, k, cout, s."""
    shapes = (layer.shape for layer in named(name).layers)
    return [
        (s.in_height, s.in_width, s.in_channels, s.kernel, s.out_channels, s.stride)
        for s in shapes
    ]  # fmt: skip


def test_psp_is_what_the_reference_runs_had():
    assert listed("psp_128_8") == [
        (32, 32, 3, 2, 128, 2),
        *[(16, 16, 128, 1, 128, 1)] * 16,
        (1, 1, 128, 1, 10, 1),
    ]


def test_the_network_behind_both_resnet_rows():
    assert listed("shiftresnet110") == [
        (32, 32, 3, 3, 16, 1),
        *[(32, 32, 16, 1, 16, 1)] * 36,
        (32, 32, 16, 1, 32, 1), (16, 16, 32, 1, 32, 1), (32, 32, 16, 1, 32, 2),
        *[(16, 16, 32, 1, 32, 1)] * 34,
        (16, 16, 32, 1, 64, 1), (8, 8, 64, 1, 64, 1), (16, 16, 32, 1, 64, 2),
        *[(8, 8, 64, 1, 64, 1)] * 34,
        (1, 1, 64, 1, 10, 1),
    ]  # fmt: skip
    net = named("shiftresnet110")
    assert (len(net.layers), net.weights) == (112, 194_608)


def test_densenet_as_the_reference_simulator_lists_it():
    dense, real = named(REFERENCE_DENSENET), named("densenet40_12")
    # A block of c channels: 6 layers, 3×3, of 48 inputs and c + 12, c + 24, … outputs.
    more = sum(9 * 48 * (c + 12 * i) for c in (24, 48, 60) for i in range(6))
    assert dense.weights - real.weights == more
    assert (dense.weights, real.weights) == (746_448, 171_024)
    assert [layer.rows for layer in dense.layers] == [layer.rows for layer in real.layers]


def test_pooling_follows_where_it_does():
    def pools(name):
        return {layer.name: layer.pool for layer in named(name).layers if layer.pool > 1}

    assert pools("vgg8") == {"stages.0.1": 2, "stages.1.1": 2, "stages.2.1": 2}
    assert pools("densenet40_12") == {"transitions.0": 2, "transitions.1": 2}
    assert pools("psp_64_4") == pools("resnet110") == {}


@pytest.mark.parametrize(
    ("name", "moved"),
    [("psp_256_8", 8 * 168), ("sp_256_24", 24 * 168), ("resnet110", 0), ("vgg8", 0)],
)
def test_the_shift_moves_two_thirds_of_the_channels(name, moved):
    net = named(name)
    assert sum(layer.moved for layer in net.layers) == moved
    assert sum(layer.moved_pixels for layer in net.layers) == moved * 256


def test_shiftresnet_moves_eight_of_nine_groups():
    moved = {(layer.shape.in_channels, layer.moved) for layer in named("shiftresnet110").layers}
    assert moved == {(3, 0), (16, 0), (16, 8), (32, 0), (32, 24), (64, 0), (64, 56)}


def test_counts_of_a_layer_by_hand():
    # 3×3 on 32×32 pixels, 16 to 20 channels, stride 2, padding 1: 16×16 outputs.
    layer = conv(16, 20, kernel=3, side=32, stride=2)
    assert (layer.rows, layer.outputs, layer.positions) == (144, 20, 256)
    assert layer.operations == 2 * 144 * 20 * 256
    assert layer.unstrided_operations == 2 * 144 * 20 * 32 * 32
    assert layer.unpadded_positions == 15 * 15


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "side", "unpadded"),
    [(3, 1, 1, 32, 900), (2, 2, 0, 32, 240), (1, 2, 0, 32, 256), (1, 1, 0, 1, 1), (7, 2, 6, 3, 1)],
)
def test_vectors_as_the_reference_counts_them(kernel, stride, padding, side, unpadded):
    layer = conv(3, 8, kernel=kernel, stride=stride, padding=padding, side=side)
    assert layer.unpadded_positions == unpadded


@given(st.integers(1, 7), st.integers(1, 4), st.integers(1, 64))
def test_padding_never_takes_vectors_away(kernel, stride, side):
    layer = conv(3, 8, kernel=kernel, stride=stride, padding=kernel - 1, side=side)
    assert 1 <= layer.unpadded_positions <= layer.positions


@pytest.mark.parametrize("name", [*BASELINES, "psp_64_4", "sp_48_3", "convmixer_16_2"])
def test_every_named_network_has_its_layers(name):
    net = load(name)
    assert net.name == name
    large = name in ("resnet18", "mobilenetv1")
    shapes = layer_shapes(name, num_classes=1000 if large else 10, image_size=224 if large else 32)
    assert tuple(layer.shape for layer in net.layers) == shapes
    assert net.operations == 2 * sum(shape.macs for shape in shapes)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("vgg9", "; the nearest is vgg8"),
        ("resnet-110", "; the nearest is resnet110"),
        ("psp-256-12", "; the nearest is psp_256_12"),
        ("PSP_64_4", "; the nearest is psp_64_4"),
        ("psp_64", "; the nearest is psp_64_8"),
        ("psp_64_4_int8", "; the nearest is psp_64_4"),
        ("psp_064_08", "; the nearest is psp_64_8"),
        ("psp-99999999-4", ""),
        ("PSP_5_4", ""),
        ("densenet", "; the nearest is densenet40_12"),
        ("x", ""),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, nearest):
    with pytest.raises(ParameterError) as error:
        load(name)
    assert str(error.value) == (
        "name must be one of psp_W_D, sp_W_D, convmixer_W_D, resnet20, resnet32, resnet56, "
        "resnet110, shiftresnet110, vgg8, vgg16, densenet40_12, resnet18, mobilenetv1, "
        f"not '{name}'{nearest}"
    )


def test_a_network_has_layers():
    with pytest.raises(
        ParameterError, match=r"^none: a network must have at least 1 layer, not 0$"
    ):
        Network(name="none", layers=())


def test_reads_a_list_of_layers(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(layers_to_json(layer_shapes("vgg8")))
    net = load(str(path))
    assert net.name == "mine"
    assert [layer.shape for layer in net.layers] == [layer.shape for layer in named("vgg8").layers]
    assert all((layer.moved, layer.pool, layer.statistics) == (0, 1, None) for layer in net.layers)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "a layer list must be a list of 1 to 4096 layers, not a list of 0"),
        ('[{"kernle": 1}]', "layer 0: a layer must have the keys " + ", ".join(FIELDS)
         + ", not with 'kernle'; the nearest is kernel"),
        ('[{"name": 1.5}]', "layer 0: a layer must have the keys " + ", ".join(FIELDS)
         + ", not without kind"),
        ("nul", "a layer list must be JSON: Expecting value: line 1 column 1 (char 0)"),
        (" " * ((1 << 22) + 5), "a layer list must have at most 4194304 bytes, not 4194305"),
    ],
)  # fmt: skip
def test_refuses_other_files(tmp_path, content, message):
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(ParameterError, match=f"^{re.escape(f'{path}: {message}')}$"):
        from_json(path)


def test_refuses_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "mine.json"
    message = f"{path} must be a readable file: No such file or directory"
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        load(str(path))
    with pytest.raises(ParameterError, match="intnet.json must be a readable file: No such file"):
        load(str(tmp_path))


@pytest.mark.parametrize("file", ["list.txt", "folder/none"])
def test_refuses_other_paths(tmp_path, monkeypatch, file):
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("[]")
    message = (
        "network must be a name, a folder of an integer network or a file .json with layers, "
        f"not '{file}'"
    )
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        load(file)


def test_an_integer_network_is_the_named_one_and_its_statistics():
    net, same = load(str(ZOO / "psp_64_4_int8")), named("psp_64_4")
    assert net.name == "psp_64_4"
    assert [layer.shape for layer in net.layers] == [layer.shape for layer in same.layers]
    assert [layer.moved for layer in net.layers] == [layer.moved for layer in same.layers]
    assert [layer.pool for layer in net.layers] == [1] * 8 + [16, 1]
    stored = intnet.read(ZOO / "psp_64_4_int8")
    crossbars = [layer for layer in stored.layers if isinstance(layer, Crossbar)]
    for layer, crossbar in zip(net.layers, crossbars, strict=True):
        assert np.array_equal(layer.statistics.weights, crossbar.weights)
        assert layer.statistics.activity.driven.shape == (8, layer.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_takes_integer_networks_of_every_kind(kind):
    net = small(kind)
    found = from_intnet(net)
    crossbars = [layer for layer in net.layers if isinstance(layer, Crossbar)]
    assert [layer.name for layer in found.layers] == [layer.name for layer in crossbars]
    for layer, crossbar in zip(found.layers, crossbars, strict=True):
        assert (layer.rows, layer.outputs) == (crossbar.rows, crossbar.outputs)
        out = net.maps[crossbar.out]
        assert layer.positions == out.height * out.width
        assert layer.statistics.activity is None
    shifted = [layer.name for layer in found.layers if layer.moved]
    assert bool(shifted) == (kind not in ("resnet", "vgg"))


def test_a_shifted_skip_is_a_shift():
    net, name = small("skip_before_shift"), "body.0.first"

    def skips(shifted):
        layers = []
        for layer in net.layers:
            if layer.name == name:
                add = Operand(layer.operands[0].map, shifted)
                layer = dataclasses.replace(
                    layer, periphery=dataclasses.replace(layer.periphery, add=add)
                )
            layers.append(layer)
        found = from_intnet(dataclasses.replace(net, layers=tuple(layers)))
        return {layer.name: layer.moved for layer in found.layers}[name]

    assert (skips(False), skips(True)) == (0, 8)


def test_layers_compare_by_what_they_are():
    assert network(conv(3, 8)) == network(conv(3, 8)) != network(conv(3, 9))
