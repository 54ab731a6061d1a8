# SPDX-License-Identifier: Apache-2.0
"""The networks of the zoo: small, as their cards say, and able to see."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import torch

from model import evaluate, intnet
from model.data import normalise
from model.export import export
from model.images import zoo_images
from model.verify import verify
from scripts.accuracy import RESULTS
from scripts.zoo import stored_name

ROOT = Path(__file__).parent.parent
NETWORKS = sorted(
    file
    for file in (ROOT / "model/zoo").glob("*.safetensors")
    if file.stem.startswith(("psp_", "sp_"))
)
DATA = ROOT / "data/cifar10.safetensors"


@pytest.fixture(params=NETWORKS, ids=lambda file: file.stem)
def file(request):
    return request.param


def recorded(file):
    """Return the row of the recorded accuracies."""
    rows = json.loads(RESULTS.read_text())["rows"]
    return next(row for row in rows if stored_name(row["recipe"]) == file.stem)


def test_there_are_networks():
    assert "psp_64_4" in {file.stem for file in NETWORKS}


def test_the_card_tells_of_this_file(file):
    card = file.with_suffix(".md").read_text()
    assert hashlib.sha256(file.read_bytes()).hexdigest() in card
    assert f"**{recorded(file)['mean']:.2f} %**" in card
    assert (ROOT / f"docs/results/{file.stem}.svg").is_file()
    assert file.stat().st_size <= 2 << 20


def test_it_is_what_its_recipe_says(file):
    network, recipe, data = evaluate.load_network(file)
    assert stored_name(dataclasses.asdict(recipe)) == file.stem
    assert recipe.epochs == recorded(file)["epochs"]
    assert sum(value.numel() for value in network.parameters()) == recorded(file)["parameters"]
    assert (data["num_classes"], data["image_size"]) == (10, 32)


def right(network, data):
    """How many of the 48 test images a network classifies correctly."""
    images, labels = zoo_images()
    values = normalise(torch.from_numpy(images), tuple(data["mean"]), tuple(data["std"]))
    with torch.inference_mode():
        found = network(values).argmax(1)
    return int((found == torch.from_numpy(labels)).sum())


def test_it_sees(file):
    network, _, data = evaluate.load_network(file)
    assert right(network, data) >= 38


def test_a_network_without_its_weights_does_not(file):
    _, recipe, data = evaluate.load_network(file)
    torch.manual_seed(0)
    assert right(recipe.network(num_classes=10, image_size=32).eval(), data) < 20


INTEGERS = [file for file in NETWORKS if "_int" in file.stem]


@pytest.mark.parametrize("file", INTEGERS, ids=lambda file: file.stem)
def test_its_integers_are_those_of_its_checkpoint(file):
    network, recipe, _ = evaluate.load_network(file)
    made = intnet.encode(export(network, recipe.model))
    for name, content in made.items():
        stored = (file.with_suffix("") / name).read_bytes()
        assert stored == (content.encode() if isinstance(content, str) else content)
    net = intnet.read(file.with_suffix(""))
    assert intnet.digest(net) in file.with_suffix(".md").read_text()
    assert verify(network, net, zoo_images()[0][:8]) > 1000


@pytest.mark.skipif(not DATA.exists(), reason="needs CIFAR-10: python -m scripts.fetch_data")
@pytest.mark.slow
def test_it_is_as_accurate_as_recorded(file, capsys):
    assert evaluate.main([str(file), "--data", str(DATA.parent), "--json"]) == 0
    found = 100 * json.loads(capsys.readouterr().out)["accuracy"]
    # Other processors round otherwise: a few of 10,000 images.
    assert found == pytest.approx(recorded(file)["mean"], abs=0.1)
