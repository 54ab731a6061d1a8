# SPDX-License-Identifier: Apache-2.0
"""Networks whose numbers are spread as after training, and their integer twins."""

import numpy as np
import torch
from torch import nn

from model.augment import normalise
from model.psp import create_model
from model.quant_stream import Scheme
from model.quantise import calibrate, quantise

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


def images(count, size=12, seed=0):
    source = np.random.default_rng(seed)
    return source.integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def network(form="residual", *, width=12, depth=2, size=12):
    """Return a network with statistics, gains of either sign, and weights of many sizes."""
    torch.manual_seed(5)
    name = f"{'sp' if form == 'sp' else 'psp'}_{width}_{depth}"
    options = {} if form == "sp" else {"form": form}
    net = create_model(name, image_size=size, **options)
    with torch.no_grad():
        for value in net.parameters():
            value.mul_(torch.exp(0.5 * torch.randn_like(value))).add_(
                torch.randn_like(value), alpha=0.05
            )
        for _ in range(10):
            net(torch.randn(16, 3, size, size))
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight[::5] *= -1
    return net.eval()


def twin(form="residual", *, size=12, width=12, depth=2, **scheme):
    """Return the calibrated twin of `network`."""
    return calibrated(network(form, size=size, width=width, depth=depth), size, **scheme)


def calibrated(net, size, **scheme):
    """Return the twin of a network, calibrated on random images."""
    quantised = quantise(net, Scheme(**scheme), image_size=size, mean=MEAN, std=STD)
    pixels = torch.from_numpy(images(64, size, seed=1))
    calibrate(quantised, net, normalise(pixels, MEAN, STD, torch.channels_last))
    return quantised.eval()
