# SPDX-License-Identifier: Apache-2.0
"""The programs that `scripts.kills` kills: small inputs, and what makes a file of theirs whole.

Nearly every file is whole if it has the bytes of a run that nobody killed; of those in which a run
tells how far it has come, or how long that took, its reader decides.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from fpga import flow
from hw import gen
from hw.params import ParameterError
from model import checkpoint, export, intnet, onnx_export, train
from model.cost import __main__ as cost
from model.cost import sweep
from model.cost.config_file import load
from model.cost.journal import Journal
from model.random_intnet import random_net

__all__ = ["PROGRAMS", "Program"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """Something that writes files into a folder.

    Parameters
    ----------
    name : str
    run : callable
        Takes the folder of the inputs, the output folder, and whether to go on.
    prepare : callable
        Writes the inputs into their folder.
    kills : int
        Of a full run.
    kills_a_life : int
        At most, before a run that may end.
    goes_on : callable
        Tells of an output folder whether a run can go on there, and must be told so.
    sound : mapping of str to callable
        By file that need not be as in another run: whether its content is whole.
    """

    name: str
    run: Callable[[Path, Path, bool], int | None]
    prepare: Callable[[Path], None] = lambda inputs: None
    kills: int
    kills_a_life: int = 6
    goes_on: Callable[[Path], bool] = lambda out: False
    sound: Mapping[str, Callable[[bytes], bool]] = dataclasses.field(default_factory=dict)


def _pictures(inputs: Path) -> None:
    """Write a data set of 2 classes of tiny pictures, as an image folder."""
    chance = np.random.Generator(np.random.PCG64(1))
    for split, count in (("train", 32), ("val", 4)):
        for label in ("a", "b"):
            folder = inputs / "pictures" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = chance.integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")


def _train(inputs: Path, out: Path, resume: bool, *more: str) -> int:
    line = [
        "psp_12_1", "--dataset", f"imagefolder:{inputs / 'pictures'}", "--image-size", "8",
        "--batch-size", "16", "--translate", "1", "--out", str(out), *more,
    ]  # fmt: skip
    return train.main(line + ["--resume"] * resume)


def _is_checkpoint(content: bytes) -> bool:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        try:
            checkpoint.read(Path(file.name))
        except checkpoint.CheckpointError:
            return False
    return True


def _is_log(content: bytes) -> bool:
    """Tell whether this is a line of JSON an epoch, from the first."""
    try:
        lines = [json.loads(line)["epoch"] for line in content.decode().splitlines()]
    except (ValueError, KeyError, TypeError):
        return False
    return lines == list(range(1, len(lines) + 1)) and content.endswith(b"\n")


def _trained(inputs: Path) -> None:
    """Train a network, then the same for integers."""
    _pictures(inputs)
    for name, more in (("float", ()), ("int8", ("--quantize", "int8", "--from"))):
        source = [str(inputs / "float" / train.FINAL)] * bool(more)
        _train(inputs, inputs / name, False, "--epochs", "1", *more, *source)


def _export(inputs: Path, out: Path, resume: bool) -> int:
    return export.main([str(inputs / "int8" / train.FINAL), "--out", str(out), "--images", "2"])


def _net(inputs: Path) -> None:
    intnet.write(inputs / "net", random_net("residual", 1, width=12, depth=1, side=4))


def _sweep(inputs: Path, out: Path, resume: bool) -> int:
    # A lock that died with its process is broken by Optuna after half a minute; here at once.
    (out / f"{sweep.JOURNAL}.lock").unlink(missing_ok=True)
    line = ["--points", "150", "--width", "64", "128", "--depth", "4", "--out", str(out)]
    return sweep.main(line + ["--resume"] * resume)


def _is_journal(content: bytes) -> bool:
    """Tell whether a sweep could go on from it; a last line may be half-written, and is dropped."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, sweep.JOURNAL)
        file.write_bytes(content)
        try:
            Journal(file, load("date2024_22nm")).read()
        except ParameterError:
            return False
    return True


def _build(inputs: Path, out: Path, resume: bool) -> int:
    return flow.main(["build", "--design", "shift", "--board", "arty_a7_35t", "--out", str(out)])


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def _is_any(content: bytes) -> bool:
    """Of a tool: it tells of a stage as far as it came, and how long that took."""
    return True


PROGRAMS = {
    program.name: program
    for program in (
        Program(
            name="train",
            prepare=_pictures,
            run=lambda inputs, out, resume: _train(inputs, out, resume, "--epochs", "8"),
            kills=10,
            kills_a_life=12,
            goes_on=lambda out: (out / train.LAST).exists(),
            sound={train.LAST: _is_checkpoint, "log.jsonl": _is_log},
        ),
        Program(name="export", prepare=_trained, run=_export, kills=6),
        Program(
            name="onnx export",
            prepare=_net,
            run=lambda inputs, out, resume: onnx_export.main(
                [str(inputs / "net"), "--images", "2", "--out", str(out / "net.onnx")]
            ),
            kills=10,
        ),
        Program(
            name="gen",
            run=lambda inputs, out, resume: gen.main(["--fmap", "16", "--out", str(out)]),
            kills=10,
        ),
        Program(
            name="gen accelerator",
            prepare=_net,
            run=lambda inputs, out, resume: gen.main(
                ["accelerator", "--intnet", str(inputs / "net"), "--out", str(out)]
            ),
            kills=6,
        ),
        Program(
            name="cost",
            run=lambda inputs, out, resume: cost.main(
                ["psp_12_1", "--csv", str(out / "a.csv"), "--html", str(out / "a.html")]
            ),
            kills=10,
        ),
        Program(
            name="sweep",
            run=_sweep,
            kills=6,
            goes_on=lambda out: (out / sweep.JOURNAL).exists(),
            sound={sweep.JOURNAL: _is_journal},
        ),
        Program(
            name="bitstream",
            run=_build,
            kills=8,
            kills_a_life=4,
            sound=dict.fromkeys(("manifest.json", "seconds.json"), _is_json)
            | dict.fromkeys(
                ("synthesis.log", "nextpnr.log", "frames2bit.log", "bitread.log"), _is_any
            ),
        ),
    )
}
"""By name."""
