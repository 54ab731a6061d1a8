# SPDX-License-Identifier: Apache-2.0
"""What ``docs/results`` holds of a network, for `scripts.report`.

A figure is taken only where it names the network's digest, or the folder of the zoo that has it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fpga.networks import network
from model import intnet
from model.agreement import MismatchError
from model.intnet import IntNet
from scripts import bitstreams, size_accelerator
from scripts.size import BASELINE
from scripts.tables import ROOT

__all__ = ["all_images", "boards", "size", "trust"]

RESULTS = ROOT / "docs/results"


def _read(name: str) -> Any:
    """Return a file of ``docs/results``, None if it is not there."""
    file = RESULTS / name
    return json.loads(file.read_text("utf-8")) if file.is_file() else None


def all_images(net: IntNet, every: npt.NDArray[np.int32] | None) -> dict[str, Any] | None:
    """Return the record of a whole test set in RTL, if it is this network's and complete.

    Its logits are stored as hashes; they are compared with those of ``every`` image, if there are.
    """
    stored = _read("all_images.json")
    if stored is None or stored["run"]["digest"] != intnet.digest(net):
        return None
    run, firsts = stored["run"], sorted(map(int, stored["logits"]))
    for first, end in zip(firsts, [*firsts[1:], run["images"]], strict=True):
        if every is None:
            break
        found = hashlib.sha256(every[first:end].astype("<i4").tobytes()).hexdigest()
        if found != stored["logits"][str(first)]:
            raise MismatchError(
                f"images {first} to {end - 1}: logits must be those that all_images.json has of "
                "RTL, not others"
            )
    return {
        "images": run["images"],
        "logits": run["images"] * run["classes"],
        "cycles": run["images"] * run["cycles_an_image"],
        "correct": sum(stored["correct"].values()),
        "compared_now": every is not None,
    }


def boards(net: IntNet) -> list[dict[str, Any]]:
    """Return the bitstreams of a network."""
    stored = (_read("bitstreams.json") or {"builds": {}})["builds"]
    found = []
    for name, (board, _, *rest) in bitstreams.BUILDS.items():
        if rest and name in stored:
            if intnet.digest(intnet.read(network(rest[0]))) != intnet.digest(net):
                continue
            build_ = stored[name]
            kept = ("part", "placed", "limits", "clock_mhz", "fmax_estimate_mhz", "cycles_an_image")
            found.append({"board": board} | {key: build_[key] for key in kept})
    return found


def size(folder: Path, net: IntNet, *, measure: bool) -> dict[str, Any] | None:
    """Return the size of a network's accelerator by mode; measured, if that is asked for."""
    stored = json.loads(BASELINE.read_text("utf-8"))["accelerator"]
    if stored["network"]["sha256"] != intnet.digest(net):
        if not measure:
            return None
        stored = size_accelerator.measure(folder)
    return {"modes": stored["modes"], "limits": stored["limits"]}


def trust() -> list[dict[str, str]]:
    """Return what is stored of the RTL's generator and of the programs, whatever the network."""
    kept = ("what", "shown", "command")
    return [{key: str(figure[key]) for key in kept} for figure in _read("trust.json")["figures"]]
