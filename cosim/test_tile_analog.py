# SPDX-License-Identifier: Apache-2.0
"""The tile's RTL with an analog macro in place of the digital stand-in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cosim.design import bundle, emit_block
from cosim.runner import SimulationError
from cosim.tile_jobs import JOBS, job, simulate
from cosim.tile_vectors import draw
from hw.tile import Tile
from hw.tile_params import TileParams

# A macro as a foundry might deliver it: its cells are wired, its ADCs take three cycles.
MACRO = """
module crossbar_macro(
  input clk, input [1:0] page, input [5:0] wordlines, input [0:0] column_select, input sample,
  output [11:0] codes
);
  integer row, adc, total;
  reg [11:0] held, settled, converted;
  assign codes = converted;
  always @(posedge clk) begin
    for (adc = 0; adc < 4; adc = adc + 1) begin
      total = 0;
      for (row = 0; row < 6; row = row + 1)
        if (wordlines[row]) total = total + (5*page + 3*(4*column_select + adc) + row*row) % 4;
      held[3*adc +: 3] <= total > 7 ? 7 : total;
    end
    settled <= held;
    converted <= settled;
  end
endmodule
"""


def simulate_analog(simulator: str, macro: str, folder: Path) -> None:
    """Run a tile with black boxes on a scenario with the macro's weights."""
    params = TileParams(
        rows=6,
        columns=8,
        columns_per_adc=2,
        weight_bits=4,
        act_bits=4,
        adc_bits=3,
        pages=3,
        tables=2,
    )
    page, row, column = np.ogrid[:3, :6, :8]
    cells = (5 * page + 3 * column + row * row) % 4
    weights = (cells[:, :, 0::2] + 4 * cells[:, :, 1::2])[None]
    scenario = dataclasses.replace(draw(params, seed=1, vectors=6, pages=2), weights=weights)
    tile = emit_block(Tile(params=params, analog=True), "tile_analog")
    design = bundle("tile_analog", [dataclasses.replace(tile, text=tile.text + macro)])
    contents = {"entries": scenario.entries()}
    simulate(design, simulator, tile, tile.name, contents, [job(scenario)], folder, tests=JOBS)


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
def test_an_analog_macro_takes_the_stand_ins_place(simulator: str, tmp_path: Path) -> None:
    """The tile with black boxes computes with whatever is behind their ports."""
    simulate_analog(simulator, MACRO, tmp_path / "right")
    hasty = MACRO.replace("codes = converted", "codes = settled")
    with pytest.raises(SimulationError, match="outputs"):
        simulate_analog(simulator, hasty, tmp_path / "hasty")
