# SPDX-License-Identifier: Apache-2.0
"""Hostile tensors, and files that are none: one line for whatever is wrong."""

from __future__ import annotations

import hashlib
import json

import intnets
import numpy as np
import pytest
import safetensors.numpy
from intnet_files import FILES, INTEGER, refused, retensor, sample

from model import intnet
from model.intnet import IntNetError


@pytest.fixture
def folder(tmp_path):
    return sample(tmp_path)


def tensors_of(folder):
    return safetensors.numpy.load((folder / "intnet.safetensors").read_bytes())


def with_entry(name, index, entry):
    def change(tensors):
        tensors[name] = tensors[name].copy()
        tensors[name][index] = entry

    return change


MIX = "body.0.mix.periphery"
HOSTILE_TENSORS = {
    "missing": (lambda t: t.pop("stem.bias"), ": the tensors must hold stem.bias"),
    "extra": (
        lambda t: t.update(more=np.zeros(1, np.int8)), ": intnet.safetensors must not hold 'more'"
    ),
    "float": (
        lambda t: t.update({"stem.bias": t["stem.bias"].astype(np.float32)}),
        ": 'stem.bias' must hold integers, not F32",
    ),
    "dtype": (
        lambda t: t.update({"stem.bias": t["stem.bias"].astype(np.int16)}),
        ": stem: bias must be int32 [12], not int16 [12]",
    ),
    "shape": (
        lambda t: t.update({"stem.bias": t["stem.bias"][1:].copy()}),
        ": stem: bias must be int32 [12], not int32 [11]",
    ),
    "rank of weights": (
        lambda t: t.update({"stem.weights": t["stem.weights"][0].copy()}),
        ": stem: weights must be uint8 [rows, outputs]",
    ),
    "no weights": (
        lambda t: t.update({"stem.weights": np.zeros((0, 12), np.uint8)}),
        f": stem: rows {INTEGER} from 1 to 65536, not 0",
    ),
    "k": (
        lambda t: t.update({f"{MIX}.k": np.array([24], np.int8)}),
        f": body.0.mix: each entry of k {INTEGER} from -7 to 23, not 24",
    ),
    "k for some": (
        lambda t: t.update({f"{MIX}.k": np.zeros(5, np.int8)}),
        ": body.0.mix: k must be int8 [1] or int8 [12], not int8 [5]",
    ),
    "table too short": (
        lambda t: t.update({f"{MIX}.table": t[f"{MIX}.table"][:255].copy()}),
        ": body.0.mix: table must be int8 [256], not int8 [255]",
    ),
    "sign": (
        with_entry(f"{MIX}.affine.sign", 0, 2),
        f": body.0.mix: affine: each entry of sign {INTEGER} from -1 to 1, not 2",
    ),
    "exponent": (
        with_entry(f"{MIX}.second.affine.exponent", 3, 8),
        (
            f": body.0.mix: second.affine: each entry of exponent {INTEGER} from 0 to 7,"
            " not 8"
        ),
    ),
    "accumulator": (
        with_entry("head.bias", 0, 2**31 - 1),
        (
            f": head: the accumulator must stay within {2**31 - 1}, not reach"
            f" {2**31 - 1 + 12 * 128 * 383}"
        ),
    ),
    "accumulator, negative": (
        with_entry("head.bias", 0, -(2**31)),
        (
            f": head: the accumulator must stay within {2**31 - 1}, not reach"
            f" {2**31 + 12 * 128 * 383}"
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE_TENSORS)
def test_refuses_hostile_tensors(case, folder):
    change, message = HOSTILE_TENSORS[case]
    tensors = tensors_of(folder)
    change(tensors)
    retensor(folder, safetensors.numpy.save(tensors))
    refused(folder, message)


def test_refuses_a_table_out_of_range(tmp_path):
    intnet.write(tmp_path, intnets.random_net("residual", 1, act_bits=4, weight_bits=4))
    tensors = tensors_of(tmp_path)
    tensors["body.1.first.periphery.table"] = np.full(16, 8, np.int8)
    retensor(tmp_path, safetensors.numpy.save(tensors))
    rule = "each entry of table must be an integer from -8 to 7, not 8"
    refused(tmp_path, f": body.1.first: {rule}")


def test_refuses_other_tensors_than_the_hash_says(folder):
    sha256 = json.loads((folder / "intnet.json").read_text())["sha256"]
    data = bytearray((folder / "intnet.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "intnet.safetensors").write_bytes(data)
    wrong = hashlib.sha256(data).hexdigest()
    refused(folder, f": sha256 must be that of intnet.safetensors, '{wrong}'")
    assert sha256 != wrong


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_refuses_cut_tensors(folder, cut):
    retensor(folder, (folder / "intnet.safetensors").read_bytes()[:cut])
    with pytest.raises(IntNetError, match="intnet.safetensors must be a safetensors file: ") as it:
        intnet.read(folder)
    assert "\n" not in str(it.value)


def test_refuses_a_tensor_header_in_few_words(folder):
    header = json.dumps({"a": "line\nbreak" * 10_000}).encode()
    retensor(folder, len(header).to_bytes(8, "little") + header)
    with pytest.raises(IntNetError, match="intnet.safetensors must be a safetensors file: ") as it:
        intnet.read(folder)
    assert "\n" not in str(it.value)
    assert len(str(it.value)) < 400


@pytest.mark.parametrize("name", FILES)
def test_refuses_files_that_are_missing_or_too_large(folder, name, monkeypatch):
    limit = {"intnet.json": "MAX_JSON_BYTES", "intnet.safetensors": "MAX_TENSOR_BYTES"}[name]
    monkeypatch.setattr(intnet, limit, 10)
    size = (folder / name).stat().st_size
    refused(folder, f" must have at most 10 bytes, not {size}", name)
    (folder / name).unlink()
    refused(folder, " must be a readable file: No such file or directory", name)
    (folder / name).mkdir()
    refused(folder, " must be a file", name)
