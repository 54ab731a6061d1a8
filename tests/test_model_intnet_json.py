# SPDX-License-Identifier: Apache-2.0
"""A hostile ``intnet.json``: one line for whatever is wrong in it."""

from __future__ import annotations

import pytest
from intnet_files import INTEGER, edit, put, refused, sample

from model import intnet
from model.intnet import IntNetError


@pytest.fixture
def folder(tmp_path):
    return sample(tmp_path)


# A change of the JSON's value, or of its text, and what the refusal says.

STEM, BODY, LAST, POOL, HEAD = (("layers", number) for number in range(5))
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


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b""),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.decode().encode("utf-16"),
        lambda text: text.replace(b'"version": 1', b'"version": true'),
        lambda text: text + b"\n",
    ],
    ids=["spaces", "mark", "UTF-16", "a truth as number", "one line more"],
)
def test_refuses_another_text_for_the_same_network(folder, change):
    """The text's sha256 names the network."""
    file = folder / "intnet.json"
    text = file.read_bytes()
    assert intnet.read(folder)
    assert change(text) != text
    file.write_bytes(change(text))
    with pytest.raises(IntNetError, match="^[^\n]+$"):
        intnet.read(folder)
