# SPDX-License-Identifier: Apache-2.0
"""An integer network's files, to be damaged."""

from __future__ import annotations

import hashlib
import json

import intnets
import pytest

from model import intnet
from model.intnet import IntNetError

FILES = ("intnet.json", "intnet.safetensors")
INTEGER = "must be an integer"


def sample(tmp_path):
    """Write a small SP network and return its folder."""
    intnet.write(tmp_path / "net", intnets.random_net("sp", 1, width=12, side=4))
    return tmp_path / "net"


def edit(folder, change):
    """Change the JSON's value and keep the hash true to the tensors."""
    file = folder / "intnet.json"
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def refused(folder, message, file="intnet.json"):
    with pytest.raises(IntNetError) as caught:
        intnet.read(folder)
    assert str(caught.value) == f"{folder / file}{message}"
    assert "\n" not in str(caught.value)


def put(*path, to):
    def change(value):
        for key in path[:-1]:
            value = value[key]
        if to is ...:
            del value[path[-1]]
        else:
            value[path[-1]] = to

    return change


def retensor(folder, data):
    """Write other tensor bytes, and the JSON with their hash."""
    (folder / "intnet.safetensors").write_bytes(data)
    edit(folder, put("sha256", to=hashlib.sha256(data).hexdigest()))
