# SPDX-License-Identifier: Apache-2.0
"""Augmentation against one image at a time, done naively."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from hw.params import ParameterError
from model.augment import DRAWS, Augment, normalise

torch.set_num_threads(1)

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
FLIP, DY, DX, CUT_Y, CUT_X = range(5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_images(count: int, height: int = 9, width: int = 7) -> torch.Tensor:
    shape = (count, 3, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator(1))


def augment(**options: object) -> Augment:
    return Augment(mean=MEAN, std=STD, **options)  # type: ignore[arg-type]


def plain(image: torch.Tensor) -> torch.Tensor:
    """Normalise one image, pixel values in float32 as the batch does it."""
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (image.float() - mean) / std


def moved(image: torch.Tensor, flip: bool, top: int, left: int, reach: int) -> torch.Tensor:
    """Flip, pad by reflection, crop: with NumPy, one image."""
    pixels = image.numpy()[:, :, ::-1] if flip else image.numpy()
    padded = np.pad(pixels, ((0, 0), (reach, reach), (reach, reach)), mode="reflect")
    height, width = pixels.shape[1:]
    return torch.from_numpy(padded[:, top : top + height, left : left + width].copy())


def test_without_options_it_only_normalises() -> None:
    images = make_images(5)
    before = images.clone()
    result = augment()(images, augment().draw(5, generator()))
    assert result.dtype == torch.float32
    assert torch.equal(result, torch.stack([plain(image) for image in images]))
    assert torch.equal(result, normalise(images, MEAN, STD))
    assert torch.equal(images, before)


@pytest.mark.parametrize("reach", [1, 2, 5])
def test_each_image_is_one_legal_flip_and_translation(reach: int) -> None:
    # So wide that no translation by reflection looks like a flip.
    images = make_images(1, 9, 13).expand(600, -1, -1, -1)
    legal = {
        moved(images[0], flip, top, left, reach).numpy().tobytes(): (flip, top, left)
        for flip in (False, True)
        for top in range(2 * reach + 1)
        for left in range(2 * reach + 1)
    }
    options = augment(flip=True, translate=reach)
    result = options(images, options.draw(600, generator()))
    pixels = torch.stack([plain(moved(images[0], *case, reach)) for case in legal.values()])
    number = {row.numpy().tobytes(): n for n, row in enumerate(pixels)}
    # Exactly one of them, bit for bit; the same image differs from place to place in the batch.
    chosen = [number[row.numpy().tobytes()] for row in result]
    if reach == 1:
        assert set(chosen) == set(range(18))
    assert len(set(chosen)) > min(600, len(legal)) // 2
    flips = [list(legal.values())[n][0] for n in chosen]
    assert 240 < sum(flips) < 360


def test_draws_choose_flip_and_translation() -> None:
    images = make_images(5)
    draws = torch.full((5, DRAWS), 0.5)
    draws[:, FLIP] = torch.tensor([0.0, 0.49, 0.5, 0.99, 0.0])
    draws[:, DY] = torch.tensor([0.0, 0.19, 0.2, 0.5, 1 - 2**-24])
    draws[:, DX] = torch.tensor([1 - 2**-24, 0.5, 0.79, 0.81, 0.0])
    result = augment(flip=True, translate=2)(images, draws)
    cases = [(True, 0, 4), (True, 0, 2), (False, 1, 3), (False, 2, 4), (True, 4, 0)]
    for row, image, case in zip(result, images, cases, strict=True):
        assert torch.equal(row, plain(moved(image, *case, 2)))


def test_without_flip_nothing_is_mirrored() -> None:
    images = make_images(50)
    result = augment(translate=1)(images, augment().draw(50, generator()))
    for row, image in zip(result, images, strict=True):
        assert any(
            torch.equal(row, plain(moved(image, False, top, left, 1)))
            for top in range(3)
            for left in range(3)
        )


@pytest.mark.parametrize("side", [1, 4, 5, 20])
def test_cutout_clears_a_square_around_any_pixel(side: int) -> None:
    images = make_images(900)
    options = augment(cutout=side)
    draws = options.draw(900, generator())
    result = options(images, draws)
    centres = set()
    for row, image, draw in zip(result, images, draws, strict=True):
        y, x = int(draw[CUT_Y] * 9), int(draw[CUT_X] * 7)
        expected = plain(image)
        top, left = y - side // 2, x - side // 2
        expected[:, max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = 0
        assert torch.equal(row, expected)
        centres.add((y, x))
    assert len(centres) == 63


def test_colour_equals_one_image_at_a_time() -> None:
    images = make_images(20)
    options = augment(colour=0.4)
    draws = options.draw(20, generator())
    result = options(images, draws)
    for row, image, draw in zip(result, images, draws.double().numpy(), strict=True):
        brightness, contrast, saturation = 1 + 0.4 * (2 * draw[5:8] - 1)
        pixels = image.double().numpy() * brightness
        grey = 0.299 * pixels[0] + 0.587 * pixels[1] + 0.114 * pixels[2]
        pixels = grey + saturation * (pixels - grey)
        pixels = grey.mean() + contrast * (pixels - grey.mean())
        expected = plain(torch.from_numpy(pixels.clip(0, 255)))
        assert torch.allclose(row, expected, atol=2e-5)
    neutral = options(images, torch.full((20, DRAWS), 0.5))
    assert torch.allclose(neutral, augment()(images, draws), atol=1e-5)


def bilinear(image: np.ndarray, y: float, x: float) -> np.ndarray:
    """Sample [3, H, W] between pixel centres, reflected at the image's edges."""

    def reflect(value: float, size: int) -> float:
        # The edge lies half a pixel outside the first and the last centre.
        value = abs(value + 0.5) % (2 * size)
        return min(max(min(value, 2 * size - value) - 0.5, 0), size - 1)

    y, x = reflect(y, image.shape[1]), reflect(x, image.shape[2])
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, image.shape[1] - 1), min(left + 1, image.shape[2] - 1)
    down, over = y - top, x - left
    upper = image[:, top, left] * (1 - over) + image[:, top, right] * over
    lower = image[:, bottom, left] * (1 - over) + image[:, bottom, right] * over
    return upper * (1 - down) + lower * down


def test_affine_equals_one_pixel_at_a_time() -> None:
    images = make_images(3, 8, 8)
    options = augment(affine=0.3)
    draws = options.draw(3, generator())
    result = options(images, draws)
    for row, image, draw in zip(result, images, draws.double().numpy(), strict=True):
        matrix = np.eye(2) + 0.3 * (2 * draw[8:12].reshape(2, 2) - 1)
        pixels = np.empty((3, 8, 8))
        for y, x in np.ndindex(8, 8):
            source_x, source_y = matrix @ np.array([x - 3.5, y - 3.5]) + 3.5
            pixels[:, y, x] = bilinear(image.double().numpy(), source_y, source_x)
        assert torch.allclose(row, plain(torch.from_numpy(pixels)), atol=1e-4)
    neutral = options(images, torch.full((3, DRAWS), 0.5))
    assert torch.allclose(neutral, augment()(images, draws), atol=1e-4)


ALL = {"flip": True, "translate": 2, "cutout": 3, "colour": 0.2, "affine": 0.1}


def test_an_image_depends_on_its_own_row_only() -> None:
    images, options = make_images(16), augment(**ALL)
    draws = options.draw(16, generator())
    whole = options(images, draws)
    halves = [options(images[part], draws[part]) for part in (slice(0, 8), slice(8, 16))]
    assert torch.equal(whole, torch.cat(halves))
    assert len({row.numpy().tobytes() for row in draws}) == 16


def test_the_generator_decides() -> None:
    images, options = make_images(16), augment(**ALL)
    one, two = generator(3), generator(3)
    assert torch.equal(
        options(images, options.draw(16, one)), options(images, options.draw(16, two))
    )
    # Both go on from the same state; another option does not change what is drawn.
    assert torch.equal(options.draw(4, one), augment().draw(4, two))
    state = one.get_state()
    resumed = torch.Generator()
    resumed.set_state(state)
    assert torch.equal(options.draw(4, one), options.draw(4, resumed))
    assert not torch.equal(options.draw(4, one), options.draw(4, generator(4)))


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"cutout": 2}, ALL], ids=str)
def test_memory_format_is_as_asked(options: dict[str, object]) -> None:
    images = make_images(4)
    draws = augment().draw(4, generator())
    plane = augment(**options)(images, draws)
    last = augment(**options, memory_format=torch.channels_last)(images, draws)
    assert plane.is_contiguous()
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plane, last)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"translate": -1}, "translate must be an integer from 0 to 1024, not -1"),
        ({"cutout": 1.0}, "cutout must be an integer from 0 to 1024, not 1.0"),
        ({"colour": 1.5}, "colour must be a number from 0 to 1, not 1.5"),
        ({"affine": math.nan}, "affine must be a number from 0 to 0.5, not nan"),
    ],
    ids=str,
)
def test_refuses_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        augment(**options)


def test_refuses_images() -> None:
    draws = torch.zeros(2, DRAWS)
    message = "translate must be less than the image's side 7, not 7"
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        augment(translate=7)(make_images(2), draws)
    message = "images must be uint8 [B, 3, H, W], not torch.float32 [2, 3, 9, 7]"
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        augment()(make_images(2).float(), draws)
