# SPDX-License-Identifier: Apache-2.0
"""Put a finished run into ``model/zoo/``: its network, a card, and its learning curve.

    python -m scripts.zoo build/psp_64_4 --hardware "1 core of an AMD EPYC"

writes ``model/zoo/NAME.safetensors`` and ``NAME.md``, and ``docs/results/NAME.svg``. The accuracy
on the card is measured anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hw import cli
from hw.params import ParameterError
from model import checkpoint
from model.data import DataError
from model.journal import draw_curve
from model.recipe import Recipe
from model.train import FINAL
from scripts.accuracy import measure

__all__ = ["card", "main"]

PROGRAM = "python -m scripts.zoo"
ROOT = Path(__file__).parent.parent
MAX_BYTES = 2 << 20
SOURCES = {
    "cifar10": """
**Data.** CIFAR-10 is by Alex Krizhevsky: *Learning Multiple Layers of Features from Tiny Images*,
technical report, University of Toronto, 2009. All 50,000 training images, 10,000 test images.
"""
}
"""Whom a card credits for its data."""


def command_line(recipe: Mapping[str, Any]) -> str:
    """Return the command that trains by a recipe: what differs from the defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(Recipe)}
    changed = [
        f"--{name.replace('_', '-')} {value}"
        for name, value in recipe.items()
        if name not in ("model", "start") and value != defaults[name]
    ]
    return " ".join(["python -m model.train", recipe["model"], *changed])


def card(row: Mapping[str, Any], sha256: str) -> str:
    """Return a network's card in Markdown.

    Parameters
    ----------
    row : mapping
        What `scripts.accuracy.measure` found of one run.
    sha256 : str
        Of the file.
    """
    name, (seed, accuracy) = row["model"], next(iter(row["seeds"].items()))
    recipe = {**row["recipe"], "seed": int(seed)}
    used = "\n".join(f"| `{key}` | {value} |" for key, value in recipe.items() if key != "model")
    return f"""# {name}.safetensors

{name} in float32, trained on {row["dataset"]}: {row["parameters"]:,} parameters, batch norm's
included, **{accuracy:.2f} %** of the test images. One run, the averaged weights after its last
epoch: no epoch and no seed was selected. The recipe's defaults were, by short runs compared on the
test images.

    python -m model.evaluate model/zoo/{name}.safetensors

sha256 of the file: `{sha256}`.

**Training.** `{command_line(recipe)}`,
{row["minutes_a_run"]:.0f} minutes of training on {row["hardware"]}.
The learning curve is `docs/results/{name}.svg`. On a CPU the same command gives the same weights
with the same PyTorch on the same kind of processor; elsewhere roundings differ, and so do the last
digits of the accuracy.

| recipe | |
|---|---|
{used}

**Content.** Tensors `model.*` are the state of the module in `model/psp.py`; the metadata are one
JSON object with the recipe, loss and accuracy by epoch, and the mean and deviation by which pixels
(0…1) are normalised.
{SOURCES.get(row["dataset"], "")}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, (__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("--hardware", required=True, metavar="TEXT", help="what it was trained on")
    parser.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="data sets")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="of the repository")
    options = parser.parse_args(arguments)
    try:
        row = measure([options.run], options.data, options.hardware)
        content = (options.run / FINAL).read_bytes()
        if len(content) > MAX_BYTES:
            raise ParameterError(
                f"a network must have at most {MAX_BYTES} bytes, not {len(content)}"
            )
        text = card(row, hashlib.sha256(content).hexdigest())
        files = {
            f"model/zoo/{row['model']}.safetensors": content,
            f"model/zoo/{row['model']}.md": text.encode(),
        }
        for name, data in files.items():
            checkpoint.replace(options.root / name, data)
        _, facts = checkpoint.read(options.run / FINAL)
        title = f"{row['model']}, {row['dataset']}, seed {facts['recipe']['seed']}"
        draw_curve(options.root / f"docs/results/{row['model']}.svg", facts["log"], title)
    except (ParameterError, DataError, checkpoint.CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    except OSError as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"model": row["model"], "accuracy": row["mean"]}))
    return 0


if __name__ == "__main__":
    cli.run(main)
