# SPDX-License-Identifier: Apache-2.0
"""Training by several processes as if by one: what ``torchrun`` starts finds its place here.

Each process takes its share of every global batch (`model.data.batches`). Batch norm takes mean and
variance over all of them, and gradients are averaged by PyTorch's DistributedDataParallel, so that
losses are those of one process, up to the order in which numbers are added. Over 50 steps in
float32 a loss differs by less than 1e-6 with AdamW, and by about 1e-4 with Muon, which rounds to
bfloat16 inside; under autocast to bfloat16 by about 6e-4. Such differences grow with the steps, as
they do from one kind of processor to another.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from hw.params import ParameterError

__all__ = ["GlobalBatchNorm2d", "PeerError", "World", "join", "mean_over", "share_batch_norm"]


class PeerError(Exception):
    """Another process of the run has ended early; it tells why itself."""


@dataclasses.dataclass(frozen=True)
class World:
    """The processes of a run: this one's number, how many there are, and its device."""

    rank: int = 0
    size: int = 1
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return what to call in training: gradients come out averaged over the processes."""
        if self.size == 1:
            return model
        shared = DistributedDataParallel(model)
        # Statistics are equal in all processes already. As an argument, it has another name in
        # PyTorch 2.13 than in 2.11.
        shared.broadcast_buffers = False
        return shared


@contextlib.contextmanager
def join() -> Iterator[World]:
    """Find this process's place: alone, or among those that ``torchrun`` started.

    Yields
    ------
    World
        On a GPU if there is one.

    Raises
    ------
    ParameterError
        If this machine has GPUs, but fewer than processes.
    PeerError
        If another process ends while this one waits for it.
    """
    on_gpu = torch.cuda.is_available()
    size = _number("WORLD_SIZE", "1")
    if size == 1:
        yield World(device=torch.device("cuda" if on_gpu else "cpu"))
        return
    device = torch.device("cpu")
    if on_gpu:
        number, gpus = _number("LOCAL_RANK"), torch.cuda.device_count()
        if number >= gpus:
            raise ParameterError(
                f"there must be a GPU for each process of this machine, not {gpus} for {number + 1}"
            )
        device = torch.device("cuda", number)
        torch.cuda.set_device(device)
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        if name not in os.environ:
            raise ParameterError(f"{name} must be set where WORLD_SIZE is: start with torchrun")
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield World(distributed.get_rank(), size, device)
        # Nobody leaves while another still needs an answer.
        distributed.barrier()
    except RuntimeError as error:
        # PyTorch has no narrower type for it.
        if "gloo/transport" not in str(error):
            raise
        raise PeerError("another process of the run has ended early") from None
    finally:
        distributed.destroy_process_group()


def _number(name: str, default: str = "") -> int:
    """Return a variable of the environment, which ``torchrun`` sets."""
    value = os.environ.get(name, default)
    if not value.isdecimal():
        raise ParameterError(f"{name} must be a number, as torchrun sets it, not {value!r:.60}")
    return int(value)


class _Mean(torch.autograd.Function):
    """The mean of a tensor over the processes. It is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, group: Any) -> torch.Tensor:
        ctx.group = group
        return _reduced(value, group)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _reduced(grad, ctx.group), None


def _reduced(value: torch.Tensor, group: Any) -> torch.Tensor:
    total = value.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total, group=group)
    return total / distributed.get_world_size(group)


def mean_over(world: World, value: torch.Tensor) -> torch.Tensor:
    """Return the mean of a tensor over the processes, without a gradient."""
    return value if world.size == 1 else _reduced(value, None)


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, each of the same size; float32 inside.

    PyTorch's own SyncBatchNorm runs on GPUs only.
    """

    group: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise ``x`` [B, C, H, W]; in training, by the statistics of all processes."""
        if not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            values = x.float()
            mean = _Mean.apply(values.mean((0, 2, 3)), self.group)
            centred = values - mean[:, None, None]
            variance = _Mean.apply(centred.square().mean((0, 2, 3)), self.group)
            self._follow(mean.detach(), variance.detach(), x)
            scale = self.weight * torch.rsqrt(variance + self.eps)
            out: torch.Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return out.to(x.dtype)

    def _follow(self, mean: torch.Tensor, variance: torch.Tensor, x: torch.Tensor) -> None:
        """Move the running statistics as `nn.BatchNorm2d` does: the variance without bias."""
        count = x.numel() // x.shape[1] * distributed.get_world_size(self.group)
        self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)  # type: ignore[union-attr, arg-type]
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]


def share_batch_norm(model: nn.Module, world: World) -> None:
    """Replace every batch norm by `GlobalBatchNorm2d`; names and values of the state stay.

    Before the optimisers are made: parameters are new objects afterwards.
    """
    if world.size == 1:
        return
    # Its own group: its collectives and those of the gradients cannot meet.
    group = distributed.new_group()
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                shared = GlobalBatchNorm2d(child.num_features, child.eps, child.momentum)
                shared.load_state_dict(child.state_dict())
                shared.group = group
                setattr(parent, name, shared.to(world.device))
