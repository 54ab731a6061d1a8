# SPDX-License-Identifier: Apache-2.0
"""The waveforms of `docs/shift-ip.md`, from simulations of the RTL that `hw.gen` writes.

``python -m scripts.shift_waves`` checks that the pictures are what Amaranth's simulator gives;
``--update`` writes them. `shift_module.svg` has two channels of 2×3 pixels back to back,
`shifted_reader.svg` reads a row of such a channel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amaranth.sim import Simulator

from hw import cli, disk, timing
from hw.params import Direction, ShiftParams
from hw.shift import ShiftedReader, ShiftModule

if TYPE_CHECKING:
    from cosim.waveform import Trace

__all__ = ["DIRECTIONS", "PARAMS", "PICTURES", "channels", "main", "module_trace", "reader_trace"]

PROGRAM = "python -m scripts.shift_waves"
FOLDER = Path(__file__).parent.parent / "docs/results"
PARAMS = ShiftParams(height=2, width=3)
DIRECTIONS = (Direction.RIGHT, Direction.LEFT_DOWN)
"""Of the first channel and of the second."""

BEYOND = 99
"""What lies behind the addresses of no pixel."""

MODULE = ("start", "direction", "ready", "done", "mem_addr", "mem_we", "mem_rdata", "mem_wdata")
READER = ("direction", "row", "column", "mem_addr", "mem_rdata", "data")


def channels() -> list[dict[int, int]]:
    """Return the words of each channel by address: in row order 11, 12, … and 21, 22 and so on."""
    places = [PARAMS.address(row, column) for row in range(2) for column in range(3)]
    return [{at: first + n for n, at in enumerate(places)} for first in (11, 21)]


def _simulate(block: Any, bench: Callable[[Any], Any]) -> None:
    simulator = Simulator(block)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def module_trace() -> tuple[Trace, list[dict[int, int]]]:
    """Let a ShiftModule shift two channels back to back.

    Returns
    -------
    trace : dict of str to list
        Ports by cycle, from one before the start that is taken to one after the end.
    list of dict
        The channels' words afterwards.
    """
    block: Any = ShiftModule(params=PARAMS)
    trace: Trace = {name: [] for name in MODULE}
    memory = channels()

    async def bench(ctx: Any) -> None:
        taken = finished = 0
        for cycle in range(timing.shift_cycles(PARAMS, channels=len(memory)) + 2):
            ctx.set(block.start, cycle > 0 and taken < len(memory))
            ctx.set(block.direction, DIRECTIONS[min(taken, len(DIRECTIONS) - 1)])
            now = {name: ctx.get(getattr(block, name)) for name in MODULE}
            for name, value in now.items():
                trace[name].append(value)
            # A read-first memory; the number of the channel is the host's part of the address.
            words = memory[min(finished, len(memory) - 1)]
            old = words[now["mem_addr"]]
            if now["mem_we"]:
                words[now["mem_addr"]] = now["mem_wdata"]
            taken += now["start"] & now["ready"]
            finished += now["done"]
            await ctx.tick()
            ctx.set(block.mem_rdata, old)

    _simulate(block, bench)
    return trace, memory


def reader_trace() -> Trace:
    """Read the first channel through a ShiftedReader, as if it had been shifted to the right."""
    block: Any = ShiftedReader(params=PARAMS)
    trace: Trace = {name: [] for name in READER}
    (words, _) = channels()

    async def bench(ctx: Any) -> None:
        ctx.set(block.direction, DIRECTIONS[0])
        for pixel in range(PARAMS.pixels + 1):
            row, column = divmod(min(pixel, PARAMS.pixels - 1), PARAMS.width)
            ctx.set(block.row, row)
            ctx.set(block.column, column)
            now = {name: ctx.get(getattr(block, name)) for name in READER}
            for name, value in now.items():
                # Before the first address there is nothing to read.
                nothing = pixel == 0 and name in ("mem_rdata", "data")
                trace[name].append(None if nothing else value)
            await ctx.tick()
            ctx.set(block.mem_rdata, words.get(now["mem_addr"], BEYOND))

    _simulate(block, bench)
    return trace


def _address(value: int) -> str:
    return f"{value >> PARAMS.column_bits},{value & (1 << PARAMS.column_bits) - 1}"


def _draw(file: Path, trace: Trace) -> None:
    from cosim.figures import draw_trace  # takes half a second to import

    draw_trace(file, trace, {"mem_addr": _address})


PICTURES: dict[str, Callable[[], Trace]] = {
    "shift_module.svg": lambda: module_trace()[0],
    "shifted_reader.svg": reader_trace,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Waveforms of the shift IP, from simulations.")
    parser.add_argument("--update", action="store_true", help="write them")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        for name, trace in PICTURES.items():
            drawn = Path(folder, name)
            _draw(drawn, trace())
            picture = FOLDER / name
            if options.update:
                disk.replace(picture, drawn.read_bytes())
            elif not picture.is_file() or picture.read_bytes() != drawn.read_bytes():
                return cli.failed(PROGRAM, f"{name} must be as simulated: {PROGRAM} --update")
            print(picture.relative_to(FOLDER.parents[1]))
    return 0


if __name__ == "__main__":
    cli.run(main)
