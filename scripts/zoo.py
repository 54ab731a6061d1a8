# SPDX-License-Identifier: Apache-2.0
"""Put a finished run into ``model/zoo/``: its network, a card, and its learning curve.

    python -m scripts.zoo build/psp_64_4 --hardware "1 core of an AMD EPYC"

writes ``model/zoo/NAME.safetensors`` and ``NAME.md``, and ``docs/results/NAME.svg``; of a run for
integers also the integer network, the folder ``model/zoo/NAME/``, if it proves to be one (see
`model.export`). The accuracy on the card is measured anew.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hw import cli
from hw.params import ParameterError
from model import checkpoint, intnet, qat
from model.data import DataError, load
from model.evaluate import load_network
from model.export import export
from model.journal import draw_curve
from model.quant_network import QuantNetwork
from model.recipe import Recipe
from model.train import FINAL
from model.verify import MismatchError, verify
from scripts.accuracy import LOSSLESS, measure

__all__ = ["card", "main"]

PROGRAM = "python -m scripts.zoo"
ROOT = Path(__file__).parent.parent
MAX_BYTES = 2 << 20
IMAGES = 16
"""Test images on which PyTorch and the golden executor must agree."""
SOURCES = {
    "cifar10": """
**Data.** CIFAR-10 is by Alex Krizhevsky: *Learning Multiple Layers of Features from Tiny Images*,
technical report, University of Toronto, 2009. All 50,000 training images, 10,000 test images.
"""
}
"""Whom a card credits for its data."""


def stored_name(recipe: Mapping[str, Any]) -> str:
    """Return the name in the zoo: ``psp_64_4``, ``psp_64_4_int8``, ``psp_64_4_int8_adc6``."""
    parts = [recipe["model"]]
    if recipe["quantize"] != "none":
        parts.append(recipe["quantize"])
    if recipe["adc_bits"] != LOSSLESS:
        parts.append(f"adc{recipe['adc_bits']}")
    return "_".join(parts)


def command_line(recipe: Mapping[str, Any], source: str | None) -> str:
    """Return the command that trains by a recipe: what differs from the defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(Recipe)}
    skipped = {"model", "start"}
    if recipe["start"]:
        defaults |= qat.DEFAULTS[recipe["quantize"]]
        skipped |= {"precision", *qat.TAKEN}
    changed = [
        f"--{name.replace('_', '-')} {value}"
        for name, value in recipe.items()
        if name not in skipped and value != defaults[name]
    ]
    if recipe["start"]:
        changed.append(f"--from {source or recipe['start']}")
    return " ".join(["python -m model.train", recipe["model"], *changed])


def find_source(recipe: Mapping[str, Any], zoo: Path) -> str | None:
    """Return the file of the zoo that a run for integers went on from, if it is there."""
    for file in sorted(zoo.glob("*.safetensors")):
        if hashlib.sha256(file.read_bytes()).hexdigest() == recipe["start"]:
            return f"model/zoo/{file.name}"
    return None


def card(row: Mapping[str, Any], recipe: Mapping[str, Any], sha256: str, what: str) -> str:
    """Return a network's card in Markdown.

    Parameters
    ----------
    row : mapping
        What `scripts.accuracy.measure` found of one run.
    recipe : mapping
        Of that run.
    sha256 : str
        Of the checkpoint.
    what : str
        The paragraphs on kind, use and training.
    """
    name = stored_name(recipe)
    used = "\n".join(f"| `{key}` | {value} |" for key, value in recipe.items() if key != "model")
    return f"""# {name}

{what}
The learning curve is `docs/results/{name}.svg`. On a CPU the same command gives the same weights
with the same PyTorch on the same kind of processor; elsewhere roundings differ, and so do the last
digits of the accuracy. It was one run, and these are the averaged weights after its last epoch: no
epoch and no seed was selected. The recipe was, by other runs compared on the test images
(`docs/training.md`).

| recipe | |
|---|---|
{used}

**{name}.safetensors** has the sha256 `{sha256}`. Its tensors `model.*` are a module's state; the
metadata are one JSON object with the recipe, loss and accuracy by epoch, and the mean and deviation
by which pixels (0…1) are normalised.
{SOURCES.get(row["dataset"], "")}"""


def float_text(row: Mapping[str, Any], command: str) -> str:
    """Return what a card says of a float network."""
    name = row["model"]
    return f"""{name} in float32, trained on {row["dataset"]}: {row["parameters"]:,} parameters,
batch norm's included, **{row["mean"]:.2f} %** of the test images.

    python -m model.evaluate model/zoo/{name}.safetensors

**Training.** `{command}`,
{row["minutes_a_run"]:.0f} minutes of training on {row["hardware"]}.
"""


def integer_text(row: Mapping[str, Any], command: str, name: str, digest: str) -> str:
    """Return what a card says of an integer network."""
    adc_bits = row["recipe"]["adc_bits"]
    kind = "lossless" if adc_bits == LOSSLESS else "saturating"
    return f"""{row["model"]} in integers ({row["precision"].upper()}, {kind} {adc_bits}-bit
converters), trained on {row["dataset"]}: **{row["mean"]:.2f} %** of the test images.

    python -m model.evaluate model/zoo/{name}

**{name}/** is the integer network, for hardware: `docs/intnet.md`. The sha256 of its `intnet.json`
is `{digest}`. PyTorch and the golden executor agreed on every accumulator and every map
of {IMAGES} test images when it was written.

**Training.** `{command}`,
{row["minutes_a_run"]:.0f} minutes of training on {row["hardware"]}.
"""


def files_of(run: Path, row: Mapping[str, Any], data: Path, zoo: Path) -> dict[str, bytes]:
    """Return what goes into the zoo, by name.

    Raises
    ------
    MismatchError
        If the integers are not those of PyTorch.
    ParameterError
        If the network is too large.
    """
    content = (run / FINAL).read_bytes()
    if len(content) > MAX_BYTES:
        raise ParameterError(f"a network must have at most {MAX_BYTES} bytes, not {len(content)}")
    network, loaded, _ = load_network(run / FINAL)
    recipe = dataclasses.asdict(loaded)
    name, command = stored_name(recipe), command_line(recipe, find_source(recipe, zoo))
    files = {f"{name}.safetensors": content}
    if isinstance(network, QuantNetwork):
        net = export(network, loaded.model)
        images = load(loaded.dataset, data, image_size=loaded.image_size).test_images
        verify(network, net, images[:IMAGES].numpy())
        for file, value in intnet.encode(net).items():
            files[f"{name}/{file}"] = value.encode() if isinstance(value, str) else value
        text = integer_text(row, command, name, intnet.digest(net))
    else:
        text = float_text(row, command)
    sha256 = hashlib.sha256(content).hexdigest()
    return files | {f"{name}.md": card(row, recipe, sha256, text).encode()}


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
        zoo = options.root / "model/zoo"
        for name, data in files_of(options.run, row, options.data, zoo).items():
            (zoo / name).parent.mkdir(exist_ok=True)
            checkpoint.replace(zoo / name, data)
        _, facts = checkpoint.read(options.run / FINAL)
        name = stored_name(facts["recipe"])
        title = f"{name}, {row['dataset']}, seed {facts['recipe']['seed']}"
        draw_curve(options.root / f"docs/results/{name}.svg", facts["log"], title)
    except (ParameterError, DataError, checkpoint.CheckpointError) as error:
        cli.bad_input(PROGRAM, error)
    except (MismatchError, OSError) as error:
        return cli.failed(PROGRAM, error)
    print(json.dumps({"name": name, "accuracy": row["mean"]}))
    return 0


if __name__ == "__main__":
    cli.run(main)
