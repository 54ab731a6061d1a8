# SPDX-License-Identifier: Apache-2.0
"""Time the shift block against the other ways to write it in PyTorch, on the CPU.

    python scripts/bench_shift.py --threads 1 --shape 64,256,16,16

All forms run in one process and in turn, round after round, so that a busy moment of the
machine hits all of them; a table shows the median of the rounds. Before anything is timed, each
form's output and gradient must equal Algorithm 1 exactly. The forms other than Algorithm 1 and
`model.shift.shift` exist only here, for comparison.

Times compare within one run on one machine, not across machines. With as many threads as cores,
any other process stretches every parallel operation by a time slice, and the forms of many
operations most: measure on an idle machine.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from hw import cli
from hw.params import MAX_CHANNELS, Direction, channel_directions, group_size
from model.shift import shift, shift_reference

Form = Callable[[torch.Tensor], torch.Tensor]
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
PASSES = ("forward", "both")
REFERENCE = "Algorithm 1 as printed"
OURS = "model.shift.shift"


def keep_memory() -> None:
    """Let glibc keep what is freed: else the page faults of fresh maps outweigh the shift.

    Where the C library has no ``mallopt``, times include those faults, for all forms alike.
    """
    trim_threshold, mmap_threshold = -1, -3
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_threshold, 2**30)


def cat_of_pads(x: torch.Tensor) -> torch.Tensor:
    """Concatenate the groups, each cropped on one side and padded on the other."""
    group = group_size(x.shape[1])
    pieces = []
    for number, direction in enumerate(Direction.moving()):
        dy, dx = direction.dy, direction.dx
        pieces.append(functional.pad(x.narrow(1, number * group, group), (dx, -dx, dy, -dy)))
    return torch.cat([*pieces, x[:, 8 * group :]], 1)


def inside_mask(channels: int, height: int, width: int) -> torch.Tensor:
    """Where a pixel of the output has a source inside the map: bool [C, H, W]."""
    rows, columns = source_rows_columns(channels, height, width)
    return (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)


def source_rows_columns(
    channels: int, height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column, perhaps outside the map, from which each pixel comes: int64 [C, H, W]."""
    directions = channel_directions(channels)
    dy = torch.tensor([direction.dy for direction in directions]).view(channels, 1, 1)
    dx = torch.tensor([direction.dx for direction in directions]).view(channels, 1, 1)
    rows = torch.arange(height).view(1, height, 1) - dy
    columns = torch.arange(width).view(1, 1, width) - dx
    return rows.expand(-1, -1, width), columns.expand(-1, height, -1)


def roll_and_mask(shape: list[int]) -> Form:
    """Roll each group around the map, then clear what came round."""
    group = group_size(shape[1])
    mask = inside_mask(*shape[1:])
    zero = torch.zeros(())

    def form(x: torch.Tensor) -> torch.Tensor:
        pieces = [
            torch.roll(x.narrow(1, number * group, group), (direction.dy, direction.dx), (2, 3))
            for number, direction in enumerate(Direction.moving())
        ]
        return torch.where(mask, torch.cat([*pieces, x[:, 8 * group :]], 1), zero)

    return form


def gather_and_mask(shape: list[int]) -> Form:
    """Gather each pixel from its source, then clear those whose source is outside."""
    batch, channels, height, width = shape
    mask = inside_mask(channels, height, width)
    rows, columns = source_rows_columns(channels, height, width)
    source = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    index = source.view(1, channels, height * width).expand(batch, -1, -1)
    zero = torch.zeros(())

    def form(x: torch.Tensor) -> torch.Tensor:
        return torch.where(mask, x.flatten(2).gather(2, index).view(x.shape), zero)

    return form


def depthwise_one_hot(shape: list[int]) -> Form:
    """Convolve each channel with a 3×3 kernel that holds a single 1."""
    channels = shape[1]
    weight = torch.zeros(channels, 1, 3, 3)
    for channel, direction in enumerate(channel_directions(channels)):
        weight[channel, 0, 1 - direction.dy, 1 - direction.dx] = 1.0

    def form(x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, weight, padding=1, groups=channels)

    return form


def measure(shape: list[int], rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return milliseconds by layout, form and pass: medians over interleaved rounds.

    Raises
    ------
    RuntimeError
        If a form's output or gradient differs from Algorithm 1.
    """
    generator = torch.Generator().manual_seed(1)
    forms: dict[str, Form] = {
        REFERENCE: shift_reference,
        "cat of padded slices": cat_of_pads,
        "roll and mask": roll_and_mask(shape),
        "gather and mask": gather_and_mask(shape),
        "depthwise one-hot 3x3": depthwise_one_hot(shape),
        OURS: shift,
    }
    result: dict[str, dict[str, dict[str, float]]] = {}
    for layout, memory_format in LAYOUTS.items():
        values = torch.randn(shape, generator=generator)
        x = values.contiguous(memory_format=memory_format).requires_grad_()
        values = torch.randn(shape, generator=generator)
        grad = values.contiguous(memory_format=memory_format)
        output = shift_reference(x)
        expected = output.detach(), *torch.autograd.grad(output, x, grad)
        for name, form in forms.items():
            output = form(x)
            found = output.detach(), *torch.autograd.grad(output, x, grad)
            if not all(map(torch.equal, found, expected)):
                raise RuntimeError(f"{name} differs from Algorithm 1 in {layout}")
        del output, found, expected
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
        for number in range(rounds):
            print(f"{layout}: round {number + 1} of {rounds}", file=sys.stderr)
            for name, form in forms.items():
                times[name].append((time_forward(form, x), time_both(form, x, grad)))
        result[layout] = {
            name: dict(
                zip(PASSES, map(statistics.median, zip(*times[name], strict=True)), strict=True)
            )
            for name in forms
        }
    return result


def time_forward(form: Form, x: torch.Tensor) -> float:
    """Milliseconds of a forward pass without gradient."""
    with torch.no_grad():
        start = time.perf_counter()
        form(x)
        return (time.perf_counter() - start) * 1e3


def time_both(form: Form, x: torch.Tensor, grad: torch.Tensor) -> float:
    """Milliseconds of a forward and a backward pass."""
    start = time.perf_counter()
    torch.autograd.grad(form(x), x, grad)
    return (time.perf_counter() - start) * 1e3


def print_table(result: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print times, and how many times longer than ours each form takes."""
    print(f"{'milliseconds (ratio to ours)':28}", *(f"{layout:>32}" for layout in LAYOUTS))
    print(f"{'':28}", *(f"{'forward':>16}{'fwd + bwd':>16}" for _ in LAYOUTS))
    for name in result["NCHW"]:
        cells = [
            f"{times[name][key]:8.1f} ({times[name][key] / times[OURS][key]:4.1f})"
            for times in result.values()
            for key in PASSES
        ]
        print(f"{name:28}", " ".join(f"{cell:>16}" for cell in cells))


def parse_shape(text: str) -> list[int]:
    """Read ``B,C,H,W``."""
    parts = text.split(",")
    sizes = [int(part) for part in parts if part.isdecimal()]
    if len(parts) != 4 or len(sizes) != 4 or min(sizes) < 1 or not 12 <= sizes[1] <= MAX_CHANNELS:
        raise argparse.ArgumentTypeError(
            f"shape must be B,C,H,W, each at least 1, C from 12 to {MAX_CHANNELS}, not {text!r}"
        )
    return sizes


def main() -> None:
    """Measure and print."""
    parser = cli.Parser("python -m scripts.bench_shift", (__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--shape", type=parse_shape, default="64,256,16,16", metavar="B,C,H,W", help="of the map"
    )
    parser.add_argument(
        "--threads", type=cli.integer("threads", 1, 256), default=1, metavar="COUNT",
        help="threads of PyTorch",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=cli.integer("rounds", 2, 1000), default=9, metavar="COUNT",
        help="rounds to take the median of",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_memory()
    result = measure(options.shape, options.rounds)
    if options.json:
        settings = {"shape": options.shape, "threads": options.threads, "rounds": options.rounds}
        settings["torch"] = torch.__version__
        print(json.dumps({**settings, "milliseconds": result}, indent=2))
    else:
        print_table(result)


if __name__ == "__main__":
    cli.run(main)
