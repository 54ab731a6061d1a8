# SPDX-License-Identifier: Apache-2.0
"""The integer network's files: the same bytes again, and one line for whatever is wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys

import intnets
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings

from hw.cli import OutputError
from model import intnet, intnet_check
from model.executor import run
from model.intnet import Affine, Crossbar, IntNetError, Map, Operand, Periphery, SecondWrite

FILES = ("intnet.json", "intnet.safetensors")


def contents(folder):
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.fixture
def folder(tmp_path):
    intnet.write(tmp_path / "net", intnets.random_net("sp", 1, width=12, side=4))
    return tmp_path / "net"


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


@settings(max_examples=25, deadline=None)
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


# Hostile files: a change of the JSON's value, or of its text, and what the refusal says.


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


STEM, BODY, LAST, POOL, HEAD = (("layers", number) for number in range(5))
INTEGER = "must be an integer"
HOSTILE = {
    "format": (put("format", to="other"), ": format must be 'shiftbar integer network'"),
    "version": (put("version", to=2), ": version must be 1"),
    "no version": (put("version", to=...), ": version must be 1"),
    "directions": (
        lambda value: value["directions"].reverse(),
        ": directions must be ['LEFT', 'RIGHT', 'UP', 'DOWN', 'LEFT_UP', 'RIGHT_UP', ...]",
    ),
    "unknown key": (put("extra", to=1), ": a network must have no key 'extra'"),
    "unknown key of a layer": (put(*BODY, "x", to=1), ": body.0.mix must have no key 'x'"),
    "array in the JSON": (
        put(*BODY, "weights", to=[1]), ": body.0.mix must have no key 'weights'"
    ),
    "missing key": (put("adc_bits", to=...), ": adc_bits must be there"),
    "missing key of a layer": (put(*BODY, "kernel", to=...), ": body.0.mix.kernel must be there"),
    "string": (put("cell_bits", to="2"), f": cell_bits {INTEGER}, not str"),
    "null": (put("cell_bits", to=None), f": cell_bits {INTEGER}, not NoneType"),
    "true": (put("cell_bits", to=True), f": cell_bits {INTEGER}, not bool"),
    "float": (put("cell_bits", to=2.5), ": numbers must be integers, not 2.5"),
    "NaN": (put("cell_bits", to=float("nan")), ": numbers must be integers, not NaN"),
    "infinity": (put("cell_bits", to=-float("inf")), ": numbers must be integers, not -Infinity"),
    "huge": (put("cell_bits", to=10**30), ": an integer must have at most 20 digits, not 31"),
    "array_rows": (put("array_rows", to=0), f": array_rows {INTEGER} from 1 to 4096, not 0"),
    "cell_bits": (put("cell_bits", to=9), f": cell_bits {INTEGER} from 1 to 8, not 9"),
    "adc_bits": (put("adc_bits", to=17), f": adc_bits {INTEGER} from 1 to 16, not 17"),
    "stream_bits": (put("stream_bits", to=17), f": stream_bits {INTEGER} from 2 to 16, not 17"),
    "fetch_shift": (put("fetch_shift", to=-1), f": fetch_shift {INTEGER} from 0 to 15, not -1"),
    "name": (
        put("name", to="a/b"),
        ": name must be 1 to 100 ASCII letters, digits or any of _.-, not 'a/b'",
    ),
    "input": (put("input", to="nowhere"), ": input must be one of the maps, not 'nowhere'"),
    "bits of the input": (
        put("maps", "image", "bits", to=9), f": bits of the input {INTEGER} from 8 to 8, not 9"
    ),
    "maps is a list": (put("maps", to=[]), ": maps must be an object, not list"),
    "no maps": (put("maps", to={}), f": number of maps {INTEGER} from 2 to 4096, not 0"),
    "name of a map": (
        lambda value: value["maps"].update({"a b": value["maps"]["x"]}),
        ": name of a map must be 1 to 100 ASCII letters, digits or any of _.-, not 'a b'",
    ),
    "map without end": (
        put("maps", "x", "height", to=4097),
        f": maps.x: height {INTEGER} from 1 to 4096, not 4097",
    ),
    "map too large": (
        lambda value: value["maps"]["x"].update(channels=4096, height=4096),
        ": maps.x: a map must have at most 16777216 elements, not 33554432",
    ),
    "exponent of a map": (
        put("maps", "x", "exponent", to=65), f": maps.x: exponent {INTEGER} from -64 to 64, not 65"
    ),
    "unwritten map": (
        lambda value: value["maps"].update(more=value["maps"]["x"]),
        ": maps.more must be written by a layer",
    ),
    "no layers": (put("layers", to=[]), f": number of layers {INTEGER} from 1 to 4096, not 0"),
    "layers is an object": (put("layers", to={}), ": layers must be a list, not dict"),
    "layer is a number": (put(*STEM, to=3), ": layers.0 must be an object, not int"),
    "name of a layer": (
        put(*STEM, "name", to="a b"),
        ": layers.0.name must be 1 to 100 ASCII letters, digits or any of _.-, not 'a b'",
    ),
    "kind": (
        put(*STEM, "kind", to="conv"),
        ": stem.kind must be one of crossbar, sum_pool, max_pool, not 'conv'",
    ),
    "no operand": (
        put(*STEM, "operands", to=[]),
        f": stem: number of operands {INTEGER} from 1 to 2, not 0",
    ),
    "three operands": (
        put(*BODY, "operands", to=[{"map": "x", "shifted": False}] * 3),
        f": body.0.mix: number of operands {INTEGER} from 1 to 2, not 3",
    ),
    "shifted is a direction": (
        put(*BODY, "operands", 1, "shifted", to="LEFT"),
        ": body.0.mix.operands.1.shifted must be true or false, not str",
    ),
    "operand from nowhere": (
        put(*BODY, "operands", 1, "map", to="q"),
        ": body.0.mix: a map must be written before it is read, not 'q'",
    ),
    "operand from later": (
        put(*STEM, "operands", 0, "map", to="y"),
        ": stem: a map must be written before it is read, not 'y'",
    ),
    "shift of three channels": (
        put(*STEM, "operands", 0, "shifted", to=True),
        ": stem: a shifted map must have at least 12 channels, not 3",
    ),
    "operands that differ": (
        put("maps", "z", "exponent", to=3),
        ": body.0.mix: operands must have the same shape, bits and exponent",
    ),
    "writes what it fetches": (
        put(*BODY, "out", to="x"),
        ": body.0.mix: a layer must not write what it fetches, nor what it adds shifted, not 'x'",
    ),
    "writes the image": (
        put(*BODY, "out", to="image"),
        ": body.0.mix: what is written must be one of the maps, not 'image'",
    ),
    "writes one map twice": (
        put(*BODY, "periphery", "second", "out", to="y"),
        ": body.0.mix: second.out must be another map than out, not 'y'",
    ),
    "out of another shape": (
        put("maps", "y", "height", to=3),
        ": body.0.mix: out must be a map [12, 2, 2], not [12, 3, 2]",
    ),
    "out of other bits": (
        put("maps", "y", "bits", to=9), f": body.0.mix: bits of out {INTEGER} from 8 to 8, not 9"
    ),
    "kernel": (
        put(*STEM, "kernel", to=3), f": stem: rows {INTEGER} from 27 to 27, not 12"
    ),
    "kernel without end": (
        put(*STEM, "kernel", to=1 << 40),
        f": stem: kernel {INTEGER} from 1 to 64, not {1 << 40}",
    ),
    "padding": (
        put(*STEM, "padding", to=2), f": stem: padding {INTEGER} from 0 to 1, not 2"
    ),
    "act_bits": (
        put(*BODY, "act_bits", to=9), f": body.0.mix: act_bits {INTEGER} from 2 to 8, not 9"
    ),
    "act_bits without table": (
        put(*BODY, "act_bits", to=7),
        ": body.0.mix: table must be int8 [128], not int8 [256]",
    ),
    "weight_bits": (
        put(*BODY, "weight_bits", to=0),
        f": body.0.mix: weight_bits {INTEGER} from 1 to 8, not 0",
    ),
    "weights wider than cells": (
        lambda value: value["layers"][1].update(weight_bits=7, zero_point=64),
        f": body.0.mix: each entry of weights {INTEGER} from 0 to 127, not 255",
    ),
    "zero_point": (
        put(*BODY, "zero_point", to=256),
        f": body.0.mix: zero_point {INTEGER} from 0 to 255, not 256",
    ),
    "fraction_bits": (
        put(*BODY, "periphery", "affine", "fraction_bits", to=16),
        f": body.0.mix: affine: fraction_bits {INTEGER} from 0 to 15, not 16",
    ),
    "no affine, but its tensors": (
        put(*BODY, "periphery", "affine", to=None),
        ": intnet.safetensors must not hold 'body.0.mix.periphery.affine.exponent'",
    ),
    "p": (put(*POOL, "p", to=24), f": pool: p {INTEGER} from -7 to 23, not 24"),
    "pool that sees more": (
        put("maps", "pooled", "height", to=2),
        ": pool: out must be a map [12, 1, 1], not [12, 2, 1]",
    ),
    "wide pool": (
        put("maps", "pooled", "bits", to=9), f": pool: bits of out {INTEGER} from 2 to 8, not 9"
    ),
    "narrow logits": (
        put("maps", "logits", "bits", to=16),
        f": head: bits of logits {INTEGER} from 32 to 32, not 16",
    ),
    "same name": (put(*POOL, "name", to="stem"), ": stem: name must differ from others"),
    "nothing after the logits": (
        lambda value: value["layers"].reverse(),
        ": head: a map must be written before it is read, not 'pooled'",
    ),
    "no last layer": (
        lambda value: (value["layers"].pop(), value["maps"].pop("logits")),
        ": pool: the last layer, and no other, must have no periphery",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_refuses_a_hostile_json(case, folder):
    change, message = HOSTILE[case]
    edit(folder, change)
    refused(folder, message)


def tensors_of(folder):
    return safetensors.numpy.load((folder / "intnet.safetensors").read_bytes())


def retensor(folder, data):
    """Write other tensor bytes, and the JSON with their hash."""
    (folder / "intnet.safetensors").write_bytes(data)
    edit(folder, put("sha256", to=hashlib.sha256(data).hexdigest()))


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
    refused(folder, f": sha256 must be '{wrong}'")
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": must be JSON: Expecting value: line 1 column 1 (char 0)"),
        ("[]", ": must be an object, not list"),
        ("[" * 100_000, ": must be JSON: maximum recursion depth exceeded"),
        ('{"a":' * 100_000, ": must be JSON: maximum recursion depth exceeded"),
        ('{"a": 1, "a": 1}', ": an object must have each key once"),
        ('{"a": ' + "9" * 5000 + "}", ": an integer must have at most 20 digits, not 5000"),
        ('"\xff"', ": must be JSON: "),
    ],
)
def test_refuses_text_that_is_no_network(folder, text, message):
    (folder / "intnet.json").write_text(text, encoding="latin-1")
    with pytest.raises(IntNetError) as caught:
        intnet.read(folder)
    assert str(caught.value).startswith(f"{folder / 'intnet.json'}{message}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_refuses_values_nested_where_numbers_belong(folder):
    file = folder / "intnet.json"
    deep = "[" * 900 + "]" * 900
    file.write_text(file.read_text().replace('"adc_bits": 8', f'"adc_bits": {deep}'))
    refused(folder, ": adc_bits must be an integer, not list")


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


def test_a_network_made_in_python_keeps_the_same_rules():
    net = intnets.random_net("residual", 1, width=12)
    first, head = net.layers[1], net.layers[-1]
    other = dataclasses.replace(head, name="other")
    for call, message in {
        lambda: dataclasses.replace(net, adc_bits=0): (
            "adc_bits must be an integer from 1 to 16, not 0"
        ),
        lambda: dataclasses.replace(first, zero_point=1.0): (
            "body.0.first: zero_point must be an integer from 0 to 255, not 1.0"
        ),
        lambda: dataclasses.replace(first, bias=[1]): (
            "body.0.first: bias must be int32 [12], not list"
        ),
        lambda: dataclasses.replace(first, weights=None): (
            "body.0.first: weights must be uint8 [rows, outputs]"
        ),
        lambda: Operand("x", 1): "shifted must be True or False, not 1",
        lambda: Operand(""): (
            "map must be 1 to 100 ASCII letters, digits or any of _.-, not ''"
        ),
        lambda: dataclasses.replace(net, layers=(*net.layers[:-1], head, other)): (
            "head: the last layer, and no other, must have no periphery"
        ),
        lambda: Map(channels=0, height=1, width=1, bits=8, exponent=0): (
            "channels must be an integer from 1 to 65536, not 0"
        ),
    }.items():  # fmt: skip
        with pytest.raises(IntNetError, match=f"^{re.escape(message)}$"):
            call()


def with_periphery(net, number, **fields):
    layer = net.layers[number]
    new = dataclasses.replace(layer, periphery=dataclasses.replace(layer.periphery, **fields))
    return dataclasses.replace(net, layers=(*net.layers[:number], new, *net.layers[number + 1 :]))


def test_rules_between_layers():
    net = intnets.random_net("true_residual", 1, width=12)
    for fields, message in [
        ({"add": Operand("image")}, "add must have the shape, bits and exponent of out"),
        (
            {"add": Operand("x", True)},
            "a layer must not write what it fetches, nor what it adds shifted, not 'x'",
        ),
        (
            {"add_before_table": Operand("image")},
            "add_before_table must be a map [12, 4, 4], not [3, 8, 8]",
        ),
    ]:
        with pytest.raises(IntNetError, match=f"^{re.escape(f'body.0.second: {message}')}$"):
            with_periphery(net, 2, **fields)
    with_periphery(net, 2, add=Operand("x"), add_before_table=Operand("z", True))
    cnn = intnets.random_net("vgg", 1)
    pool = next(layer for layer in cnn.layers if layer.name == "shrink")
    with pytest.raises(IntNetError, match=r"^shrink: out must be a map \[16, 2, 2\], not"):
        dataclasses.replace(
            cnn,
            layers=tuple(
                dataclasses.replace(pool, window=3) if layer is pool else layer
                for layer in cnn.layers
            ),
        )
    with pytest.raises(IntNetError, match="^shrink: out must have the bits and the exponent"):
        dataclasses.replace(cnn, maps={**cnn.maps, "b": dataclasses.replace(cnn.maps["b"], bits=7)})


def test_a_pool_must_not_overflow():
    net = intnets.random_net("residual", 1, width=12, stream_bits=16)
    number = [layer.name for layer in net.layers].index("pool")
    for side, p, reach in ((256, 0, 1 << 31), (128, 23, (1 << 29) + (1 << 22))):
        maps = {"x": Map(channels=12, height=side, width=side, bits=16, exponent=0)}
        maps["pooled"] = net.maps["pooled"]
        pool = dataclasses.replace(net.layers[number], p=p)
        if reach < 1 << 31:
            intnet_check._check_shapes(pool, maps, 16)
            continue
        message = f"the sum must stay within {2**31 - 1}, not reach {reach}"
        with pytest.raises(IntNetError, match=f"^{message}$"):
            intnet_check._check_shapes(pool, maps, 16)


def test_the_largest_layers_of_the_papers_fit_the_accumulator():
    for rows, k in ((8192, 23), (4608, 0)):  # VGG8's hidden layer, VGG16's widest
        layer = Crossbar(
            name="hidden", operands=(Operand("x"),), out="y", kernel=1, stride=1, padding=0,
            act_bits=8, weight_bits=8, zero_point=128, weights=np.zeros((rows, 1), np.uint8),
            bias=np.array([-5], np.int32),
            periphery=Periphery(k=np.array([k], np.int8), table=np.zeros(256, np.int8)),
        )  # fmt: skip
        assert layer.accumulator_bound == rows * 128 * 383 + 5 + (1 << k) // 2 < 1 << 31


def test_an_affine_is_checked_against_its_layer():
    affine = Affine(
        sign=np.ones(3, np.int8), exponent=np.zeros(3, np.uint8), offset=np.zeros(3, np.int16),
        fraction_bits=0,
    )  # fmt: skip
    net = intnets.random_net("sp", 1, width=12)
    for fields, where in [
        ({"affine": affine}, "affine"),
        ({"second": SecondWrite(out="z", affine=affine)}, "second.affine"),
    ]:
        message = f"stem: {where}: sign must be int8 [12], not int8 [3]"
        with pytest.raises(IntNetError, match=f"^{re.escape(message)}$"):
            with_periphery(net, 0, **fields)
