# SPDX-License-Identifier: Apache-2.0
"""Hand a trained network over as integers: ``python -m model.export CKPT --out DIR``.

The checkpoint is one of ``python -m model.train … --quantize``. The integer network is written only
if PyTorch and the golden executor agree on real images: every accumulator, every requantised value
and every map of every layer, without any tolerance. With ``--onnx`` ONNX Runtime must agree as
well, or neither is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hw import cli, disk
from hw.params import ParameterError
from model import agreement, intnet, onnx_export
from model.checkpoint import CheckpointError
from model.data import DataError, load
from model.evaluate import load_network
from model.intnet import (
    Affine,
    Crossbar,
    IntNet,
    Map,
    MaxPool,
    Operand,
    Periphery,
    SecondWrite,
    SumPool,
)
from model.power_norm import PowerOfTwoNorm
from model.quant_network import QuantCrossbar, QuantMaxPool, QuantNetwork
from model.schedule import IMAGE
from model.verify import MismatchError, pytorch

__all__ = ["export", "main"]

PROGRAM = "python -m model.export"
POOLED, LOGITS = "pooled", "logits"


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
    head, array = network.head, network.scheme.array
    side = network.image_size
    maps = {IMAGE: Map(channels=3, height=side, width=side, bits=8, exponent=_int(network.pixels))}
    layers: list[intnet.Layer] = []
    with torch.no_grad():
        for quantised in network.layers():
            layer, out = _layer(quantised, maps, network.stream_bits)
            layers.append(layer)
            maps |= dict.fromkeys(quantised.written, out)
        layers.append(SumPool(name="pool", source=layer.out, out=POOLED, p=head.pool_shift))
        weight, bias = head.integers()
        layers.append(
            Crossbar(
                name="head", operands=(Operand(POOLED),), out=LOGITS, kernel=1, stride=1, padding=0,
                act_bits=head.BITS,
                **_cells(weight[:, :, None, None], bias, head.BITS, int(head.zero_point)),
            )
        )  # fmt: skip
        maps[POOLED] = Map(
            channels=weight.shape[1], height=1, width=1, bits=head.BITS, exponent=_int(head.pool)
        )
        exponent = _int(head.pool) + int(head.weight_exponent)
        maps[LOGITS] = Map(channels=len(weight), height=1, width=1, bits=32, exponent=exponent)
    return IntNet(
        name=name, array_rows=array.rows, cell_bits=array.cell_bits, adc_bits=array.adc_bits,
        stream_bits=network.stream_bits, fetch_shift=network.fetch_shift,
        input=IMAGE, maps=maps, layers=tuple(layers),
    )  # fmt: skip


def _int(grid: Any) -> int:
    return int(grid.exponent)


def _layer(
    quantised: QuantCrossbar | QuantMaxPool, maps: Mapping[str, Map], bits: int
) -> tuple[Crossbar | MaxPool, Map]:
    """Return a layer, and what the maps that it writes are like."""
    given = maps[quantised.source]
    layer: Crossbar | MaxPool
    if isinstance(quantised, QuantCrossbar):
        layer = _crossbar(quantised)
        channels = layer.outputs
        side = (given.height + 2 * layer.padding - layer.kernel) // layer.stride + 1
    else:
        layer = MaxPool(
            name=quantised.name, source=quantised.source, out=quantised.written[0],
            window=quantised.window,
        )  # fmt: skip
        channels, side = given.channels, given.height // layer.window
    exponent = _int(quantised.grid)
    return layer, Map(channels=channels, height=side, width=side, bits=bits, exponent=exponent)


def _crossbar(layer: QuantCrossbar) -> Crossbar:
    step, conv = layer.step, layer.conv
    weight, bias = conv.integers()
    k = _int(layer.pre) - _int(conv.source) - conv.weight_exponent
    return Crossbar(
        name=step.name,
        operands=step.operands,
        out=step.out,
        kernel=weight.shape[2],
        stride=conv.stride,
        padding=conv.padding,
        act_bits=conv.source.bits,
        **_cells(weight, bias, conv.weight_bits, int(conv.zero_point)),
        periphery=Periphery(
            k=k.numpy().astype(np.int8),
            table=layer.table,
            add_before_table=step.add_before_table,
            affine=_affine(layer.norm) if layer.norm else None,
            add=step.add,
            second=(
                SecondWrite(out=step.second, affine=_affine(layer.second))
                if step.second and layer.second
                else None
            ),
        ),
    )


def _cells(
    weight: torch.Tensor, bias: torch.Tensor | None, bits: int, zero_point: int
) -> dict[str, Any]:
    """Return the fields of a layer that hold its weights [O, I, k, k] and its bias."""
    rows = weight.permute(2, 3, 1, 0).flatten(0, 2)  # (ky, kx, channel), outputs
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    return {
        "weight_bits": bits,
        "zero_point": zero_point,
        "weights": (rows + zero_point).numpy().astype(np.uint8),
        "bias": bias.numpy().astype(np.int32),
    }


def _affine(norm: PowerOfTwoNorm) -> Affine:
    gain, offset = norm.coefficients(norm.mean)
    exponent = torch.where(gain == 0, 0, torch.frexp(gain.abs()).exponent - 1 - norm.lowest)
    return Affine(
        sign=gain.sign().numpy().astype(np.int8),
        exponent=exponent.numpy().astype(np.uint8),
        offset=(offset / norm.unit).numpy().astype(np.int16),
        fraction_bits=norm.fraction_bits,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Write a trained integer network, if it proves to be one.")
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="model.safetensors of a run")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument(
        "--images", type=cli.integer("images", 1, 10_000), default=16, metavar="N",
        help="test images on which all must agree with the golden executor",
    )  # fmt: skip
    parser.add_argument(
        "--onnx", type=Path, metavar="FILE",
        help="write its ONNX graph, too, if ONNX Runtime agrees on the same images",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    try:
        if options.onnx:
            agreement.require("onnx")
        disk.check_files({"--onnx": options.onnx}, (options.checkpoint, *intnet.files(options.out)))
        disk.check_folder(options.out, owner=intnet.JSON_FILE)
        network, recipe, _ = load_network(options.checkpoint)
        if not isinstance(network, QuantNetwork):
            raise ParameterError(f"{options.checkpoint} must be trained with --quantize")
        net = export(network, recipe.model)
        dataset = load(recipe.dataset, options.data, image_size=recipe.image_size)
        images = dataset.test_images[: options.images].numpy()
        executors = [pytorch(network)]
        if options.onnx:
            executors.append(agreement.onnx_runtime(net))
        compared = sum(agreement.agree(net, images, executors).values())
        intnet.write(options.out, net)
        if options.onnx:
            onnx_export.write(net, options.onnx)
    except (ParameterError, DataError, CheckpointError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except MismatchError as error:
        return cli.failed(PROGRAM, error)
    digest = intnet.digest(net)
    if options.json:
        found = {"name": net.name, "digest": digest, "images": len(images), "compared": compared}
        print(json.dumps(found))
    else:
        print(f"{options.out}: {net.name}, {compared} numbers of {len(images)} images agree")
        print(f"sha256 of {intnet.JSON_FILE}: {digest}")
        if options.onnx:
            print(f"{options.onnx}: its graph, equal to it in ONNX Runtime")
    return 0


if __name__ == "__main__":
    cli.run(main)
