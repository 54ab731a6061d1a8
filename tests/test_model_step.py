# SPDX-License-Identifier: Apache-2.0
"""The loss of a step, and who teaches it."""

import copy
import dataclasses
import math

import pytest
import torch

from hw.params import ParameterError
from model import qat
from model.data import synthetic
from model.parallel import World
from model.recipe import Recipe
from model.state import start
from model.step import backward, distance
from model.train import train

RECIPE = Recipe(model="psp_12_1", dataset="synthetic", precision="float32", distil=1.0)
DATA = synthetic(train=64, test=64, image_size=16)


def test_distance_is_the_divergence():
    wanted, found = torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 2)
    by_hand = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert distance(found, wanted).item() == pytest.approx(by_hand, rel=1e-6)
    assert distance(wanted + 5, wanted).item() == pytest.approx(0, abs=1e-6)


def gradients(distil, labels):
    teacher = RECIPE.network(num_classes=10, image_size=16)
    state = start(dataclasses.replace(RECIPE, distil=distil), DATA, teacher=teacher)
    loss = backward(state, dataclasses.replace(RECIPE, distil=distil), IMAGES, labels)
    return loss, [parameter.grad for parameter in state.model.parameters()]


IMAGES = torch.linspace(-1, 1, 8 * 3 * 16 * 16).view(8, 3, 16, 16).sin()
LABELS = torch.arange(8)


@pytest.mark.parametrize(("distil", "labels_matter"), [(1.0, False), (0.5, True)])
def test_a_teacher_takes_the_place_of_labels(distil, labels_matter):
    torch.manual_seed(1)
    loss, found = gradients(distil, LABELS)
    torch.manual_seed(1)
    other, others = gradients(distil, LABELS.flip(0))
    same = torch.equal(loss, other) and all(map(torch.equal, found, others))
    assert same != labels_matter


def test_who_says_the_same_as_the_teacher_learns_nothing():
    state = start(RECIPE, DATA, teacher=RECIPE.network(num_classes=10, image_size=16))
    state.model.eval()
    state.teacher = copy.deepcopy(state.model)
    assert backward(state, RECIPE, IMAGES, LABELS).item() == pytest.approx(0, abs=1e-6)
    state.teacher.head.bias.data[0] += 1.0
    assert backward(state, RECIPE, IMAGES, LABELS).item() > 0.01


def test_a_teacher_does_not_learn():
    teacher = RECIPE.network(num_classes=10, image_size=16)
    before = copy.deepcopy(teacher.state_dict())
    state = start(RECIPE, DATA, teacher=teacher)
    backward(state, RECIPE, IMAGES, LABELS)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


@pytest.mark.parametrize(
    ("name", "value", "default"),
    [("distil", 1.0, 0.0), ("adc_bits", 6, 8), ("stream_bits", 10, 8), ("freeze", 0.3, 0.5)],
)
def test_what_a_float_run_does_not_have(name, value, default):
    recipe = dataclasses.replace(RECIPE, **{"distil": 0.0, name: value})
    rule = f"{name} must be {default} without --quantize, not {value}"
    with pytest.raises(ParameterError, match=f"^{rule}$"):
        qat.check(recipe, World())


def test_a_missing_teacher_is_told(tmp_path):
    recipe = dataclasses.replace(RECIPE, quantize="int8", start="0" * 64)
    with pytest.raises(ParameterError, match=r"^a teacher must be there if distil, 1, is above 0$"):
        train(recipe, DATA, tmp_path)
