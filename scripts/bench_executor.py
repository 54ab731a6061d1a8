# SPDX-License-Identifier: Apache-2.0
"""Time an integer network in ONNX Runtime and in `model.fast_executor`, on one thread each.

    OMP_NUM_THREADS=1 python -m scripts.bench_executor [model/zoo/psp_64_4_int8]

Both run in one process and in turn, round after round, so that a busy moment of the machine hits
both; ratios are within a round, then the median. Where other programs run, time by the clock counts
their work too: then only processor time compares. Before anything is timed, logits must be equal.
Times compare within one run on one machine, not across machines.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from hw import cli
from hw.params import ParameterError
from model import fast_executor
from model.intnet import IntNet, read
from model.onnx_layers import IMAGES, to_onnx
from model.onnx_runtime import session

__all__ = [
    "DifferenceError",
    "check",
    "main",
    "make_arms",
    "measure",
    "summarise",
]

PROGRAM = "python -m scripts.bench_executor"
ZOO = Path(__file__).parent.parent / "model" / "zoo" / "psp_64_4_int8"
OURS = "model.fast_executor"
RUNTIME = "ONNX Runtime"

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}

Arm = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.int32]]


class DifferenceError(Exception):
    """The arms compute different logits."""


def make_arms(net: IntNet) -> dict[str, Arm]:
    """Return both by name, ours first; each maps one batch to its logits.

    Raises
    ------
    ParameterError
        If the network is too large for an ONNX graph.
    """
    graph = session(to_onnx(net))

    def ours(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        return fast_executor.run(net, images, batch=len(images))

    def runtime(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        (logits,) = graph.run(None, {IMAGES: images})
        found: npt.NDArray[np.int32] = logits
        return found

    return {OURS: ours, RUNTIME: runtime}


def check(arms: Mapping[str, Arm], images: npt.NDArray[np.uint8]) -> None:
    """Compare logits.

    Raises
    ------
    DifferenceError
        With the number of logits that differ.
    """
    ours, runtime = arms[OURS](images), arms[RUNTIME](images)
    count = int((ours != runtime).sum())
    if count:
        raise DifferenceError(
            f"logits of {RUNTIME} must be those of {OURS}, {count} of {ours.size} are not"
        )


def measure(
    arms: Mapping[str, Arm], images: npt.NDArray[np.uint8], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Return milliseconds of a batch in each round, by arm and clock (``wall``, ``processor``)."""
    times: dict[str, dict[str, list[float]]] = {name: {key: [] for key in CLOCKS} for name in arms}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for name, arm in arms.items():
            begun = {key: clock() for key, clock in CLOCKS.items()}
            arm(images)
            for key, clock in CLOCKS.items():
                times[name][key].append((clock() - begun[key]) * 1e3)
    return times


def summarise(
    times: Mapping[str, Mapping[str, Sequence[float]]], batch: int
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return quartiles of times and of how many times as fast as ours, by arm and clock.

    Parameters
    ----------
    times : mapping
        As `measure` returns them.
    batch : int
        Images in each; for the images a second at the median.
    """
    return {
        name: {
            key: {
                "milliseconds": _quartiles(values),
                "times_as_fast": _quartiles(
                    [ours / own for ours, own in zip(times[OURS][key], values, strict=True)]
                ),
                "images_per_s": batch * 1e3 / statistics.median(values),
            }
            for key, values in clocks.items()
        }
        for name, clocks in times.items()
    }


def _quartiles(values: Sequence[float]) -> list[float]:
    return statistics.quantiles(values, method="inclusive")


def print_table(result: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print medians, with the quartiles on both sides in brackets."""
    heads = ("ms a batch", "times as fast")
    print(f"{'median (quartiles)':34}", *(f"{head:>24}" for head in heads), f"{'images/s':>9}")
    for name, clocks in result.items():
        for clock, entry in clocks.items():
            cells = []
            for key, form in (("milliseconds", ".1f"), ("times_as_fast", ".2f")):
                low, median, high = entry[key]
                cells.append(f"{median:{form}} ({low:{form}}…{high:{form}})")
            label, rate = f"{name}, {clock}", f"{entry['images_per_s']:9.0f}"
            print(f"{label:34}", *(f"{cell:>24}" for cell in cells), rate)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, (__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "net", type=Path, nargs="?", default=ZOO, metavar="FOLDER", help="of an integer network"
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=cli.integer("batch", 1, 1 << 12), default=32, metavar="IMAGES",
        help="at a time",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=cli.integer("rounds", 2, 1000), default=21, metavar="COUNT",
        help="rounds to take the median of",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    try:
        # NumPy's library has read it by now.
        threads = os.environ.get("OMP_NUM_THREADS", "")
        if threads != "1":
            raise ParameterError(f"OMP_NUM_THREADS must be 1, not {threads!r}")
        net = read(options.net)
        arms = make_arms(net)
    except ParameterError as error:
        cli.bad_input(PROGRAM, error)
    source = np.random.default_rng(1)
    images = source.integers(0, 256, (options.batch, *net.input_shape), np.uint8)
    try:
        check(arms, images)
    except DifferenceError as error:
        return cli.failed(PROGRAM, error)
    result = summarise(measure(arms, images, options.rounds), options.batch)
    if options.json:
        settings = {
            "net": net.name,
            "batch": options.batch,
            "rounds": options.rounds,
            "numpy": np.__version__,
            "onnxruntime": onnxruntime.__version__,
        }
        print(json.dumps({**settings, "arms": result}, indent=2))
    else:
        print_table(result)
    return 0


if __name__ == "__main__":
    cli.run(main)
