# SPDX-License-Identifier: Apache-2.0
"""What goes into a tile, and what must come out: beats of its streams, and the golden word.

A scenario is drawn from a seed, with all corners in it, and knows its beats, its outputs and its
activity. The steps of `model.golden` are the only reference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from hw.crossbar import program_layout
from hw.dac import activation_layout
from hw.requant import channel_layout, output_layout, table_layout
from hw.tile import command_layout
from hw.tile_params import ACC_BITS, TileParams
from model import golden

__all__ = ["Channel", "Command", "Scenario", "draw", "expected_outputs"]

Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Command:
    """A command in the golden executor's terms: ``pages`` a crossbar, None where none is stored."""

    pages: tuple[int | None, ...]
    zero_point: int
    planes: int
    begin: bool = True
    complete: bool = True
    release: bool = True


@dataclasses.dataclass(frozen=True)
class Channel:
    """Parameters of an output channel, as in the integer network."""

    bias: int
    k: int
    table: int
    sign: int
    exponent: int
    offset: int
    fraction_bits: int


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Contents of a tile, and the work that it is given.

    Parameters
    ----------
    params : TileParams
    weights : numpy.ndarray
        U [crossbars, pages, rows, outputs].
    tables : numpy.ndarray
        [tables, 2^act_bits].
    vectors : list of numpy.ndarray
        Q [crossbars, rows loaded] each.
    commands : list of Command
    channels : list of Channel
        One an output, in their order.
    """

    params: TileParams
    weights: Ints
    tables: Ints
    vectors: list[Ints]
    commands: list[Command]
    channels: list[Channel]

    def program(self) -> list[int]:
        """Beats that write all cells."""
        params, layout, beats = self.params, program_layout(self.params), []
        top = (1 << params.cell_bits) - 1
        for crossbar, page, column in np.ndindex(params.crossbars, params.pages, params.columns):
            output, cell = divmod(column, params.cells)
            cells = self.weights[crossbar, page, :, output] >> (params.cell_bits * cell) & top
            words = [_word(cells >> bit & 1) for bit in range(params.cell_bits)]
            select, adc = divmod(column, params.adcs)
            fields = {"cells": words, "adc": adc, "column_select": select}
            beats.append(layout.const(fields | {"page": page, "crossbar": crossbar}).as_bits())
        return beats

    def entries(self) -> list[int]:
        """Beats that write all tables."""
        layout = table_layout(self.params)
        return [
            layout.const({"table": table, "entry": entry, "value": int(value)}).as_bits()
            for (table, entry), value in np.ndenumerate(self.tables)
        ]

    def activation_beats(self) -> list[int]:
        """Beats of the vectors; one that loads all rows may do without its last ``last``."""
        layout, beats = activation_layout(self.params), []
        for number, vector in enumerate(self.vectors):
            rows = vector.shape[1]
            marked = rows < self.params.rows or number % 2 == 0
            for row in range(rows):
                fields = {"values": vector[:, row].tolist(), "last": marked and row == rows - 1}
                beats.append(layout.const(fields).as_bits())
        return beats

    def command_beats(self) -> list[int]:
        """Beats of the commands; the page of a crossbar that stores none is any."""
        layout = command_layout(self.params)
        return [
            layout.const(
                {
                    "pages": [self.params.pages - 1 if page is None else page for page in c.pages],
                    "stored": _word(np.array([page is not None for page in c.pages])),
                    "zero_point": c.zero_point,
                    "top_plane": c.planes - 1,
                    "begin": c.begin,
                    "complete": c.complete,
                    "release": c.release,
                }
            ).as_bits()
            for c in self.commands
        ]

    def channel_beats(self) -> list[int]:
        """Beats of the channels' parameters."""
        layout = channel_layout(self.params)
        return [layout.const(dataclasses.asdict(channel)).as_bits() for channel in self.channels]

    def work(self) -> Iterator[tuple[Command, Ints]]:
        """Yield each command with its vector, padded to all rows."""
        number = 0
        for command in self.commands:
            vector = self.vectors[number]
            yield command, np.pad(vector, ((0, 0), (0, self.params.rows - vector.shape[1])))
            number += command.release

    def sums(self) -> Ints:
        """Σ (U − Z)·Q of each output, in order, by the golden executor: what bias is added to."""
        params, sums = self.params, []
        total = np.zeros(params.outputs, np.int64)
        for command, q in self.work():
            stored = [(at, page) for at, page in enumerate(command.pages) if page is not None]
            if command.begin:
                total = np.zeros(params.outputs, np.int64)
            if stored:
                total = total + golden.accumulate(
                    np.concatenate([q[at] for at, _ in stored]),
                    np.concatenate([self.weights[at, page] for at, page in stored]),
                    np.zeros(params.outputs, np.int64),
                    zero_point=command.zero_point,
                    act_bits=command.planes,
                    weight_bits=params.weight_bits,
                    array_rows=params.rows,
                    cell_bits=params.cell_bits,
                    adc_bits=params.adc_bits,
                )
            if command.complete:
                sums.append(total)
        return np.concatenate(sums)

    def output_beats(self) -> list[int]:
        """Beats that must come out."""
        return expected_outputs(self.params, self.sums(), self.channels, self.tables)

    def activity(self) -> dict[str, int]:
        """Return what the tile's counters must have counted, from the golden executor's inputs."""
        params = self.params
        conversions = active = pages = 0
        for command, q in self.work():
            stored = [at for at, page in enumerate(command.pages) if page is not None]
            planes = q[stored] & ((1 << command.planes) - 1)
            active += int(np.bitwise_count(planes).sum())
            conversions += len(stored) * command.planes * params.columns
            pages += len(stored)
        return {"conversions": conversions, "active_wordlines": active, "sampled_pages": pages}


def expected_outputs(
    params: TileParams, sums: Ints, channels: list[Channel], tables: Ints
) -> list[int]:
    """Beats that must come out of the requantisation for these sums."""
    layout = output_layout(params)
    field = {
        name: np.array([getattr(channel, name) for channel in channels], np.int64)
        for name in ("bias", "k", "table", "sign", "exponent", "offset", "fraction_bits")
    }
    acc = sums + field["bias"]
    pre = golden.saturate(golden.round_shift(acc, field["k"]), params.act_bits)
    act = np.zeros_like(pre)
    for number, table in enumerate(tables):
        chosen = field["table"] == number
        act[chosen] = golden.apply_table(pre[chosen], table)
    values = np.zeros_like(pre)
    for fraction_bits in np.unique(field["fraction_bits"]).tolist():
        chosen = field["fraction_bits"] == fraction_bits
        moved = golden.apply_affine(
            act[chosen].reshape(1, -1, 1, 1),
            field["sign"][chosen],
            field["exponent"][chosen],
            field["offset"][chosen],
            fraction_bits,
        )
        values[chosen] = golden.saturate(moved, params.stream_bits).ravel()
    return [
        layout.const({"value": value, "acc": total}).as_bits()
        for value, total in zip(values.tolist(), acc.tolist(), strict=True)
    ]


def draw(
    params: TileParams, *, seed: int, vectors: int, pages: int = 1, steady: bool = False
) -> Scenario:
    """Draw a scenario.

    Page 0 holds the largest weights, page 1 none; the first vectors are all the least, all the
    largest, all −1; Z goes through its extremes. The rest is random: rows loaded, bit planes,
    pages and which of them are stored.

    Parameters
    ----------
    params : TileParams
    seed : int
    vectors : int
        Vectors; with ``passes`` > 1, as many groups of 1…passes vectors whose sums are added.
    pages : int
        Commands a vector, where sums of several are not added.
    steady : bool
        All rows, all planes, all pages stored, every sum put out: each command takes the same time.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    top = params.max_weight
    shape = (params.crossbars, params.pages, params.rows, params.outputs)
    weights = random.integers(0, top, shape, endpoint=True)
    weights[:, 0] = top
    if params.pages > 1:
        weights[:, 1] = 0
    half = 1 << (params.act_bits - 1)
    tables = random.integers(-half, half, (params.tables, 2 * half))
    drawn: list[Ints] = []
    commands: list[Command] = []
    zero_points = [0, top, (top + 1) // 2]

    def vector() -> int:
        """Append a vector; return its bit planes."""
        planes = params.act_bits
        rows = params.rows
        if not steady and random.random() < 0.5:
            planes = int(random.integers(2, params.act_bits, endpoint=True))
            rows = int(random.integers(1, params.rows, endpoint=True))
        high = 1 << (planes - 1)
        q = random.integers(-high, high, (params.crossbars, rows))
        if len(drawn) < 3:
            q[:] = (-high, high - 1, -1)[len(drawn)]
        drawn.append(q)
        return planes

    def command(planes: int, number: int, **flags: bool) -> None:
        if steady or random.random() < 0.7:
            stored = np.ones(params.crossbars, bool)
        else:
            stored = random.random(params.crossbars) < 0.5
        numbers = random.integers(0, params.pages, params.crossbars)
        if number < 2 * params.pages:
            numbers[:] = number % params.pages
        zero_point = zero_points[number] if number < 3 else int(random.integers(0, top + 1))
        chosen = tuple(
            int(page) if is_stored else None
            for page, is_stored in zip(numbers, stored, strict=True)
        )
        commands.append(Command(chosen, zero_point, planes, **flags))

    for _ in range(vectors):
        if params.passes > 1 and not steady:
            passes = int(random.integers(1, params.passes, endpoint=True))
            for step in range(passes):
                last = step == passes - 1
                command(vector(), len(commands), begin=step == 0, complete=last)
        else:
            planes = vector()
            for page in range(pages):
                command(planes, len(commands), release=page == pages - 1)
    scenario = Scenario(params, weights, tables, drawn, commands, [])
    channels = [_channel(params, random, total) for total in scenario.sums().tolist()]
    return dataclasses.replace(scenario, channels=channels)


def _channel(params: TileParams, random: np.random.Generator, total: int) -> Channel:
    """Draw the parameters of an output with this sum.

    Half of them are anything. The others lead to a value within its range, from an accumulator
    that lies just between two: what rounding is for.
    """
    if random.random() < 0.5:
        room = (1 << (ACC_BITS - 1)) - params.largest_sum - (1 << 23)
        bias, k = int(random.integers(-room, room)), int(random.integers(-7, 24))
        sign, exponent, fraction_bits = int(random.integers(-1, 2)), 7, 15
        offset = int(random.integers(-(1 << 15), 1 << 15))
    else:
        half = 1 << (params.act_bits - 1)
        k = int(random.integers(1, 20))
        bias = (2 * int(random.integers(-half, half)) + 1 << (k - 1)) - total
        sign, exponent, fraction_bits = (-1, 1)[int(random.integers(2))], 2, 2
        offset = int(random.integers(-2 * half, 2 * half))
    return Channel(
        bias=bias,
        k=k,
        table=int(random.integers(params.tables)),
        sign=sign,
        exponent=int(random.integers(exponent, endpoint=True)),
        offset=offset,
        fraction_bits=int(random.integers(fraction_bits, endpoint=True)),
    )


def _word(bits: npt.NDArray[np.generic]) -> int:
    """Return the number whose binary digits these are, the least significant first."""
    return int.from_bytes(np.packbits(bits.astype(bool), bitorder="little").tobytes(), "little")
