# SPDX-License-Identifier: Apache-2.0
"""Ranges and saturation counts of an integer network, and the command that prints them."""

import dataclasses
import json

import intnets
import numpy as np
import pytest

from model import evaluate, executor, golden, intnet, ranges
from model.data import synthetic
from model.schedule import FORMS


def crossbars(net):
    return [layer for layer in net.layers if isinstance(layer, intnet.Crossbar)]


@pytest.mark.parametrize("kind", [*FORMS, "resnet"])
def test_ranges_are_those_of_the_trace(kind):
    net = intnets.random_net(kind, 1, adc_bits=5)
    images = intnets.images(net, 3)
    trace = {}
    executor.run(net, images, trace=trace)
    found = ranges.measure(net, images)
    assert [each.layer for each in found] == [layer.name for layer in crossbars(net)]
    for each in found:
        acc = trace[each.layer]["acc"]
        assert (each.acc_low, each.acc_high) == (min(0, acc.min()), max(0, acc.max()))
        assert np.array_equal(golden.saturate(acc, each.acc_bits), acc)
        assert not np.array_equal(golden.saturate(acc, each.acc_bits - 1), acc)


def test_batches_are_added_up():
    net = intnets.random_net("residual", 1, adc_bits=5)
    images = intnets.images(net, ranges._BATCH + 1)
    whole = ranges.measure(net, images)
    parts = [ranges.measure(net, part) for part in (images[:5], images[5:])]
    for one, a, b in zip(whole, *parts, strict=True):
        for name in ("columns", "clipped", "pre", "pre_saturated", "out", "out_saturated"):
            assert getattr(one, name) == getattr(a, name) + getattr(b, name)
        assert one.column_high == max(a.column_high, b.column_high)


def test_a_narrower_adc_than_needed_clips():
    net = intnets.random_net("residual", 1, adc_bits=16)
    images = intnets.images(net, 2)
    found = ranges.measure(net, images)
    needed = max(each.adc_bits for each in found)
    assert sum(each.clipped for each in found) == 0
    same, other = (dataclasses.replace(net, adc_bits=bits) for bits in (needed, needed - 1))
    assert np.array_equal(executor.run(same, images), executor.run(net, images))
    assert sum(each.clipped for each in ranges.measure(same, images)) == 0
    assert sum(each.clipped for each in ranges.measure(other, images)) > 0


def test_each_saturation_is_counted():
    net = intnets.random_net("sp", 2, width=12, depth=1, side=4)
    images = intnets.images(net, 1)
    trace = {}
    executor.run(net, images, trace=trace)
    stem, found = net.layers[0], ranges.measure(net, images)[0]
    k, affine = np.broadcast_to(stem.periphery.k, 12), stem.periphery.affine
    second = stem.periphery.second.affine
    pre = out = 0
    for (_, channel, _, _), acc in np.ndenumerate(trace["stem"]["acc"]):
        value = int(acc) / 2.0 ** int(k[channel])
        pre += not -128.5 <= value < 127.5
        value = stem.periphery.table[min(max(int(np.floor(value + 0.5)), -128), 127) + 128]
        for norm in (affine, second):
            gain = int(norm.sign[channel]) * 2 ** int(norm.exponent[channel])
            value = (gain * int(value) + int(norm.offset[channel])) / 2**norm.fraction_bits
            out += not -128.5 <= value < 127.5
            value = min(max(int(np.floor(value + 0.5)), -128), 127)
    assert (found.pre_saturated, found.out_saturated) == (pre, out)
    assert pre > 0
    assert out > 0
    assert (found.pre, found.out) == (12 * 4, 2 * 12 * 4)
    assert found.columns == 12 * 4 * 8 * 4  # outputs, pixels, planes, cells


def test_widths():
    assert ranges.LayerRange(layer="a", acc_low=-128, acc_high=127).acc_bits == 8
    assert ranges.LayerRange(layer="a", acc_low=-129, acc_high=127).acc_bits == 9
    assert ranges.LayerRange(layer="a", acc_low=0, acc_high=128).acc_bits == 9
    assert ranges.LayerRange(layer="a", column_high=192).adc_bits == 8


@pytest.fixture
def folder(tmp_path):
    net = intnets.random_net("residual", 1, side=32)
    intnet.write(tmp_path / "net", net)
    return tmp_path / "net"


def test_the_command_counts_all_test_images(folder, capsys):
    assert evaluate.main([str(folder), "--dataset", "synthetic", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    data, net = synthetic(), intnet.read(folder)
    right = executor.run(net, data.test_images.numpy()).argmax(1) == data.test_labels.numpy()
    assert found == {"model": net.name, "accuracy": right.mean(), "images": len(right)}
    assert evaluate.main([str(folder), "--dataset", "synthetic"]) == 0
    line = f"psp_16_2: {100 * right.mean():.2f} % of {len(right)} test images\n"
    assert capsys.readouterr().out == line


def test_the_command_prints_ranges(folder, capsys):
    line = [str(folder), "--dataset", "synthetic", "--ranges", "--images", "2"]
    assert evaluate.main([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = ranges.measure(intnet.read(folder), synthetic().test_images[:2].numpy())
    assert found["images"] == 2
    assert found["layers"] == [dataclasses.asdict(each) for each in expected]
    assert evaluate.main(line) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "psp_16_2, 2 test images"
    assert lines[1].split()[:4] == ["layer", "accumulator", "bits", "column"]
    stem = expected[0]
    assert lines[2].split()[:3] == ["stem", f"{stem.acc_low}…{stem.acc_high}", str(stem.acc_bits)]
    assert lines[-1].split()[-2:] == ["-", "-"]  # nothing follows the logits


def test_bad_input_is_one_line(tmp_path, folder, capsys):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    (tmp_path / "empty").mkdir()
    for line, message in (
        ([file, "--ranges"], f"{file} must be an integer network's folder (--ranges)"),
        ([tmp_path / "empty"],
         f"{tmp_path}/empty/intnet.json must be a readable file: No such file or directory"),
        ([folder, "--images", "0"],
         "argument --images: images must be an integer from 1 to 100000, not 0 (see --help)"),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as caught:
            evaluate.main([*map(str, line), "--dataset", "synthetic"])
        assert caught.value.code == 2
        assert capsys.readouterr().err == f"python -m model.evaluate: error: {message}\n"
