# SPDX-License-Identifier: Apache-2.0
"""Command line: a real image through the shift block's RTL and through PyTorch's, bit by bit.

``python -m cosim.demo`` embeds a test image in 128 channels of 16×16 int8, shifts them in
simulation with one ShiftModule, with a ShiftArray and through a ShiftedReader, and compares each
value with the PyTorch block, and the cycles with `hw.timing`. It writes two pictures and a VCD.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cosim import figures, runner, simulators, vectors, waveform
from cosim.design import Design, bundle, emit_block
from hw import cli, disk, timing
from hw.params import ArrayParams, Direction, ShiftParams
from hw.shift import ShiftArray, ShiftedReader, ShiftModule
from model.images import embed, zoo_images

__all__ = ["Comparison", "compare", "main"]

PROGRAM = "python -m cosim.demo"
FILES = ("shift_before_after.png", "shift_4x4_waveform.png", "shift_4x4.vcd")
OWNER = FILES[-1]
CHANNELS = 128
SEED = 1  # of the random stem
PERIOD = 10  # ns, as the test bench has it
SIGNALS = ("start", "direction", "ready", "done", "mem_addr", "mem_we", "mem_rdata", "mem_wdata")
WAVE_PARAMS = ShiftParams(height=4, width=4, bits=8)
WAVE_DIRECTION = Direction.RIGHT_DOWN


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a block gave, against PyTorch and `hw.timing`."""

    block: str
    values: int
    mismatches: int
    cycles: int
    expected_cycles: int

    @property
    def equal(self) -> bool:
        """Every value and the cycles are as they must be."""
        return self.mismatches == 0 and self.cycles == self.expected_cycles


def design(params: ArrayParams) -> Design:
    """All blocks of the demo, in one build."""
    return bundle(
        "demo",
        [
            emit_block(ShiftModule(params=params.shift), "shift_module"),
            emit_block(ShiftArray(params=params), "shift_array"),
            emit_block(ShiftedReader(params=params.shift), "shifted_reader"),
            emit_block(ShiftModule(params=WAVE_PARAMS), "shift_4x4"),
        ],
    )


def compare(
    folder: Path, params: ArrayParams, feature_map: npt.NDArray[np.int8]
) -> tuple[list[Comparison], npt.NDArray[Any]]:
    """Compare what a run left in its folder with the PyTorch block.

    Returns
    -------
    list of Comparison
        One for each block.
    numpy.ndarray
        The map [C, H, W] as ShiftModule left it, its channels that stay included.
    """
    expected = vectors.shifted(feature_map)
    moving = 8 * params.group
    reads = feature_map.size
    plan = {
        "shift_module": timing.shift_cycles(params.shift, channels=moving),
        "shift_array": timing.array_cycles(params),
        "shifted_reader": timing.reader_cycles(),
    }
    comparisons, results = [], {}
    for name, cycles in plan.items():
        codes = np.load(folder / f"{name}.npy", allow_pickle=False)
        values = vectors.from_ports(codes, params.shift.bits)
        # The channels that stay never enter the module or the array.
        results[name] = np.concatenate([values, feature_map[len(values) :]])
        measured = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["cycles"]
        if name == "shifted_reader":
            measured -= reads  # a plain read takes one cycle a pixel
        wrong = int(np.count_nonzero(results[name] != expected))
        comparisons.append(Comparison(name, expected.size, wrong, measured, cycles))
    return comparisons, results["shift_module"]


def _pictures(beside: Path, image: npt.NDArray[np.uint8], before: Any, after: Any) -> None:
    figures.draw_channels(
        beside / "shift_before_after.png",
        image,
        before,
        after,
        f"One shift block in RTL: {CHANNELS} channels of 16×16 int8, "
        "the first channel of each direction",
    )
    trace = waveform.read_trace(beside / "shift_4x4.vcd", SIGNALS, PERIOD)
    figures.draw_waveform(
        beside / "shift_4x4_waveform.png",
        trace,
        WAVE_PARAMS,
        f"ShiftModule 4×4×8, direction {int(WAVE_DIRECTION)} (right-down), pixels 1…16: "
        f"{timing.shift_cycles(WAVE_PARAMS)} cycles",
    )


def _parser() -> cli.Parser:
    images, _ = zoo_images()
    parser = cli.Parser(PROGRAM, "A real image through the shift RTL, compared with PyTorch.")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("build", "demo"),
        help="folder for the pictures and the waveform",
    )
    parser.add_argument(
        "--simulator",
        choices=simulators.SIMULATORS,
        default="verilator",
        help="simulator to run the RTL",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument(
        "--image",
        type=cli.integer("image", 0, len(images) - 1),
        metavar="N",
        default=1,
        help="number of the test image",
    )
    return parser


def _run(options: Any, image: npt.NDArray[np.uint8]) -> tuple[list[Comparison], list[Path]]:
    """Simulate, compare, and write the files of the output folder."""
    params = ArrayParams(shift=ShiftParams(height=16, width=16), channels=CHANNELS)
    feature_map = embed(image[None], CHANNELS, seed=SEED)[0]
    disk.check_folder(options.out, owner=OWNER)
    with tempfile.TemporaryDirectory() as beside:
        folder = Path(beside)
        begin = time.perf_counter()
        print(f"building with {options.simulator}, or taking an earlier build …", file=sys.stderr)
        runner.build(design(params), options.simulator)
        print(f"{time.perf_counter() - begin:.1f} s; simulating …", file=sys.stderr)
        runner.run(
            design(params),
            options.simulator,
            "cosim.body_demo",
            folder=folder,
            parameters={"bits": params.shift.bits, "direction": WAVE_DIRECTION.name},
            arrays={"feature_map": vectors.to_ports(feature_map, params.shift.bits)},
        )
        comparisons, after = compare(folder, params, feature_map)
        print(f"{time.perf_counter() - begin:.1f} s; drawing …", file=sys.stderr)
        _pictures(folder, image, feature_map, after)
        files = {name: (folder / name).read_bytes() for name in FILES}
    disk.write_files(options.out, files, owner=OWNER)
    return comparisons, [options.out / name for name in FILES]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    reason = simulators.missing(options.simulator)
    if reason is not None:
        cli.bad_input(PROGRAM, reason)
    images, _ = zoo_images()
    try:
        if options.json is not None:
            disk.check_file(options.json)
        comparisons, files = _run(options, images[options.image])
        if options.json is not None:
            report = {
                "simulator": options.simulator,
                "version": simulators.version(options.simulator),
                "image": options.image,
                "comparisons": [dataclasses.asdict(each) for each in comparisons],
                "equal": all(each.equal for each in comparisons),
                "files": [file.name for file in files],
            }
            disk.write_file(options.json, (json.dumps(report, indent=2) + "\n").encode())
    except disk.OutputError as error:
        cli.bad_input(PROGRAM, error)
    except (runner.BuildError, runner.SimulationError, simulators.SimulatorError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    print(
        f"test image {options.image} in {CHANNELS} channels of 16x16 int8, RTL on "
        f"{options.simulator} against the PyTorch shift block:"
    )
    print(f"  {'block':15} {'values':>7} {'mismatches':>11} {'cycles':>7} {'hw.timing':>10}")
    for each in comparisons:
        print(
            f"  {each.block:15} {each.values:7,} {each.mismatches:11,} {each.cycles:7,} "
            f"{each.expected_cycles:10,}"
        )
    print("  (shifted_reader: cycles beyond a plain read; it writes nothing)")
    print(
        "  (of the others' values 12,288 belong to channels that stay, which never enter the RTL)"
    )
    for file in files:
        print(file)
    equal = all(each.equal for each in comparisons)
    print("bit-exact, cycles as stated" if equal else "NOT EQUAL")
    return 0 if equal else 1


if __name__ == "__main__":
    cli.run(main)
