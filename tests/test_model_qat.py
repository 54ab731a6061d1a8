# SPDX-License-Identifier: Apache-2.0
"""A run for integers begins, resumes and comes back."""

import dataclasses
import re

import pytest
import torch
from interrupts import stopped_at
from quant_networks import images
from torch import nn

from hw.params import ParameterError
from model import checkpoint, qat, train
from model.augment import normalise
from model.data import synthetic
from model.evaluate import load_network
from model.parallel import World
from model.quantise import QuantIsotropic
from model.recipe import Recipe

FLOAT = Recipe(model="psp_12_1", dataset="synthetic", epochs=2, batch_size=64)


INT8 = dataclasses.replace(FLOAT, quantize="int8", rate=0.001, matrix_rate=0.002, distil=0.5)


@pytest.fixture(scope="module")
def data():
    return synthetic(train=512, test=128, image_size=16)


@pytest.fixture(scope="module")
def file(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("float")
    train.train(FLOAT, data, out)
    return out / train.FINAL


def test_resumed_equals_uninterrupted(data, file, tmp_path):
    for name in ("whole", "resumed"):
        (tmp_path / name).mkdir()
    recipe, prepare, teacher = qat.begin(file, INT8, data)
    train.train(recipe, data, tmp_path / "whole", prepare=prepare, teacher=teacher)
    for epoch, resume in ((0, False), (1, True)):
        recipe, prepare, teacher = qat.begin(file, INT8, data)
        with stopped_at(epoch), pytest.raises(KeyboardInterrupt):
            train.train(
                recipe, data, tmp_path / "resumed", resume=resume, prepare=prepare, teacher=teacher
            )
    recipe, prepare, teacher = qat.begin(file, INT8, data)
    train.train(recipe, data, tmp_path / "resumed", resume=True, prepare=prepare, teacher=teacher)
    whole, resumed = ((tmp_path / name / train.FINAL).read_bytes() for name in ("whole", "resumed"))
    assert whole == resumed


@pytest.fixture(scope="module")
def trained(data, file, tmp_path_factory):
    out = tmp_path_factory.mktemp("int8")
    recipe, prepare, teacher = qat.begin(file, dataclasses.replace(INT8, epochs=1), data)
    return train.train(recipe, data, out, prepare=prepare, teacher=teacher), out / train.FINAL


def test_it_comes_back_from_its_file(trained):
    state, final = trained
    net, recipe, _ = load_network(final)
    assert isinstance(net, QuantIsotropic)
    assert (recipe.quantize, recipe.precision, len(recipe.start)) == ("int8", "float32", 64)
    x = normalise(torch.from_numpy(images(8, 16)), (0.5,) * 3, (0.25,) * 3)
    with torch.no_grad():
        assert torch.equal(net(x), state.mean.eval()(x))


def test_exponents_and_tables_stay_while_it_trains(trained, data, file):
    state, _ = trained
    _, prepare, _ = qat.begin(file, INT8, data)
    fresh = prepare(nn.Identity()).state_dict()
    fixed = [name for name, value in fresh.items() if not value.is_floating_point()]
    assert len([name for name in fixed if name.endswith("exponent")]) > 10
    for net in (state.model, state.mean):
        now = net.state_dict()
        assert all(torch.equal(fresh[n], now[n]) for n in fixed if "num_batches" not in n)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pixels.exponent", torch.tensor(65, dtype=torch.int32), "must be from -64 to 64"),
        ("stem.0.weight_exponent", torch.tensor([-(2**31)], dtype=torch.int32),
         "must be from -64 to 64"),
        ("head.bias", torch.full((10,), float("nan")), "must hold numbers"),
    ],
)  # fmt: skip
def test_hostile_numbers(trained, tmp_path, name, value, message):
    tensors, facts = checkpoint.read(trained[1])
    file = tmp_path / "bad"
    checkpoint.write(file, tensors | {f"model.{name}": value}, facts)
    told = f"^{re.escape(f'{file}: {name}')} {message}$"
    with pytest.raises(checkpoint.CheckpointError, match=told):
        load_network(file)


@pytest.mark.parametrize(
    ("ending", "value", "message"),
    [
        (".running_var", -1.0, "must hold variances, at least 0, not -1"),
        ("std", 0.0, "must hold deviations above 0, not 0"),
    ],
)
def test_numbers_that_are_none_of_their_kind(trained, tmp_path, ending, value, message):
    tensors, facts = checkpoint.read(trained[1])
    name = next(each for each in tensors if each.startswith("model.") and each.endswith(ending))
    tensors[name].view(-1)[0] = value
    file = tmp_path / "bad"
    checkpoint.write(file, tensors, facts)
    told = f"{name.removeprefix('model.')} in {file} {message}"
    with pytest.raises(checkpoint.CheckpointError, match=f"^{re.escape(told)}$"):
        load_network(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantize": "none"}, "quantize must be int8 or int4 where --from is given, not 'none'"),
        ({"model": "psp_12_2"}, r"model must be psp_12_1 as in \S+, not psp_12_2"),
        ({"shortcut": "identity"}, r"shortcut must be projection as in \S+, not identity"),
        ({"form": "true_residual"}, r"form must be skip_before_shift as in \S+, not true_residual"),
        ({"stream_bits": 7}, "stream_bits must be an integer from 8 to 16, not 7"),
    ],
)
def test_where_a_run_cannot_begin(data, file, change, message):
    with pytest.raises(ParameterError, match=f"^{message}$"):
        qat.begin(file, dataclasses.replace(INT8, **change), data)


def test_other_images_are_refused(file):
    other = synthetic(train=64, test=64, image_size=8)
    with pytest.raises(
        ParameterError, match=r"^image_size of the images must be 16 as in \S+, not 8$"
    ):
        qat.begin(file, INT8, other)


def test_integers_go_on_with_other_converters(trained, data):
    state, final = trained
    recipe, prepare, _ = qat.begin(final, dataclasses.replace(INT8, adc_bits=5), data)
    twin = prepare(recipe.network(num_classes=10, image_size=16))
    assert twin.scheme.array.adc_bits == 5
    before, after = state.mean.state_dict(), twin.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantize": "int4"}, r"quantize must be int8 as in \S+, not int4"),
        ({"stream_bits": 12}, r"stream_bits must be 8 as in \S+, not 12"),
    ],
)
def test_integers_keep_their_widths(trained, data, change, message):
    with pytest.raises(ParameterError, match=f"^{message}$"):
        qat.begin(trained[1], dataclasses.replace(INT8, **change), data)


def test_what_a_run_takes_over(file):
    recipe = qat.recipe_from(file, {"model": "psp_12_1", "quantize": "int8", "rate": 0.5})
    found = dataclasses.asdict(recipe)
    assert {found[name] for name in ("dataset", "form")} == {"synthetic", "skip_before_shift"}
    assert (recipe.rate, recipe.matrix_rate, recipe.batch_size) == (0.5, 0.0004, 128)
    asked = qat.recipe_from(file, {"model": "psp_12_1", "form": "residual", "epochs": 3})
    assert (asked.form, asked.epochs) == ("residual", 3)  # begin refuses another form


@pytest.mark.parametrize(
    ("change", "size", "message"),
    [
        ({"start": ""}, 1, "--quantize int8 must go on from a checkpoint: --from"),
        ({"quantize": "none"}, 1, "a run that goes on from a checkpoint must be one for integers"),
        ({"precision": "bf16"}, 1, "precision must be float32 for integers, not 'bf16'"),
        ({}, 2, "a run for integers must be one process, not 2"),
    ],
)
def test_what_is_no_run_for_integers(change, size, message):
    recipe = dataclasses.replace(INT8, start="0" * 64, precision="float32")
    qat.check(recipe, World())
    with pytest.raises(ParameterError, match=f"^{message}$"):
        qat.check(dataclasses.replace(recipe, **change), World(size=size))
