# SPDX-License-Identifier: Apache-2.0
"""How an epoch of batches is drawn, and shared among processes."""

from __future__ import annotations

import itertools
import re

import pytest
import torch

from hw.params import ParameterError
from model import data
from model.data import Augment, batches, epoch_generator, synthetic

DATASET = synthetic(train=50, test=10, image_size=8)
STILL = Augment(mean=DATASET.mean, std=DATASET.std)
MOVING = Augment(
    mean=DATASET.mean, std=DATASET.std, flip=True, translate=2, cutout=3, colour=0.2, affine=0.1
)


def epoch(
    size: int, number: int = 0, *, seed: int = 0, augment: Augment = MOVING, **share: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = epoch_generator(seed, number)
    return list(batches(DATASET, size, generator=generator, augment=augment, **share))


def same(one: list[tuple[torch.Tensor, ...]], two: list[tuple[torch.Tensor, ...]]) -> bool:
    return all(
        torch.equal(x, y) for a, b in zip(one, two, strict=True) for x, y in zip(a, b, strict=True)
    )


def test_an_epoch_shows_each_image_once() -> None:
    shown = epoch(10, augment=STILL)
    assert [images.shape for images, _ in shown] == [(10, 3, 8, 8)] * 5
    numbers = {
        row.numpy().tobytes(): n
        for n, row in enumerate(data.normalise(DATASET.train_images, DATASET.mean, DATASET.std))
    }
    order = [numbers[row.numpy().tobytes()] for images, _ in shown for row in images]
    assert sorted(order) == list(range(50))
    assert order != sorted(order)
    labels = torch.cat([labels for _, labels in shown])
    assert torch.equal(labels, DATASET.train_labels[order])


def test_what_fills_no_batch_is_left_out() -> None:
    assert [len(images) for images, _ in epoch(16)] == [16, 16, 16]


def test_an_epoch_follows_from_seed_and_number() -> None:
    assert same(epoch(10, 3, seed=7), epoch(10, 3, seed=7))
    seen = {
        (seed, number): epoch(50, number, seed=seed, augment=STILL)[0][1].numpy().tobytes()
        for seed, number in itertools.product(range(3), range(3))
    }
    assert len(set(seen.values())) == 9
    states = [epoch_generator(0, number).initial_seed() for number in range(2)]
    # Runs of long ago must still be repeatable: pinned.
    assert states == [15793235383387715774, 5836529245451711556]


@pytest.mark.parametrize("world", [1, 2, 5, 10])
def test_processes_share_the_batches_of_one(world: int) -> None:
    alone = epoch(10)
    shares = [epoch(10, rank=rank, world=world) for rank in range(world)]
    joined = [
        tuple(torch.cat(parts) for parts in zip(*together, strict=True))
        for together in zip(*shares, strict=True)
    ]
    assert same(alone, joined)
    # Control: with another seed the batches are others.
    assert not same(alone, epoch(10, seed=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 51}, "batch_size must be an integer from 1 to 50, not 51"),
        ({"size": 0}, "batch_size must be an integer from 1 to 50, not 0"),
        ({"size": 10, "world": 3}, "batch_size must be a multiple of the 3 processes, not 10"),
        ({"size": 10, "world": 11}, "world must be an integer from 1 to 10, not 11"),
        ({"size": 10, "world": 2, "rank": 2}, "rank must be an integer from 0 to 1, not 2"),
        ({"size": 10, "seed": -1}, f"seed must be an integer from 0 to {2**63 - 1}, not -1"),
    ],
    ids=str,
)
def test_refuses_batches(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        epoch(**arguments)


def test_wrong_parameters_are_told_at_the_call() -> None:
    with pytest.raises(ParameterError):
        batches(DATASET, 51, generator=epoch_generator(0, 0), augment=STILL)
