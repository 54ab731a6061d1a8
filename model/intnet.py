# SPDX-License-Identifier: Apache-2.0
"""The integer network: what training hands to golden executor, RTL, memory images and cost model.

Two files in a folder: ``intnet.json`` (maps, layers, exponents, the sha256 of the tensors) and
``intnet.safetensors`` (integer tensors). There are no floats. The same network gives the same
bytes. The format is ``docs/intnet.md``; what the integers compute is `model.executor`.

A leaf: NumPy, safetensors and `hw` without RTL. A folder from outside is hostile until checked:
sizes are bounded before anything is read, and an `IntNet` that exists keeps every rule.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from hw.disk import write_files
from hw.params import Direction
from model.intnet_check import check_layers
from model.intnet_codec import from_json, parse, to_json
from model.intnet_layers import (
    Affine,
    Crossbar,
    Layer,
    MaxPool,
    Periphery,
    SecondWrite,
    SumPool,
)
from model.intnet_maps import Map, Operand
from model.intnet_rules import IntNetError, check_field, check_name, quote

__all__ = [
    "Affine",
    "Crossbar",
    "IntNet",
    "IntNetError",
    "Layer",
    "Map",
    "MaxPool",
    "Operand",
    "Periphery",
    "SecondWrite",
    "SumPool",
    "digest",
    "encode",
    "files",
    "read",
    "write",
]

VERSION = 1
JSON_FILE = "intnet.json"
TENSOR_FILE = "intnet.safetensors"
MAX_JSON_BYTES = 1 << 22
MAX_TENSOR_BYTES = 1 << 28

_DTYPES = {"U8": np.uint8, "I8": np.int8, "I16": np.int16, "I32": np.int32}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class IntNet:
    """An integer network: layers over named maps, run from first to last.

    Parameters
    ----------
    name : str
        Such as ``psp_64_4``.
    array_rows : int
        Wordlines of a crossbar, 1…4096: row i of a layer lies in tile i // array_rows.
    cell_bits : int
        Bits a cell, 1…8.
    adc_bits : int
        Bits of an ADC, 1…16; it saturates at 2^adc_bits − 1.
    stream_bits : int
        Width of the maps that layers write, 2…16.
    fetch_shift : int
        r, 0…15: a map that is wider than a layer's act_bits is fetched as round(v·2^−r).
    input : str
        The map of the image: a pixel minus 128, 8 bits.
    maps : mapping of str to Map
    layers : tuple of Layer
        The last one writes the logits, int32.

    Raises
    ------
    IntNetError
        If a rule of ``docs/intnet.md`` is broken: one line.
    """

    name: str
    array_rows: int
    cell_bits: int
    adc_bits: int
    stream_bits: int
    fetch_shift: int
    input: str
    maps: Mapping[str, Map]
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        check_name("name", self.name)
        check_field("array_rows", self.array_rows, 1, 4096)
        check_field("cell_bits", self.cell_bits, 1, 8)
        check_field("adc_bits", self.adc_bits, 1, 16)
        check_field("stream_bits", self.stream_bits, 2, 16)
        check_field("fetch_shift", self.fetch_shift, 0, 15)
        check_layers(self.layers, self.maps, self.input, self.stream_bits)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """[C, H, W] of an image."""
        return self.maps[self.input].shape

    @property
    def num_classes(self) -> int:
        """Logits of an image."""
        return self.maps[self.layers[-1].out].channels


def files(folder: Path) -> tuple[Path, Path]:
    """Return where a network's two files lie in its folder."""
    return folder / JSON_FILE, folder / TENSOR_FILE


def write(folder: Path, net: IntNet) -> None:
    """Write a network's two files, each whole or not at all.

    Parameters
    ----------
    folder : Path
        Made if missing; if it holds anything, then an earlier network.

    Raises
    ------
    hw.disk.OutputError
        If the folder is occupied or cannot be written.
    """
    write_files(folder, encode(net), owner=JSON_FILE)


def encode(net: IntNet) -> dict[str, str | bytes]:
    """Return the content of a network's two files, by their names."""
    tensors: dict[str, np.ndarray] = {}
    value = to_json(net, "", tensors)
    data = safetensors.numpy.save(tensors)
    value = _header(hashlib.sha256(data).hexdigest()) | value
    return {TENSOR_FILE: data, JSON_FILE: json.dumps(value, indent=1) + "\n"}


def digest(net: IntNet) -> str:
    """Return the sha256 of ``intnet.json``, hence of the whole network, in hexadecimal."""
    return hashlib.sha256(str(encode(net)[JSON_FILE]).encode()).hexdigest()


def read(folder: Path) -> IntNet:
    """Read a network from files that anybody may have written.

    Raises
    ------
    IntNetError
        If they are missing, too large, damaged, of another version, or break a rule: one line
        that names the file.
    """
    text = _content(folder / JSON_FILE, MAX_JSON_BYTES)
    data = _content(folder / TENSOR_FILE, MAX_TENSOR_BYTES)
    try:
        net = _decode(text, data)
        # Else its sha256 would not be the network's.
        if str(encode(net)[JSON_FILE]).encode() != text:
            raise IntNetError("must be in the form in which it is written: fields, order, spaces")
        return net
    except IntNetError as error:
        raise IntNetError(f"{folder / JSON_FILE}: {error}") from None


def _content(file: Path, limit: int) -> bytes:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise IntNetError(f"{file} must be a file")
        if status.st_size > limit:
            raise IntNetError(f"{file} must have at most {limit} bytes, not {status.st_size}")
        with file.open("rb") as stream:
            return stream.read(limit)
    except OSError as error:
        raise IntNetError(f"{file} must be a readable file: {error.strerror}") from None


def _header(sha256: str) -> dict[str, Any]:
    """Return what a file says before its network begins; a reader accepts nothing else."""
    return {
        "format": "shiftbar integer network",
        "version": VERSION,
        "directions": [direction.name for direction in Direction.moving()],
        "sha256": sha256,
    }


def _decode(text: bytes, data: bytes) -> IntNet:
    value = parse(text)
    for key, wanted in _header(hashlib.sha256(data).hexdigest()).items():
        if key not in value or value.pop(key) != wanted:
            whose = f"that of {TENSOR_FILE}, " if key == "sha256" else ""
            raise IntNetError(f"{key} must be {whose}{quote(wanted)}")
    try:
        flat = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        reason = quote(str(error))  # it may quote the file at length
        raise IntNetError(f"{TENSOR_FILE} must be a safetensors file: {reason}") from None
    tensors = {}
    for name, entry in flat:
        if entry["dtype"] not in _DTYPES:
            raise IntNetError(f"{quote(name)} must hold integers, not {entry['dtype']}")
        array = np.frombuffer(entry["data"], np.dtype(_DTYPES[entry["dtype"]]).newbyteorder("<"))
        tensors[name] = array.reshape(entry["shape"])
    net: IntNet = from_json(IntNet, value, "", tensors)
    for name in sorted(tensors):
        raise IntNetError(f"{TENSOR_FILE} must not hold {quote(name)}")
    return net
