# SPDX-License-Identifier: Apache-2.0
"""A whole network in RTL against the golden executor: every map of every layer, every cycle.

``python -m cosim.run --intnet DIR`` runs a test image of CIFAR-10; `cosim.report` prints.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from cosim import fast, report, simulators
from cosim.activity import activity
from cosim.run_options import PROGRAM, WAVE_CYCLES, parser
from cosim.runner import BuildError
from hw import cli, disk, timing
from hw.accelerator_params import SHIFT_MODES, LayerEntry
from hw.image import Image, build
from hw.params import ParameterError
from model import agreement, executor, intnet
from model.agreement import MismatchError
from model.data import DataError, load
from model.executor import Trace
from model.images import zoo_images
from model.intnet import IntNet, SumPool

__all__ = ["check_in_one_go", "main", "rtl", "run_images", "write_waves"]

SLACK = 1000
"""Cycles beyond the formula's after which a layer is given up."""


def rtl(
    net: IntNet,
    image: Image,
    model: fast.Model,
    *,
    advance: Callable[[], object] = lambda: None,
    counted: report.Counters | None = None,
) -> agreement.Executor:
    """Return the accelerator as one that computes the network.

    Each layer's cycles are checked as well: they must be what ``hw.timing`` says.

    Parameters
    ----------
    net : IntNet
    image : Image
        Built of the network.
    model : fast.Model
        Loaded with the image.
    advance : callable
        Called after each of the images that are run.
    counted : dict, optional
        What the activity counters count is added to it, by layer and counter.
    """
    counted = {} if counted is None else counted
    pool = next(layer for layer in net.layers if isinstance(layer, SumPool))

    def trace(images: npt.NDArray[np.uint8]) -> Trace:
        each = []
        for pixels in images:
            each.append(_run(image, model, pixels, pool.name, counted))
            advance()
        return {
            layer.name: {key: np.stack([one[layer.name][key] for one in each]) for key in keys}
            for layer in net.layers
            for keys in [each[0][layer.name]]
        }

    cycles = _when(image)
    cycles[pool.name] = cycles[image.params.layers[-2].name]
    return agreement.Executor("RTL", trace, maps_only=True, cycles=cycles)


def _when(image: Image) -> dict[str, range]:
    """Return the cycles of an image in which each layer runs, its pass included."""
    params, begin, cycles = image.params, 0, {}
    for layer in params.layers:
        end = begin + timing.layer_cycles(params, layer) + timing.pass_cycles(params, layer)
        cycles[layer.name] = range(begin, end)
        begin = end
    return cycles


def _run(
    image: Image,
    model: fast.Model,
    pixels: npt.NDArray[np.uint8],
    pool: str,
    counted: report.Counters,
) -> Trace:
    """Run one image layer by layer; return the maps."""
    params = image.params
    model.put_image(pixels)
    seen: Trace = {}
    for layer in params.layers:
        cycles = timing.layer_cycles(params, layer) + timing.pass_cycles(params, layer)
        before = model.counters()
        _check(layer.name, "cycles", model.run(step=True, limit=cycles + SLACK), cycles)
        counts = counted.setdefault(layer.name, dict.fromkeys(before, 0))
        for name, count in model.counters().items():
            counts[name] += count - before[name]
        if layer is params.layers[-1]:
            seen[pool] = {"out": model.get_map(params.pooled)}
        seen[layer.name] = _maps(model, layer)
    return seen


def check_in_one_go(
    net: IntNet,
    image: Image,
    model: fast.Model,
    pixels: npt.NDArray[np.uint8],
    *,
    counter_bits: int = 48,
) -> dict[str, int]:
    """Run an image without a stop; check cycles, all counters (they wrap), logits.

    Returns what `cosim.activity` says of the image, and the counters have counted.

    Raises
    ------
    MismatchError
        Naming the first of them that is another than the golden executor or ``hw.timing`` says.
    """
    params = image.params
    before = model.counters()
    model.put_image(pixels)
    cycles = timing.accelerator_cycles(params)
    _check("an image", "cycles", model.run(limit=cycles + SLACK), cycles)
    wanted_counts = activity(net, params, pixels)
    for name, count in model.counters().items():
        found = (count - before[name]) % (1 << counter_bits)
        wanted_count = wanted_counts[name] % (1 << counter_bits)
        if found != wanted_count:
            raise MismatchError(
                f"an image: {name} must be {wanted_count} as in the golden executor, "
                f"not {found} in RTL"
            )
    logits, wanted = model.logits(), executor.run(net, pixels[None])[0]
    if not np.array_equal(logits, wanted):
        raise MismatchError(
            f"an image: logits must be {wanted.tolist()} as in the golden executor, "
            f"not {logits.tolist()} in RTL"
        )
    return wanted_counts


def _maps(model: fast.Model, layer: LayerEntry) -> dict[str, npt.NDArray[np.int64]]:
    if layer.out is None:
        return {"out": model.logits().astype(np.int64)[:, None, None]}
    maps = {"out": model.get_map(layer.out)}
    return maps if layer.second is None else maps | {"second": model.get_map(layer.second)}


def _check(name: str, what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise MismatchError(f"{name}: {what} must be {wanted} as in hw.timing, not {found} in RTL")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parser().parse_args(arguments)
    modes = SHIFT_MODES if options.shift == "both" else (options.shift,)
    try:
        _check_outputs(options)
        net = intnet.read(options.intnet)
        built = {
            mode: build(
                net,
                columns=options.columns,
                columns_per_adc=options.columns_per_adc,
                mode=mode,
            )
            for mode in modes
        }
        images = _images(options)
        if options.vcd is not None:
            layer = options.vcd_layer or built[modes[0]].params.layers[0].name
            write_waves(built[modes[0]], images[0], layer, options.vcd)
        results = [run_images(net, image, images) for image in built.values()]
        if options.counters is not None:
            disk.write_file(options.counters, report.counters(results[0]).encode())
    except (ParameterError, DataError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    except (MismatchError, BuildError, simulators.SimulatorError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    if options.json:
        found = {"name": net.name, "digest": intnet.digest(net), "images": len(images)}
        print(json.dumps(found | {"modes": report.as_json(results)}))
    else:
        number = f"{len(images)} image{'s' * (len(images) > 1)}"
        print(f"{options.intnet}: {net.name}, {number} in RTL, all as in the golden executor")
        print(f"sha256 of {intnet.JSON_FILE}: {intnet.digest(net)}")
        print(report.summary(results))
        if options.layers:
            print(f"\n{report.layers(results)}")
    return 0


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse outputs that have no place, and what they could not tell."""
    if options.vcd_layer and options.vcd is None:
        raise ParameterError("--vcd-layer must come with --vcd")
    if options.counters and options.shift == "both":
        raise ParameterError("--counters must come with one --shift, not both")
    written = {"--counters": options.counters, "--vcd": options.vcd}
    disk.check_files(written, intnet.files(options.intnet))


def run_images(
    net: IntNet, image: Image, images: npt.NDArray[np.uint8], *, optimise: str = "-O2"
) -> report.Result:
    """Run images layer by layer, and the first one once more without a stop; compare everything.

    Raises
    ------
    MismatchError
        Naming the first difference.
    BuildError, simulators.SimulatorError
        As `cosim.fast.build`.
    """
    library = fast.build(fast.accelerator_block(image.params), optimise=optimise)
    with fast.Model(library, image) as model, _bar() as bar:
        task = bar.add_task("simulate", total=len(images))
        counted: report.Counters = {}
        compared = rtl(net, image, model, advance=lambda: bar.advance(task), counted=counted)
        numbers = agreement.agree(net, images, [compared])["RTL"]
        counts = check_in_one_go(net, image, model, images[0])
        speed = model.cycles / model.seconds
        return report.Result(net, image.params, len(images), numbers, counts, speed, counted)


def write_waves(image: Image, pixels: npt.NDArray[np.uint8], layer: str, file: Path) -> None:
    """Write the first `WAVE_CYCLES` cycles of a layer as a VCD.

    Raises
    ------
    ParameterError
        If there is no such layer.
    disk.OutputError
        If the file cannot be written.
    BuildError, simulators.SimulatorError
        As `cosim.fast.build`.
    """
    names = [each.name for each in image.params.layers]
    if layer not in names:
        raise ParameterError(f"the layer must be one of {', '.join(names)}, not {layer}")
    library = fast.build(fast.accelerator_block(image.params), optimise="-O0", waves=True)
    with tempfile.TemporaryDirectory() as folder:
        waves = Path(folder, "waves.vcd")
        with fast.Model(library, image) as model:
            model.put_image(pixels)
            for number in range(names.index(layer)):
                entry = image.params.layers[number]
                cycles = timing.layer_cycles(image.params, entry)
                cycles += timing.pass_cycles(image.params, entry)
                model.run(step=True, limit=cycles + SLACK)
            model.waves(waves)
            model.run(step=True, limit=WAVE_CYCLES)
        disk.write_file(file, waves.read_bytes())


def _bar() -> Progress:
    return Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True,
    )  # fmt: skip


def _images(options: argparse.Namespace) -> npt.NDArray[np.uint8]:
    images, _ = zoo_images()
    if options.images > len(images):
        images = load("cifar10", options.data).test_images.numpy()
    return images[: options.images]


if __name__ == "__main__":
    cli.run(main)
