# SPDX-License-Identifier: Apache-2.0
"""The file formats of `model`, for fuzzing: networks, checkpoints, data, design points, lists."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save

from hw.pages import counted
from hw.params import ParameterError
from model import checkpoint, cifar, image_folder, intnet, picture
from model.cost import config_file, counters, journal, networks
from model.cost.simulate import simulate
from model.cost.space import Cost, Point
from model.data import synthetic
from model.evaluate import load_network
from model.intnet import JSON_FILE, TENSOR_FILE, Crossbar, IntNet
from model.layer_shape import layers_to_json
from model.layers import layer_shapes
from model.quantise import quantise
from model.random_intnet import random_net
from model.recipe import Recipe
from model.state import start
from scripts.fuzz_case import Files, Target
from scripts.fuzz_mutate import Damage, damage_bytes, damage_json, damage_lines, damage_tensors

__all__ = ["TARGETS", "one_file"]

_CONFIGS = Path(config_file.__file__).parent / "configs"


def one_file(
    file: Path,
    seeds: Sequence[bytes],
    damage: Damage,
    read: Callable[[Path], object],
    *errors: type[Exception],
) -> Target:
    """Return the target of a format that is one file."""

    def read_file(files: Files) -> object:
        file.write_bytes(files[file.name])
        return read(file)

    return Target(
        seeds=[{file.name: seed} for seed in seeds],
        damage=functools.partial(damage_one, damage=damage),
        read=read_file,
        errors=errors,
    )


def damage_one(
    chance: random.Random, files: Files, seeds: Sequence[Files], *, damage: Damage
) -> Files:
    """Damage one of some files."""
    name = chance.choice(sorted(files))
    return files | {name: damage(chance, files[name], [seed[name] for seed in seeds])}


def _nets() -> list[IntNet]:
    wide = {"width": 12, "depth": 1, "side": 4, "classes": 3}
    narrow = {"width": 3, "side": 8, "classes": 3}
    return [
        random_net(kind, 1, **(narrow if kind in ("resnet", "vgg") else wide))
        for kind in ("residual", "sp", "resnet", "vgg")
    ]


def _network(folder: Path, damaged: str, damage: Damage) -> Target:
    """Return the target of an integer network, of which one of the two files is damaged."""

    def damage_network(chance: random.Random, files: Files, seeds: Sequence[Files]) -> Files:
        others = [seed[damaged] for seed in seeds]
        files = files | {damaged: damage(chance, files[damaged], others)}
        if damaged == TENSOR_FILE and chance.random() < 0.9:
            value = json.loads(files[JSON_FILE])
            value["sha256"] = hashlib.sha256(files[damaged]).hexdigest()
            files[JSON_FILE] = (json.dumps(value, indent=1) + "\n").encode()
        return files

    def read(files: Files) -> object:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return intnet.read(folder)

    seeds = [
        {name: c.encode() if isinstance(c, str) else c for name, c in intnet.encode(net).items()}
        for net in _nets()
    ]
    return Target(seeds=seeds, damage=damage_network, read=read, errors=(intnet.IntNetError,))


def _network_json(folder: Path) -> Target:
    return _network(folder, JSON_FILE, damage_json)


def _network_tensors(folder: Path) -> Target:
    return _network(folder, TENSOR_FILE, damage_tensors)


def _finished(folder: Path) -> Target:
    data: dict[str, Any] = {
        "num_classes": 10,
        "image_size": 8,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
    }
    seeds = []
    integers = {"quantize": "int8", "start": "0" * 64, "precision": "float32"}
    every: list[dict[str, Any]] = [{}, integers]
    for options in every:
        recipe = Recipe(model="psp_12_1", dataset="synthetic", **options)
        torch.manual_seed(0)
        network = recipe.network(num_classes=10, image_size=8)
        if scheme := recipe.scheme():
            network = quantise(network, scheme, image_size=8, mean=data["mean"], std=data["std"])
        file = folder / "model.safetensors"
        tensors = {f"model.{name}": value for name, value in network.state_dict().items()}
        checkpoint.write(file, tensors, {"data": data, "recipe": vars(recipe), "log": []})
        seeds.append(file.read_bytes())
    return one_file(
        file, seeds, damage_tensors, load_network, checkpoint.CheckpointError, ParameterError
    )


def _run(folder: Path) -> Target:
    recipe = Recipe(model="psp_12_1", dataset="synthetic", epochs=2)
    state = start(recipe, synthetic(train=1, test=1, image_size=8))
    file = folder / "last.safetensors"
    state.epoch = 1
    state.log = [{"epoch": 1, "loss": 1.0, "accuracy": 0.5, "seconds": 1.0, "images_per_s": 1}]
    for parameter in state.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for optimizer in state.optimizers:
        optimizer.step()
    state.save(file, recipe)
    return one_file(
        file, [file.read_bytes()], damage_tensors, lambda file: state.restore(file, recipe),
        checkpoint.CheckpointError, ParameterError,
    )  # fmt: skip


def _data_set(folder: Path) -> Target:
    fields: dict[str, Any] = dict(CIFAR_FIELDS)
    shapes = cifar.Cifar(**fields, sha256={}).shapes
    arrays = {name: np.ones(shape, np.uint8) for name, shape in shapes.items()}
    spec = cifar.Cifar(**fields, sha256={})
    sums = {split: cifar.split_sha256(spec, arrays, split) for split in spec.images}
    spec = cifar.Cifar(**fields, sha256=sums)
    return one_file(
        folder / cifar.file_name(spec), [save(arrays)], damage_tensors,
        lambda file: cifar.read(spec, file), cifar.DataError,
    )  # fmt: skip


CIFAR_FIELDS = {
    "name": "tiny", "num_classes": 10, "label_columns": ("labels",),
    "images": {"train": 2, "test": 1}, "mean": (0.5,) * 3, "std": (0.25,) * 3,
}  # fmt: skip


def _picture(folder: Path) -> Target:
    pixels = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)
    formats = ("PNG", "JPEG", "WEBP")
    seeds = []
    for kind in formats:
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, kind)
        seeds.append(content.getvalue())

    def read(file: Path) -> object:
        with picture.bombs_refused():
            return image_folder.fit(picture.decode_rgb(file, file.name, formats=formats), 8)

    return one_file(folder / "picture", seeds, damage_bytes, read, cifar.DataError)


def _design_point(folder: Path) -> Target:
    network = networks.named("psp_12_1")
    short = b'about = "a"\nextends = "date2024"\n[node_nm]\nvalue = 22\nunit = "nm"\nsource = "b"\n'
    return one_file(
        folder / "design.toml",
        [short, *(file.read_bytes() for file in sorted(_CONFIGS.glob("*.toml")))],
        damage_lines,
        lambda file: simulate(network, config_file.load(str(file))),
        ParameterError,
    )


def _layer_list(folder: Path) -> Target:
    design = config_file.load("date2024_22nm")
    names = ("psp_12_1", "densenet40_12", "mobilenetv1")
    texts = [layers_to_json(layer_shapes(name)[:6]).encode() for name in names]
    return one_file(
        folder / "layers.json", texts, damage_json,
        lambda file: simulate(networks.from_json(file), design), ParameterError,
    )  # fmt: skip


def _counters(folder: Path) -> Target:
    net, outputs = _nets()[0], 6
    layers: dict[str, Mapping[str, int]] = {}
    for layer in net.layers:
        if isinstance(layer, Crossbar):
            vectors = net.maps[layer.out].height * net.maps[layer.out].width
            pages = vectors * int(counted(net, layer, outputs).sum())
            layers[layer.name] = dict.fromkeys(counters.COUNTS, 2) | {"sampled_pages": pages}
    value = {
        "digest": intnet.digest(net), "images": 1, "page_outputs": outputs, "layers": layers
    }  # fmt: skip
    return one_file(
        folder / "counters.json", [json.dumps(value).encode()], damage_json,
        lambda file: counters.read(file, net), counters.CountersError,
    )  # fmt: skip


def _sweep(folder: Path) -> Target:
    design = config_file.load("date2024_22nm")
    file = folder / "journal.log"
    stored = journal.Journal(file, design)
    for depth in (1, 2):
        stored.append(Point(64, depth, 64, 2, 8, 8, "fused"), Cost(1.0, 2.0, 3.0))
    # Who has written it, and when, is not to change the cases.
    text = re.sub(r'("worker_id":)"[^"]*"', r'\1"a"', file.read_text("utf-8"))
    text = re.sub(r'("datetime_\w+":)"[^"]*"', r'\1"2024-01-01T00:00:00+00:00"', text)
    return one_file(
        file, [text.encode()], _damage_journal,
        lambda file: journal.Journal(file, design).read(), ParameterError,
    )  # fmt: skip


def _damage_journal(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Damage the JSON of a line, or the lines."""
    if chance.random() < 0.3:
        return damage_lines(chance, data, others)
    lines = data.split(b"\n")
    at = chance.randrange(len(lines) - 1)
    lines[at] = damage_json(chance, lines[at], lines).replace(b"\n", b"")
    return b"\n".join(lines)


TARGETS: dict[str, tuple[Callable[[Path], Target], int]] = {
    "intnet.json": (_network_json, 10_000),
    "intnet.safetensors": (_network_tensors, 10_000),
    "checkpoint": (_finished, 5_000),
    "checkpoint to resume": (_run, 5_000),
    "data set": (_data_set, 20_000),
    "picture": (_picture, 20_000),
    "design point": (_design_point, 10_000),
    "layer list": (_layer_list, 20_000),
    "counters": (_counters, 20_000),
    "sweep journal": (_sweep, 5_000),
}
"""By format: what makes its target, in a folder of its own, and how many cases a full run has."""
