# SPDX-License-Identifier: Apache-2.0
"""What goes into a tile, and what must come out: beats of its streams, and the golden word.

A scenario knows its beats, its outputs and its activity; `cosim.tile_vectors` draws them. The steps
of `model.golden` are the only reference.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hw.crossbar import program_layout
from hw.dac import activation_layout
from hw.requant import channel_layout, output_layout, table_layout
from hw.tile import command_layout
from hw.tile_params import TileParams
from model import golden

__all__ = ["Channel", "Command", "Ints", "Scenario", "expected_outputs"]

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

    def without(self, visited: Sequence[bool]) -> Scenario:
        """Return the same work, but of some pages, in turn, no crossbar stores any."""
        none = (None,) * self.params.crossbars
        commands = [
            command if stored else dataclasses.replace(command, pages=none)
            for command, stored in zip(self.commands, itertools.cycle(visited), strict=False)
        ]
        return dataclasses.replace(self, commands=commands)

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


def _word(bits: npt.NDArray[np.generic]) -> int:
    """Return the number whose binary digits these are, the least significant first."""
    return int.from_bytes(np.packbits(bits.astype(bool), bitorder="little").tobytes(), "little")
