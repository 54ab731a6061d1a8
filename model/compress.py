# SPDX-License-Identifier: Apache-2.0
"""Compress a trained network for crossbars: ``python -m model.compress CKPT --out DIR``.

The network trains on for integers, as ``python -m model.train --quantize`` does, while pages of its
crossbars become 0 (``--method aligned``, `model.prune`), weights of each page by the mask of a
shift register (``twofold``, `model.sparsity`), or both (``joint``). The folder holds what
`model.train` writes, and

``report.json``
    accuracy and energy before and after, zeros and absent pages of each layer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hw import cli, disk
from hw.params import ParameterError
from model import checkpoint, compress_report, golden, qat, run_folder
from model.cell_energy import Skip, network_energy
from model.compress_settings import GRANULARITIES, METHODS, Compress
from model.data import DataError, Dataset, load
from model.evaluate import accuracy, load_network
from model.export import export
from model.intnet import IntNet
from model.parallel import World
from model.quant_network import QuantNetwork
from model.recipe import Recipe
from model.shrink import shrink
from model.state import Prepare
from model.train import FINAL, DivergenceError, add_fields, interrupted, train

__all__ = ["REPORT", "main", "report"]

PROGRAM = "python -m model.compress"
REPORT = "report.json"
EPOCHS = 6
DEFAULTS: dict[str, Any] = {"rate": 0.004, "matrix_rate": 0.008, "distil": 0.9, "freeze": 0.7}
"""Where the recipe differs from `model.qat`'s: what is pruned has to be learnt anew."""
FLOATS: dict[str, Any] = {"rate": 0.005, "matrix_rate": 0.01}
"""Where the recipe of floats differs from `model.train`'s: the network is trained."""
TAKEN = ("model", *qat.TAKEN)


def _energy(net: IntNet, skip: Skip, columns: int) -> float:
    """Return what a read of all cells takes, with conversions, in pJ."""
    layers = network_energy(net, skip=skip, columns=columns)
    return round(sum(layer.cell_pj + layer.adc_pj for layer in layers), 3)


def report(file: Path, source: Path, dataset: Dataset, settings: Compress) -> dict[str, Any]:
    """Return what became of a network.

    Parameters
    ----------
    file : Path
        ``model.safetensors`` of the finished run.
    source : Path
        Of the network that it is from. Of one of floats nobody knows the energy.
    dataset : Dataset
    settings : Compress

    Raises
    ------
    checkpoint.CheckpointError, ParameterError
    """
    network, recipe, _ = load_network(file)
    old, _, _ = load_network(source)
    found: dict[str, Any] = {
        "model": recipe.model,
        "compression": dataclasses.asdict(settings),
        "accuracy": {"before": accuracy(old, dataset), "after": accuracy(network, dataset)},
    }
    if recipe.quantize == "none":
        # Of vectors, such as biases, nothing is compressed.
        weights = [each for each in network.parameters() if each.dim() > 1]
        zeros = sum(int((each == 0).sum()) for each in weights)
        return found | {"zeros": {"zeros": zeros, "weights": sum(map(torch.numel, weights))}}
    net = export(network, recipe.model)  # type: ignore[arg-type]
    energy = None
    if isinstance(old, QuantNetwork):
        energy = _energy(export(old, recipe.model), "none", settings.columns)
    layers = compress_report.count(net, rows=settings.rows, columns=settings.columns)
    # Where a converter may saturate, rows must stay on their crossbars.
    lossless = golden.is_lossless(net.array_rows, net.cell_bits, net.adc_bits)
    small = shrink(net) if lossless else net
    shrunk = compress_report.count(small, rows=settings.rows, columns=settings.columns)
    # The first layer and the head are not compressed.
    inner = compress_report.totals(layers[1:-1])
    reached = inner.absent / inner.pages
    if settings.method != "aligned":
        reached = inner.zeros / inner.weights
    return found | {
        "energy_pj": {"before": energy, "after": _energy(net, "rows", settings.columns)},
        "sparsity": {"asked": settings.sparsity, "reached": reached},
        "layers": [dataclasses.asdict(layer) for layer in layers],
        "total": dataclasses.asdict(compress_report.totals(layers)),
        "shrunk": dataclasses.asdict(compress_report.totals(shrunk)),
    }


def options_parser() -> cli.Parser:
    """Return the command line."""
    parser = cli.Parser(PROGRAM, "Compress a trained network for crossbars, by training on.")
    parser.add_argument("source", type=Path, metavar="CKPT", help="model.safetensors of a run")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument("--resume", action="store_true", help="go on where the folder's run was")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    group = parser.add_argument_group("compression")
    group.add_argument(
        "--method", required=True, choices=METHODS, help="pages, masks of registers, or both"
    )
    group.add_argument(
        "--sparsity", type=float, required=True, metavar="SHARE", help="share that is to become 0"
    )
    group.add_argument(
        "--page-sparsity", type=float, metavar="SHARE",
        help="joint: share of the pages that go first, up to SHARE (default: half of it)",
    )  # fmt: skip
    group.add_argument("--penalty", type=float, default=0.01, metavar="λ", help="of the masks")
    group.add_argument("--bit-penalty", type=float, default=0.0, metavar="β", help="of the codes")
    group.add_argument(
        "--granularity", choices=GRANULARITIES, default="row", help="what a register masks"
    )
    for name in ("rows", "columns"):
        group.add_argument(
            f"--{name}", type=cli.integer(name, 1, 4096), default=64, metavar="COUNT",
            help=f"{name} of a crossbar, cells{' (ResNet and VGG)' * (name == 'rows')}",
        )  # fmt: skip
    fields = [field for field in dataclasses.fields(Recipe) if field.name not in (*TAKEN, "start")]
    told = {"epochs": EPOCHS, **DEFAULTS, "quantize": "the checkpoint's, else int8"}
    add_fields(parser, fields, told)
    return parser


def recipe_from(file: Path, options: dict[str, Any]) -> tuple[Recipe, bool]:
    """Return the recipe of a run, and whether its network has kernel groups to prune."""
    trained = load_network(file)[1]
    taken = {name: getattr(trained, name) for name in TAKEN}
    if options.get("quantize") == "none":
        defaults = FLOATS
    elif trained.quantize == "none":
        defaults = {**DEFAULTS, "quantize": "int8"}
    else:
        own = ("quantize", "adc_bits", "stream_bits")
        defaults = {**DEFAULTS, **{name: getattr(trained, name) for name in own}}
    recipe = Recipe(**{"epochs": EPOCHS, **defaults, **options, **taken})
    return recipe, not trained.model.startswith(("psp_", "sp_"))


def begin_floats(file: Path, dataset: Dataset) -> Prepare:
    """Return what makes a fresh network the one of a checkpoint of floats.

    Raises
    ------
    checkpoint.CheckpointError, ParameterError
        If it is none of floats, or one for other images.
    """
    trained, _, data = load_network(file)
    if isinstance(trained, QuantNetwork):
        raise ParameterError(f"quantize must be that of {file}, which holds integers, not 'none'")
    qat.check_images(file, data, dataset)

    def prepare(network: nn.Module) -> nn.Module:
        network.load_state_dict(trained.state_dict())
        return network

    return prepare


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = vars(options_parser().parse_args(arguments))
    source, out, data = (options.pop(name) for name in ("source", "out", "data"))
    resume, as_json = options.pop("resume"), options.pop("json")
    own = {
        field.name: options.pop(field.name)
        for field in dataclasses.fields(Compress)
        if field.name in options
    }
    if own["page_sparsity"] is None:
        own["page_sparsity"] = own["sparsity"] / 2 if own["method"] == "joint" else 0.0
    try:
        recipe, kernels = recipe_from(source, options)
        settings = Compress(**own, kernels=kernels)
        dataset = load(recipe.dataset, data, image_size=recipe.image_size)
        record = dataclasses.asdict(settings)
        if recipe.quantize == "none":
            if settings.bit_penalty:
                raise ParameterError("bit_penalty must be 0 with floats, which have no codes")
            prepare, teacher = begin_floats(source, dataset), None
            # Of a run for integers, the recipe holds it.
            record["start"] = hashlib.sha256(source.read_bytes()).hexdigest()
        else:
            recipe, prepare, teacher = qat.begin(source, recipe, dataset)
        qat.check(recipe, World())
        with run_folder.held(out, new=not resume):
            train(
                recipe, dataset, out, resume=resume, prepare=prepare, teacher=teacher,
                compression=settings.make(), record=record,
            )  # fmt: skip
            found = report(out / FINAL, source, dataset, settings)
            text = json.dumps(found, indent=1) + "\n"
            disk.replace(out / REPORT, text.encode())
    except (ParameterError, DataError, checkpoint.CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    except DivergenceError as error:
        strengths = f"penalty {own['penalty']:g} and bit_penalty {own['bit_penalty']:g}"
        return cli.failed(PROGRAM, f"{error}; {strengths} may be too large")
    except (OSError, torch.OutOfMemoryError) as error:
        return cli.failed(PROGRAM, error)
    except KeyboardInterrupt:
        return interrupted(PROGRAM, out)
    print(json.dumps(found) if as_json else compress_report.table(found))
    return 0


if __name__ == "__main__":
    cli.run(main)
