# SPDX-License-Identifier: Apache-2.0
"""A whole test set in RTL: ``python -m cosim.all_images --intnet DIR --out FILE``.

Every image runs through the compiled accelerator without a stop; its logits must be the golden
executor's and its cycles those of ``hw.timing``. `cosim.run` compares every map, of a few images;
here it is what comes out, of all of them. The file is written anew after each chunk of images, and
a killed run goes on from it. It holds no date and no duration: the same network, images and RTL
give the same bytes, so that a finished file is the record of the run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from cosim import fast, simulators
from cosim.design import Block
from cosim.image_record import Record
from cosim.runner import BuildError
from hw import cli, disk, timing
from hw.accelerator_params import SHIFT_MODES
from hw.image import Image, build
from hw.params import ParameterError
from model import executor, intnet
from model.agreement import MismatchError
from model.data import DataError, load
from model.intnet import IntNet

__all__ = ["CHUNK", "main", "run"]

PROGRAM = "python -m cosim.all_images"
CHUNK = 50
"""Images between two writings of the file: some seconds."""
SLACK = 1000
"""Cycles beyond the formula's after which an image is given up."""


def run(
    net: IntNet,
    image: Image,
    block: Block,
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
    file: Path,
    *,
    jobs: int = 1,
    advance: Callable[[int], object] = lambda _: None,
    optimise: str = "-O2",
) -> Record:
    """Run images that a file has not yet, and keep it up to date.

    Parameters
    ----------
    net : IntNet
    image : Image
        Built of the network.
    block : Block
        The accelerator of the image, or one with a seeded fault.
    pixels : uint8 [N, C, H, W]
    labels : integers [N]
    file : Path
        To go on from, and to write.
    jobs : int
        Simulations at a time: threads, since a simulation leaves the interpreter.
    advance : callable
        Gets the number of images that are done.
    optimise : str
        As `fast.build`.

    Raises
    ------
    MismatchError
        Naming the first image that differs, of those in its chunk.
    ParameterError
        If the file is of another run.
    BuildError, simulators.SimulatorError
        As `fast.build`.
    """
    cycles = timing.accelerator_cycles(image.params)
    key = {
        "network": net.name,
        "digest": intnet.digest(net),
        "verilog": hashlib.sha256(block.text.encode()).hexdigest(),
        "pixels": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "images": len(pixels),
        "chunk": CHUNK,
        "classes": image.params.classes,
        "cycles_an_image": cycles,
    }
    record = Record.read(file, key)
    disk.make_folder(file.parent)
    missing = [first for first in range(0, len(pixels), CHUNK) if str(first) not in record.logits]
    advance(len(pixels) - sum(len(pixels[first : first + CHUNK]) for first in missing))
    if not missing:
        return record
    library = fast.build(block, optimise=optimise)
    mine, lock, stop = threading.local(), threading.Lock(), threading.Event()
    models: list[fast.Model] = []

    def one(first: int) -> None:
        if stop.is_set():
            return
        if not hasattr(mine, "model"):
            mine.model = fast.Model(library, image)
            models.append(mine.model)
        chunk = slice(first, first + CHUNK)
        logits = _compare(net, mine.model, pixels[chunk], first, cycles)
        with lock:
            record.logits[str(first)] = hashlib.sha256(logits.astype("<i4").tobytes()).hexdigest()
            record.correct[str(first)] = int((logits.argmax(1) == labels[chunk]).sum())
            record.write(file)
            advance(len(logits))

    with ThreadPoolExecutor(jobs) as pool:
        try:
            chunks = [pool.submit(one, first) for first in missing]
            wait(chunks, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # Ctrl-C or a difference: what is running ends its chunk
            pool.shutdown()
            for model in models:
                model.close()
    for chunk in chunks:
        chunk.result()
    return record


def _compare(
    net: IntNet, model: fast.Model, pixels: npt.NDArray[np.uint8], first: int, cycles: int
) -> npt.NDArray[np.int32]:
    """Run a chunk in RTL; return the logits, which are the golden executor's, too."""
    wanted = executor.run(net, pixels)
    for number, each in enumerate(pixels):
        model.put_image(each)
        took = model.run(limit=cycles + SLACK)
        if took != cycles:
            raise MismatchError(
                f"image {first + number}: cycles must be {cycles} as in hw.timing, "
                f"not {took} in RTL"
            )
        found = model.logits()
        if not np.array_equal(found, wanted[number]):
            raise MismatchError(
                f"image {first + number}: logits must be {wanted[number].tolist()} as in the "
                f"golden executor, not {found.tolist()} in RTL"
            )
    return wanted


def parser() -> cli.Parser:
    """Return the command line."""
    command = cli.Parser(PROGRAM, "Run a whole test set in RTL; compare all logits and cycles.")
    command.add_argument(
        "--intnet", type=Path, required=True, metavar="DIR", help="folder of an integer network"
    )
    command.add_argument(
        "--out", type=Path, required=True, metavar="FILE",
        help="JSON of what is done; a run goes on from it",
    )  # fmt: skip
    command.add_argument(
        "--images", type=cli.integer("images", 1, 10_000), default=10_000, metavar="N",
        help="test images of CIFAR-10, from the first",
    )  # fmt: skip
    command.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    command.add_argument("--shift", choices=SHIFT_MODES, default="fused", help="form of the shift")
    command.add_argument(
        "--jobs", type=cli.integer("jobs", 1, 256), default=os.cpu_count() or 1, metavar="N",
        help="simulations at a time",
    )  # fmt: skip
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    begin = time.monotonic()
    try:
        disk.check_file(options.out)
        net = intnet.read(options.intnet)
        dataset = load("cifar10", options.data)
        image = build(net, mode=options.shift)
        with _bar(options) as advance:
            record = run(
                net, image, fast.accelerator_block(image.params),
                dataset.test_images.numpy()[: options.images],
                dataset.test_labels.numpy()[: options.images],
                options.out, jobs=options.jobs, advance=advance,
            )  # fmt: skip
    except (ParameterError, DataError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except (MismatchError, BuildError, simulators.SimulatorError) as error:
        return cli.failed(PROGRAM, error)
    found = record.summary()
    if options.json:
        print(json.dumps(found))
        return 0
    print(f"{options.intnet}: {found['network']}, {found['images']} images in RTL")
    print(f"logits    {found['logits']:,}, all as in the golden executor")
    print(
        f"cycles    {found['cycles']:,}, {record.run['cycles_an_image']:,} an image as formulated"
    )
    print(f"accuracy  {found['accuracy']:.2f} %")
    print(f"{options.out}; {time.monotonic() - begin:.0f} s", file=sys.stderr)
    return 0


@contextmanager
def _bar(options: argparse.Namespace) -> Iterator[Callable[[int], object]]:
    bar = Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("simulate", total=options.images)
        yield lambda images: bar.advance(task, images)


if __name__ == "__main__":
    cli.run(main)
