# SPDX-License-Identifier: Apache-2.0
"""Narrow residual networks and VGGs, and their integer twins."""

import contextlib
import functools
from unittest import mock

import numpy as np
import torch
from quant_networks import calibrated, images
from torch import nn

from model import baselines, data
from model.baselines import create_baseline
from model.layers import VGG_STAGES
from model.resnet import ResNet

KINDS = ("resnet20, projection", "resnet20, identity", "vgg8")
NARROW = {"vgg8": ((8,) * 2, (12,) * 2, (16,) * 2), "vgg16": ((4, 6), (6,), (8,), (8,), (8,) * 2)}


@contextlib.contextmanager
def narrow():
    """Let networks be made as always, with fewer channels; synthetic images are few and small."""

    def resnet(widths, *arguments, **options):
        return ResNet((6, 10, 12), *arguments, **options)

    few = functools.partial(data.synthetic, train=512, test=128, image_size=16)
    with (
        mock.patch.dict(VGG_STAGES, NARROW),
        mock.patch.object(baselines, "ResNet", resnet),
        mock.patch.object(data, "synthetic", few),
    ):
        yield


def network(kind, size=8):
    """Return a narrow network of a kind, with statistics and weights of many sizes."""
    torch.manual_seed(5)
    name, _, shortcut = kind.partition(", ")
    with narrow():
        net = create_baseline(name, image_size=size, shortcut=shortcut or "projection")
    with torch.no_grad():
        for value in net.parameters():
            value.mul_(torch.exp(0.4 * torch.randn_like(value)))
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.mul_(torch.exp(0.3 * torch.randn_like(module.weight)))
                module.weight[::5] *= -1
                module.bias.add_(torch.randn_like(module.bias), alpha=0.3)
        for _ in range(10):
            net(torch.randn(16, 3, size, size))
    return net.eval()


def twin(kind, size=8, **scheme):
    return calibrated(network(kind, size), size, **scheme)


def corners(count, size=8):
    """Return random images after one all black, one all white, and a chessboard of both."""
    pixels = images(count, size)
    pixels[0], pixels[1], pixels[2] = 0, 255, 255 * (np.indices((size, size)).sum(0) % 2)
    return pixels
