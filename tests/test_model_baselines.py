# SPDX-License-Identifier: Apache-2.0
"""Baselines: what they run, layer by layer, against the layer lists; parameters; their shift."""

from __future__ import annotations

import dataclasses
import re

import pytest
import torch
from torch import nn

from hw.params import Direction, ParameterError
from model.baselines import create_baseline
from model.layers import BASELINES, LayerShape, Shortcut, layer_shapes
from model.psp import create_model
from model.resnet import GroupedShift

torch.set_num_threads(1)

CIFAR = {"num_classes": 10, "image_size": 32}
IMAGENET = {"num_classes": 1000, "image_size": 224}
SMALL = ("resnet20", "shiftresnet110", "vgg8", "densenet40_12", "mobilenetv1", "convmixer_24_2")


def layers_run(net: nn.Module, image_size: int) -> tuple[LayerShape, ...]:
    """Return the shapes of the convolutions and linear layers, in the order in which they ran."""
    layers: list[LayerShape] = []

    def record(name: str, module: nn.Module, x: torch.Tensor) -> None:
        if isinstance(module, nn.Linear):
            assert x.dim() == 2
            inputs, outputs = module.in_features, module.out_features
            layers.append(
                LayerShape(
                    name=name,
                    kind="linear",
                    in_channels=inputs,
                    out_channels=outputs,
                    kernel=1,
                    stride=1,
                    padding=0,
                    groups=1,
                    in_height=1,
                    in_width=1,
                )
            )
        elif isinstance(module, nn.Conv2d):
            # Square windows: sets of one, or the unpacking fails.
            (kernel,) = set(module.kernel_size)
            (stride,) = set(module.stride)
            (padding,) = {int(side) for side in module.padding}
            assert module.dilation == (1, 1)
            layers.append(
                LayerShape(
                    name=name,
                    kind="conv",
                    in_channels=module.in_channels,
                    out_channels=module.out_channels,
                    kernel=kernel,
                    stride=stride,
                    padding=padding,
                    groups=module.groups,
                    in_height=x.shape[2],
                    in_width=x.shape[3],
                )
            )

    for path, module in net.named_modules():
        name = path.removesuffix(".conv")
        module.register_forward_pre_hook(lambda m, args, name=name: record(name, m, args[0]))
    net.eval()(torch.zeros(1, 3, image_size, image_size, device=next(net.parameters()).device))
    return tuple(layers)


def check(name: str, shortcut: Shortcut = "projection", **options: int) -> None:
    """Compare a network with its list, names included; no value is computed."""
    with torch.device("meta"):
        net = create_baseline(name, shortcut=shortcut, **options)
    expected = layer_shapes(name, shortcut=shortcut, **options)
    assert layers_run(net, options["image_size"]) == expected


@pytest.mark.parametrize("name", [*BASELINES, "convmixer_64_3"])
@pytest.mark.parametrize("image_size", [32, 45, 64])
def test_runs_the_layers_of_its_list(name: str, image_size: int) -> None:
    check(name, num_classes=7, image_size=image_size)


@pytest.mark.parametrize("name", ["resnet20", "resnet110", "shiftresnet110"])
@pytest.mark.parametrize("image_size", [32, 33])
def test_skips_without_weights_run_no_projection(name: str, image_size: int) -> None:
    check(name, "identity", num_classes=10, image_size=image_size)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv1"])
def test_runs_the_layers_of_its_list_on_imagenet(name: str) -> None:
    check(name, **IMAGENET)


@pytest.mark.parametrize("name", ["psp_64_3", "sp_48_4"])
@pytest.mark.parametrize("patch_size", [2, 4])
def test_psp_and_sp_run_the_layers_of_their_lists(name: str, patch_size: int) -> None:
    options = {"num_classes": 7, "image_size": 16, "patch_size": patch_size}
    ran = layers_run(create_model(name, **options), 16)
    expected = layer_shapes(name, **options)
    assert [dataclasses.replace(layer, name="any") for layer in ran] == [
        dataclasses.replace(layer, name="any") for layer in expected
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"stride": 2},
        {"padding": 0},
        {"kernel_size": 5, "padding": 2},
        {"groups": 2},
        {"dilation": 2, "padding": 2},
    ],
    ids=str,
)
def test_a_changed_layer_is_noticed(change: dict[str, int]) -> None:
    with torch.device("meta"):
        net = create_baseline("vgg16", image_size=64)
        assert layers_run(net, 64) == layer_shapes("vgg16", image_size=64)
        original = {"kernel_size": 3, "padding": 1, "bias": False}
        net.stages[1][0].conv = nn.Conv2d(64, 128, **{**original, **change})
    with pytest.raises(AssertionError):
        assert layers_run(net, 64) == layer_shapes("vgg16", image_size=64)


def test_a_changed_order_is_noticed() -> None:
    net = create_baseline("convmixer_16_3", image_size=8)
    block = net.body[1]
    block.depthwise, block.pointwise = block.pointwise, block.depthwise
    assert layers_run(net, 8) != layer_shapes("convmixer_16_3", image_size=8)


@pytest.mark.parametrize(
    ("name", "options", "parameters", "printed"),
    [
        ("resnet20", CIFAR, 272_474, "0.27"),
        ("resnet32", CIFAR, 466_906, "0.47"),
        ("resnet56", CIFAR, 855_770, "0.86"),
        ("resnet110", CIFAR, 1_730_714, "1.73"),
        ("resnet20", {"shortcut": "identity"}, 269_722, "0.27"),
        ("resnet32", {"shortcut": "identity"}, 464_154, "0.46"),
        ("resnet56", {"shortcut": "identity"}, 853_018, "0.85"),
        ("resnet110", {"shortcut": "identity"}, 1_727_962, "1.7"),
        ("shiftresnet110", CIFAR, 202_906, "0.20"),
        ("vgg8", CIFAR, 12_978_058, "12.97"),
        ("vgg16", CIFAR, 14_724_042, None),
        ("densenet40_12", CIFAR, 176_122, "0.17"),
        ("resnet18", IMAGENET, 11_689_512, None),
        ("mobilenetv1", IMAGENET, 4_231_976, "4.2"),
        ("convmixer_256_8", CIFAR, 594_186, None),
    ],
)
def test_parameters(
    name: str, options: dict[str, int], parameters: int, printed: str | None
) -> None:
    # Printed, in millions, rounded or truncated: DATE 2024, Tables I to III; with identities He
    # et al., 2016, Table 6; resnet56 and resnet110 with projections Wu et al., 2018.
    with torch.device("meta"):
        net = create_baseline(name, **options)
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count == parameters
    if printed is not None:
        unit = 10 ** (6 - len(printed.partition(".")[2]))
        assert round(float(printed) * 1e6 / unit) in (count // unit, round(count / unit))


def test_parameters_of_resnet18_without_the_head_are_what_the_paper_prints() -> None:
    with torch.device("meta"):
        net = create_baseline("resnet18", **IMAGENET)
    parameters = sum(p.numel() for name, p in net.named_parameters() if "head" not in name)
    assert parameters // 10_000 == 1117  # 11.17 M: DATE 2024, Table III


@pytest.mark.parametrize("name", SMALL)
def test_maps_images_to_logits_and_trains_every_parameter(name: str) -> None:
    torch.manual_seed(3)
    net = create_baseline(name, num_classes=5, image_size=16)
    logits = net(torch.randn(3, 3, 16, 16))
    assert logits.shape == (3, 5)
    assert logits.isfinite().all()
    nn.functional.cross_entropy(logits, torch.tensor([0, 3, 4])).backward()
    for path, parameter in net.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert parameter.grad.any(), path  # all zero: not connected


@pytest.mark.parametrize("name", ["densenet40_12", "mobilenetv1", "convmixer_64_1"])
def test_weights_start_as_he_et_al_drew_them(name: str) -> None:
    torch.manual_seed(4)
    for module in create_baseline(name).modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            inputs = module.weight[0].numel()
            spread = module.weight.std().item() * (inputs / 2) ** 0.5
            assert spread == pytest.approx(1, abs=5 / module.weight.numel() ** 0.5)
            assert module.bias is None or not module.bias.any()


def test_weights_come_from_the_global_generator() -> None:
    first, second, other = (
        torch.manual_seed(seed) and create_baseline("resnet20") for seed in (1, 1, 2)
    )
    assert all(map(torch.equal, first.parameters(), second.parameters()))
    assert not torch.equal(first.stem.conv.weight, other.stem.conv.weight)


@pytest.mark.parametrize("channels", [9, 16, 32, 64])
def test_shift_moves_each_group_by_one_pixel(channels: int) -> None:
    x = torch.zeros(2, channels, 3, 4)
    x[:, :, 1, 2] = torch.arange(1.0, channels + 1)
    y = GroupedShift()(x)
    group = channels // 9
    for channel in range(channels):
        direction = Direction(min(channel // group, 8))
        expected = torch.zeros(3, 4)
        expected[1 + direction.dy, 2 + direction.dx] = channel + 1
        assert torch.equal(y[1, channel], expected), direction


def test_shift_loses_what_leaves_the_map_and_keeps_every_other_pixel() -> None:
    x = torch.arange(1.0, 9 * 9 * 9 + 1).reshape(1, 9, 9, 9)
    whole = GroupedShift()(x)
    for direction in Direction.moving():
        lost = 81 - (9 - abs(direction.dy)) * (9 - abs(direction.dx))
        assert int((whole[0, direction] == 0).sum()) == lost
    assert torch.equal(whole[0, Direction.STAY], x[0, Direction.STAY])
    assert torch.equal(GroupedShift(2)(x), whole[:, :, ::2, ::2])
    assert repr(GroupedShift(2)) == "GroupedShift(stride=2)"


@pytest.mark.parametrize("side", [6, 7])
def test_identity_shortcut_takes_every_other_pixel_and_adds_zeros(side: int) -> None:
    block = create_baseline("resnet20", shortcut="identity").stages[1][0].eval()
    nn.init.zeros_(block.second.norm.weight)  # nothing but the skip is left
    x = torch.rand(2, 16, side, side)
    y = block(x)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()


def test_dense_layers_keep_their_input() -> None:
    layer = create_baseline("densenet40_12").stages[0][0].eval()
    x = torch.randn(2, 24, 4, 4)
    assert torch.equal(layer(x)[:, :24], x)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("psp_64_4", {}, "psp_64_4 is no baseline: model.psp makes it"),
        ("alexnet", {}, "name must be one of psp_W_D, sp_W_D, .*, not 'alexnet'"),
        ("vgg16", {"image_size": 31}, "image_size must be an integer from 32 to 4096, not 31"),
        ("vgg8", {"num_classes": 0}, "num_classes must be an integer from 1 to 65536, not 0"),
        ("resnet20", {"shortcut": "zero"}, "shortcut must be .*, not 'zero'"),
    ],
)
def test_refuses_what_it_cannot_make(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(ParameterError, match=f"^{message}$"):
        create_baseline(name, **options)


def test_one_entry_makes_baselines_too() -> None:
    assert isinstance(create_model("resnet20"), type(create_baseline("resnet20")))
    with pytest.raises(ParameterError, match=re.escape("convmixer_W_D, resnet20")):
        create_model("resnet21")
