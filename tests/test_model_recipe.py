# SPDX-License-Identifier: Apache-2.0
"""The recipe: what it refuses and how it says so; hostile JSON; the schedules."""

import dataclasses
import json
import re

import pytest

from hw.params import ParameterError, ParameterTypeError
from model.recipe import Recipe

RECIPE = Recipe(model="psp_12_1")
FIELDS = {field.name: field for field in dataclasses.fields(Recipe)}
NUMBERS = [name for name, field in FIELDS.items() if "range" in field.metadata]
WORDS = [name for name in FIELDS if name not in NUMBERS]
CHOICES = [name for name, field in FIELDS.items() if "choices" in field.metadata]


def test_every_field_has_a_help_and_a_rule_or_is_a_word():
    plain = ["model", "dataset", "form", "shortcut", "optimizer", "schedule", "precision"]
    assert [*plain, "quantize", "start"] == WORDS
    assert all(field.metadata["help"] for field in FIELDS.values())


@pytest.mark.parametrize("name", NUMBERS)
def test_ends_of_a_range_are_in_it_and_beyond_is_refused(name):
    low, high = FIELDS[name].metadata["range"]
    whole = isinstance(FIELDS[name].default, int)
    for value in (low, high):
        assert getattr(dataclasses.replace(RECIPE, **{name: value}), name) == value
    step = 1 if whole else 1e-6
    for value in (low - step, high + step, -(10**400), 10**400, *(() if whole else ["nan"])):
        value = float("nan") if value == "nan" else value
        kind, ends = (
            ("an integer", (low, high)) if whole else ("a number", (f"{low:g}", f"{high:g}"))
        )
        message = f"{name} must be {kind} from {ends[0]} to {ends[1]}, not "
        with pytest.raises(ParameterError, match=f"^{re.escape(message)}") as caught:
            dataclasses.replace(RECIPE, **{name: value})
        assert type(caught.value) is ParameterError


@pytest.mark.parametrize("value", [True, "3", None, [1], {}], ids=repr)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number(name, value):
    with pytest.raises(
        ParameterTypeError, match=f"^{name} must be .*, not {re.escape(repr(value))}$"
    ):
        dataclasses.replace(RECIPE, **{name: value})


def test_whole_numbers_are_whole_and_others_may_be():
    with pytest.raises(
        ParameterTypeError, match="^epochs must be an integer from 1 to 10000, not 3.0$"
    ):
        dataclasses.replace(RECIPE, epochs=3.0)
    assert dataclasses.replace(RECIPE, rate=1).rate == 1


@pytest.mark.parametrize("name", WORDS)
def test_what_is_no_word(name):
    with pytest.raises(ParameterTypeError, match=f"^{name} must be a word, not 3$"):
        dataclasses.replace(RECIPE, **{name: 3})


@pytest.mark.parametrize("name", CHOICES)
def test_what_is_no_choice(name):
    words = ", ".join(FIELDS[name].metadata["choices"])
    for value in FIELDS[name].metadata["choices"]:
        dataclasses.replace(RECIPE, **{name: value})
    with pytest.raises(ParameterError, match=f"^{name} must be one of {words}, not 'other'$"):
        dataclasses.replace(RECIPE, **{name: "other"})


def test_a_recipe_survives_json():
    other = dataclasses.replace(RECIPE, rate=0.1 + 0.2, seed=2**63 - 1, schedule="cosine")
    assert Recipe.read(json.loads(json.dumps(dataclasses.asdict(other)))) == other


def test_a_recipe_from_before_a_field_was_added():
    facts = dataclasses.asdict(RECIPE)
    del facts["affine"]
    assert Recipe.read(facts) == RECIPE


FACTS = dataclasses.asdict(RECIPE)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (None, "a recipe must be an object, not NoneType"),
        ([FACTS], "a recipe must be an object, not list"),
        ("psp_12_1", "a recipe must be an object, not str"),
        ({k: v for k, v in FACTS.items() if k != "model"}, "the recipe lacks 'model'"),
        ({}, "the recipe lacks 'model'"),
        (FACTS | {"extra": 1}, "the recipe has no place for 'extra'"),
        (FACTS | {"A" * 10**6: 1}, "the recipe has no place for '" + "A" * 59),
        (FACTS | {"a\nb": 1}, r"the recipe has no place for 'a\\nb'"),
        (FACTS | {"model": ["psp_12_1"]}, r"model must be a word, not \['psp_12_1'\]"),
        (FACTS | {"model": {"a": "b" * 10**6}}, "model must be a word, not {'a': '" + "b" * 53),
        (FACTS | {"precision": "c" * 10**6},
         "precision must be one of bf16, float32, not '" + "c" * 59),
        (FACTS | {"rate": 10**400}, "rate must be a number from 0 to 10, not 1" + "0" * 59),
        (FACTS | {"rate": float("inf")}, "rate must be a number from 0 to 10, not inf"),
        (FACTS | {"epochs": True}, "epochs must be an integer from 1 to 10000, not True"),
        (FACTS | {"seed": 2**63},
         "seed must be an integer from 0 to 9223372036854775807, not 9223372036854775808"),
    ],
)  # fmt: skip
def test_foreign_json(facts, message):
    with pytest.raises(ParameterError, match=f"^{message}$"):
        Recipe.read(facts)


@pytest.mark.parametrize("schedule", ["triangle", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.9])
def test_the_rate_rises_and_falls(schedule, warmup):
    recipe = dataclasses.replace(RECIPE, schedule=schedule, warmup=warmup)
    assert recipe.rate_at(0.0) == (0.0 if warmup else 1.0)
    assert recipe.rate_at(warmup) == 1.0
    assert recipe.rate_at(1.0) == pytest.approx(0.0, abs=1e-15)
    rates = [recipe.rate_at(step / 1000) for step in range(1001)]
    top = round(1000 * warmup)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert all(0.0 <= rate <= 1.0 for rate in rates)
    assert len(set(rates)) > 900  # it moves all the way


def test_halfway_values():
    triangle = dataclasses.replace(RECIPE, warmup=0.2)
    cosine = dataclasses.replace(triangle, schedule="cosine")
    for recipe in (triangle, cosine):
        assert recipe.rate_at(0.1) == 0.5
        assert recipe.rate_at(0.6) == pytest.approx(0.5)
    assert triangle.rate_at(0.4) == pytest.approx(0.75)
    assert cosine.rate_at(0.4) == pytest.approx((1 + 0.5**0.5) / 2)
