# SPDX-License-Identifier: Apache-2.0
"""Twofold sparsity: masks that registers make, and codes of little energy, while training."""

import copy
import re

import numpy as np
import pytest
import quant_networks
import torch

from hw.lfsr_params import LfsrMask, page_seed
from hw.params import ParameterError
from hw.row_masks import row_masks
from model.cell_energy import weight_energy
from model.crossbar_sum import ArrayShape
from model.quant_layers import QuantConv
from model.sparsity import TwofoldSparsity, _tables, page_mask

ARRAY = ArrayShape(rows=8)
"""Of 8 rows, so that a layer of 12 has two row tiles."""


@pytest.fixture(scope="module")
def dense():
    return quant_networks.twin(array=ARRAY)


def masked(network):
    return {
        name: module.parametrizations.weight[0]
        for name, module in network.named_modules()
        if hasattr(module, "parametrizations")
    }


def rows(weight):
    """Return weights [O, I, k, k] as a crossbar has them."""
    return weight.permute(2, 3, 1, 0).flatten(0, 2)


def images(count=8):
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_a_mask_of_rows_is_the_registers():
    kept = page_mask(70, 24, layer=3, array_rows=64, sparsity=0.6, page_outputs=16)
    for tile, group in np.ndindex(2, 2):
        page = kept[64 * tile : 64 * tile + 64, 16 * group : 16 * group + 16]
        lfsr = LfsrMask(positions=len(page), count=round(len(page) * 0.4),
                        seed=page_seed(len(page), 3, tile, group))  # fmt: skip
        assert np.array_equal(page, np.repeat(lfsr.kept()[:, None], page.shape[1], 1))
    assert not np.array_equal(kept[:64, :16], kept[:64, 16:][:, :1].repeat(16, 1))


def test_a_mask_of_weights_is_the_registers():
    kept = page_mask(9, 5, layer=1, array_rows=8, sparsity=0.25, granularity="weight",
                     page_outputs=4)  # fmt: skip
    for tile, group in np.ndindex(2, 2):
        page = kept[8 * tile : 8 * tile + 8, 4 * group : 4 * group + 4]
        if page.size < 4:
            assert page.all()
            continue
        lfsr = LfsrMask(positions=page.size, count=round(page.size * 0.75),
                        seed=page_seed(page.size, 1, tile, group)).kept()  # fmt: skip
        for row, output in np.ndindex(*page.shape):
            assert page[row, output] == lfsr[row * page.shape[1] + output]


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_hardware_finds_the_masks_again(dense, sparsity):
    network = copy.deepcopy(dense)
    method = TwofoldSparsity(sparsity)
    method.attach(network)
    method.settle(network)
    found = {}
    for number, layer in enumerate(network.layers()):
        codes, _ = layer.conv.integers()
        stored = (rows(codes) + int(layer.conv.zero_point)).detach().numpy().astype(np.uint8)
        masks = row_masks(stored, int(layer.conv.zero_point), layer=number, rows=8, outputs=16)
        found[layer.name] = [mask and mask.count for groups in masks for mask in groups]
    # Pages of 8 and of 4 rows; a kept row may hold zeros, so that less is driven.
    wanted = [round(8 * (1 - sparsity)), round(4 * (1 - sparsity))]
    assert found.pop("stem") == [8, 4]
    assert all(counts == wanted for counts in found.values())
    # Masks of another place gate hardly anything.
    if sparsity == 0.5:
        moved = row_masks(np.roll(stored, 1, 0), int(layer.conv.zero_point), layer=number,
                          rows=8, outputs=16)  # fmt: skip
        assert [mask.count for (mask,) in moved] != wanted


def test_weights_stay_until_the_mask_is_hard_and_are_zero_from_then_on(dense):
    network = copy.deepcopy(dense)
    method = TwofoldSparsity(0.5, phase=0.4, head=True)
    method.attach(network)
    assert list(masked(network)) == [
        "body.0.first.0", "body.0.second.0", "body.1.first.0", "body.1.second.0", "head"
    ]  # fmt: skip
    x = images()
    method.advance(network, 0.39)
    assert torch.equal(network(x), dense(x))
    method.advance(network, 0.4)
    assert not torch.equal(network(x), dense(x))
    for name, mask in masked(network).items():
        assert mask.kept.dtype == mask.hard.dtype == torch.bool
        weight, old = network.get_submodule(name).weight, dense.get_submodule(name).weight
        assert torch.equal(weight[mask.kept], old[mask.kept])
        assert not weight[~mask.kept].any()
        assert 0 < int((~mask.kept).sum()) < weight.numel()


def test_masked_weights_get_no_gradient_and_stay_zero_whatever_optimisers_do(dense):
    network = copy.deepcopy(dense).train()
    method = TwofoldSparsity(0.5, phase=0.0)
    method.attach(network)
    method.advance(network, 0.0)
    before = {name: mask.kept.clone() for name, mask in masked(network).items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(3):
        loss = network(images()).square().mean() + method.penalty(network)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, kept in before.items():
        parameter = network.get_submodule(name).parametrizations.weight.original
        assert not parameter.grad[~kept].any()
        assert parameter.grad[kept].any()
    method.settle(network)
    assert not masked(network)
    assert network.state_dict().keys() == dense.state_dict().keys()
    for name, kept in before.items():
        assert not network.get_submodule(name).weight[~kept].any()


def test_settling_changes_no_number(dense):
    network = copy.deepcopy(dense)
    method = TwofoldSparsity(0.5, bit_penalty=1.0)
    method.attach(network)
    method.advance(network, 1.0)
    x = images()
    wanted = network(x)
    method.settle(network)
    assert torch.equal(network(x), wanted)


def test_the_network_penalty_is_the_norm_of_what_is_left_out(dense):
    network = copy.deepcopy(dense)
    method = TwofoldSparsity(0.5, penalty=0.25)
    method.attach(network)
    wanted, wrong = 0.0, 0.0
    for name, mask in masked(network).items():
        weight = network.get_submodule(name).weight.detach().numpy().astype(np.float64)
        wanted += 0.25 * np.sqrt((weight[~mask.kept.numpy()] ** 2).sum())
        wrong += 0.25 * np.sqrt((weight[mask.kept.numpy()] ** 2).sum())
    penalty = method.penalty(network)
    assert penalty.item() == pytest.approx(wanted, rel=1e-5)
    assert penalty.item() != pytest.approx(wrong, rel=1e-3)
    penalty.backward()
    for name, mask in masked(network).items():
        original = network.get_submodule(name).parametrizations.weight.original
        assert not original.grad[mask.kept].any()
        # Of the length λ, however small the weights are; its square's would not be.
        assert original.grad.norm().item() == pytest.approx(0.25, rel=1e-5)
    method.advance(network, 1.0)
    assert method.penalty(network).item() == 0


def test_the_bit_penalty_is_the_tables_energy(dense):
    network = copy.deepcopy(dense)
    method = TwofoldSparsity(0.5, penalty=0.0, bit_penalty=0.5)
    method.attach(network)
    table, total, count = weight_energy(), 0.0, 0
    for name, module in network.named_modules():
        if isinstance(module, QuantConv) or name == "head":
            codes = module.integers()[0].detach().numpy().astype(int) + int(module.zero_point)
            energy = table[codes]
            if name in masked(network):
                energy = energy * masked(network)[name].kept.numpy()
            total, count = total + energy.sum(), count + energy.size
    assert method.energy(network).item() == pytest.approx(total / count, rel=1e-5)
    assert method.penalty(network).item() == pytest.approx(0.5 * total / count, rel=1e-5)


@pytest.mark.parametrize("encoding", ["offset", "twos_complement", "differential"])
def test_its_gradient_leads_to_cheaper_codes(dense, encoding):
    network = copy.deepcopy(dense)
    method = TwofoldSparsity(0.0, penalty=0.0, bit_penalty=1.0, encoding=encoding)
    method.attach(network)
    first = method.energy(network).item()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.0005)
    for _ in range(60):
        optimizer.zero_grad()
        method.penalty(network).backward()
        optimizer.step()
    assert method.energy(network).item() < 0.8 * first


def test_the_gradient_points_to_the_code_that_is_worth_the_way():
    energy, slope = _tables("offset", 8, 4.0)
    # 00 11 11 11 lies one below 01 00 00 00, which is a place to stay.
    assert slope[63] < 0
    assert slope[64] == 0
    assert energy[64] < energy[63] - 3
    # From each code the way down ends where staying is best: no code nearby is worth a move.
    goals = torch.nonzero(slope == 0)[:, 0]
    way = goals[:, None] - torch.arange(256)
    assert torch.all(energy[goals][:, None] <= energy + way**2 / 16 + 1e-6)


def test_zero_points_are_chosen_only_where_they_are_free(dense):
    for options, network in (
        ({"bit_penalty": 0.0}, dense),
        ({"bit_penalty": 1.0, "encoding": "twos_complement"}, dense),
        ({"bit_penalty": 1.0}, quant_networks.twin(array=ArrayShape(adc_bits=4))),
    ):
        copied = copy.deepcopy(network)
        method = TwofoldSparsity(0.5, **options)
        method.attach(copied)
        method.settle(copied)
        assert {int(layer.conv.zero_point) for layer in copied.layers()} == {128}
    placed = copy.deepcopy(dense)
    TwofoldSparsity(0.5, bit_penalty=1.0).attach(placed)
    assert all(int(layer.conv.zero_point) < 128 for layer in placed.layers())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 1.0}, "sparsity must be a number from 0 to 0.999, not 1.0"),
        ({"penalty": -1}, "penalty must be a number from 0 to 1e+06, not -1"),
        ({"bit_penalty": float("nan")}, "bit_penalty must be a number from 0 to 1e+06, not nan"),
        ({"phase": 2}, "phase must be a number from 0 to 1, not 2"),
        ({"reach": 0}, "reach must be a number from 0.1 to 256, not 0"),
        ({"granularity": "page"}, "granularity must be one of row, weight, not 'page'"),
        ({"encoding": "gray"},
         "encoding must be one of offset, twos_complement, differential, not 'gray'"),
    ],
)  # fmt: skip
def test_refuses_what_cannot_be(options, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        TwofoldSparsity(**({"sparsity": 0.5} | options))
