# SPDX-License-Identifier: Apache-2.0
"""PyTorch against the golden executor: every number of every layer, without any tolerance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from model import executor
from model.augment import normalise
from model.intnet import IntNet
from model.quant_network import Probe, QuantNetwork

__all__ = ["MismatchError", "torch_trace", "verify"]


class MismatchError(Exception):
    """PyTorch and the golden executor disagree."""


def torch_trace(network: QuantNetwork, images: npt.NDArray[np.uint8]) -> executor.Trace:
    """Return the integers of PyTorch's forward pass, as `model.executor.run` traces its own.

    Parameters
    ----------
    network : QuantNetwork
        On the CPU.
    images : numpy.ndarray
        uint8 [N, 3, H, W].
    """
    seen: dict[nn.Module, list[torch.Tensor]] = defaultdict(list)
    hooks = [
        module.register_forward_hook(lambda module, _, out: seen[module].append(out))
        for module in network.modules()
    ]
    network.eval()
    with torch.no_grad():
        mean, std = ((of.flatten() / 255).tolist() for of in (network.mean, network.std))
        logits = network(
            normalise(torch.from_numpy(images), tuple(mean), tuple(std), torch.channels_last)
        )
    for hook in hooks:
        hook.remove()
    trace: executor.Trace = {}
    for layer in network.layers():
        trace[layer.name] = {key: _first(seen, probe) for key, probe in layer.probes.items()}
    head = network.head
    trace["pool"] = {"out": _first(seen, (head.pool, head.pool.step))[:, :, None, None]}
    sums = _integers(logits, head.unit)[:, :, None, None]
    trace["head"] = {"acc": sums, "out": sums}
    return trace


def _first(seen: Mapping[nn.Module, list[torch.Tensor]], probe: Probe) -> npt.NDArray[np.int64]:
    """Return what a module gave first, and forget it: it may compute several layers in turn."""
    module, step = probe
    return _integers(seen[module].pop(0), step)


def _integers(values: torch.Tensor, step: torch.Tensor) -> npt.NDArray[np.int64]:
    quotient = values.double() / step.double()
    rounded = quotient.round()
    if not torch.equal(quotient, rounded):
        raise MismatchError("PyTorch must compute integers, not fractions")
    found: npt.NDArray[np.int64] = rounded.numpy().astype(np.int64)
    return found


def verify(network: QuantNetwork, net: IntNet, images: npt.NDArray[np.uint8]) -> int:
    """Compare PyTorch with the golden executor, number by number.

    Parameters
    ----------
    network : QuantNetwork
    net : IntNet
        What `model.export.export` made of it.
    images : numpy.ndarray
        uint8 [N, 3, H, W].

    Returns
    -------
    int
        How many numbers were compared.

    Raises
    ------
    MismatchError
        Naming the first layer, and in it the first image and pixel, that differ: one line.
    """
    golden: executor.Trace = {}
    executor.run(net, images, trace=golden)
    ours = torch_trace(network, images)
    if list(golden) != list(ours):
        raise MismatchError(f"layers must be {', '.join(ours)}, not {', '.join(golden)}")
    return sum(_compare(layer, golden[layer], ours[layer]) for layer in golden)


def _compare(
    layer: str,
    golden: Mapping[str, npt.NDArray[np.int64]],
    ours: Mapping[str, npt.NDArray[np.int64]],
) -> int:
    if golden.keys() != ours.keys():
        raise MismatchError(f"{layer} must give {', '.join(ours)}, not {', '.join(golden)}")
    for key in golden:
        wanted, found = golden[key], ours[key]
        if wanted.shape != found.shape:
            raise MismatchError(f"{layer}: {key} must be {wanted.shape}, not {found.shape}")
        if not np.array_equal(wanted, found):
            where = np.argwhere(wanted != found)[0]
            image, channel, row, column = map(int, where)
            raise MismatchError(
                f"{layer}: {key} of image {image}, channel {channel}, row {row}, column {column} "
                f"must be {wanted[tuple(where)]} as in the golden executor, "
                f"not {found[tuple(where)]} as in PyTorch"
            )
    return sum(values.size for values in golden.values())
