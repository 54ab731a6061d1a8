# SPDX-License-Identifier: Apache-2.0
"""Grids, gradients, calibration; a run for integers begins, resumes and comes back."""

import dataclasses
import itertools
import math
import re
from unittest import mock

import numpy as np
import pytest
import torch
from quant_networks import MEAN, STD, images, network, twin
from torch import nn

from hw.params import ParameterError
from model import checkpoint, golden, qat, train
from model import quantise as quantise_module
from model.augment import normalise
from model.crossbar_sum import ArrayShape, crossbar_sum
from model.data import synthetic
from model.evaluate import load_network
from model.parallel import World
from model.power_norm import PowerOfTwoNorm
from model.quant import Grid, best_exponents, nearest_power, to_grid, two_to
from model.quant_layers import QuantConv
from model.quant_stream import Scheme
from model.quant_table import TableGELU
from model.quantise import QuantIsotropic, freeze_norms, quantise
from model.recipe import Recipe


def test_two_to_is_exact():
    exponents = torch.arange(-126, 128, dtype=torch.int32)
    assert two_to(exponents).tolist() == [2.0**e for e in range(-126, 128)]


@pytest.mark.parametrize("exponent", [-3, 0, 5])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_rounding_is_golden(bits, exponent):
    values = torch.arange(-70_000, 70_000)
    grid = Grid(bits)
    grid.exponent.fill_(exponent)
    # Two more binary places than the grid has: every tie is among them.
    found = grid(values * 2.0 ** (exponent - 2)) / 2.0**exponent
    expected = golden.saturate(golden.round_shift(values.numpy(), 2), bits)
    assert np.array_equal(found.numpy(), expected)


def test_gradients_pass_where_nothing_saturates():
    x = torch.tensor([-9.0, -8.4, -8.6, 0.3, 7.4, 7.6, 100.0], requires_grad=True)
    to_grid(x, torch.ones(()), -8, 7).sum().backward()
    assert x.grad.tolist() == [0, 1, 0, 1, 1, 0, 0]


def test_nearest_power():
    x = torch.tensor([1.4, -1.5, 0.0, 3.0, 100.0, -0.01, 1.0], requires_grad=True)
    found = nearest_power(x, -3, 4)
    assert found.tolist() == [1.0, -2.0, 0.125, 4.0, 16.0, -0.125, 1.0]
    found.sum().backward()
    assert x.grad.tolist() == [1] * 7


def test_best_exponents_have_the_least_error():
    torch.manual_seed(0)
    values = torch.randn(6, 400) * 4.0 ** torch.arange(6)[:, None]
    values[3, 0] = 1e4  # an outlier that is better cut
    for bits in (4, 8):
        found = best_exponents(values, bits)
        half = 1 << (bits - 1)
        for row, exponent in zip(values, found.tolist(), strict=True):
            errors = {
                e: float(
                    (to_grid(row, torch.tensor(2.0**e), -half, half - 1) - row).square().mean()
                )
                for e in range(exponent - 2, exponent + 3)
            }
            outlier = row[0] == 1e4  # there, only three grids below the covering one are tried
            assert outlier or min(errors, key=errors.get) == exponent


def test_zeros_have_an_exponent():
    assert best_exponents(torch.zeros(2, 5), 8).abs().max() <= 64


UNITS = torch.ones(()), torch.ones(1)


@pytest.mark.parametrize("zero", [0, 77, 128, 255])
@pytest.mark.parametrize("adc_bits", [4, 5, 8])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (2, 2)])
def test_crossbar_sum_is_golden(adc_bits, kernel, stride, zero):
    source = np.random.default_rng(1)
    q = source.integers(-128, 128, (2, 20, 6, 6))
    w = source.integers(-zero, 256 - zero, (7, 20, kernel, kernel))
    found = crossbar_sum(
        torch.from_numpy(q).float(), torch.from_numpy(w).float(), act_bits=8, weight_bits=8,
        zero_point=zero, array=ArrayShape(rows=16, adc_bits=adc_bits), stride=stride, steps=UNITS,
    )  # fmt: skip
    rows = golden.patches(q, kernel, stride, 0)
    expected = golden.accumulate(
        rows, w.transpose(2, 3, 1, 0).reshape(-1, 7) + zero, np.zeros(7, int), zero_point=zero,
        act_bits=8, weight_bits=8, array_rows=16, cell_bits=2, adc_bits=adc_bits,
    )  # fmt: skip
    assert np.array_equal(found.numpy(), np.moveaxis(expected, -1, 1))


def test_gradients_of_a_saturating_crossbar_are_the_convolutions():
    grads = []
    for adc_bits in (4, 8):
        torch.manual_seed(0)
        q = torch.randint(-8, 8, (2, 20, 3, 3)).float().requires_grad_()
        w = torch.randint(-8, 8, (5, 20, 1, 1)).float().requires_grad_()
        array = ArrayShape(rows=16, adc_bits=adc_bits)
        found = crossbar_sum(
            q, w, steps=UNITS, act_bits=4, weight_bits=4, zero_point=8, array=array
        )
        found.square().sum().backward()
        grads.append(q.grad)
    assert not torch.equal(*grads)  # the outer derivative sees what was clipped
    assert all(bool(grad.abs().sum() > 0) for grad in grads)


def test_the_table_bends_gradients_as_gelu_does():
    gelu = TableGELU(8)
    values = torch.randn(1000) * 2
    gelu.fit(values)
    lowest = float((gelu.pre.low + gelu.pre_zero) * gelu.pre.step)
    x = torch.linspace(lowest, 2, 50)[None, None, None].requires_grad_()
    gelu(x - gelu.threshold).sum().backward()
    y = (gelu.pre(x.detach() - gelu.threshold) + gelu.threshold).requires_grad_()
    nn.functional.gelu(y).sum().backward()
    assert torch.equal(x.grad, y.grad)
    far = torch.full((1, 1, 1, 1), 100.0, requires_grad=True)
    gelu(far).sum().backward()
    assert far.grad.item() == 0


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("size", [0.05, 1.0, 7.0])
def test_no_exponents_have_a_table_of_less_error(bits, size):
    torch.manual_seed(0)
    sums = size * torch.randn(2000)
    sums[0] = 20 * size  # an outlier that is better cut
    gelu = TableGELU(bits)

    def error():
        found = gelu((sums - gelu.threshold)[None, None, None])[0, 0, 0] + gelu.lowered
        return float((found - nn.functional.gelu(sums)).square().mean())

    gelu.fit(sums)
    least, chosen = error(), (int(gelu.pre.exponent), int(gelu.act.exponent))
    errors = {}
    for exponents in itertools.product(range(-14, 4), repeat=2):
        for grid, exponent in zip((gelu.pre, gelu.act), exponents, strict=True):
            grid.exponent.fill_(exponent)
        gelu.tabulate()
        errors[exponents] = error()
    assert errors[chosen] == least == min(errors.values())


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("pre_exp", range(-6, 3))
@pytest.mark.parametrize("act_exp", range(-6, 3))
def test_zeros_waste_no_code_and_lose_none(bits, pre_exp, act_exp):
    gelu = TableGELU(bits)
    gelu.pre.exponent.fill_(pre_exp)
    gelu.act.exponent.fill_(act_exp)
    gelu.tabulate()
    half = 1 << (bits - 1)
    below = [  # what GELU is for codes of a symmetric grid, −half…−1
        math.floor(x * (1 + math.erf(x / 2**0.5)) / 2 / 2.0**act_exp + 0.5)
        for x in (code * 2.0**pre_exp for code in range(-half, 0))
    ]
    first = int(gelu.pre_zero) - half  # the least that is not saturated
    assert not any(below[: half + first])
    assert first in (-half, 0) or below[half + first + 1]  # nor could it be larger
    assert int(gelu.act_zero) == half - min(half, -min(below))
    assert int(gelu.table[0]) + int(gelu.act_zero) == (max([*below, 0][half + first], -half))


def test_far_below_is_nothing_and_far_above_the_end():
    gelu = TableGELU(4)
    values = torch.randn(4000) * 3
    gelu.fit(values)
    x = torch.tensor([-1e3, 1e3])[None, None, None]
    found = gelu(x - gelu.threshold) + gelu.lowered
    assert found[0, 0, 0, 0] == 0
    assert found[0, 0, 0, 1] == (int(gelu.table[-1]) + gelu.act_zero) * gelu.act.step
    assert len(set(gelu.table.tolist())) > 10  # of 16 entries; a symmetric grid has 9 at most


def test_the_twin_is_close_to_its_network():
    net, quantised = network(), twin(stream_bits=16)
    x = normalise(torch.from_numpy(images(64)), MEAN, STD)
    # Batch norms of powers of two in both: what is left is the rounding of 8-bit numbers.
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and module is not net.norm:
                gain = module.weight * torch.rsqrt(module.running_var + module.eps)
                module.weight.mul_(nearest_power(gain, -20, 20) / gain)
        a, b = net(x), quantised(x)
    assert torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1] > 0.98


def test_norms_follow_the_batch_until_they_are_frozen():
    net = twin().train()
    norms = [module for module in net.modules() if isinstance(module, PowerOfTwoNorm)]
    x = normalise(torch.from_numpy(images(16)), MEAN, STD)

    def statistics():
        return torch.cat([of for n in norms for of in (n.norm.running_mean, n.norm.running_var)])

    before = statistics()
    net(x)
    moved = statistics()
    assert not torch.equal(before, moved)
    freeze_norms(net)
    net(x)
    assert torch.equal(statistics(), moved)


def test_every_parameter_gets_a_gradient():
    net = twin("sp").train()
    x = normalise(torch.from_numpy(images(16)), MEAN, STD)
    net(x).square().sum().backward()
    assert all(bool(value.grad.abs().sum() > 0) for value in net.parameters())


def test_dead_channels_keep_k_in_its_range():
    net = network()
    with torch.no_grad():
        net.body[0].first[0].weight[3] = 0
    quantised = quantise(
        net, Scheme(act_bits=4, weight_bits=4, per_channel=True), image_size=12, mean=MEAN, std=STD
    )
    conv: QuantConv = quantised.body[0].first[0]
    pre = Grid(4)
    conv.fit(pre)
    k = pre.exponent - conv.source.exponent - conv.weight_exponent
    # A threshold of 2^3 codes is then 2^22 accumulators; docs/intnet.md allows 23 without one.
    assert k.max() == 19
    assert k.min() >= 0


# A run for integers.

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


def stopped_at(epoch):
    def run_epoch(state, *arguments, inner=train.run_epoch):
        if state.epoch == epoch:
            raise KeyboardInterrupt
        return inner(state, *arguments)

    return mock.patch.object(train, "run_epoch", run_epoch)


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
    checkpoint.write(tmp_path / "bad", tensors | {f"model.{name}": value}, facts)
    with pytest.raises(ParameterError, match=f"^{re.escape(name)} {message}$"):
        load_network(tmp_path / "bad")


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


@pytest.mark.parametrize("bits", [4, 8])
def test_sums_keep_their_mean(bits, monkeypatch):
    net, x = network(), normalise(torch.from_numpy(images(64)), MEAN, STD)
    scheme = Scheme(act_bits=bits, weight_bits=bits, per_channel=bits < 8)

    def drift():
        made = quantise(net, scheme, image_size=12, mean=MEAN, std=STD)
        quantise_module.calibrate(made, net, x)
        names = [f"{name}.0" for name, _ in made.mixes()]
        with torch.no_grad(), quantise_module.averages(net, names) as wanted:
            net(x)
        with torch.no_grad(), quantise_module.averages(made, names) as found:
            made(x)
        return max(
            float((found[f"{name}.0"] + gelu.threshold - wanted[f"{name}.0"]).abs().max())
            for name, (_, gelu, _) in made.mixes()
        )

    corrected = drift()
    monkeypatch.setattr(QuantIsotropic, "_correct_biases", lambda *_: None)
    assert corrected < 0.3 * drift()
