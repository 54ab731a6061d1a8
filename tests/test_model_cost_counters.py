# SPDX-License-Identifier: Apache-2.0
"""Activity as the RTL counts it: equal to the computed one; files of anybody's."""

import dataclasses
import json
import re

import numpy as np
import pytest
from intnets import change, masked, random_net
from quick_models import compile_quickly

from cosim import fast, report, run, simulators
from hw.image import build
from hw.pages import counted
from hw.params import ParameterError
from hw.row_masks import gates
from model import intnet
from model.cost import __main__, networks
from model.cost.counters import CountersError, read
from model.cost.statistics import measure
from model.images import zoo_images

SMALL = {"depth": 1, "side": 32, "classes": 3}
NET = random_net("residual", 7, width=12, array_rows=16, **SMALL)
# Column groups that a layer's outputs do not fill; two crossbars; fewer bits.
WIDE = random_net("sp", 5, width=28, array_rows=14, act_bits=5, **SMALL)
SIZES = ["--columns", "16", "--columns-per-adc", "4"]
OUTPUTS = 4
"""Of a page of these sizes."""


def pruned(net):
    """Leave out one of two pages of a column group, and both of another."""
    layer = next(layer for layer in net.layers if layer.name == "body.0.first")
    weights = layer.weights.copy()
    weights[: net.array_rows, :OUTPUTS] = layer.zero_point
    weights[:, OUTPUTS : 2 * OUTPUTS] = layer.zero_point
    return change(net, layer.name, weights=weights)


TWO_TILES = random_net("residual", 5, width=24, array_rows=12, **SMALL)
PRUNED = pruned(TWO_TILES)
MASKED = masked(PRUNED, OUTPUTS, lambda layer, tile, group, rows: rows // 2)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    compile_quickly(monkeypatch)


@pytest.fixture
def folder(tmp_path):
    intnet.write(tmp_path / "net", NET)
    return tmp_path / "net"


def computed(net, images):
    """The activity of each layer's rows, by what the pages that read a row store and gate."""
    layers = [layer for layer in net.layers if isinstance(layer, intnet.Crossbar)]
    found = {}
    for layer, masks in zip(layers, gates(net, layers, OUTPUTS), strict=True):
        activity = measure(net, images=images)[layer.name].activity
        times = np.zeros(layer.rows, np.int64)  # that a vector reads each row
        for group, tile in np.argwhere(counted(net, layer, OUTPUTS)):
            kept = masks[group][tile].kept() if masks else True
            times[tile * net.array_rows :][: net.array_rows] += kept
        driven = int(activity.driven.sum(0) @ times)
        reads = activity.reads // layer.rows * int(times.sum())
        found[layer.name] = (driven, reads, driven / reads)
    return found


def figures(activities):
    return {
        name: (int(each.driven.sum()), each.reads, each.mean()) for name, each in activities.items()
    }


def in_rtl(net, image, images):
    library = fast.build(fast.accelerator_block(image.params))
    counted = {}
    with fast.Model(library, image) as model:
        run.rtl(net, image, model, counted=counted).trace(images)
    return report.counters(report.Result(net, image.params, len(images), 0, {}, 1.0, counted))


@pytest.mark.skipif(simulators.missing("verilator") is not None, reason="no Verilator")
@pytest.mark.parametrize(
    ("net", "mode"),
    [
        pytest.param(NET, "fused", marks=pytest.mark.slow, id="residual"),
        pytest.param(WIDE, "in_place", id="two crossbars"),
        pytest.param(PRUNED, "fused", marks=pytest.mark.slow, id="absent pages"),
        pytest.param(MASKED, "in_place", marks=pytest.mark.slow, id="masked rows"),
    ],
)
def test_rtl_counts_what_is_computed(net, mode, tmp_path):
    image, file = build(net, columns=16, columns_per_adc=4, mode=mode), tmp_path / "counters.json"
    assert image.params.tile.outputs == OUTPUTS
    assert image.params.pruned == (net in (PRUNED, MASKED))
    assert bool(image.params.tile.masks) == (net is MASKED)
    pixels = zoo_images()[0][:3]
    file.write_text(in_rtl(net, image, pixels))
    assert figures(read(file, net)) == computed(net, 3)
    assert all(each.counted and each.images == 3 for each in read(file, net).values())
    # The control: the lowest bit of all tables wrong in the RTL's memory.
    file.write_text(in_rtl(net, dataclasses.replace(image, tables=image.tables ^ 1), pixels))
    found, wanted = figures(read(file, net)), computed(net, 3)
    assert found != wanted
    assert found["stem"] == wanted["stem"]  # what it reads is the image


@pytest.mark.skipif(simulators.missing("verilator") is not None, reason="no Verilator")
def test_one_command_counts_for_the_other(folder, tmp_path, capsys):
    file = tmp_path / "new" / "counters.json"
    arguments = ["--intnet", str(folder), "--images", "8", *SIZES]
    assert run.main([*arguments, "--counters", str(file)]) == 0
    capsys.readouterr()
    found = []
    for options in ([], ["--counters", str(file)]):
        assert __main__.main([str(folder), "--json", *options]) == 0
        (chip,) = json.loads(capsys.readouterr().out)["chips"]
        found.append(chip)
    assert found[0].pop("assumptions")[0] == (
        "energies follow the stored weights, and activations of 8 real images"
    )
    assert found[1].pop("assumptions")[0] == (
        "energies follow the stored weights, and activations of 8 real images, as counted in RTL"
    )
    for chip, wanted in zip(found, ("measured", "counted"), strict=True):
        assert {layer.pop("activity_is") for layer in chip["layers"]} == {wanted}
    assert found[0] == found[1]  # the same images: the same figures, to the bit
    with pytest.raises(SystemExit, match="2"):
        run.main([*arguments, "--counters", str(folder)])
    line = f"{run.PROGRAM}: error: {folder} must be writable: Is a directory\n"
    assert capsys.readouterr().err == line


def stored(**changes):
    """Return what might be counted: each row driven in one of two reads, pages of 6 outputs."""
    layers = {}
    for layer in NET.layers:
        if isinstance(layer, intnet.Crossbar):
            pixels = np.prod(NET.maps[layer.out].shape) // layer.outputs
            driven = int(pixels) * layer.act_bits * layer.rows
            layers[layer.name] = {
                "conversions": 0, "active_wordlines": driven * -(-layer.outputs // 6) // 2,
                "sampled_pages": -(-layer.outputs // 6) * int(pixels), "map_writes": 0,
            }  # fmt: skip
    found = {"digest": intnet.digest(NET), "images": 1, "page_outputs": 6, "layers": layers}
    return found | changes


def changed(**counts):
    found = stored()
    found["layers"]["stem"] |= counts
    return found


def test_reads_what_was_counted(tmp_path):
    file = tmp_path / "c.json"
    file.write_text(json.dumps(stored()))
    found = read(file, NET)
    assert [each.mean() for each in found.values()] == [0.5] * len(found)
    network = networks.from_intnet(NET, activity=found)
    assert network.layers[0].statistics.activity is found["stem"]
    # Only counters know of a network that takes other images.
    small = random_net("residual", 7, width=12, depth=1, side=8, classes=3)
    assert networks.from_intnet(small).layers[0].statistics.activity is None


DIGEST = intnet.digest(NET)
NAMES = ", ".join(stored()["layers"])
FIELDS = "conversions, active_wordlines, sampled_pages, map_writes"
RANGE = "must be an integer from 0 to 9223372036854775807"
MOST = 2 * stored()["layers"]["stem"]["active_wordlines"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "the file must be an object of digest, images, page_outputs, layers, not 'list'"),
        ({"images": 1},
         "the file must be an object of digest, images, page_outputs, layers, not 'images'"),
        (stored(digest="0" * 64),
         f"digest must be {DIGEST}, that of the network, not '000000000000...0000000000000'"),
        (stored(digest=None), f"digest must be {DIGEST}, that of the network, not None"),
        (stored(images=0), "images must be an integer from 1 to 10000, not 0"),
        (stored(images=True), "images must be an integer from 1 to 10000, not True"),
        (stored(layers=3), f"layers must be an object of {NAMES}, not 'int'"),
        (stored(layers={"x": 1}), f"layers must be an object of {NAMES}, not 'x'"),
        (stored(layers=stored()["layers"] | {"stem": []}),
         f"stem must be an object of {FIELDS}, not 'list'"),
        (changed(extra=1),
         f"stem must be an object of {FIELDS}, not 'conversions,...writes, extra'"),
        (stored(page_outputs=0), "page_outputs must be an integer from 1 to 65536, not 0"),
        (stored(page_outputs=4),
         "stem: sampled_pages must be 768, 3 stored pages of 256 vectors, not 512"),
        (changed(map_writes=float("nan")), f"stem: map_writes {RANGE}, not nan"),
        (changed(conversions=1 << 63), f"stem: conversions {RANGE}, not {1 << 63}"),
        (changed(active_wordlines=-2), f"stem: active_wordlines {RANGE}, not -2"),
        (changed(active_wordlines=MOST + 1),
         f"stem: active_wordlines must be at most {MOST}, not {MOST + 1}"),
        (changed(sampled_pages=5),
         "stem: sampled_pages must be 512, 2 stored pages of 256 vectors, not 5"),
        (stored(images=2),
         "stem: sampled_pages must be 1024, 2 stored pages of 512 vectors, not 512"),
    ],
)  # fmt: skip
def test_refuses_what_cannot_be_counted(value, message, tmp_path, folder, capsys):
    file = tmp_path / "c.json"
    file.write_text(json.dumps(value))
    with pytest.raises(CountersError, match=f"^{re.escape(f'{file}: {message}')}$"):
        read(file, NET)
    with pytest.raises(SystemExit, match="2"):
        __main__.main([str(folder), "--counters", str(file)])
    assert capsys.readouterr() == ("", f"{__main__.PROGRAM}: error: {file}: {message}\n")


def test_refuses_what_is_no_file_of_counters(tmp_path):
    file = tmp_path / "c.json"
    for content, message in (
        (b"{", "must be JSON: Expecting property name"),
        (b"\xff", "must be JSON: 'utf-8' codec can't decode byte 0xff in position 0"),
        (b"[" * 100_000, "must be JSON: it is nested too deeply"),
        (b" " * ((1 << 20) + 1), "must have at most 1048576 bytes"),
    ):
        file.write_bytes(content)
        with pytest.raises(CountersError, match=f"^{re.escape(f'{file} {message}')}"):
            read(file, NET)
    with pytest.raises(CountersError, match=": Is a directory$"):
        read(tmp_path, NET)
    rule = "counters must be of a folder of an integer network, not 'psp_64_4'"
    with pytest.raises(ParameterError, match=f"^{rule}$"):
        networks.load("psp_64_4", counters=file)
