# SPDX-License-Identifier: Apache-2.0
"""PSP and SP networks: parameter counts of the paper, block forms as written, names checked."""

import json
import statistics

import pytest
import torch

from hw.params import ParameterError
from model.psp import BLOCKS, DEFAULT_FORM, PSP, PSPBlock, SPBlock, create_model
from model.shift import shift_reference
from scripts.ablation import RESULTS


@pytest.mark.parametrize(
    ("name", "count", "printed"),
    [
        ("psp_128_8", 269_578, "0.26"),
        ("psp_256_8", 1_063_434, "1.06"),
        ("psp_256_12", 1_591_818, "1.59"),
        ("psp_256_16", 2_120_202, "2.12"),
        ("sp_256_24", 1_604_106, "1.60"),
    ],
)
def test_parameter_counts_of_the_paper(name, count, printed):
    # DATE 2024, Table I prints millions, truncated to two decimals.
    assert sum(p.numel() for p in create_model(name).parameters()) == count
    assert f"{count // 10_000 / 100:.2f}" == printed


@pytest.mark.parametrize("form", BLOCKS)
def test_all_forms_have_the_same_parameters(form):
    assert sum(p.numel() for p in create_model("psp_64_4", form=form).parameters()) == 35_466


def expected_block(block, x):
    """Each form once more, as the design writes it, on the reference shift."""
    first, second, s = block.first, block.second, shift_reference
    return {
        "skip_over_shift": lambda: second(x + s(first(x))),
        "skip_before_shift": lambda: second(s(x + first(x))),
        "residual": lambda: (y := s(x + first(x))) + second(y),
        "true_residual": lambda: x + second(s(first(x))),
    }[block.form]()


@pytest.mark.parametrize("form", BLOCKS)
def test_block_forms(form):
    torch.manual_seed(3)
    block = PSPBlock(24, form).eval()
    x = torch.randn(2, 24, 5, 7)
    assert torch.equal(block(x), expected_block(block, x))
    others = [PSPBlock(24, other).eval() for other in BLOCKS if other != form]
    for other in others:  # the forms differ, so the comparison above can fail
        other.load_state_dict(block.state_dict())
        assert not torch.equal(other(x), block(x))


def test_sp_block_shifts_after_the_norm():
    torch.manual_seed(4)
    block = SPBlock(24).eval()
    with torch.no_grad():
        block.norm.bias.fill_(1.0)  # outside the map is 0 after the affine, not before
    x = torch.randn(1, 24, 4, 4)
    assert torch.equal(block(x), block.mix(x + shift_reference(block.norm(x))))


@pytest.mark.parametrize(("name", "patch", "size"), [("psp_12_1", 2, 32), ("sp_24_2", 4, 16)])
def test_logits_and_gradients(name, patch, size):
    model = create_model(name, num_classes=7, image_size=size, patch_size=patch)
    logits = model(torch.randn(2, 3, size, size))
    assert logits.shape == (2, 7)
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "psp_11_4"}, "width must be an integer from 12 to 4096, not 11"),
        ({"name": "psp_64_0"}, "depth must be an integer from 1 to 256, not 0"),
        ({"name": "psp_64_4", "image_size": 33},
         "image_size must be a multiple of patch_size 2, not 33"),
        ({"name": "psp_64_4", "num_classes": 0},
         "num_classes must be an integer from 1 to 65536, not 0"),
        ({"name": "psp_64_4", "form": "plain"},
         ("form must be one of skip_over_shift, skip_before_shift, residual, true_residual, "
         "not 'plain'")),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, message):
    with pytest.raises(ParameterError, match=f"^{message}$"):
        create_model(**arguments)


def test_unknown_name_lists_what_there_is():
    with pytest.raises(ParameterError, match=r"resnet20.*not 'lenet'"):
        create_model("lenet")


def test_forms_print_themselves():
    assert "form=residual" in repr(PSP(12, 1, form="residual"))


def test_the_default_form_is_the_most_accurate_of_those_measured():
    accuracies = json.loads(RESULTS.read_text())["accuracy"]
    means = {form: statistics.mean(accuracies[form].values()) for form in BLOCKS}
    assert max(means, key=means.__getitem__) == DEFAULT_FORM
