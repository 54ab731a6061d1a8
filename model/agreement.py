# SPDX-License-Identifier: Apache-2.0
"""Executors against the golden one: every number of every layer, without any tolerance.

Batch by batch, so that memory is bounded whatever the number of images. A leaf: NumPy and the
integer network; ONNX Runtime and `qonnx` only where they are asked for.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hw.params import ParameterError
from model import executor, fast_executor
from model.executor import Trace
from model.intnet import Crossbar, IntNet

__all__ = [
    "Executor",
    "MismatchError",
    "agree",
    "batch_size",
    "fast",
    "onnx_runtime",
    "qonnx",
    "require",
]

KEYS = ("acc", "pre", "out", "second")
MAPS = ("out", "second")
BATCH_NUMBERS = 1 << 23
"""What a batch's golden trace may hold: 64 MiB of int64."""

EXTRAS = {"onnx": ("onnx", "onnxruntime"), "qonnx": ("onnx", "onnxruntime", "qonnx")}


class MismatchError(Exception):
    """An executor and the golden one disagree: one line that names the first difference."""


@dataclasses.dataclass(frozen=True)
class Executor:
    """What computes a network, to be compared with the golden executor.

    Parameters
    ----------
    name : str
        For messages.
    trace : callable
        From images, uint8 [N, C, H, W], to their trace, as `model.executor.run` fills it.
    maps_only : bool
        Its trace has the maps that layers write, no ``acc`` and ``pre``.
    cycles : mapping of str to range
        Of hardware: the cycles of an image in which a layer runs, for messages.
    """

    name: str
    trace: Callable[[npt.NDArray[np.uint8]], Trace]
    maps_only: bool = False
    cycles: Mapping[str, range] = dataclasses.field(default_factory=dict)


def require(extra: str) -> None:
    """Refuse to begin where the packages of an extra are missing.

    Raises
    ------
    ParameterError
        With what to install.
    """
    for package in EXTRAS[extra]:
        if importlib.util.find_spec(package) is None:
            raise ParameterError(f"{package} must be installed: pip install 'shiftbar[{extra}]'")


def fast(net: IntNet) -> Executor:
    """Return `model.fast_executor`."""

    def trace(images: npt.NDArray[np.uint8]) -> Trace:
        found: Trace = {}
        fast_executor.run(net, images, trace=found)
        return found

    return Executor("model.fast_executor", trace, maps_only=True)


def onnx_runtime(net: IntNet) -> Executor:
    """Return ONNX Runtime on the network's graph.

    Raises
    ------
    ParameterError
        If it is not installed, or the network is too large for a graph.
    """
    require("onnx")
    from model.onnx_runtime import tracer

    return Executor("ONNX Runtime", tracer(net))


def qonnx(net: IntNet) -> Executor:
    """Return the package `qonnx` on the network's graph in its dialect.

    Raises
    ------
    ParameterError
        If it is not installed, or the network is too large for a graph.
    """
    require("qonnx")
    from model.qonnx_runtime import tracer

    return Executor("qonnx", tracer(net))


def batch_size(net: IntNet) -> int:
    """Return how many images are compared at a time, 1…256: such that a trace stays small."""
    numbers = 0
    for layer in net.layers:
        maps = len(KEYS) if isinstance(layer, Crossbar) else 1
        numbers += maps * int(np.prod(net.maps[layer.out].shape))
    return min(max(1, BATCH_NUMBERS // numbers), 256)


def agree(
    net: IntNet,
    images: npt.NDArray[np.uint8],
    executors: Sequence[Executor],
    *,
    advance: Callable[[int], object] = lambda count: None,
) -> dict[str, int]:
    """Compare executors with the golden one, number by number.

    Parameters
    ----------
    net : IntNet
    images : numpy.ndarray
        uint8 [N, C, H, W].
    executors : sequence of Executor
    advance : callable
        Told, after each batch, of how many images it was.

    Returns
    -------
    dict
        How many numbers were compared, by executor.

    Raises
    ------
    MismatchError
        Naming the first layer, and in it the first image and pixel, that differ.
    ParameterError
        If the images have another shape or dtype.
    """
    executor.check_images(net, images)
    compared = dict.fromkeys((each.name for each in executors), 0)
    size = batch_size(net)
    for first in range(0, len(images), size):
        part = images[first : first + size]
        golden: Trace = {}
        executor.run(net, part, trace=golden)
        for each in executors:
            compared[each.name] += _compare(golden, each, each.trace(part), first)
        advance(len(part))
    return compared


def _compare(golden: Trace, other: Executor, found: Trace, first: int) -> int:
    """Compare the traces of a batch that begins with image ``first``."""
    if list(golden) != list(found):
        raise MismatchError(
            f"layers must be {', '.join(golden)} as in the golden executor, "
            f"not {', '.join(found)} as in {other.name}"
        )
    keys = MAPS if other.maps_only else KEYS
    return sum(
        _compare_layer(layer, {key: seen[key] for key in keys if key in seen}, other, found, first)
        for layer, seen in golden.items()
    )


def _compare_layer(
    layer: str,
    golden: Mapping[str, npt.NDArray[np.int64]],
    other: Executor,
    trace: Trace,
    first: int,
) -> int:
    if golden.keys() != trace[layer].keys():
        raise MismatchError(
            f"{layer} must give {', '.join(golden)} as in the golden executor, "
            f"not {', '.join(trace[layer])} as in {other.name}"
        )
    for key, wanted in golden.items():
        found = trace[layer][key]
        if wanted.shape != found.shape:
            raise MismatchError(
                f"{layer}: {key} must be {list(wanted.shape)} as in the golden executor, "
                f"not {list(found.shape)} as in {other.name}"
            )
        if not np.array_equal(wanted, found):
            where = tuple(map(int, np.argwhere(wanted != found)[0]))
            image, channel, row, column = where
            ran = other.cycles.get(layer)
            when = f", written in cycles {ran[0]} to {ran[-1]}" if ran else ""
            raise MismatchError(
                f"{layer}: {key} of image {first + image}, channel {channel}, row {row}, "
                f"column {column} must be {wanted[where]} as in the golden executor, "
                f"not {found[where].item():.15g} as in {other.name}{when}"
            )
    return sum(values.size for values in golden.values())
