# SPDX-License-Identifier: Apache-2.0
"""What keeps networks from being compared: which, by what, and the option that makes them alike.

And by which names they are compared.
"""

import csv
import dataclasses
import io
import shutil
from pathlib import Path

import pytest
from cost_command import as_json, refused
from costs import config

from hw.params import ParameterError
from model.cost.__main__ import _check_others
from model.cost.compare import incomparable
from model.cost.networks import load, named
from model.cost.simulate import simulate
from model.layer_shape import layers_to_json
from model.layers import layer_shapes

INT4, INT8 = "model/zoo/psp_64_4_int4", "model/zoo/psp_64_4_int8"
ZOO = Path("model/zoo").absolute()
EQUAL = "an operation is one of these bits"
MIXED = "4 (8 in stem, head)"


def compared(one, other, **values):
    costs = [simulate(load(name), config(**values)) for name in (one, other)]
    return incomparable((one, other), costs)


def energy(one, other):
    return (
        f"the energy of {one} follows its own integers, that of {other} assumptions: "
        "compare names with names, or folders of integer networks"
    )


def bits(pair, key, shown, way):
    rule = f"{key} must be equal, not {shown}: {EQUAL}; {way}"
    return f"{pair[0]} and {pair[1]} cannot be compared: {rule}"


def test_networks_alike_are_compared():
    assert compared("psp_64_4", "psp_128_8", weight_bits=4, cell_bits=4) == []
    assert compared(INT8, INT8) == []


@pytest.mark.parametrize("pair", [(INT8, "psp_64_4"), ("psp_64_4", INT8)])
def test_the_option_that_makes_bits_equal_is_told(pair):
    shown = "8 and 4" if pair[0] == INT8 else "4 and 8"
    way = f"--set act_bits=8 gives psp_64_4 those of {INT8}"
    assert compared(*pair, act_bits=4) == [
        bits(pair, "act_bits", shown, way), energy(INT8, "psp_64_4")
    ]  # fmt: skip
    assert compared(*pair, act_bits=8) == [energy(INT8, "psp_64_4")]


def test_layers_of_other_bits_are_named():
    pair = (INT4, "psp_64_4")
    ways = [
        bits(
            pair,
            key,
            f"{MIXED} and 8",
            f"--set {key}=4 gives psp_64_4 those of most layers of {INT4}",
        )
        for key in ("weight_bits", "act_bits")
    ]
    assert compared(*pair) == [*ways, energy(*pair)]
    none = "no option makes these layers equal"
    ways = [bits(pair, key, f"{MIXED} and 4", none) for key in ("weight_bits", "act_bits")]
    assert compared(*pair, weight_bits=4, act_bits=4) == [*ways, energy(*pair)]


def test_no_option_changes_integer_networks():
    none = "both networks have their own, which no option changes"
    assert compared(INT4, INT8) == [
        bits((INT4, INT8), key, f"{MIXED} and 8", none) for key in ("weight_bits", "act_bits")
    ]


def test_bits_and_nodes_of_two_configurations():
    chosen = (config(), dataclasses.replace(config(), act_bits=4, node_nm=32))
    names = ("psp_64_4", "psp_128_8")
    costs = [simulate(named(name), each) for name, each in zip(names, chosen, strict=True)]
    technology = "it is the technology's, not the design's"
    node = f"node_nm must be equal, not 22 nm and 32 nm: {technology}"
    assert incomparable(names, costs) == [
        bits(names, "act_bits", "8 and 4", "--set act_bits=8 makes them equal"),
        f"psp_64_4 and psp_128_8 cannot be compared: {node}",
    ]


def test_networks_of_one_name_are_told_apart_by_their_folders(capsys, tmp_path, monkeypatch):
    for folder in ("a/run/net", "b/run/net", "b/vgg8"):
        shutil.copytree(ZOO / "psp_64_4_int8", tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    Path("other").mkdir()
    Path("other/net.json").write_text(layers_to_json(layer_shapes("psp_12_1")))
    networks = ("a/run/net", "--compare", "b/run/net", "other/net.json", "b/vgg8", "vgg8")
    wanted = ["a/run/net", "b/run/net", "other/net.json", "b/vgg8", "vgg8"]
    told = as_json(capsys, *networks, "--html", "page.html", "--csv", "layers.csv")
    assert [chip["network"] for chip in told["chips"]] == wanted
    assert not any(" net " in line for line in told["warnings"])
    rows = csv.DictReader(io.StringIO(Path("layers.csv").read_text()))
    assert list(dict.fromkeys(row["network"] for row in rows)) == wanted
    shown = Path("page.html").read_text()
    assert all(shown.count(name) > 3 for name in wanted)
    assert as_json(capsys, "a/run/net")["chips"][0]["network"] == "net"


@pytest.mark.parametrize(
    ("networks", "again"),
    [
        (["psp_64_4"], "psp_64_4"),
        (["psp_64_4", "vgg8"], "vgg8"),
        ([INT8], f"{INT8}/"),
        ([INT8], "{folder}/link"),
    ],
)
def test_a_network_is_not_compared_with_itself(capsys, tmp_path, networks, again):
    (tmp_path / "link").symlink_to(ZOO / "psp_64_4_int8")
    again = again.format(folder=tmp_path)
    first, *others = [*networks, again]
    line = f"--compare must name other networks, not {again} once more"
    assert refused(capsys, first, "--compare", *others) == line


def test_what_was_counted_may_be_beside_what_is_computed():
    _check_others([INT8, INT8], counted=True)
    with pytest.raises(ParameterError, match=f"^--compare must .* not {INT8} once more$"):
        _check_others([INT8, INT8, INT8], counted=True)
