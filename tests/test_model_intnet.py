# SPDX-License-Identifier: Apache-2.0
"""The integer network's files: the same network again, and the same bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import subprocess
import sys

import intnets
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from intnet_files import FILES, sample

from hw.disk import OutputError
from model import intnet
from model.executor import run


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture
def folder(tmp_path):
    return sample(tmp_path)


@pytest.mark.parametrize("kind", intnets.KINDS)
def test_what_is_written_is_read(kind, tmp_path):
    net = intnets.random_net(kind, 4)
    intnet.write(tmp_path / "a", net)
    again = intnet.read(tmp_path / "a")
    intnet.write(tmp_path / "b", again)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(FILES)
    images = intnets.images(net, 3)
    assert np.array_equal(run(net, images), run(again, images))
    assert (again.name, again.num_classes, again.input_shape) == (net.name, 10, (3, 8, 8))


@settings(max_examples=25)
@given(intnets.nets())
def test_any_network_is_read_as_it_was_written(tmp_path_factory, net):
    folder = tmp_path_factory.mktemp("any") / "net"
    intnet.write(folder, net)
    assert intnet.digest(intnet.read(folder)) == intnet.digest(net)


def test_the_same_network_gives_the_same_bytes_in_any_process(folder):
    code = (
        "import sys, intnets; from model import intnet;"
        "print(intnet.digest(intnets.random_net('sp', 1, width=12, side=4)))"
    )
    path = os.pathsep.join(["tests", *sys.path])
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path},
        )  # fmt: skip
        digest = hashlib.sha256((folder / "intnet.json").read_bytes()).hexdigest()
        assert done.stdout.strip() == digest


def test_the_digest_moves_with_every_bit_and_field(folder):
    net = intnet.read(folder)
    weights = net.layers[1].weights.copy()
    weights[0, 0] ^= 1
    layers = (
        net.layers[0],
        dataclasses.replace(net.layers[1], weights=weights),
        *net.layers[2:],
    )
    others = [dataclasses.replace(net, layers=layers), dataclasses.replace(net, adc_bits=7)]
    assert len({intnet.digest(each) for each in (net, *others)}) == 3


def test_an_occupied_folder_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="must be new, empty or hold an earlier intnet.json"):
        intnet.write(tmp_path, intnets.random_net("sp", 1))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_there_are_no_floats_in_it(folder):
    tensors = safetensors.numpy.load((folder / "intnet.safetensors").read_bytes())
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"uint8", "int8", "int16", "int32"}
    assert not re.search(r"[0-9]\.[0-9]", (folder / "intnet.json").read_text().split("layers")[0])
