# SPDX-License-Identifier: Apache-2.0
"""Time the accelerator's RTL in its compiled model and in cocotb, both made by Verilator.

    python -m scripts.bench_cosim [model/zoo/psp_64_4_int8]

Both load the network and a test image through the accelerator's ports; then the first layer is
timed, in processor time, since other programs may run. cocotb looks at one port once a cycle, and a
testbench that checks more is slower. Round after round, both in turn; ratios are within a round,
then the median. Cycles and activity counters of both must be equal. Times compare within one run on
one machine, not across machines.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cosim import fast, simulators
from cosim.design import bundle
from cosim.host import host_parameters
from cosim.runner import BuildError, SimulationError, run
from hw import cli, timing
from hw.image import Image, build
from hw.params import ParameterError
from model.images import zoo_images
from model.intnet import IntNet, read

__all__ = ["DifferenceError", "Run", "main", "make_arms", "measure", "summarise"]

PROGRAM = "python -m scripts.bench_cosim"
ZOO = Path(__file__).parent.parent / "model" / "zoo" / "psp_64_4_int8"
COMPILED = "compiled model"
COCOTB = "cocotb"


@dataclasses.dataclass(frozen=True)
class Run:
    """A layer that has been run.

    Parameters
    ----------
    cycles : int
    seconds : float
        Processor time.
    counters : dict
        `cosim.fast.COUNTERS` after it.
    """

    cycles: int
    seconds: float
    counters: dict[str, int]


Arm = Callable[[], Run]


class DifferenceError(Exception):
    """The arms did not simulate the same."""


def make_arms(
    net: IntNet, image: Image, pixels: npt.NDArray[np.uint8], folder: Path
) -> dict[str, Arm]:
    """Build both; returns them by name, cocotb first.

    Parameters
    ----------
    net : IntNet
    image : Image
        Built of the network.
    pixels : numpy.ndarray
        An image, uint8 [C, H, W].
    folder : Path
        Where cocotb runs.

    Raises
    ------
    BuildError, simulators.SimulatorError
        As `cosim.fast.build` and `cosim.runner.build`.
    """
    block = fast.accelerator_block(image.params)
    design = bundle(block.name, [block])
    given = host_parameters(net, image, block, pixels[None]) | {"counters": fast.COUNTERS}
    library = fast.build(block, optimise="-O2")

    def cocotb() -> Run:
        run(design, "verilator", "cosim.body_layer_time", folder=folder, parameters=given)
        return Run(**json.loads((folder / "layer.json").read_text(encoding="utf-8")))

    def compiled() -> Run:
        with fast.Model(library, image) as model:
            model.put_image(pixels)
            cycles = model.run(step=True, limit=2 * given["layers"][0])
            return Run(cycles, model.seconds, model.counters())

    return {COCOTB: cocotb, COMPILED: compiled}


def measure(arms: Mapping[str, Arm], cycles: int, rounds: int) -> dict[str, list[float]]:
    """Return the cycles a second in each round, by arm.

    Raises
    ------
    DifferenceError
        If an arm takes other cycles, or counts another activity than the first one.
    """
    speeds: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        runs = {name: arm() for name, arm in arms.items()}
        first = next(iter(runs))
        for name, found in runs.items():
            if found.cycles != cycles:
                raise DifferenceError(f"{name} must take {cycles} cycles, not {found.cycles}")
            if found.counters != runs[first].counters:
                raise DifferenceError(
                    f"counters of {name} must be {runs[first].counters} as of {first}, "
                    f"not {found.counters}"
                )
            speeds[name].append(found.cycles / found.seconds)
    return speeds


def summarise(speeds: Mapping[str, Sequence[float]]) -> dict[str, dict[str, list[float]]]:
    """Return quartiles of cycles a second, and of how many times as fast as cocotb, by arm."""
    return {
        name: {
            "cycles_per_s": _quartiles(values),
            "times_as_fast": _quartiles(
                [own / other for own, other in zip(values, speeds[COCOTB], strict=True)]
            ),
        }
        for name, values in speeds.items()
    }


def _quartiles(values: Sequence[float]) -> list[float]:
    return statistics.quantiles(values, method="inclusive")


def print_table(result: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Print medians, with the quartiles on both sides in brackets."""
    heads = ("cycles/s", "times as fast")
    print(f"{'median (quartiles)':20}", *(f"{head:>34}" for head in heads))
    for name, entry in result.items():
        cells = []
        for key, form in (("cycles_per_s", ",.0f"), ("times_as_fast", ",.1f")):
            low, median, high = entry[key]
            cells.append(f"{median:{form}} ({low:{form}}…{high:{form}})")
        print(f"{name:20}", *(f"{cell:>34}" for cell in cells))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, (__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "net", type=Path, nargs="?", default=ZOO, metavar="FOLDER", help="of an integer network"
    )
    parser.add_argument(
        "--rounds", type=cli.integer("rounds", 2, 1000), default=5, metavar="COUNT",
        help="rounds to take the median of",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    try:
        net = read(options.net)
        image = build(net)
        layer = image.params.layers[0]
        cycles = timing.layer_cycles(image.params, layer)
        with tempfile.TemporaryDirectory() as folder:
            arms = make_arms(net, image, zoo_images()[0][0], Path(folder))
            result = summarise(measure(arms, cycles, options.rounds))
    except ParameterError as error:
        cli.bad_input(PROGRAM, error)
    except (DifferenceError, BuildError, SimulationError, simulators.SimulatorError) as error:
        return cli.failed(PROGRAM, error)
    if options.json:
        settings: dict[str, Any] = {
            "net": net.name,
            "layer": layer.name,
            "cycles": cycles,
            "rounds": options.rounds,
            "verilator": simulators.version("verilator"),
        }
        print(json.dumps({**settings, "arms": result}, indent=2))
    else:
        print(f"{net.name}, {layer.name}: {cycles:,} cycles, processor time")
        print_table(result)
    return 0


if __name__ == "__main__":
    cli.run(main)
