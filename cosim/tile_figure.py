# SPDX-License-Identifier: Apache-2.0
"""One vector through a tile, as a picture: ``python -m cosim.tile_figure`` writes ``docs/results``.

What is drawn is what a co-simulation recorded, whose outputs are the golden executor's.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cosim import figures, simulators
from cosim.design import bundle, emit_block
from cosim.runner import BuildError, SimulationError, run
from cosim.tile_scenario import Channel, Command, Scenario
from cosim.waveform import Trace, read_trace
from hw import cli
from hw.dac import activation_layout
from hw.requant import output_layout
from hw.tile import Tile
from hw.tile_params import TileParams
from hw.timing import CROSSBAR_LATENCY, tile_cycles

__all__ = ["PARAMS", "PICTURE", "SCENARIO", "draw", "main", "record"]

PROGRAM = "python -m cosim.tile_figure"
PICTURE = Path(__file__).parent.parent / "docs/results/tile.svg"
PERIOD = 10_000
"""Picoseconds of a cycle in the simulator's file."""

PARAMS = TileParams(
    rows=4, columns=4, cell_bits=2, weight_bits=4, act_bits=3, adc_bits=4, columns_per_adc=2,
    pages=2, tables=1, stream_bits=8,
)  # fmt: skip

_CHANNEL = Channel(bias=0, k=3, table=0, sign=1, exponent=2, offset=0, fraction_bits=0)
SCENARIO = Scenario(
    PARAMS,
    weights=np.array([[np.zeros((4, 2), np.int64), [[9, 4], [2, 15], [11, 7], [6, 0]]]]),
    tables=np.arange(-4, 4)[None],
    vectors=[np.array([[3, -2, 1, -4]])],
    commands=[Command((1,), 8, 3)],
    channels=[_CHANNEL, _CHANNEL],
)
"""Page 1 times one vector, Z = 8."""

_TOP = "tile_small"
SIGNALS = {
    "activations": f"{_TOP}.activations__payload",
    "plane": f"{_TOP}.plane",
    "page": f"{_TOP}.crossbar_0.page",
    "wordlines": f"{_TOP}.driver.wordlines",
    "column_select": f"{_TOP}.crossbar_0.column_select",
    "sample": f"{_TOP}.sample",
    "codes": f"{_TOP}.crossbar_0.codes",
    "outputs": f"{_TOP}.outputs__payload",
}
"""Where each row of the picture comes from."""
_VALID = {name: f"{_TOP}.{name}__valid" for name in ("activations", "outputs")}


def record(folder: Path) -> Trace:
    """Simulate, compare with the golden executor, and return the rows of the picture.

    Raises
    ------
    SimulationError, BuildError, simulators.SimulatorError
        As `cosim.runner.run`.
    """
    block = emit_block(Tile(params=PARAMS), _TOP)
    widths = {
        port.removesuffix("__payload"): width
        for kind, port, width in block.ports
        if kind == "input" and port.endswith("__payload")
    }
    job = {
        "feeds": {
            "activations": SCENARIO.activation_beats(),
            "commands": SCENARIO.command_beats(),
            "channels": SCENARIO.channel_beats(),
        },
        "outputs": SCENARIO.output_beats(),
        "activity": SCENARIO.activity(),
        "cycles": tile_cycles(PARAMS, vectors=1, pages=1),
    }
    contents = {"program": SCENARIO.program(), "entries": SCENARIO.entries()}
    run(
        bundle(_TOP, [block]),
        "verilator",
        "cosim.body_tile",
        folder=folder,
        parameters={
            "block": _TOP, "seed": 1, "widths": widths, "contents": contents, "jobs": [job],
        },
        tests="cycles_without_stalls",
        waves=True,
    )  # fmt: skip
    signals = [*SIGNALS.values(), *_VALID.values()]
    trace = read_trace(folder / "dump.vcd", signals, PERIOD)
    valid = {name: trace[signal] for name, signal in _VALID.items()}
    sample = trace[SIGNALS["sample"]]
    # Nothing is said where nothing is valid; codes come so many cycles after their sample.
    valid |= dict.fromkeys(("plane", "page", "wordlines", "column_select"), sample)
    valid["codes"] = [*[0] * CROSSBAR_LATENCY, *sample[:-CROSSBAR_LATENCY]]
    # From a cycle before the first activation to one after the last output.
    first = valid["activations"].index(1) - 1
    end = len(sample) - valid["outputs"][::-1].index(1) + 1
    return {
        name: [
            value if flag else None
            for value, flag in zip(trace[signal], valid.get(name, [1] * len(sample)), strict=True)
        ][first:end]
        for name, signal in SIGNALS.items()
    }


def draw(file: Path, trace: Trace) -> None:
    """Draw the rows, with activations, codes and outputs as numbers, wordlines as bits."""
    width = PARAMS.code_bits
    adcs = range(PARAMS.adcs)
    labels: dict[str, Callable[[int], str]] = {
        "activations": lambda word: str(activation_layout(PARAMS).from_bits(word).values[0]),
        "wordlines": lambda word: f"{word:0{PARAMS.rows}b}",
        "codes": lambda word: " ".join(str(word >> width * n & (1 << width) - 1) for n in adcs),
        "outputs": lambda word: str(output_layout(PARAMS).from_bits(word).value),
    }
    figures.draw_trace(file, trace, labels)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(PROGRAM, "Draw one vector through a tile, from a co-simulation.")
    parser.add_argument("--out", type=Path, default=PICTURE, metavar="FILE", help="SVG to write")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            trace = record(Path(folder))
    except (SimulationError, BuildError, simulators.SimulatorError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    draw(options.out, trace)
    print(options.out)
    return 0


if __name__ == "__main__":
    cli.run(main)
