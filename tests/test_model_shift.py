# SPDX-License-Identifier: Apache-2.0
"""The fast shift against Algorithm 1 as printed: equal bit for bit, as nothing is computed."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from hw import params
from hw.params import Direction, ParameterError, ParameterTypeError
from model.shift import Shift, shift, shift_reference

LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.uint8, torch.int8,
          torch.int16, torch.int32, torch.int64]  # fmt: skip
SIDES = range(1, 10)


def make_map(
    *shape: int, dtype: torch.dtype = torch.float32, layout: str = "NCHW", seed: int = 0
) -> torch.Tensor:
    """Return a map whose values are 1…127: every dtype holds them, and none is a vacated 0."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(1, 128, shape, generator=generator)
    return values.to(dtype).contiguous(memory_format=LAYOUTS[layout])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [12, 13, 24, 47, 128])
def test_equals_algorithm_1_at_every_size(channels: int, layout: str) -> None:
    for height, width in itertools.product(SIDES, SIDES):
        x = make_map(2, channels, height, width, layout=layout)
        y = shift(x)
        assert torch.equal(y, shift_reference(x)), (height, width)
        assert y.stride() == x.stride(), (height, width)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_equals_algorithm_1_in_every_dtype(dtype: torch.dtype, layout: str) -> None:
    x = make_map(3, 25, 4, 5, dtype=dtype, layout=layout)
    with torch.no_grad():
        y = shift(x)
    assert y.dtype is dtype
    assert torch.equal(y, shift_reference(x))


def test_passes_infinities_and_nan_on_unchanged() -> None:
    # A move by multiplication with 0 and 1 would make a NaN of every infinity beside a pixel.
    x = torch.full((1, 12, 3, 3), torch.inf)
    x[:, :, 1, 1] = torch.nan
    torch.testing.assert_close(shift(x), shift_reference(x), rtol=0, atol=0, equal_nan=True)
    assert int(shift(x).isnan().sum()) == 12


@pytest.mark.parametrize("group", range(8))
def test_moves_a_lone_pixel_as_its_direction_says(group: int) -> None:
    direction, g = Direction(group), 2
    for channel in (group * g, group * g + 1):
        for row, column in itertools.product(range(3), range(4)):
            x = torch.zeros(1, 25, 3, 4)
            x[0, channel, row, column] = 1
            expected = torch.zeros_like(x)
            to_row, to_column = row + direction.dy, column + direction.dx
            if 0 <= to_row < 3 and 0 <= to_column < 4:
                expected[0, channel, to_row, to_column] = 1
            assert torch.equal(shift(x), expected), (channel, row, column)


def test_leaves_the_last_third_and_the_remainder() -> None:
    x = make_map(1, 35, 3, 3)
    assert torch.equal(shift(x)[:, 16:], x[:, 16:])
    assert (shift(x)[:, :16] != x[:, :16]).flatten(2).any(2).all()


def test_line_10_as_printed_differs_in_group_5_only() -> None:
    x = make_map(2, 36, 5, 4)
    printed, text = shift_reference(x, line10="printed"), shift_reference(x)
    differs = (printed != text).any(3).any(2).any(0)
    assert differs.nonzero().flatten().tolist() == [15, 16, 17]
    right = torch.nn.functional.pad(x[:, 15:18, :, :-1], (1, 0))
    assert torch.equal(printed[:, 15:18], right)


@pytest.mark.parametrize("direction", Direction.moving(), ids=lambda d: d.name)
def test_notices_a_wrong_offset(direction: Direction, monkeypatch: pytest.MonkeyPatch) -> None:
    dy, dx = direction.dy, direction.dx
    monkeypatch.setitem(params._OFFSETS, direction, (-dy, -dx))
    x = make_map(1, 24, 4, 4)
    differs = (shift(x) != shift_reference(x)).any(3).any(2).any(0)
    assert differs.nonzero().flatten().tolist() == [2 * direction, 2 * direction + 1]


def test_notices_swapped_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    order = list(Direction.moving())
    order[1], order[5] = order[5], order[1]
    monkeypatch.setattr(Direction, "moving", lambda: tuple(order))
    x = make_map(1, 12, 4, 4)
    differs = (shift(x) != shift_reference(x)).any(3).any(2).any(0)
    assert differs.nonzero().flatten().tolist() == [1, 5]


def gradient(
    form: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, grad: torch.Tensor
) -> torch.Tensor:
    """Return the gradient with respect to ``x`` for the incoming gradient ``grad``."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(form(x), x, grad)[0]


INCOMING: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "same layout": lambda grad: grad,
    "transposed": lambda grad: grad.transpose(2, 3).contiguous().transpose(2, 3),
    "expanded over pixels": lambda grad: grad[:, :, :1, :1].expand_as(grad),
    "expanded over all": lambda grad: grad[:1, :1, :1, :1].expand_as(grad),
    "every second column": lambda grad: torch.cat([grad, grad], 3)[..., ::2],
}


@pytest.mark.parametrize("incoming", INCOMING)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 12, 1, 1), (1, 13, 1, 6), (2, 47, 5, 4), (3, 24, 6, 6)])
def test_gradient_equals_that_of_algorithm_1(
    shape: tuple[int, ...], layout: str, incoming: str
) -> None:
    x = make_map(*shape, layout=layout)
    grad = INCOMING[incoming](make_map(*shape, layout=layout, seed=1))
    assert torch.equal(gradient(shift, x, grad), gradient(shift_reference, x, grad))


def test_gradient_in_bfloat16() -> None:
    x = make_map(2, 24, 4, 4, dtype=torch.bfloat16)
    grad = make_map(2, 24, 4, 4, dtype=torch.bfloat16, seed=1)
    assert torch.equal(gradient(shift, x, grad), gradient(shift_reference, x, grad))


def test_first_and_second_gradients_agree_with_differences() -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(1, 12, 2, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(shift, (x,))
    # The shift is linear, so its own second gradient is 0: cubing after it shows what passes.
    assert torch.autograd.gradgradcheck(lambda x: shift(x) ** 3, (x,))


def test_gradient_exists_only_where_it_is_asked_for() -> None:
    x = make_map(1, 12, 2, 2).requires_grad_()
    assert shift(x).requires_grad
    with torch.no_grad():
        assert not shift(x).requires_grad
    assert not shift(make_map(1, 12, 2, 2, dtype=torch.int8)).requires_grad


# PyTorch's compiler itself instantiates autograd functions and imports torch.jit, and both warn.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiles_to_one_graph_with_the_same_values(backend: str) -> None:
    if backend == "inductor" and not (shutil.which("c++") or shutil.which("g++")):
        pytest.skip("inductor needs a C++ compiler")
    # C = 256 leaves channels beyond twelve groups, where a vectorised loop has its tail.
    torch._dynamo.reset()
    for layout in LAYOUTS:
        x, grad = (make_map(2, 256, 16, 16, layout=layout, seed=seed) for seed in (0, 1))
        compiled = torch.compile(shift, backend=backend, fullgraph=True, dynamic=False)
        assert torch.equal(compiled(x), shift_reference(x)), layout
        assert torch.equal(gradient(compiled, x, grad), gradient(shift_reference, x, grad)), layout


def test_module_is_the_function() -> None:
    x = make_map(2, 25, 3, 4)
    module = Shift(25)
    assert torch.equal(module(x), shift_reference(x))
    assert repr(module) == "Shift(channels=25, group=2)"
    assert not list(module.parameters())
    assert not module.state_dict()


LAYOUT_RULE = "x must be contiguous or channels_last (call .contiguous() first), "
BAD_MAPS: dict[str, tuple[Callable[[], object], type[ParameterError], str]] = {
    "no tensor": (lambda: [1], ParameterTypeError, "x must be a torch.Tensor, not list"),
    "bool": (
        lambda: torch.ones(1, 12, 2, 2, dtype=torch.bool),
        ParameterTypeError,
        "x must have a real floating or integer dtype, not torch.bool",
    ),
    "complex": (
        lambda: torch.ones(1, 12, 2, 2, dtype=torch.complex64),
        ParameterTypeError,
        "x must have a real floating or integer dtype, not torch.complex64",
    ),
    "quantised": (
        lambda: torch.quantize_per_tensor(torch.ones(1, 12, 2, 2), 1.0, 0, torch.qint8),
        ParameterTypeError,
        "x must have a real floating or integer dtype, not torch.qint8",
    ),
    "rank 3": (
        lambda: torch.ones(12, 4, 5),
        ParameterError,
        "x must have the shape [B, C, H, W], not [12, 4, 5]",
    ),
    "rank 5": (
        lambda: torch.ones(1, 12, 2, 2, 2),
        ParameterError,
        "x must have the shape [B, C, H, W], not [1, 12, 2, 2, 2]",
    ),
    "11 channels": (
        lambda: torch.ones(1, 11, 2, 2),
        ParameterError,
        "channels must be an integer from 12 to 4096, not 11",
    ),
    "4097 channels": (
        lambda: torch.ones(1, 4097, 1, 1),
        ParameterError,
        "channels must be an integer from 12 to 4096, not 4097",
    ),
    "no rows": (
        lambda: torch.ones(1, 12, 0, 3),
        ParameterError,
        "H and W must be at least 1, not 0 and 3",
    ),
    "no columns": (
        lambda: torch.ones(1, 12, 3, 0),
        ParameterError,
        "H and W must be at least 1, not 3 and 0",
    ),
    "transposed": (
        lambda: torch.ones(2, 12, 3, 4).transpose(2, 3),
        ParameterError,
        LAYOUT_RULE + "not of shape [2, 12, 4, 3] with strides [144, 12, 1, 4]",
    ),
    "expanded": (
        lambda: torch.ones(1, 12, 3, 4).expand(2, -1, -1, -1),
        ParameterError,
        LAYOUT_RULE + "not of shape [2, 12, 3, 4] with strides [0, 12, 4, 1]",
    ),
}


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("form", [shift, shift_reference, Shift(12)], ids=lambda f: repr(f)[:20])
@pytest.mark.parametrize("case", BAD_MAPS)
def test_refuses_what_is_no_map(case: str, form: Callable[[object], object]) -> None:
    make, error, message = BAD_MAPS[case]
    with pytest.raises(error, match=f"^{re.escape(message)}$") as caught:
        form(make())
    assert type(caught.value) is error


def test_module_refuses_other_channels() -> None:
    with pytest.raises(ParameterError, match=r"^x must have 24 channels, not 36$"):
        Shift(24)(torch.ones(1, 36, 2, 2))
    message = r"^channels must be an integer from 12 to 4096, not 11$"
    with pytest.raises(ParameterError, match=message):
        Shift(11)
    message = r"^channels must be an integer from 12 to 4096, not 12\.0$"
    with pytest.raises(ParameterTypeError, match=message):
        Shift(12.0)  # type: ignore[arg-type]


def test_reference_refuses_another_line_10() -> None:
    message = r"^line10 must be \"text\" or \"printed\", not 'right'$"
    with pytest.raises(ParameterError, match=message):
        shift_reference(torch.ones(1, 12, 2, 2), line10="right")  # type: ignore[arg-type]


def test_needs_no_hardware_tools() -> None:
    code = "import sys, model.shift; print('torch' in sys.modules, 'amaranth' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
