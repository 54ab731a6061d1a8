# SPDX-License-Identifier: Apache-2.0
"""The shift block in PyTorch: the algorithm as printed, and a fast form with its own gradient.

Eight groups of g = C // 12 channels each move by one pixel, the other channels stay. Vacated
pixels become 0; pixels that leave the map are lost.

Source: Guan, Li et al., "An Isotropic Shift-Pointwise Network for Crossbar-Efficient Neural
Network Design", DATE 2024: section III, Algorithm 1. The directions are `hw.params.Direction`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from hw.params import Direction, ParameterError, ParameterTypeError, group_size

__all__ = ["Shift", "shift", "shift_reference"]


def shift_reference(x: torch.Tensor, line10: Literal["text", "printed"] = "text") -> torch.Tensor:
    """Shift by Algorithm 1, slice by slice: slow to train with, but easy to check by eye.

    Parameters
    ----------
    x : torch.Tensor
        Feature map, as `shift` takes it.
    line10 : {"text", "printed"}
        What group 5 does. Line 10 as printed repeats the move to the right of line 5; the
        paper's text says right-up, which is what everything else here builds. ``"printed"``
        exists for comparison only.

    Returns
    -------
    torch.Tensor
        The moved map: shape, dtype and memory format of ``x``.

    Raises
    ------
    ParameterError
        If ``line10`` is neither word, or ``x`` is refused as by `shift`.
    """
    if line10 not in ("text", "printed"):
        raise ParameterError(f'line10 must be "text" or "printed", not {line10!r}')
    _check_map(x)
    g = group_size(x.shape[1])
    out = torch.zeros_like(x)  # line 2
    # The first third moves along one axis: lines 4 to 7.
    out[:, g * 0 : g * 1, :, :-1] = x[:, g * 0 : g * 1, :, 1:]  # left
    out[:, g * 1 : g * 2, :, 1:] = x[:, g * 1 : g * 2, :, :-1]  # right
    out[:, g * 2 : g * 3, :-1, :] = x[:, g * 2 : g * 3, 1:, :]  # up
    out[:, g * 3 : g * 4, 1:, :] = x[:, g * 3 : g * 4, :-1, :]  # down
    # The second third moves along a diagonal: lines 9 to 12.
    out[:, g * 4 : g * 5, :-1, :-1] = x[:, g * 4 : g * 5, 1:, 1:]  # left-up
    if line10 == "printed":
        out[:, g * 5 : g * 6, :, 1:] = x[:, g * 5 : g * 6, :, :-1]  # right, a second time
    else:
        out[:, g * 5 : g * 6, :-1, 1:] = x[:, g * 5 : g * 6, 1:, :-1]  # right-up
    out[:, g * 6 : g * 7, 1:, :-1] = x[:, g * 6 : g * 7, :-1, 1:]  # left-down
    out[:, g * 7 : g * 8, 1:, 1:] = x[:, g * 7 : g * 8, :-1, :-1]  # right-down
    out[:, g * 8 :, :, :] = x[:, g * 8 :, :, :]  # line 14: the rest stays
    return out


def shift(x: torch.Tensor) -> torch.Tensor:
    """Move the channel groups of a feature map; equal to `shift_reference` bit for bit.

    Parameters
    ----------
    x : torch.Tensor
        Feature map [B, C, H, W], 12 ≤ C ≤ 4096, H and W at least 1, of any real floating or
        integer dtype, contiguous or channels_last.

    Returns
    -------
    torch.Tensor
        The moved map: shape, dtype and memory format of ``x``. Floating maps have a gradient,
        of any order: it moves the other way.

    Raises
    ------
    ParameterTypeError
        If ``x`` is no tensor, or is boolean, complex or quantised.
    ParameterError
        If the shape or the memory format breaks a rule above.
    """
    _check_map(x)
    return _apply(x, False)


class Shift(nn.Module):
    """The shift block as a module: no parameters, no state.

    Parameters
    ----------
    channels : int
        Channels C of the maps that it takes, 12…4096.

    Raises
    ------
    ParameterError
        If ``channels`` is outside the range; at call, as `shift` does, and if C differs.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.group = group_size(channels)
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Move the channel groups of ``x`` [B, C, H, W]: see `shift`."""
        _check_map(x)
        if x.shape[1] != self.channels:
            raise ParameterError(f"x must have {self.channels} channels, not {x.shape[1]}")
        return _apply(x, False)

    def extra_repr(self) -> str:
        """Return the channels, and how many share a direction."""
        return f"channels={self.channels}, group={self.group}"


def _check_map(x: object) -> None:
    """Refuse what `shift` does not take, with one line: the rule, then the value."""
    if not isinstance(x, torch.Tensor):
        raise ParameterTypeError(f"x must be a torch.Tensor, not {type(x).__name__}")
    if x.dtype is torch.bool or x.is_complex() or x.is_quantized:
        raise ParameterTypeError(f"x must have a real floating or integer dtype, not {x.dtype}")
    if x.dim() != 4:
        raise ParameterError(f"x must have the shape [B, C, H, W], not {list(x.shape)}")
    group_size(x.shape[1])
    if x.shape[2] < 1 or x.shape[3] < 1:
        raise ParameterError(f"H and W must be at least 1, not {x.shape[2]} and {x.shape[3]}")
    # A hidden copy would cost more than the shift itself, so the caller is told instead.
    if not (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)):
        raise ParameterError(
            "x must be contiguous or channels_last (call .contiguous() first), "
            f"not of shape {list(x.shape)} with strides {list(x.stride())}"
        )


def _copy_groups(x: torch.Tensor, sign: int) -> torch.Tensor:
    """Return ``x`` with each group moved by ``sign`` times its direction; any strides will do.

    The output is written once and never read: one copy a group, zeros on the border that the
    group vacates, one copy of all that stays. No padded or masked intermediate exists.
    """
    _, channels, height, width = x.shape
    group = group_size(channels)
    out = torch.empty_like(x)
    for number, direction in enumerate(Direction.moving()):
        dy, dx = sign * direction.dy, sign * direction.dx
        source = x.narrow(1, number * group, group)
        target = out.narrow(1, number * group, group)
        rows, from_rows = _kept(height, dy), _kept(height, -dy)
        columns, from_columns = _kept(width, dx), _kept(width, -dx)
        target[:, :, rows, columns].copy_(source[:, :, from_rows, from_columns])
        if dy:
            target[:, :, 0 if dy > 0 else height - 1].zero_()
        if dx:
            target[:, :, :, 0 if dx > 0 else width - 1].zero_()
    staying = 8 * group
    out[:, staying:].copy_(x[:, staying:])
    return out


def _pad_groups(x: torch.Tensor, sign: int) -> torch.Tensor:
    """Return the same as `_copy_groups`, from padded slices: the form to compile or to export.

    Inductor turns slices that are written in place into nested selections over the whole map,
    which take several times as long as this. The pieces are joined in fours because, by default,
    it does not fuse a `cat` of more than eight with what surrounds it.
    """
    group = group_size(x.shape[1])
    moved = []
    for number, direction in enumerate(Direction.moving()):
        dy, dx = sign * direction.dy, sign * direction.dx
        # A negative pad crops: what is added on one side is cut off on the other.
        moved.append(functional.pad(x.narrow(1, number * group, group), (dx, -dx, dy, -dy)))
    return torch.cat([torch.cat(moved[:4], 1), torch.cat(moved[4:], 1), x[:, 8 * group :]], 1)


def _kept(size: int, step: int) -> slice:
    """Where the content that stays inside lands when ``size`` pixels move by ``step`` (−1…1)."""
    return slice(max(step, 0), size + min(step, 0))


class _ShiftFunction(torch.autograd.Function):
    """The move, and its adjoint: the opposite move. Slices are not recorded by autograd."""

    @staticmethod
    def forward(x: torch.Tensor, reverse: bool) -> torch.Tensor:
        sign = -1 if reverse else 1
        return _pad_groups(x, sign) if torch.compiler.is_compiling() else _copy_groups(x, sign)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.reverse = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        # Through the function again, so that a gradient of the gradient exists. What comes in
        # may be expanded or transposed: it is not the caller's to choose, so it is not checked.
        return _apply(grad, not ctx.reverse), None


# Named and typed once: PyTorch's own annotation of `apply` says nothing.
_apply: Callable[[torch.Tensor, bool], torch.Tensor] = _ShiftFunction.apply
