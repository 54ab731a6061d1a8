# SPDX-License-Identifier: Apache-2.0
"""Talks to a device: ``python -m fpga.host --port PORT info``, ``shift``, ``classify`` and so on.

The device is a board behind a serial port, or a simulated one behind the pseudo-terminal that
``python -m cosim.device`` opens.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import serial
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from fpga import shift_host
from fpga.accelerator_host import DESIGN, Classifier, differences
from fpga.host_options import DATA, IMAGES, PROGRAM, SEED, parser
from fpga.networks import network
from fpga.pictures import CLASSES, dataset, pictures
from fpga.session import LinkError, Session
from fpga.target import Target
from hw import cli, disk
from hw.params import Direction, ParameterError
from model.cifar import DataError
from model.images import zoo_images

__all__ = ["main"]

TIMEOUT = 0.5
"""Seconds of silence after which a request is made again; a USB bridge may sit on bytes for 16 ms.
"""

MAX_MAP_BYTES = 1 << 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        _check(options)
    except ParameterError as error:
        cli.bad_input(PROGRAM, error)
    try:
        port = serial.Serial(
            options.port, options.baud, timeout=TIMEOUT, write_timeout=10 * TIMEOUT, exclusive=True
        )
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.EAGAIN, errno.EBUSY):
            return cli.failed(PROGRAM, f"{options.port}: another program must not use the port")
        reason = os.strerror(number) if number else error
        cli.bad_input(PROGRAM, f"the port must be a serial port: {options.port}: {reason}")
    try:
        with port:
            session = Session(port, look=options.command in ("info", "counters"))
            return _COMMANDS[options.command](Target(session), options)
    except (ParameterError, DataError) as error:
        cli.bad_input(PROGRAM, error)
    except LinkError as error:
        return cli.failed(PROGRAM, f"{options.port}: {error}")


def _check(options: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    if options.command == "classify":
        if bool(options.pictures) == bool(options.dataset):
            raise ParameterError("classify must be given either pictures or --dataset")
        if options.pictures:
            cli.refuse(options, ["images", "data"], "must come with --dataset, not with pictures")
    if options.command == "shift" and options.map is not None:
        cli.refuse(options, ["seed"], "must come with a random map, not with --map")


def _print(options: argparse.Namespace, value: object, lines: Sequence[str]) -> None:
    print(json.dumps(value) if options.json else "\n".join(lines))


def _bar(*, hidden: bool = False) -> Progress:
    return Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
        disable=hidden or not sys.stderr.isatty(),
    )  # fmt: skip


def _info(target: Target, options: argparse.Namespace) -> int:
    info = target.info
    value = {
        "design": info.design,
        "clock_hz": info.clock_hz,
        "regions": [vars(region) for region in info.regions.values()],
        "parameters": info.parameters,
    }
    lines = [f"{info.design} at {info.clock_hz / 1e6:g} MHz"]
    for region in info.regions.values():
        words = f", words of {region.word_bytes}" if region.word_bytes > 1 else ""
        lines.append(f"region {region.name}: {region.bytes} bytes{words}, {region.access}")
    lines += [f"{name}: {json.dumps(each)}" for name, each in info.parameters.items()]
    _print(options, value, lines)
    return 0


def _counters(target: Target, options: argparse.Namespace) -> int:
    registers = target.registers()
    told = registers | {"loaded": f"{registers['loaded']:08x}"}
    _print(options, registers, [f"{name}: {value}" for name, value in told.items()])
    return 0


def _shift(target: Target, options: argparse.Namespace) -> int:
    if options.map is None:
        generator = np.random.Generator(np.random.PCG64(getattr(options, "seed", SEED)))
        pixels = shift_host.random_map(shift_host.shift_params(target), generator)
    else:
        pixels = _read_map(options.map)
    try:
        shifted, cycles = shift_host.shift(target, pixels, Direction[options.direction])
    except ParameterError as error:
        raise ParameterError(f"{options.map}: {error}") from None
    value = {
        "direction": options.direction,
        "cycles": cycles,
        "map": pixels.tolist(),
        "shifted": shifted.tolist(),
    }
    rows = [" ".join(f"{pixel:3}" for pixel in row) for row in shifted]
    _print(options, value, [f"# {options.direction}, {cycles} cycles", *rows])
    return 0


def _read_map(file: Path) -> npt.NDArray[np.uint8]:
    """Read rows of numbers; what follows a # is a comment."""
    text = disk.content(file, MAX_MAP_BYTES)
    try:
        lines = [line.partition("#")[0].split() for line in text.decode("ascii").splitlines()]
        rows = [[int(number) for number in line] for line in lines if line]
    except ValueError as error:
        raise ParameterError(f"{file} must hold rows of numbers: {error}") from None
    if not rows or {len(row) for row in rows} != {len(rows[0])}:
        raise ParameterError(f"{file} must hold rows of the same length")
    if not all(0 <= pixel <= 255 for row in rows for pixel in row):
        raise ParameterError(f"{file} must hold numbers from 0 to 255")
    return np.array(rows, np.uint8)


def _load(target: Target, options: argparse.Namespace) -> int:
    classifier = _classifier(target, options)
    streams = classifier.streams()
    size = sum(map(len, streams.values()))
    with _bar() as bar:
        task = bar.add_task("load", total=size)
        classifier.load(streams, advance=lambda count: bar.advance(task, count))
    value = {"bytes": {name: len(data) for name, data in streams.items()}}
    _print(options, value, [f"{classifier.net.name}: {size} bytes loaded"])
    return 0


def _run_images(
    classifier: Classifier, images: npt.NDArray[np.uint8], *, told: bool
) -> Iterator[tuple[npt.NDArray[np.int32], int]]:
    """Yield logits and cycles of each image.

    Parameters
    ----------
    classifier : Classifier
    images : numpy.ndarray
        uint8 [N, C, H, W].
    told : bool
        A line is printed for each, which on a terminal is progress enough.
    """
    with _bar(hidden=told and sys.stdout.isatty()) as bar:
        task = bar.add_task("classify", total=len(images))
        for pixels in images:
            yield classifier.classify(pixels)
            bar.advance(task)


def _classifier(target: Target, options: argparse.Namespace) -> Classifier:
    return Classifier(target, network(options.intnet) if "intnet" in options else None)


def _classify(target: Target, options: argparse.Namespace) -> int:
    labels: Sequence[int] = ()
    classifier = _classifier(target, options)
    if options.dataset:
        count, data = getattr(options, "images", IMAGES), getattr(options, "data", DATA)
        images, labels = dataset(options.dataset, data, count)
        names = [f"{options.dataset} {number}" for number in range(len(images))]
    else:
        images = pictures(options.pictures, classifier.net)
        names = [str(file) for file in options.pictures]
    classes = CLASSES.get(options.dataset, ())
    results: list[dict[str, Any]] = []
    runs = []
    told = not options.json
    for name, run in zip(names, _run_images(classifier, images, told=told), strict=True):
        logits, cycles = run
        found = int(logits.argmax())
        called = {"name": classes[found]} if classes else {}
        result = {"image": name, "class": found, "logits": logits.tolist(), "cycles": cycles}
        results.append(result | called)
        runs.append(run)
        if told:
            print(
                f"{name}: class {found}{''.join(f', {each}' for each in called.values())}",
                flush=True,
            )
    value: dict[str, Any] = {"images": results}
    lines = []
    if labels:
        pairs = zip(results, labels, strict=True)
        value["correct"] = correct = sum(each["class"] == label for each, label in pairs)
        lines.append(f"{correct} of {len(results)} correct")
    wrong = differences(classifier, images, runs) if options.check else []
    if options.check:
        value["differences"] = wrong
        lines += wrong or ["all logits as the integer executor's, all cycles as in hw.timing"]
    if lines or options.json:
        _print(options, value, lines)
    return int(bool(wrong))


def _selftest(target: Target, options: argparse.Namespace) -> int:
    if target.info.design == DESIGN:
        cli.refuse(options, ["seed"], f"must come with the design shift, not {DESIGN}")
        images = zoo_images()[0][: getattr(options, "images", IMAGES)]
        classifier = _classifier(target, options)
        wrong = differences(classifier, images, list(_run_images(classifier, images, told=False)))
        what = f"{len(images)} images: logits as the integer executor's, cycles as in hw.timing"
    else:
        rule = f"must come with the design {DESIGN}, not {target.info.design}"
        cli.refuse(options, ["images", "intnet"], rule)
        moving = len(Direction.moving())
        with _bar() as bar:
            task = bar.add_task("shift", total=moving)
            wrong = shift_host.selftest(
                target, seed=getattr(options, "seed", SEED), advance=lambda: bar.advance(task)
            )
        what = f"{moving} directions: maps as the golden shift's, cycles as in hw.timing"
    value = {"design": target.info.design, "passed": not wrong, "differences": wrong}
    _print(options, value, wrong or [what])
    return int(bool(wrong))


_COMMANDS: dict[str, Callable[[Target, argparse.Namespace], int]] = {
    "info": _info,
    "counters": _counters,
    "shift": _shift,
    "load": _load,
    "classify": _classify,
    "selftest": _selftest,
}

if __name__ == "__main__":
    cli.run(main)
