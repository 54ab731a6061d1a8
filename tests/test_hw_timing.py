# SPDX-License-Identifier: Apache-2.0
"""The cycle formulas say what the design promises; co-simulation shows that the RTL keeps them."""

import dataclasses

import numpy as np
import pytest
from intnets import random_net

from hw import timing
from hw.image import build
from hw.lfsr_params import LfsrMask
from hw.params import ArrayParams, ParameterError, ShiftParams
from hw.tile_params import TileParams

MAP = ShiftParams(height=16, width=16)


def test_promised_figures():
    assert timing.shift_cycles(MAP) == 258
    assert timing.shift_cycles(MAP, channels=80) == 80 * 256 + 2
    assert timing.array_cycles(ArrayParams(shift=MAP, channels=256)) == 21 * 256 + 2
    assert timing.array_cycles(ArrayParams(shift=MAP, channels=128), blocks=3) == 30 * 256 + 2
    assert timing.axis_cycles(ShiftParams(height=7, width=14), maps=2) == 2 * (3 * 98 + 2)
    assert timing.reader_cycles() == 0


def test_the_papers_latency_table():
    # Table IV, PSP_256_16: 0.12902 ms are 24 blocks of 21 channels of 256 pixels at 1 GHz.
    block = timing.paper_cycles(ArrayParams(shift=MAP, channels=256))
    assert [block * depth for depth in (8, 24, 32)] == [43008, 129024, 172032]


def test_text_of_a_formula():
    assert str(timing.SHIFT) == "channels*height*width + 2"
    assert str(timing.AXIS) == "3*maps*height*width + 2*maps"
    assert str(timing.READER) == "0"
    assert str(timing.LEAD) == "max(more_planes*columns_per_adc, weight_bits)"
    assert str(timing.PERIOD) == "max(rows, pages*pace)"


def test_a_tile_of_usual_size():
    usual = TileParams()
    assert timing.page_cycles(usual) == usual.act_bits * usual.columns_per_adc == 64
    assert timing.page_cycles(usual, planes=4) == 32
    assert timing.tile_cycles(usual) == 64 + 64 + 16 + 11 - 8
    # 64 rows are loaded in the 64 cycles of the vector before, though each meets one page only.
    assert timing.tile_cycles(usual, vectors=1001) - timing.tile_cycles(usual) == 64_000


def test_skipping_nothing_is_the_closed_form():
    source = np.random.default_rng(1)
    for _ in range(200):
        adc, lanes, cells = source.integers(1, 9, 3).tolist()
        params = TileParams(
            rows=20, columns=adc * lanes * cells, columns_per_adc=adc, weight_bits=cells,
            cell_bits=1, act_bits=int(source.integers(2, 9)),
        )  # fmt: skip
        pages, rows = source.integers(1, 7, 2).tolist()
        planes = int(source.integers(2, params.act_bits, endpoint=True))
        work = {"vectors": int(source.integers(1, 9)), "rows": rows, "planes": planes}
        wanted = timing.tile_cycles(params, pages=pages, **work)
        assert timing.skipping_cycles(params, (True,) * pages, **work) == wanted


def test_a_period_that_repeats_is_not_walked_through():
    work = {"rows": 64, "planes": 8}
    visited = (True, False, True, False)
    some, more = (
        timing.skipping_cycles(TileParams(), visited, vectors=count, **work)
        for count in (20, 1_000_000_020)
    )
    assert more - some == 1_000_000_000 * (2 * 64 + 2)


def test_masks_take_a_period_and_a_cycle_a_column_group():
    mask = LfsrMask(positions=64, count=32, seed=1)
    params = build(random_net("residual", width=64, depth=1)).params
    plain = params.layers[1]
    layer = dataclasses.replace(plain, masks=((mask,),) * 4)
    assert (timing.mask_cycles(plain), timing.mask_cycles(layer)) == (0, 4 * 128)
    cycles = [timing.layer_cycles(params, each) for each in (plain, layer)]
    assert cycles[1] - cycles[0] == 4 * 128


def test_the_bound_of_a_whole_network():
    # psp_64_4 with one crossbar: 256 pixels, stem of 12 rows, eight layers, head of one pixel.
    def layer(rows):
        one, all_pixels = (
            timing.tile_cycles(TileParams(), vectors=count, pages=4, rows=rows)
            for count in (1, 257)
        )
        return all_pixels - one

    head = timing.page_cycles(TileParams())
    assert layer(12) + 8 * layer(64) + head == 589_888


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_bad_counts(count):
    with pytest.raises(ParameterError, match="^channels must be an integer from 1 to "):
        timing.shift_cycles(MAP, channels=count)
    for name in ("vectors", "pages"):
        with pytest.raises(ParameterError, match=f"^{name} must be an integer from 1 to "):
            timing.tile_cycles(TileParams(), **{name: count})
    with pytest.raises(ParameterError, match=f"^rows must be an integer from 1 to 64, not {count}"):
        timing.tile_cycles(TileParams(), rows=count)
    with pytest.raises(
        ParameterError, match=f"^planes must be an integer from 2 to 8, not {count}"
    ):
        timing.page_cycles(TileParams(), planes=count)
