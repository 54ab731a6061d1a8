# SPDX-License-Identifier: Apache-2.0
"""Pages that count nothing for a while, return if they are needed, and stay 0 at the end."""

import copy
import functools
import re

import pytest
import torch
from quant_networks import twin
from torch.nn.utils import parametrize

from hw.params import ParameterError, ParameterTypeError
from model.prune import RANKINGS, AlignedPruning, Pages
from model.psp import create_model


@functools.cache
def calibrated():
    """Return a network of 1 x 3 pages of 64 rows x 16 outputs a layer; the last has 8."""
    return twin("residual", width=40, depth=1)


def attached(pruning, network=None):
    network = copy.deepcopy(network or calibrated())
    pruning.attach(network)
    return network


def pages(network):
    return [module for module in network.modules() if isinstance(module, Pages)]


def convolutions(network):
    return [network.body[0].first[0], network.body[0].second[0]]


def answer(network, *values):
    """Let the loss answer to each page, layer by layer, as given."""
    for each, value in zip(pages(network), values, strict=True):
        each.answer.copy_(torch.tensor(value).view_as(each.answer) ** 2)


def kept(network):
    return [each.kept.flatten().int().tolist() for each in pages(network)]


def images():
    return torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_attaching_changes_no_number():
    plain = calibrated()
    network = attached(AlignedPruning(0.5))
    assert [(each.tiles, each.groups) for each in pages(network)] == [(1, 3), (1, 3)]
    assert torch.equal(network(images()), plain(images()))
    AlignedPruning(0.0).settle(network)
    assert torch.equal(network(images()), plain(images()))
    assert network.state_dict().keys() == plain.state_dict().keys()


def test_rows_and_outputs_of_a_page_are_those_of_the_crossbar():
    factors = Pages((5, 3, 2, 2), 7, 2)
    assert (factors.tiles, factors.groups) == (2, 3)
    kept = torch.tensor([[1, 1, 0], [0, 1, 1]], dtype=torch.bool)
    factors.mask(kept, ~kept)
    weight = factors(torch.ones(5, 3, 2, 2).contiguous(memory_format=torch.channels_last))
    rows = weight.permute(2, 3, 1, 0).reshape(12, 5)  # (ky, kx, channel), outputs
    wanted = torch.ones(12, 5)
    wanted[:7, 4:], wanted[7:, :2] = 0, 0
    assert torch.equal(rows, wanted)


def test_the_least_important_pages_of_all_layers_go():
    pruning = AlignedPruning(0.5)
    network = attached(pruning)
    answer(network, [4.0, 5.0, 3.0], [9.0, 2.0, 1.0])
    pruning.advance(network, 0.4)
    assert kept(network) == [[1, 1, 0], [1, 0, 0]]
    for conv, each in zip(convolutions(network), pages(network), strict=True):
        columns = conv.weight.flatten(1).abs().amax(1) > 0
        assert torch.equal(columns, each.kept[0].repeat_interleave(16)[:40])


def test_a_share_that_grows_is_reached_half_way():
    pruning = AlignedPruning(0.5)
    network = attached(pruning)
    answer(network, [4.0, 5.0, 3.0], [9.0, 2.0, 1.0])
    gone = []
    for number in range(RANKINGS):
        pruning.advance(network, 0.4 * (number + 1) / RANKINGS)
        gone.append(6 - sum(map(sum, kept(network))))
    assert gone == [1, 1, 2, 2, 3, 3, 3, 3, 3, 3]


def test_no_ranking_between_two():
    pruning = AlignedPruning(0.5)
    network = attached(pruning)
    answer(network, [4.0, 5.0, 3.0], [9.0, 2.0, 1.0])
    pruning.advance(network, 0.4)
    before = copy.deepcopy(network.state_dict())
    answer(network, [1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    pruning.advance(network, 0.7)
    masks = {name: value for name, value in before.items() if name.endswith(("kept", "doomed"))}
    assert all(torch.equal(network.state_dict()[name], value) for name, value in masks.items())


def test_a_page_returns_that_the_loss_misses():
    pruning = AlignedPruning(0.2, penalty=0.0)
    network = attached(pruning).train()
    answer(network, [1.0, 5.0, 5.0], [5.0, 5.0, 1.5])
    pruning.advance(network, 0.2)
    assert kept(network) == [[0, 1, 1], [1, 1, 1]]
    conv = convolutions(network)[0]
    wanted = conv.parametrizations.weight.original.detach()
    for _ in range(20):
        found = conv.weight
        assert not found[:16].any()  # it counts nothing
        # What is wanted are the weights as they were, with the page that is missing.
        (-(found * wanted).sum()).backward()
    assert pages(network)[0].answer[0, 0] > 5
    pruning.advance(network, 0.24)
    assert kept(network) == [[1, 1, 1], [1, 1, 0]]
    assert torch.equal(conv.weight, wanted)


def test_the_answer_is_the_mean_square_of_gradients():
    network = attached(AlignedPruning(0.2)).train()
    conv, factors = convolutions(network)[0], pages(network)[0]
    for _ in range(500):
        conv.weight.square().sum().backward()
    original = conv.parametrizations.weight.original.detach()
    gradient = torch.stack([2 * part.square().sum() for part in original.split(16)])
    assert torch.allclose(factors.answer[0], gradient.square(), rtol=1e-3)


def test_one_page_of_each_layer_stays():
    pruning = AlignedPruning(0.83, rows=20)
    network = attached(pruning)
    assert [(each.tiles, each.groups) for each in pages(network)] == [(2, 3), (2, 3)]
    answer(network, [11.0, 12.0, 13.0, 9.0, 8.0, 7.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    pruning.advance(network, 1.0)
    assert kept(network) == [[0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]]


def test_outputs_without_a_skip_are_silenced_last():
    pruning = AlignedPruning(0.5)
    network = attached(pruning, twin("skip_before_shift", width=40, depth=1))
    assert [each.carried for each in pages(network)] == [True, False]
    answer(network, [4.0, 5.0, 3.0], [0.9, 0.2, 0.1])
    pruning.advance(network, 0.4)
    assert kept(network) == [[0, 1, 0], [1, 1, 0]]


def test_a_layer_is_not_emptied():
    message = (
        "sparsity of pages must be at most 0.666, not 0.8: more would empty body.0.first, "
        "which has 1x3 pages"
    )
    with pytest.raises(ParameterError, match=f"^{message}$"):
        attached(AlignedPruning(0.8))
    attached(AlignedPruning(0.666))


def test_what_is_about_to_go_is_penalised():
    pruning = AlignedPruning(0.5, penalty=0.25)
    network = attached(pruning)
    assert pruning.penalty(network) == 0  # nothing is, before the first ranking
    answer(network, [4.0, 5.0, 3.0], [9.0, 2.0, 1.0])
    pruning.advance(network, 0.04)
    assert kept(network) == [[1, 1, 1], [1, 1, 0]]
    first, second = (conv.weight.detach().split(16) for conv in convolutions(network))
    wanted = 0.25 * (first[2].norm() + second[1].norm())
    assert pruning.penalty(network).item() == pytest.approx(wanted.item())
    pruning.advance(network, 1.0)
    assert pruning.penalty(network) == 0


def test_pages_that_are_0_from_the_start_stay_so():
    network = copy.deepcopy(calibrated())
    convolutions(network)[1].weight.data[16:32] = 0
    pruning = AlignedPruning(0.2)
    pruning.attach(network)
    assert kept(network) == [[1, 1, 1], [1, 0, 1]]
    network.train()
    for conv in convolutions(network):
        conv.weight.square().sum().backward()
    pruning.advance(network, 1.0)
    assert kept(network) == [[1, 1, 1], [1, 0, 1]]


def test_a_network_of_floats_has_the_same_pages():
    torch.manual_seed(0)
    network = create_model("psp_48_2", num_classes=10, image_size=12, form="skip_before_shift")
    pruning = AlignedPruning(0.25)
    pruning.attach(network)
    assert [each.carried for each in pages(network)] == [True, False] * 2
    found = network(images())
    found.square().mean().backward()
    pruning.settle(network)
    assert not any(map(parametrize.is_parametrized, network.modules()))
    gone = [not part.any() for step in network.body for conv in (step.first[0], step.second[0])
            for part in conv.weight.split(16)]  # fmt: skip
    assert sum(gone) == 3


def test_what_is_settled_is_plain_and_zero():
    pruning = AlignedPruning(0.5)
    network = attached(pruning)
    answer(network, [4.0, 5.0, 3.0], [9.0, 2.0, 1.0])
    pruning.advance(network, 0.4)
    found = network(images())
    pruning.settle(network)
    assert not any(map(parametrize.is_parametrized, network.modules()))
    assert torch.equal(network(images()), found)
    integers = [conv.integers()[0].flatten(1).abs().amax(1) for conv in convolutions(network)]
    assert not integers[0][32:].any()
    assert not integers[1][16:].any()
    assert integers[0][:32].all()


def test_a_run_of_too_few_steps_is_pruned_at_its_end():
    pruning = AlignedPruning(0.5)
    network = attached(pruning)
    answer(network, [4.0, 5.0, 3.0], [9.0, 2.0, 1.0])
    pruning.settle(network)
    assert [conv.weight[::16].flatten(1).any(1).tolist() for conv in convolutions(network)] == [
        [True, True, False], [True, False, False],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sparsity": 1.0}, ParameterError, "sparsity must be at least 0 and below 1, not 1"),
        ({"sparsity": -0.1}, ParameterError, "sparsity must be at least 0 and below 1, not -0.1"),
        (
            {"penalty": float("nan")},
            ParameterError,
            "penalty must be a number from 0 to 1e+06, not nan",
        ),
        ({"rows": 0}, ParameterError, "rows must be an integer from 1 to 4096, not 0"),
        (
            {"columns": 1.5},
            ParameterTypeError,
            "columns must be an integer from 1 to 4096, not 1.5",
        ),
        (
            {"begin": 0.5, "end": 0.5},
            ParameterError,
            "begin and end must be shares of the run in their order, not 0.5 and 0.5",
        ),
    ],
)
def test_bad_parameters(options, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        AlignedPruning(**{"sparsity": 0.5} | options)
