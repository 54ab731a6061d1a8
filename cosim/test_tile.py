# SPDX-License-Identifier: Apache-2.0
"""The tile's RTL against the golden executor: all widths, all ADCs, stalls, cycles, activity."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from cosim.design import Block, Design, bundle, emit_block
from cosim.runner import SimulationError
from cosim.suites import VERILATOR_IS_SLOW, SeededFault, faulty, more
from cosim.tile_jobs import CYCLES, JOBS, RESET, job, simulate
from cosim.tile_vectors import draw
from hw.tile import Tile
from hw.tile_params import TileParams
from hw.timing import queue_depth, skipping_cycles, tile_cycles

# Weight, cell, activation and ADC bits; rows, columns, columns an ADC; crossbars, passes; bits out.
WIDTHS = [
    TileParams(
        weight_bits=weight_bits,
        cell_bits=cell_bits,
        act_bits=act_bits,
        adc_bits=adc_bits,
        rows=rows,
        columns=columns,
        columns_per_adc=columns_per_adc,
        crossbars=crossbars,
        passes=passes,
        pages=3,
        tables=2,
        stream_bits=stream_bits,
    )
    for (
        (weight_bits, cell_bits, act_bits, adc_bits),
        (rows, columns, columns_per_adc),
        (crossbars, passes),
        stream_bits,
    ) in [
        ((8, 1, 8, 4), (9, 16, 2), (1, 1), 8),
        ((8, 2, 4, 6), (17, 16, 4), (2, 1), 16),
        ((8, 4, 2, 7), (5, 12, 3), (1, 3), 8),
        ((4, 1, 4, 4), (12, 8, 1), (3, 1), 4),
        ((4, 2, 2, 5), (8, 32, 8), (1, 2), 6),
        ((4, 4, 8, 5), (7, 6, 2), (2, 2), 8),
        ((2, 1, 2, 8), (16, 16, 4), (1, 1), 2),
        ((2, 2, 8, 3), (6, 8, 1), (2, 1), 8),
        ((2, 4, 4, 6), (3, 10, 5), (1, 1), 8),
        ((3, 2, 5, 4), (10, 12, 3), (1, 1), 7),
    ]
]

# 64 rows of 2-bit cells reach 192: 8 bits are lossless, each bit less saturates more.
ADCS = [
    TileParams(weight_bits=4, columns=8, columns_per_adc=4, adc_bits=adc_bits, pages=3, tables=2)
    for adc_bits in (8, 7, 6, 5, 4)
]

FULL_SIZE = TileParams(pages=4, tables=2)

FAULTY = TileParams(
    weight_bits=4,
    act_bits=4,
    adc_bits=3,
    rows=6,
    columns=16,
    columns_per_adc=2,
    crossbars=2,
    pages=3,
    tables=2,
    stream_bits=6,
)

# Two crossbars, wide outputs; two crossbars, two passes; ADCs that lose nothing, and much.
FAST = [WIDTHS[1], WIDTHS[5], ADCS[0], ADCS[-1], FAULTY]
MORE = [params for params in [*WIDTHS, *ADCS] if params not in FAST]

SKIPPING = [FAULTY, WIDTHS[1], WIDTHS[4]]

# In the shape FAULTY.
FAULTS = [
    SeededFault("top_plane_added", "= sample[3] ? ", "= 1'h0 ? ", JOBS, "outputs"),
    SeededFault("zero_point_forgotten", " - $signed(\\before );", " - 12'sh0;", JOBS, "outputs"),
    SeededFault("adc_one_bit_narrower", "> 3'h7;", "> 3'h3;", JOBS, "outputs"),
    SeededFault("halves_down", "{ acc_1, 8'h00 }", "{ acc_1, 8'h00 } - 40'h1", JOBS, "outputs"),
    SeededFault(
        "sums_never_cleared", "= sample[1] ? 12'h000 :", "= 1'h0 ? 12'h000 :", JOBS, "outputs"
    ),
    SeededFault(
        "last_row_stays_high",
        "= 6'h00;\n    end\n    if (rst)",
        "= 6'h20;\n    end\n    if (rst)",
        JOBS,
        "outputs",
    ),
    SeededFault(
        "queue_overflows", "assign room = | free;", "assign room = 1'h1;", JOBS, "came out|outputs"
    ),
    SeededFault("zero_point_too_late", "settled = ! left;", "settled = 1'h1;", JOBS, "outputs"),
    SeededFault(
        "conversions_miscounted", "converted * 4'h8;", "converted * 4'h4;", JOBS, "counters must be"
    ),
    SeededFault(
        "slow_to_settle",
        "settled = ! left;",
        "settled = left == 3'h5;",
        CYCLES,
        "must take",
    ),
    SeededFault(
        "reset_ignored",
        "if (rst) begin",
        "if (1'h0) begin",
        RESET,
        r"outputs|counters|came out|must hold|Logic\('X'\)",  # in Icarus a bit stays unknown
    ),
]


@functools.cache
def design() -> Design:
    """All widths, all ADCs and all faults, in one build."""
    blocks = [block(params) for params in [*FAST, *MORE]]
    return bundle("tile", blocks + faulty(block(FAULTY), FAULTS))


def lone_design(block: Block) -> Design:
    """One block: for Icarus, which builds fast, and is slowed down by blocks that stand still."""
    return bundle(block.name, [block])


@functools.cache
def block(params: TileParams) -> Block:
    """Return one shape's block."""
    return emit_block(Tile(params=params), f"tile_{params.name}")


def check(
    design: Design,
    simulator: str,
    params: TileParams,
    folder: Path,
    *,
    vectors: int = 6,
    name: str | None = None,
    tests: str | None = None,
) -> list[str]:
    """Run the tests on one shape, in the block of that name if one is given.

    The jobs are a mixed one, and such whose cycles are known: one vector, vectors back to back,
    several commands a vector.
    """
    mixed = draw(params, seed=params.rows, vectors=vectors, pages=2)
    jobs = [job(mixed)]
    for count, pages in ((1, 1), (vectors, 1), (3, 2)):
        steady = draw(params, seed=params.rows, vectors=count, pages=pages, steady=True)
        jobs.append(job(steady, tile_cycles(params, vectors=count, pages=pages)))
    contents = {"program": mixed.program(), "entries": mixed.entries()}
    like = block(params)
    return simulate(design, simulator, like, name or like.name, contents, jobs, folder, tests=tests)


@VERILATOR_IS_SLOW
@pytest.mark.parametrize("params", [*FAST, *more(MORE)], ids=lambda params: params.name)
def test_rtl_equals_the_golden_executor(simulator: str, params: TileParams, tmp_path: Path) -> None:
    """All tests of the body pass with every width and every ADC."""
    chosen = lone_design(block(params)) if simulator == "icarus" else design()
    passed = check(chosen, simulator, params, tmp_path)
    assert len(passed) == 3, f"all three tests must run, not {passed}"


@VERILATOR_IS_SLOW
def test_rtl_of_full_size_equals_the_golden_executor(simulator: str, tmp_path: Path) -> None:
    """64 × 64 cells, 8-bit weights and activations: 64 cycles a page."""
    check(lone_design(block(FULL_SIZE)), simulator, FULL_SIZE, tmp_path, vectors=4, tests=CYCLES)


@functools.cache
def skipping_design() -> Design:
    """Tiles that skip pages, and one that does not look whether there is room."""
    blocks = [skipping_block(params) for params in SKIPPING]
    return bundle("tile_skips", [*blocks, hasty_block()])


@functools.cache
def skipping_block(params: TileParams) -> Block:
    """Return one shape's block."""
    return emit_block(Tile(params=params, skips=True), f"tile_{params.name}_skips")


def hasty_block() -> Block:
    """Return one that does not look whether there is room."""
    return skipping_block(FAULTY).with_fault("skips_without_room", "  & room;", "  & 1'h1;")


def check_skipping(
    simulator: str, params: TileParams, folder: Path, block: Block, tests: str
) -> None:
    """Run the tests on work with pages that no crossbar stores, in turns, and in a row."""
    mixed = draw(params, seed=params.rows, vectors=6, pages=2).without((True, False, True))
    jobs = [job(mixed)]
    many = 2 * queue_depth(params)
    for visited in ((True, False), (False,), (False,) * many + (True,) * 2):
        steady = draw(params, seed=params.rows, vectors=3, pages=len(visited), steady=True)
        work = {"vectors": 3, "rows": params.rows, "planes": params.act_bits}
        jobs.append(job(steady.without(visited), skipping_cycles(params, visited, **work)))
    contents = {"program": mixed.program(), "entries": mixed.entries()}
    like = skipping_block(params)
    chosen = lone_design(block) if simulator == "icarus" else skipping_design()
    simulate(chosen, simulator, like, block.name, contents, jobs, folder, tests=tests)


@VERILATOR_IS_SLOW
@pytest.mark.parametrize("tests", [JOBS, CYCLES, RESET])
@pytest.mark.parametrize(
    "params", [SKIPPING[0], *more(SKIPPING[1:])], ids=lambda params: params.name
)
def test_pages_that_are_skipped(
    simulator: str, params: TileParams, tests: str, tmp_path: Path
) -> None:
    """Also more of them in a row than the queue holds."""
    check_skipping(simulator, params, tmp_path, skipping_block(params), tests)


@VERILATOR_IS_SLOW
def test_a_page_skipped_without_room_is_noticed(simulator: str, tmp_path: Path) -> None:
    """Negative control."""
    with pytest.raises(SimulationError, match="outputs|came out"):
        check_skipping(simulator, FAULTY, tmp_path, hasty_block(), CYCLES)


def test_adcs_that_saturate_change_the_outputs() -> None:
    """Each bit of an ADC counts in these scenarios: its absence would be noticed."""
    outputs = [tuple(draw(p, seed=64, vectors=8, pages=3).output_beats()) for p in ADCS]
    assert len(set(outputs)) == len(ADCS)


@VERILATOR_IS_SLOW
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_seeded_fault_is_noticed(simulator: str, fault: SeededFault, tmp_path: Path) -> None:
    """Negative control: the named test fails on a faulty block."""
    (bad,) = faulty(block(FAULTY), [fault])
    chosen = lone_design(bad) if simulator == "icarus" else design()
    with pytest.raises(SimulationError, match=fault.message):
        check(chosen, simulator, FAULTY, tmp_path, name=fault.name, tests=fault.test)
