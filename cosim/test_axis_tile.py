# SPDX-License-Identifier: Apache-2.0
"""AxisTile's RTL against the golden executor: packets, pauses, cycles, activity."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from cosim.design import Block, Design, bundle, emit_block
from cosim.runner import SimulationError, run
from cosim.suites import VERILATOR_IS_SLOW, SeededFault, faulty
from cosim.tile_scenario import Scenario
from cosim.tile_vectors import draw
from hw.tile_axis import AxisTile
from hw.tile_params import TileParams
from hw.timing import tile_cycles

BODY = "cosim.body_axis_tile"
JOBS, CYCLES = "jobs_with_random_pauses", "cycles_without_pauses"

# Payloads that do not fill their bytes; one and two crossbars; outputs of a power of two, and not.
SHAPES = [
    TileParams(rows=6, columns=16, weight_bits=4, act_bits=4, adc_bits=3, columns_per_adc=2,
               crossbars=2, pages=3, tables=2, stream_bits=6),
    TileParams(rows=5, columns=12, cell_bits=4, act_bits=3, columns_per_adc=3, pages=3, tables=2),
]  # fmt: skip

FAULTS = [
    SeededFault(
        "packet_never_ends",
        "assign m_axis_outputs_tlast = ",
        "assign m_axis_outputs_tlast = 1'h0 & ",
        JOBS,
        "packets must come out",
    ),
    SeededFault(
        "vector_ends_unheard",
        "= s_axis_activations_tlast;",
        "= 1'h0;",
        JOBS,
        "packets must come out",
    ),
    SeededFault(
        "outputs_lost_while_waiting",
        ".outputs__ready(m_axis_outputs_tready)",
        ".outputs__ready(1'h1)",
        JOBS,
        "must hold|packets must come out",
    ),
]


@functools.cache
def design() -> Design:
    """All shapes and all faults, in one build."""
    return bundle("axis_tile", [*map(block, SHAPES), *faulty(block(SHAPES[0]), FAULTS)])


@functools.cache
def block(params: TileParams) -> Block:
    """Return one shape's block."""
    return emit_block(AxisTile(params=params), f"axis_tile_{params.name}")


def job(scenario: Scenario, cycles: int) -> dict[str, Any]:
    """Return a job of the body: the beats of `cosim.tile_jobs.job`, as packets."""
    last = 1 << (scenario.params.act_bits * scenario.params.crossbars)
    vectors: list[list[int]] = [[]]
    for beat in scenario.activation_beats():
        vectors[-1].append(beat % last)
        if beat & last or len(vectors[-1]) == scenario.params.rows:
            vectors.append([])
    count, beats = scenario.params.outputs, scenario.output_beats()
    return {
        "feeds": {
            "activations": vectors[:-1],
            "commands": [scenario.command_beats()],
            "channels": [scenario.channel_beats()],
        },
        "outputs": [beats[place : place + count] for place in range(0, len(beats), count)],
        "activity": scenario.activity(),
        "cycles": cycles,
    }


def check(
    simulator: str,
    params: TileParams,
    folder: Path,
    *,
    name: str | None = None,
    tests: str | None = None,
) -> list[str]:
    """Run the tests on one shape, in the block of that name if one is given."""
    mixed = draw(params, seed=params.rows, vectors=6, pages=2)
    steady = draw(params, seed=params.rows, vectors=3, pages=2, steady=True)
    return run(
        design(),
        simulator,
        BODY,
        folder=folder,
        parameters={
            "block": name or f"axis_tile_{params.name}",
            "seed": 1,
            "contents": {"program": [mixed.program()], "entries": [mixed.entries()]},
            "jobs": [job(mixed, 0), job(steady, tile_cycles(params, vectors=3, pages=2))],
        },
        tests=tests,
    )


@VERILATOR_IS_SLOW
@pytest.mark.parametrize("params", SHAPES, ids=lambda params: params.name)
def test_rtl_equals_the_golden_executor(simulator: str, params: TileParams, tmp_path: Path) -> None:
    """Both tests of the body pass."""
    passed = check(simulator, params, tmp_path)
    assert len(passed) == 2, f"both tests must run, not {passed}"


@pytest.mark.parametrize("simulator", ["icarus"], indirect=True)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_seeded_fault_is_noticed(simulator: str, fault: SeededFault, tmp_path: Path) -> None:
    """Negative control: the named test fails on a faulty block."""
    with pytest.raises(SimulationError, match=fault.message):
        check(simulator, SHAPES[0], tmp_path, name=fault.name, tests=fault.test)
