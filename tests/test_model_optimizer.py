# SPDX-License-Identifier: Apache-2.0
"""Optimisers: each weight is moved once, by the one that it belongs to."""

import pytest
import torch
from torch import nn

from model.optimizer import ConvolutionMuon, make_optimizers, set_rates
from model.psp import create_model
from model.recipe import Recipe

MODELS = ["psp_24_2", "sp_24_2", "resnet20"]


def network(name):
    torch.manual_seed(0)
    return create_model(name).to(memory_format=torch.channels_last)


def recipe(**fields):
    return Recipe(model="psp_24_2", **fields)


def random_gradients(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def kernel(*shape, seed=0):
    weight = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return nn.Parameter(weight.contiguous(memory_format=torch.channels_last))


def moved(model, optimizer):
    """Names of the parameters that one step of an optimiser changes."""
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer.step()
    return {
        name for name, value in model.named_parameters() if not torch.equal(value, before[name])
    }


@pytest.mark.parametrize("kind", ["muon", "adamw"])
@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_moved_by_exactly_one(name, kind):
    model = network(name)
    optimizers = make_optimizers(model, recipe(optimizer=kind))
    assert len(optimizers) == (2 if kind == "muon" else 1)
    random_gradients(model)
    shares = [moved(model, optimizer) for optimizer in optimizers]
    names = {name for name, _ in model.named_parameters()}
    assert set.union(*shares) == names
    assert sum(map(len, shares)) == len(names)
    slots = sum(len(group["params"]) for o in optimizers for group in o.param_groups)
    assert slots == len(names)  # no group lists one twice
    if kind == "muon":
        convolutions = {
            f"{name}.weight"
            for name, module in model.named_modules()
            if isinstance(module, nn.Conv2d) and not name.startswith("stem")
        }
        assert shares[1] == convolutions


@pytest.mark.parametrize("kind", ["muon", "adamw"])
@pytest.mark.parametrize("name", MODELS)
def test_decay_shrinks_convolutions_and_the_head_only(name, kind):
    # Without a gradient's pull, a step with decay scales; one without leaves as it is.
    model = network(name)
    fields = {"optimizer": kind, "decay": 0.5, "rate": 0.1, "matrix_rate": 0.1}
    optimizers = make_optimizers(model, recipe(**fields))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
        nn.init.ones_(parameter)
    for optimizer in optimizers:
        optimizer.step()
    for name, parameter in model.named_parameters():
        body = kind == "muon" and parameter.dim() == 4 and not name.startswith("stem")
        decay = 0.25 if body else 0.5 if parameter.dim() > 1 else 0.0
        assert torch.equal(parameter, torch.full_like(parameter, 1 - 0.1 * decay)), name


@pytest.mark.parametrize("shape", [(6, 10, 1, 1), (10, 6, 1, 1), (6, 5, 3, 3), (40, 2, 3, 3)])
def test_muon_of_a_convolution_is_muon_of_its_matrix(shape):
    weight = kernel(*shape)
    matrix = nn.Parameter(weight.detach().permute(0, 2, 3, 1).reshape(shape[0], -1).clone())
    ours = ConvolutionMuon([weight], lr=0.1, weight_decay=0.3)
    theirs = torch.optim.Muon([matrix], lr=0.1, weight_decay=0.3)
    start = weight.detach().clone()
    for seed in range(1, 5):
        # A gradient in the other memory format, too.
        grad = kernel(*shape, seed=seed).detach()
        weight.grad = grad.contiguous() if seed % 2 else grad
        matrix.grad = grad.permute(0, 2, 3, 1).reshape(shape[0], -1).clone()
        ours.step()
        theirs.step()
        assert torch.equal(weight.permute(0, 2, 3, 1).reshape(shape[0], -1), matrix)
    assert not torch.equal(weight, start)
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_muon_leaves_what_has_no_gradient():
    weights = [kernel(4, 6, 1, 1), kernel(4, 6, 3, 3)]
    before = [weight.detach().clone() for weight in weights]
    weights[1].grad = kernel(4, 6, 3, 3, seed=1).detach()
    ConvolutionMuon(weights, lr=0.1, weight_decay=0.3).step()
    assert torch.equal(weights[0], before[0])
    assert not torch.equal(weights[1], before[1])


def test_muon_refuses_a_kernel_whose_matrix_would_be_a_copy():
    weight = nn.Parameter(torch.ones(4, 2, 3, 3))
    with pytest.raises(ValueError, match=r"^weights must be channels_last, not \[18, 9, 3, 1\]$"):
        ConvolutionMuon([weight], lr=0.1, weight_decay=0.0)


def test_rates_are_shares_of_the_highest():
    model = network("psp_24_2")
    optimizers = make_optimizers(model, recipe(rate=0.01, matrix_rate=0.02))
    for share in (0.5, 0.25, 1.0):  # of the highest, not of the last
        set_rates(optimizers, share)
        rates = [{group["lr"] for group in o.param_groups} for o in optimizers]
        assert rates == [{0.01 * share}, {0.02 * share}]
    set_rates(optimizers, 0.0)
    random_gradients(model)
    assert not set.union(*(moved(model, optimizer) for optimizer in optimizers))
