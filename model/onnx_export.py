# SPDX-License-Identifier: Apache-2.0
"""Write an integer network as ONNX: ``python -m model.onnx_export NET --out FILE``.

The file is written only if the runtime it is for computes what the golden executor does: every
accumulator, every requantised value and every map of every layer, without any tolerance.
No torch is needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hw import cli, disk
from hw.params import ParameterError
from model import agreement, intnet
from model.agreement import MismatchError
from model.intnet import IntNet
from model.random_intnet import images

__all__ = ["main", "write"]

PROGRAM = "python -m model.onnx_export"
SEED = 1


def write(net: IntNet, file: Path, *, qonnx: bool = False) -> None:
    """Write a network's graph, whole or not at all; the same network gives the same bytes.

    Parameters
    ----------
    net : IntNet
    file : Path
    qonnx : bool
        In the dialect of `model.qonnx_graph`, not of stock operators.

    Raises
    ------
    ParameterError
        As `model.onnx_layers.to_onnx`.
    hw.disk.OutputError
        If the file cannot be written.
    """
    if qonnx:
        from model.qonnx_graph import to_qonnx as to_graph
    else:
        from model.onnx_layers import to_onnx as to_graph
    disk.write_file(file, to_graph(net).SerializeToString(deterministic=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Write an integer network as ONNX, if a runtime computes it so.")
    parser.add_argument("net", type=Path, metavar="NET", help="folder of an integer network")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument(
        "--qonnx", action="store_true",
        help="with the quantisers of QONNX; runs in the package qonnx, one image at a time",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=cli.integer("images", 1, 10_000), default=16, metavar="N",
        help="random images on which the runtime and the golden executor must agree",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    make = agreement.qonnx if options.qonnx else agreement.onnx_runtime
    try:
        agreement.require("qonnx" if options.qonnx else "onnx")
        disk.check_files({"--out": options.out}, intnet.files(options.net))
        net = intnet.read(options.net)
        compared = agreement.agree(net, images(net, options.images, SEED), [make(net)])
        write(net, options.out, qonnx=options.qonnx)
    except (ParameterError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except MismatchError as error:
        return cli.failed(PROGRAM, error)
    if options.json:
        found = {"name": net.name, "digest": intnet.digest(net), "images": options.images}
        print(json.dumps(found | {"compared": compared}))
    else:
        for name, count in compared.items():
            print(f"{options.out}: {net.name}, {count} numbers of {options.images} images agree "
                  f"in {name}")  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run(main)
