# SPDX-License-Identifier: Apache-2.0
"""ImageNet's layout under torchrun: a small folder of pictures, killed, resumed, compared."""

import dataclasses
import os
import re
import shlex
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchrun import COMMAND, final_gap, launch, started, workers

from model import checkpoint, train
from model.recipe import Recipe

DOCUMENT = Path(__file__).parent.parent / "docs/training.md"
FIELDS = {field.name for field in dataclasses.fields(Recipe)}
CLASSES = ("n01440764", "n01443537", "n02102040")
SIZES = ((40, 30), (32, 32), (25, 64), (90, 20))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Pictures of several sizes and formats: a colour for each class, under noise."""
    root = tmp_path_factory.mktemp("imagenet")
    source = np.random.default_rng(1)
    for split, count in (("train", 24), ("val", 4)):
        for number, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for n in range(count):
                width, height = SIZES[n % len(SIZES)]
                pixels = source.integers(0, 160, (height, width, 3), dtype=np.uint8)
                pixels[..., number] += 90
                suffix = "JPEG" if n % 3 else "png"
                Image.fromarray(pixels).save(folder / f"{name}_{n}.{suffix}")
    return root


def command(tree, out):
    options = ["--dataset", f"imagefolder:{tree}", "--image-size", "32", "--batch-size", "12"]
    return [*COMMAND, *options, "--epochs", "20", "--out", str(out)]


def test_the_documented_command_is_a_recipe():
    text = DOCUMENT.read_text().replace("\\\n", " ")
    line = re.search(r"torchrun --nnodes .* -m model\.train (.*)", text)[1]
    options = vars(train.options_parser().parse_args(shlex.split(line)))
    recipe = Recipe(**{key: options[key] for key in options if key in FIELDS})
    assert recipe.dataset == "imagefolder:/data/imagenet"
    recipe.network(num_classes=1000, image_size=recipe.image_size)
    assert recipe.batch_size % 16 == 0


@pytest.mark.slow  # three launches of torchrun
def test_two_processes_one_of_them_killed_train_a_folder_as_one(tree, tmp_path):
    assert train.main(command(tree, tmp_path / "one")) == 0
    line = ["-m", "model.train", *command(tree, tmp_path / "two")]
    with started(*line, cwd=tmp_path) as process:
        while not (told := process.stderr.readline()).startswith("epoch"):
            assert told, "it must tell of an epoch before it ends"
        ours = workers(process)
        assert len(ours) == 2
        os.kill(ours[1], signal.SIGKILL)
        process.communicate(timeout=120)
        assert process.returncode == 1
    assert not (tmp_path / "two" / train.FINAL).exists()
    assert 0 < checkpoint.read(tmp_path / "two" / train.LAST)[1]["epoch"] < 20
    done = launch(*line, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert final_gap(tmp_path / "one", tmp_path / "two") < 1e-4
    log = checkpoint.read(tmp_path / "two" / train.FINAL)[1]["log"]
    assert log[-1]["loss"] < log[0]["loss"]

    (tree / "val" / CLASSES[1] / "broken.JPEG").write_bytes(b"\xff\xd8\xff")
    done = launch("-m", "model.train", *command(tree, tmp_path / "three"), cwd=tmp_path)
    assert done.returncode == 1
    assert "broken.JPEG must be a whole JPEG or PNG or WEBP picture" in done.stderr
    assert not (tmp_path / "three").exists()
