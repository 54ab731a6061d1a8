# SPDX-License-Identifier: Apache-2.0
"""The front of designs, and the accuracies by which networks are compared."""

import dataclasses
from pathlib import Path

from model.cost.accuracy import integers, measured
from model.cost.config_file import load
from model.cost.front import Design, front
from model.cost.networks import named
from model.cost.space import Cost, Point, configured

BASE = load("date2024_22nm")
A = Point(64, 4, 64, 2, 5, 8, "fused")
B = A._replace(columns_per_adc=4)
WIDE = A._replace(width=128)


def design(point, *values, accuracy=None, lossless=False):
    return Design(point, Cost(*values), accuracy, lossless)


def test_the_front_of_hand_made_points():
    better = design(A, 1, 2, 3)
    worse = design(B, 1, 2, 4)
    other = design(A._replace(shift="lanes"), 2, 1, 3)
    equal = design(A._replace(shift="in_place"), 1, 2, 3)
    assert front([worse, other, better, equal]) == [better, equal, other]
    assert front([worse]) == [worse]
    assert front([]) == []


def test_accuracy_is_an_objective_where_it_is_known():
    cheap = design(A, 1, 1, 1, accuracy=87.0)
    accurate = design(B, 2, 2, 2, accuracy=88.0)
    assert front([cheap, accurate]) == [cheap, accurate]
    assert front([cheap._replace(accuracy=88.0), accurate]) == [cheap._replace(accuracy=88.0)]


def test_what_saturates_is_no_rival_of_what_loses_nothing():
    saturates = design(A, 1, 1, 1)
    lossless = design(B, 2, 2, 2, lossless=True)
    known = design(B, 2, 2, 2, accuracy=80.0)
    assert front([saturates, lossless]) == [saturates, lossless]
    assert front([saturates, known]) == [saturates, known]
    assert front([saturates._replace(cost=Cost(2, 2, 3)), lossless]) == [lossless]


def test_networks_are_compared_by_known_accuracies_only():
    small, large = design(A, 1, 1, 1), design(WIDE, 2, 2, 2)
    assert front([small, large]) == [small, large]
    small, large = small._replace(accuracy=88.0), large._replace(accuracy=87.0)
    assert front([small, large]) == [small]
    assert front([small, large._replace(accuracy=89.0)])[1].point == WIDE
    assert front([small, large._replace(accuracy=None)])[1].point == WIDE


def test_accuracies_are_those_of_the_zoo_s_integers():
    known = measured()
    net = named("psp_64_4")
    values = {
        (array, cell, bits): known.get(
            integers(net, configured(Point(64, 4, array, cell, bits, 8, "fused"), BASE))
        )
        for array in (32, 64, 256)
        for cell in (1, 2)
        for bits in (5, 6, 8)
    }
    # 64 rows of 2 bits reach 192; an array of more rows has no more to sum in this network.
    assert values[64, 2, 8] == values[32, 1, 6] == values[256, 1, 8] == 88.22
    assert values[64, 2, 6] == values[256, 2, 6] == 87.80
    assert values[64, 1, 6] is values[64, 2, 5] is values[32, 2, 6] is None
    assert not any(key.network == "psp_64_8" for key in known)
    wide = dataclasses.replace(BASE, weight_bits=4, act_bits=4)
    assert integers(net, wide) not in known


def test_a_card_without_accuracy_is_none(tmp_path):
    folder = tmp_path / "psp_64_4_int8"
    folder.mkdir()
    for file in Path("model/zoo/psp_64_4_int8").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert measured(tmp_path) == {}
    card = tmp_path / "psp_64_4_int8.md"
    card.write_text("(8-bit\nconverters), trained on cifar100: **50.00 %**")
    assert measured(tmp_path) == {}
    card.write_text("(8-bit\nconverters), trained on cifar10: **50.00 %**")
    assert list(measured(tmp_path).values()) == [50.0]
