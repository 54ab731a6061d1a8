# SPDX-License-Identifier: Apache-2.0
"""Ranges and saturation counts of an integer network, and the command that prints them."""

import collections
import dataclasses
import json

import intnets
import numpy as np
import pytest
from scalar_executor import Scalar

from model import evaluate, executor, golden, intnet, ranges
from model.data import synthetic


def brute_force(net, images):
    """Return ranges and counts from loops over Python's integers."""
    found, tables = {}, {}
    for layer in net.layers:
        if not isinstance(layer, intnet.MaxPool):
            found[layer.name] = ranges.LayerRange(layer=layer.name)
            periphery = getattr(layer, "periphery", None)
            tables[layer.name] = [int(v) for v in periphery.table] if periphery else [0, 1]
    for image in images:
        scalar = Scalar(net, image)
        for name, each in found.items():
            seen, points = scalar.trace[name], scalar.points[name]
            sums = [*seen.get("acc", seen.get("sum")).values()]
            each.acc_low, each.acc_high = min(each.acc_low, *sums), max(each.acc_high, *sums)
            out = [*seen["out"].values()]
            each.out_low, each.out_high = min(each.out_low, *out), max(each.out_high, *out)
            each.column_high = max([each.column_high, *(sum_ for sum_, _ in points["adc"])])
            table = tables[name]
            for point, values in points.items():
                lost = [before for before, after in values if before != after]
                if point == "pre" and table[0] >= table[1]:
                    lost = [before for before in lost if before > 0]
                each.points[point].numbers += len(values)
                each.points[point].saturated += len(lost)
            each.points["table"].saturated += sum(
                2 * v + 2 == len(table) for v, _ in points["table"]
            )
    return [*found.values()]


OPTIONS = {
    "int8": {},
    "clipping": {"adc_bits": 4, "array_rows": 10},
    "int4": {"act_bits": 4, "weight_bits": 4, "stream_bits": 4},
    "narrowed": {"act_bits": 4, "stream_bits": 9, "extreme": True},
}


@pytest.mark.parametrize("kind", intnets.KINDS)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_figure_equals_a_brute_force_count(kind, options):
    net = intnets.small(kind, **options)
    images = intnets.images(net, 3)
    assert ranges.measure(net, images) == brute_force(net, images)


def test_every_point_saturates_somewhere_in_that_count():
    saturated = collections.Counter()
    for kind in intnets.KINDS:
        for options in OPTIONS.values():
            net = intnets.small(kind, **options)
            for each in ranges.measure(net, intnets.images(net, 3)):
                place = "pool" if each.layer == "pool" else "crossbar"
                for point, count in each.points.items():
                    saturated[place, point] += count.saturated
    assert all(saturated["crossbar", point] for point in ranges.POINTS)
    assert saturated["pool", "write"]
    assert not any(saturated["pool", point] for point in ranges.POINTS if point != "write")


def test_batches_are_added_up():
    net = intnets.random_net("residual", 1, adc_bits=5)
    images = intnets.images(net, ranges._BATCH + 1)
    whole = ranges.measure(net, images)
    parts = [ranges.measure(net, part) for part in (images[:5], images[5:])]
    for one, a, b in zip(whole, *parts, strict=True):
        for name in ranges.POINTS:
            for field in ("numbers", "saturated"):
                added = getattr(a.points[name], field) + getattr(b.points[name], field)
                assert getattr(one.points[name], field) == added
        assert one.column_high == max(a.column_high, b.column_high)


def test_a_narrower_adc_than_needed_clips():
    net = intnets.random_net("residual", 1, adc_bits=16)
    images = intnets.images(net, 2)
    needed = max(each.adc_bits for each in ranges.measure(net, images))
    clipped = {}
    for bits in (16, needed, needed - 1):
        found = ranges.measure(dataclasses.replace(net, adc_bits=bits), images)
        clipped[bits] = sum(each.points["adc"].saturated for each in found)
    assert clipped[16] == clipped[needed] == 0 < clipped[needed - 1]
    same = dataclasses.replace(net, adc_bits=needed)
    assert np.array_equal(executor.run(same, images), executor.run(net, images))


def test_no_accumulator_needs_more_or_less_than_its_width():
    net = intnets.random_net("sp", 1, adc_bits=5)
    images = intnets.images(net, 3)
    trace = intnets.golden_trace(net, images)
    for each in ranges.measure(net, images):
        for key, bits in (("acc", each.acc_bits), ("out", each.out_bits)):
            values = trace[each.layer].get(key)
            if values is not None:
                assert np.array_equal(golden.saturate(values, bits), values)
                assert not np.array_equal(golden.saturate(values, bits - 1), values)


def test_widths():
    assert ranges.LayerRange(layer="a", acc_low=-128, acc_high=127).acc_bits == 8
    assert ranges.LayerRange(layer="a", acc_low=-129, acc_high=127).acc_bits == 9
    assert ranges.LayerRange(layer="a", acc_low=0, acc_high=128).acc_bits == 9
    assert ranges.LayerRange(layer="a", out_low=-8, out_high=7).out_bits == 4
    assert ranges.LayerRange(layer="a", column_high=192).adc_bits == 8
    never = ranges.LayerRange(layer="a")
    assert never.adc_bits == 0
    never.points["adc"].numbers = 1
    assert never.adc_bits == 1


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
    assert found["layers"] == json.loads(json.dumps([each.as_dict() for each in expected]))
    stem = expected[0]
    assert found["layers"][0]["acc_bits"] == stem.acc_bits
    assert found["layers"][0]["points"]["pre"]["saturated"] == stem.points["pre"].saturated
    assert evaluate.main(line) == 0
    lines = capsys.readouterr().out.splitlines()
    rule = "% of the numbers that saturate, by point"
    assert lines[0] == f"psp_16_2, 2 test images; {rule}"
    head = ["layer", "accumulator", "bits", "column", "ADC", "out", "bits", *ranges.POINTS]
    assert lines[1].split() == head
    share = 100 * stem.points["pre"].saturated / stem.points["pre"].numbers
    line = lines[2].split()
    assert line[:3] == ["stem", f"{stem.acc_low}…{stem.acc_high}", str(stem.acc_bits)]
    assert line[7:10] == ["-", "0.000", f"{share:.3f}"]  # the image is fetched as it is
    names = [text.split()[0] for text in lines[2:-1]]
    assert names == [each.layer for each in expected]
    acc, adc = max(each.acc_bits for each in expected), max(each.adc_bits for each in expected)
    last = f"needed: accumulators of {acc} bits, ADCs of {adc} (the network's: 8)"
    assert lines[-1] == last


def test_the_command_takes_other_crossbars(folder, capsys):
    crossbars = {"array_rows": 8, "cell_bits": 1, "adc_bits": 2}
    line = [str(folder), "--dataset", "synthetic", "--ranges", "--images", "2", "--json"]
    for name, value in crossbars.items():
        line += [f"--{name.replace('_', '-')}", str(value)]
    assert evaluate.main(line) == 0
    found = json.loads(capsys.readouterr().out)
    net, images = intnet.read(folder), synthetic().test_images[:2].numpy()
    other = ranges.measure(dataclasses.replace(net, **crossbars), images)
    assert found["adc_bits"] == 2
    assert found["layers"] == json.loads(json.dumps([each.as_dict() for each in other]))
    assert other != ranges.measure(net, images)


def test_images_are_for_ranges(folder, capsys):
    with pytest.raises(SystemExit) as caught:
        evaluate.main([str(folder), "--images", "3"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith("--images must not be given without --ranges\n")


def test_a_float_network_has_no_crossbars(tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        evaluate.main([str(tmp_path / "x.safetensors"), "--cell-bits", "1"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.endswith("x.safetensors must be an integer network's folder (--cell-bits)\n")


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
