# SPDX-License-Identifier: Apache-2.0
"""Talks to a device: ``python -m fpga.host --port PORT info``, ``shift``, ``classify`` and so on.

The device is a board behind a serial port, or a simulated one behind the pseudo-terminal that
``python -m cosim.device`` opens.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import serial
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from fpga import shift_host
from fpga.accelerator_host import DESIGN, Classifier, differences
from fpga.host_options import PROGRAM, parser
from fpga.pictures import dataset, pictures
from fpga.session import LinkError, Session
from fpga.target import Target
from hw import cli
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
    if options.command == "classify" and bool(options.pictures) == bool(options.dataset):
        cli.bad_input(PROGRAM, "classify must be given either pictures or --dataset")
    try:
        port = serial.Serial(
            options.port, options.baud, timeout=TIMEOUT, write_timeout=10 * TIMEOUT, exclusive=True
        )
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        cli.bad_input(PROGRAM, f"the port must be a serial port: {options.port}: {reason}")
    try:
        with port:
            return _COMMANDS[options.command](Target(Session(port)), options)
    except (ParameterError, DataError) as error:
        cli.bad_input(PROGRAM, error)
    except LinkError as error:
        print(f"{PROGRAM}: error: {options.port}: {error}", file=sys.stderr)
    return 1


def _print(options: argparse.Namespace, value: object, lines: Sequence[str]) -> None:
    print(json.dumps(value) if options.json else "\n".join(lines))


def _bar() -> Progress:
    return Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True,
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
    _print(options, registers, [f"{name}: {value}" for name, value in registers.items()])
    return 0


def _shift(target: Target, options: argparse.Namespace) -> int:
    if options.map is None:
        generator = np.random.Generator(np.random.PCG64(options.seed))
        pixels = shift_host.random_map(shift_host.shift_params(target), generator)
    else:
        pixels = _read_map(options.map)
    shifted, cycles = shift_host.shift(target, pixels, Direction[options.direction])
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
    try:
        with file.open("rb") as content:
            text = content.read(MAX_MAP_BYTES + 1)
        if len(text) > MAX_MAP_BYTES:
            raise ParameterError(f"{file} must have at most {MAX_MAP_BYTES} bytes")
        lines = [line.partition("#")[0].split() for line in text.decode("ascii").splitlines()]
        rows = [[int(number) for number in line] for line in lines if line]
    except OSError as error:
        raise ParameterError(f"{file} must be a readable file: {error.strerror}") from None
    except ParameterError:
        raise
    except ValueError as error:
        raise ParameterError(f"{file} must hold rows of numbers: {error}") from None
    if not rows or {len(row) for row in rows} != {len(rows[0])}:
        raise ParameterError(f"{file} must hold rows of the same length")
    if not all(0 <= pixel <= 255 for row in rows for pixel in row):
        raise ParameterError(f"{file} must hold numbers from 0 to 255")
    return np.array(rows, np.uint8)


def _load(target: Target, options: argparse.Namespace) -> int:
    classifier = Classifier(target, options.intnet)
    streams = classifier.streams()
    size = sum(map(len, streams.values()))
    with _bar() as bar:
        task = bar.add_task("load", total=size)
        classifier.load(streams, advance=lambda count: bar.advance(task, count))
    value = {"bytes": {name: len(data) for name, data in streams.items()}}
    _print(options, value, [f"{classifier.net.name}: {size} bytes loaded"])
    return 0


def _run_images(
    classifier: Classifier, images: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.int32], list[int]]:
    """Return logits and cycles of images."""
    with _bar() as bar:
        task = bar.add_task("classify", total=len(images))
        logits, cycles = [], []
        for pixels in images:
            found, taken = classifier.classify(pixels)
            logits.append(found)
            cycles.append(taken)
            bar.advance(task)
    return np.stack(logits), cycles


def _classify(target: Target, options: argparse.Namespace) -> int:
    classifier = Classifier(target, options.intnet)
    labels: Sequence[int] = ()
    if options.dataset:
        images, labels = dataset(options.dataset, options.data, options.images)
        names = [f"{options.dataset} {number}" for number in range(len(images))]
    else:
        images = pictures(options.pictures, classifier.net)
        names = [str(file) for file in options.pictures]
    logits, cycles = _run_images(classifier, images)
    classes = logits.argmax(axis=1).tolist()
    results: list[dict[str, Any]] = [
        {"image": name, "class": each, "logits": row.tolist(), "cycles": taken}
        for name, each, row, taken in zip(names, classes, logits, cycles, strict=True)
    ]
    value: dict[str, Any] = {"images": results}
    lines = [f"{each['image']}: class {each['class']}" for each in results]
    if labels:
        correct = sum(one == other for one, other in zip(classes, labels, strict=True))
        value["correct"] = correct
        lines.append(f"{correct} of {len(classes)} correct")
    wrong = differences(classifier, images, logits, cycles) if options.check else []
    if options.check:
        value["differences"] = wrong
        lines += wrong or ["all logits as the integer executor's, all cycles as in hw.timing"]
    _print(options, value, lines)
    return int(bool(wrong))


def _selftest(target: Target, options: argparse.Namespace) -> int:
    if target.info.design == DESIGN:
        if "intnet" not in options:
            raise ParameterError("selftest of the accelerator must be given --intnet")
        images = zoo_images()[0][: options.images]
        classifier = Classifier(target, options.intnet)
        wrong = differences(classifier, images, *_run_images(classifier, images))
        what = f"{len(images)} images: logits as the integer executor's, cycles as in hw.timing"
    else:
        moving = len(Direction.moving())
        with _bar() as bar:
            task = bar.add_task("shift", total=moving)
            wrong = shift_host.selftest(
                target, seed=options.seed, advance=lambda: bar.advance(task)
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
