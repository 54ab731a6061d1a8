# SPDX-License-Identifier: Apache-2.0
"""PyTorch and all executors against the golden one: ``python -m model.verify NET``."""

from __future__ import annotations

import functools
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from torch import nn

from hw import cli
from hw.params import ParameterError
from model import agreement, executor, intnet
from model.agreement import Executor, MismatchError
from model.augment import normalise
from model.checkpoint import CheckpointError
from model.data import DataError, load
from model.evaluate import load_network
from model.intnet import IntNet
from model.quant_network import Probe, QuantNetwork

__all__ = ["MismatchError", "main", "pytorch", "torch_trace", "verify"]

PROGRAM = "python -m model.verify"


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


def pytorch(network: QuantNetwork) -> Executor:
    """Return PyTorch's forward pass, to be compared with the golden executor."""
    return Executor("PyTorch", functools.partial(torch_trace, network))


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
    return sum(agreement.agree(net, images, [pytorch(network)]).values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(
        PROGRAM, "Compare every number of every layer with the golden executor, on test images."
    )
    parser.add_argument("net", type=Path, metavar="NET", help="folder of an integer network")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="CKPT",
        help="the run's model.safetensors that it was exported from: compare PyTorch, too",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument(
        "--dataset", default="cifar10", metavar="NAME",
        help="images, unless a checkpoint knows its own",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=cli.integer("images", 1, 100_000), default=10_000, metavar="N",
        help="test images, or as many as there are",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    try:
        agreement.require("onnx")
        net, dataset = intnet.read(options.net), options.dataset
        executors = [agreement.fast(net), agreement.onnx_runtime(net)]
        if options.checkpoint:
            network, recipe, _ = load_network(options.checkpoint)
            if not isinstance(network, QuantNetwork):
                raise ParameterError(f"{options.checkpoint} must be trained with --quantize")
            executors.insert(0, pytorch(network))
            dataset = recipe.dataset
        test = load(dataset, options.data, image_size=net.input_shape[1])
        images = test.test_images[: options.images].numpy()
        compared = _agree(net, images, executors)
    except (ParameterError, DataError, CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    except MismatchError as error:
        return cli.failed(PROGRAM, error)
    if options.json:
        found = {"name": net.name, "digest": intnet.digest(net), "images": len(images)}
        print(json.dumps(found | {"compared": compared}))
    else:
        print(f"{options.net}: {net.name}, {len(images)} test images")
        for name, count in compared.items():
            print(f"{name}: {count} numbers equal the golden executor's")
    return 0


def _agree(
    net: IntNet, images: npt.NDArray[np.uint8], executors: Sequence[Executor]
) -> dict[str, int]:
    bar = Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=len(images))
        return agreement.agree(net, images, executors, advance=functools.partial(bar.advance, task))


if __name__ == "__main__":
    cli.run(main)
