# SPDX-License-Identifier: Apache-2.0
"""Accuracy of an integer network, without further training, on crossbars of several shapes.

``python -m scripts.converters --update`` runs all test images of CIFAR-10 on each, and writes
``docs/results/converters.json`` and the table of docs/training.md.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from hw import cli, disk
from hw.params import ParameterError
from model.data import DataError, Dataset, load
from model.evaluate import integer_accuracy
from model.intnet import IntNet, digest, read
from scripts.tables import insert

__all__ = ["SHAPES", "main", "measure", "table"]

PROGRAM = "python -m scripts.converters"
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs/results/converters.json"
TRAINING = ROOT / "docs/training.md"

SHAPES = ((64, 2), (64, 1), (32, 2))
"""Rows of a crossbar, bits of a cell."""
ADC_BITS = (8, 7, 6, 5, 4)


def measure(net: IntNet, dataset: Dataset, *, shapes: Sequence[tuple[int, int]] = SHAPES) -> Any:
    """Return the share of test images that are classified correctly, ADC by ADC.

    Parameters
    ----------
    net : IntNet
    dataset : Dataset
    shapes : sequence of tuple of int
        Rows of a crossbar, bits of a cell.

    Returns
    -------
    list of dict
        With ``rows``, ``cell_bits``, ``full`` (the largest sum of a column), ``accuracy`` by bits.
    """
    found = []
    for rows, cell_bits in shapes:
        accuracy = {}
        for bits in track(ADC_BITS, f"{rows} rows of {cell_bits} bits", transient=True):
            crossbars = {"array_rows": rows, "cell_bits": cell_bits, "adc_bits": bits}
            other = dataclasses.replace(net, **crossbars)  # type: ignore[arg-type]
            accuracy[str(bits)] = integer_accuracy(other, dataset)
        full = rows * ((1 << cell_bits) - 1)
        found.append({"rows": rows, "cell_bits": cell_bits, "full": full, "accuracy": accuracy})
    return found


def table(results: Mapping[str, Any]) -> str:
    """Return the table in Markdown."""
    heads = " | ".join(f"{bits}-bit ADC" for bits in ADC_BITS)
    lines = [
        f"| rows | bits of a cell | largest sum | {heads} |",
        "|---" * (3 + len(ADC_BITS)) + "|",
    ]
    for each in results["crossbars"]:
        cells = "".join(f" {100 * each['accuracy'][str(bits)]:.2f} |" for bits in ADC_BITS)
        lines.append(f"| {each['rows']} | {each['cell_bits']} | {each['full']} |{cells}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Measure an integer network on crossbars of several shapes.")
    parser.add_argument(
        "--intnet", type=Path, default=ROOT / "model/zoo/psp_64_4_int8", metavar="DIR",
        help="folder of an integer network",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument("--update", action="store_true", help="write the results and the table")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args(arguments)
    try:
        net = read(options.intnet)
        dataset = load("cifar10", options.data, image_size=net.input_shape[1])
    except (ParameterError, DataError) as error:
        cli.bad_input(PROGRAM, error)
    results = {
        "digest": digest(net),
        "images": len(dataset.test_images),
        "crossbars": measure(net, dataset),
    }
    if options.update:
        disk.replace(RESULTS, f"{json.dumps(results, indent=1)}\n".encode())
        insert(TRAINING, "crossbars", table(results))
    print(json.dumps(results) if options.json else table(results))
    return 0


if __name__ == "__main__":
    cli.run(main)
