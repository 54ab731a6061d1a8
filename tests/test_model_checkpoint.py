# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: whole or absent, bounded, never a pickle, and only into a network that fits."""

import os
import pickle
import re

import pytest
import torch
from torch import nn

from model import checkpoint, cifar
from model.checkpoint import CheckpointError
from model.cifar import CIFAR, DataError


@pytest.fixture
def saved(tmp_path):
    file = tmp_path / "c.safetensors"
    net = nn.Linear(3, 2)
    checkpoint.write(file, {f"model.{k}": v for k, v in net.state_dict().items()}, {"epoch": 4})
    return file, net


def test_what_is_written_is_read(saved):
    file, net = saved
    tensors, facts = checkpoint.read(file)
    assert facts["epoch"] == 4
    other = nn.Linear(3, 2)
    checkpoint.load_into(other, tensors, "model.")
    assert torch.equal(other.weight, net.weight)
    assert [p.name for p in file.parent.iterdir()] == ["c.safetensors"]


def test_a_failed_write_leaves_the_earlier_one(saved, monkeypatch):
    file, _ = saved
    before = file.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        checkpoint.write(file, {}, {})
    assert file.read_bytes() == before
    assert len(list(file.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[: len(data) // 2], "must be a safetensors file"),
        (lambda data: b"", "must be a safetensors file"),
        (lambda data: pickle.dumps({"model": 1}), "must be a safetensors file"),
        (lambda data: data.replace(b"shiftbar", b"shiftfoo"), "must be a checkpoint of shiftbar"),
        (lambda data: data.replace(b'format\\": 1', b'format\\": 2'), "must have format 1, not 2"),
    ],
)
def test_damaged_or_foreign_files(saved, change, message):
    file, _ = saved
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(CheckpointError, match=f"^{re.escape(str(file))} {message}"):
        checkpoint.read(file)


def test_a_message_quotes_little_of_a_file(tmp_path):
    file = tmp_path / "c.safetensors"
    header = b'{"a": {"dtype": "%s", "shape": [], "data_offsets": [0, 0]}}' % (b"x" * 3000)
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CheckpointError, match="must be a safetensors file: .{200}$"):
        checkpoint.read(file)
    with pytest.raises(DataError, match="must be a safetensors file: .{200}$"):
        cifar.read(CIFAR["cifar10"], file)


def test_a_missing_or_huge_file(tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match="must be a readable file: No such file"):
        checkpoint.read(tmp_path / "none")
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 3)
    (tmp_path / "big").write_bytes(b"1234")
    with pytest.raises(CheckpointError, match="must have at most 3 bytes, not 4$"):
        checkpoint.read(tmp_path / "big")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"model.weight": torch.zeros(2, 3)}, "the checkpoint lacks model.bias"),
        ({"model.weight": torch.zeros(2, 3), "model.bias": torch.zeros(2),
          "model.x": torch.ones(1)},
         "the checkpoint has no place for model.x"),
        ({"model.weight": torch.zeros(2, 4), "model.bias": torch.zeros(2)},
         r"model.weight must be torch.float32 \[2, 3\], not torch.float32 \[2, 4\]"),
        ({"model.weight": torch.zeros(2, 3).double(), "model.bias": torch.zeros(2)},
         r"model.weight must be torch.float32 \[2, 3\], not torch.float64 \[2, 3\]"),
    ],
)  # fmt: skip
def test_a_network_that_does_not_fit(tensors, message):
    with pytest.raises(CheckpointError, match=f"^{message}$"):
        checkpoint.load_into(nn.Linear(3, 2), tensors, "model.")
