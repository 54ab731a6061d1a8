# SPDX-License-Identifier: Apache-2.0
"""Hand a trained network over as integers: ``python -m model.export CKPT --out DIR``.

The checkpoint is one of ``python -m model.train … --quantize``. The integer network is written only
if PyTorch and the golden executor agree on real images: every accumulator, every requantised value
and every map of every layer, without any tolerance.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from hw import cli
from hw.params import ParameterError
from model import executor, intnet
from model.augment import normalise
from model.checkpoint import CheckpointError
from model.data import DataError, load
from model.evaluate import load_network
from model.intnet import Affine, Crossbar, IntNet, Map, Operand, Periphery, SecondWrite, SumPool
from model.psp import PSPBlock
from model.quant import two_to
from model.quant_layers import PowerOfTwoNorm
from model.quantise import QuantNetwork
from model.schedule import IMAGE, Step, schedule

__all__ = ["MismatchError", "export", "main", "torch_trace", "verify"]

PROGRAM = "python -m model.export"
POOLED, LOGITS = "pooled", "logits"


class MismatchError(Exception):
    """PyTorch and the golden executor disagree."""


def export(network: QuantNetwork, name: str) -> IntNet:
    """Return a calibrated network as integers.

    Parameters
    ----------
    network : QuantNetwork
        On the CPU.
    name : str
        Such as ``psp_64_4``.

    Raises
    ------
    model.intnet.IntNetError
        If a number leaves its range of ``docs/intnet.md``.
    """
    stream, head, array = network.stream, network.head, network.scheme.array
    steps = _steps(network)
    side = network.image_size
    maps = {IMAGE: Map(channels=3, height=side, width=side, bits=8, exponent=_int(network.pixels))}
    stem: Any = network.stem[0]
    width, side = len(stem.weight), side // stem.stride
    feature = Map(
        channels=width, height=side, width=side, bits=stream.map.bits, exponent=_int(stream.map)
    )
    layers: list[intnet.Layer] = []
    norms = _second_norms(network)
    with torch.no_grad():
        for step in steps:
            second = norms.pop(0) if step.second else None
            layers.append(_crossbar(network, step, second))
            maps |= dict.fromkeys(filter(None, (step.out, step.second)), feature)
        p = _int(head.pool) - _int(stream.map) + head.log2_pixels
        layers.append(SumPool(name="pool", source=steps[-1].out, out=POOLED, p=p))
        weight, bias = head.integers()
        layers.append(
            Crossbar(
                name="head", operands=(Operand(POOLED),), out=LOGITS, kernel=1, stride=1, padding=0,
                act_bits=head.BITS, **_cells(weight[:, :, None, None], bias, head.BITS),
            )
        )  # fmt: skip
        maps[POOLED] = Map(
            channels=width, height=1, width=1, bits=head.BITS, exponent=_int(head.pool)
        )
        exponent = _int(head.pool) + int(head.weight_exponent)
        maps[LOGITS] = Map(channels=len(weight), height=1, width=1, bits=32, exponent=exponent)
    return IntNet(
        name=name, array_rows=array.rows, cell_bits=array.cell_bits, adc_bits=array.adc_bits,
        stream_bits=stream.map.bits, fetch_shift=_int(stream.fetch) - _int(stream.map),
        input=IMAGE, maps=maps, layers=tuple(layers),
    )  # fmt: skip


def _steps(network: QuantNetwork) -> tuple[Step, ...]:
    block = network.body[0]
    form = block.form if isinstance(block, PSPBlock) else "sp"
    return schedule(form, len(network.body))


def _second_norms(network: QuantNetwork) -> list[PowerOfTwoNorm]:
    """Return the norms of an SP network's blocks, in the order of the layers that apply them."""
    children = (child for block in network.body for child in block.children())
    return [child for child in children if isinstance(child, PowerOfTwoNorm)]


def _int(grid: Any) -> int:
    return int(grid.exponent)


def _crossbar(network: QuantNetwork, step: Step, second: PowerOfTwoNorm | None) -> Crossbar:
    conv: Any
    gelu: Any
    norm: Any
    conv, gelu, norm = network.get_submodule(step.name)  # type: ignore[misc]
    weight, bias = conv.integers()
    k = _int(gelu.pre) - _int(conv.source) - conv.weight_exponent
    return Crossbar(
        name=step.name,
        operands=step.operands,
        out=step.out,
        kernel=weight.shape[2],
        stride=conv.stride,
        padding=0,
        act_bits=conv.source.bits,
        **_cells(weight, bias, conv.weight_bits),
        periphery=Periphery(
            k=k.numpy().astype(np.int8),
            table=gelu.table.numpy(),
            affine=_affine(norm),
            add=step.add,
            second=SecondWrite(out=str(step.second), affine=_affine(second)) if second else None,
        ),
    )


def _cells(weight: torch.Tensor, bias: torch.Tensor | None, bits: int) -> dict[str, Any]:
    """Return the fields of a layer that hold its weights [O, I, k, k] and its bias."""
    zero_point = 1 << (bits - 1)
    rows = weight.permute(2, 3, 1, 0).flatten(0, 2)  # (ky, kx, channel), outputs
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    return {
        "weight_bits": bits,
        "zero_point": zero_point,
        "weights": (rows + zero_point).numpy().astype(np.uint8),
        "bias": bias.numpy().astype(np.int32),
    }


def _affine(norm: PowerOfTwoNorm) -> Affine:
    gain, offset = norm.coefficients(norm.norm.running_mean)
    exponent = torch.frexp(gain.abs()).exponent - 1 - norm.lowest
    return Affine(
        sign=gain.sign().numpy().astype(np.int8),
        exponent=exponent.numpy().astype(np.uint8),
        offset=(offset / norm.unit).numpy().astype(np.int16),
        fraction_bits=norm.fraction_bits,
    )


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
    step_size = network.stream.map.step
    norms: list[nn.Module] = list(_second_norms(network))
    trace: executor.Trace = {}
    for step in _steps(network):
        mix = network.get_submodule(step.name)
        conv: Any
        gelu: Any
        conv, gelu, _ = mix  # type: ignore[misc]
        # A block adds as often as its layers do, in their order.
        adder = f"{step.name.rpartition('.')[0]}.add"
        writer = network.get_submodule(adder) if step.add else mix
        trace[step.name] = {
            "acc": _integers(seen[conv][0], conv.unit[:, None, None]),
            "pre": _integers(seen[gelu.pre][0], gelu.pre.step),
            "out": _integers(seen[writer].pop(0), step_size),
        }
        if step.second:
            trace[step.name]["second"] = _integers(seen[norms.pop(0)][0], step_size)
    head = network.head
    pooled = _integers(seen[head.pool][0], head.pool.step)
    trace["pool"] = {"out": pooled[:, :, None, None]}
    sums = _integers(logits, two_to(head.pool.exponent + head.weight_exponent))[:, :, None, None]
    trace["head"] = {"acc": sums, "out": sums}
    return trace


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
        What `export` made of it.
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Write a trained integer network, if it proves to be one.")
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="model.safetensors of a run")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument(
        "--images", type=cli.integer("images", 1, 10_000), default=16, metavar="N",
        help="test images on which PyTorch and the golden executor must agree",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    try:
        network, recipe, _ = load_network(options.checkpoint)
        if not isinstance(network, QuantNetwork):
            raise ParameterError(f"{options.checkpoint} must be trained with --quantize")
        net = export(network, recipe.model)
        dataset = load(recipe.dataset, options.data, image_size=recipe.image_size)
        images = dataset.test_images[: options.images].numpy()
        compared = verify(network, net, images)
        intnet.write(options.out, net)
    except (ParameterError, DataError, CheckpointError, cli.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except MismatchError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    digest = intnet.digest(net)
    if options.json:
        found = {"name": net.name, "digest": digest, "images": len(images), "compared": compared}
        print(json.dumps(found))
    else:
        print(f"{options.out}: {net.name}, {compared} numbers of {len(images)} images agree")
        print(f"sha256 of {intnet.JSON_FILE}: {digest}")
    return 0


if __name__ == "__main__":
    cli.run(main)
