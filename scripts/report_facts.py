# SPDX-License-Identifier: Apache-2.0
"""What `scripts.report` measures of a network, and what is stored of it (`scripts.report_stored`).

What is neither measured nor stored is None, or the reason why it is not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cosim.report import Result, counters
from cosim.run import run_images
from fpga.networks import network as folder_of
from hw import timing
from hw.accelerator_params import FitError
from hw.image import Image, build
from hw.params import ParameterError
from model import agreement, executor, fast_executor, intnet
from model.agreement import Executor, MismatchError
from model.checkpoint import read as read_checkpoint
from model.cost import results, simulate
from model.cost.config_file import load as load_config
from model.cost.networks import load as load_network_cost
from model.data import DataError, load
from model.evaluate import load_network
from model.executor import Trace
from model.images import zoo_images
from model.intnet import Crossbar, IntNet
from model.quant_network import QuantNetwork
from model.recipe import Recipe
from model.verify import pytorch
from scripts import report_stored

__all__ = ["Found", "gather"]

SHOWN = 8
"""Images whose logits are drawn, and whose every number the executors compare."""
CLASSES = 10
DATASET = "cifar10"
_BATCH = 500
_POINT = "date2024_22nm"


@dataclasses.dataclass(frozen=True)
class Found:
    """All that the page shows.

    Parameters
    ----------
    facts : dict
        Plain data: what is written as JSON.
    net : IntNet
    image : Image, optional
        What the accelerator's memories hold; None if the network does not fit it.
    cost : simulate.ChipCost
    pixels : numpy.ndarray
        uint8 [SHOWN, 3, 32, 32].
    trace : Trace
        The golden executor's, of these images.
    """

    facts: dict[str, Any]
    net: IntNet
    image: Image | None
    cost: simulate.ChipCost
    pixels: npt.NDArray[np.uint8]
    trace: Trace


def gather(source: str, *, images: int, data: Path, measure_size: bool) -> Found:
    """Run a network everywhere, and read what is stored of it.

    Parameters
    ----------
    source : str
        A name of the zoo, or the folder of an integer network.
    images : int
        To run in RTL, 1…48.
    data : Path
        Data sets; without CIFAR-10 the zoo's 48 images are classified.
    measure_size : bool
        Whether to synthesise the accelerator if no size is stored: minutes.

    Raises
    ------
    MismatchError
        If anything that must be equal is not: the first difference.
    ParameterError
        If it is no network, or one for other images.
    """
    folder = folder_of(source)
    net = intnet.read(folder)
    if net.input_shape != (3, 32, 32) or net.num_classes != CLASSES:
        shape = "×".join(map(str, net.input_shape))
        raise ParameterError(
            f"the network must put images of 3×32×32 into {CLASSES} classes, "
            f"not {shape} into {net.num_classes}"
        )
    pixels, labels = zoo_images()
    image, refusal = _image(net)
    beside = _checkpoint(folder)
    shown = pixels[:SHOWN]
    trace: Trace = {}
    logits = executor.run(net, shown, trace=trace)
    executors = _executors(net, shown, beside)
    run = None if image is None else run_images(net, image, pixels[:images])
    accuracy, every = _accuracy(net, folder, data)
    cost = _cost(folder, net, run)
    facts = {
        "network": _network(folder, net, image),
        "accuracy": accuracy | {"curve": _curve(beside)},
        "executors": executors,
        "rtl": _rtl(run) if run else {"reason": refusal},
        "all_images": report_stored.all_images(net, every),
        "timing": _timing(image),
        "boards": report_stored.boards(net),
        "size": report_stored.size(folder, net, measure=measure_size and image is not None),
        "cost": results.record(cost, sum(layer.weights.size for layer in _crossbars(net))),
        "trust": report_stored.trust(),
        "pictures": [
            {"image": number, "label": int(label), "logits": values.tolist()}
            for number, (label, values) in enumerate(zip(labels, logits, strict=False))
        ],
    }
    return Found(facts, net, image, cost, shown, trace)


def _crossbars(net: IntNet) -> list[Crossbar]:
    return [layer for layer in net.layers if isinstance(layer, Crossbar)]


def _image(net: IntNet) -> tuple[Image | None, str]:
    """Return what the accelerator holds; or None, and why the network does not fit."""
    try:
        return build(net), ""
    except FitError as error:
        return None, str(error)


def _network(folder: Path, net: IntNet, image: Image | None) -> dict[str, Any]:
    first = _crossbars(net)[1]
    return {
        "name": folder.resolve().name,
        "model": net.name,
        "digest": intnet.digest(net),
        "weights": sum(layer.weights.size for layer in _crossbars(net)),
        "layers": len(_crossbars(net)),
        "act_bits": first.act_bits,
        "weight_bits": first.weight_bits,
        "stream_bits": net.stream_bits,
        "adc_bits": net.adc_bits,
        "cell_bits": net.cell_bits,
        "array_rows": net.array_rows,
        "pages": None if image is None else image.params.tile.pages,
    }


def _checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint that a network was exported from, if it lies where it usually does."""
    files = (folder.with_name(f"{folder.name}.safetensors"), folder.parent / "model.safetensors")
    return next((file for file in files if file.is_file()), None)


def _executors(net: IntNet, pixels: npt.NDArray[np.uint8], beside: Path | None) -> dict[str, Any]:
    """Compare every executor that is there with the golden one."""
    chosen: list[Executor] = [agreement.fast(net)]
    absent = {}
    try:
        chosen.append(agreement.onnx_runtime(net))
    except ParameterError as error:
        absent["ONNX Runtime"] = str(error)
    network = None if beside is None else load_network(beside)[0]
    if isinstance(network, QuantNetwork):
        chosen.append(pytorch(network))
    else:
        absent["PyTorch"] = "no checkpoint for integers lies beside the network"
    return {
        "images": len(pixels),
        "compared": agreement.agree(net, pixels, chosen),
        "absent": absent,
    }


def _rtl(run: Result) -> dict[str, Any]:
    facts = run.facts()
    del facts["cycles_per_s"]  # of this machine, now
    return facts | {"mode": run.params.mode, "images": run.images, "layers": run.layers()}


def _accuracy(
    net: IntNet, folder: Path, data: Path
) -> tuple[dict[str, Any], npt.NDArray[np.int32] | None]:
    """Classify all test images, or those of the zoo; return the logits of all, too."""
    pixels, labels = (np.asarray(each) for each in zoo_images())
    try:
        dataset = load(DATASET, data)
    except DataError as error:
        reason: str | None = str(error)
    else:
        reason = None
        pixels, labels = dataset.test_images.numpy(), dataset.test_labels.numpy()
    parts = [
        fast_executor.run(net, pixels[first : first + _BATCH])
        for first in range(0, len(pixels), _BATCH)
    ]
    logits = np.concatenate(parts)
    correct = int((logits.argmax(1) == labels).sum())
    found = {"dataset": DATASET, "images": len(pixels), "correct": correct, "reason": reason}
    card = _card(folder, net)
    percent = f"{100 * correct / len(pixels):.2f}"
    if reason is None and card not in (None, percent):
        raise MismatchError(f"accuracy must be {card} % as on the network's card, not {percent}")
    return found | {"card": card}, logits if reason is None else None


def _card(folder: Path, net: IntNet) -> str | None:
    """Return the accuracy on the card beside the network, if it is this network's."""
    card = folder.with_name(f"{folder.name}.md")
    text = card.read_text("utf-8") if card.is_file() else ""
    figure = re.search(r"\*\*(\d+\.\d+) %\*\*", text)
    return figure[1] if figure and intnet.digest(net) in text else None


def _curve(beside: Path | None) -> list[dict[str, Any]]:
    """Return accuracies by epoch: of the run for integers, before it of what it went on from."""
    if beside is None:
        return []
    facts = read_checkpoint(beside)[1]
    files = [beside]
    if start := Recipe.read(facts.get("recipe")).start:
        files = [
            file
            for file in sorted(beside.parent.glob("*.safetensors"))
            if hashlib.sha256(file.read_bytes()).hexdigest() == start
        ] + files
    return [
        {"run": file.stem, "accuracy": [float(line["accuracy"]) for line in log]}
        for file in files
        if (log := read_checkpoint(file)[1].get("log"))
    ]


def _cost(folder: Path, net: IntNet, run: Result | None) -> simulate.ChipCost:
    """Return what the network costs, with the activity that the RTL has counted, if it ran."""
    with tempfile.TemporaryDirectory() as beside:
        file = Path(beside, "counters.json")
        if run is not None:
            file.write_text(counters(run), encoding="utf-8")
        network = load_network_cost(str(folder), counters=None if run is None else file)
    network = dataclasses.replace(network, name=folder.resolve().name)
    return simulate.simulate(network, load_config(_POINT).for_network(net.name))


def _timing(image: Image | None) -> dict[str, Any] | None:
    if image is None:
        return None
    params = image.params
    return {
        "cycles": timing.accelerator_cycles(params),
        "bound": timing.accelerator_bound(params),
        "layers": [
            {
                "name": layer.name,
                "bound": timing.layer_bound(params, layer),
                "cycles": timing.layer_cycles(params, layer),
                "shift_cycles": timing.pass_cycles(params, layer),
            }
            for layer in params.layers
        ],
    }
