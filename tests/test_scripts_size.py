# SPDX-License-Identifier: Apache-2.0
"""The size table: the module keeps within its limits, and the README shows what is stored."""

import copy
import json

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.params import Direction, ShiftParams
from hw.shift import ShiftModule
from model import golden
from scripts import size
from scripts.line_buffer import LineBufferShift

STORED = json.loads(size.BASELINE.read_text())


def test_the_papers_shape_within_its_limits():
    module = ShiftModule(params=ShiftParams(height=16, width=16, bits=8))
    measured = size.synthesise(module, delay_ps=None)
    assert measured.lut <= 32
    assert measured.ff <= 16
    assert measured.carry4 == 0


@pytest.mark.slow  # two minutes of synthesis
def test_all_shapes_as_stored():
    assert size.compare(size.measure_all(), STORED) == []


def test_comparison_notices_each_kind_of_difference():
    assert size.compare(STORED, STORED) == []
    worse = copy.deepcopy(STORED)
    worse["shift_module"]["16x16x8"]["5 ns"]["ff"] += 1
    assert len(size.compare(worse, STORED)) == 1
    worse["shift_module"]["16x16x8"]["5 ns"]["ff"] = 17
    assert "at most 16" in size.compare(worse, STORED)[-1]
    del worse["shift_module"]["4x4x8"]
    assert any("4x4x8" in line for line in size.compare(worse, STORED))


def test_readme_shows_the_stored_table():
    assert size.table(STORED) in size.README.read_text()


def test_unknown_cells_are_not_passed_over():
    module = {"cells": {"u": {"type": "DSP48E1", "connections": {}, "port_directions": {}}}}
    with pytest.raises(size.SynthesisError, match="does not know: DSP48E1"):
        size.measure(module)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (16, 16)])
def test_line_buffer_does_the_same_job(shape):
    # A comparison with a design that computes something else would be worth nothing.
    height, width = shape
    dut = LineBufferShift(params=ShiftParams(height=height, width=width, bits=8))
    maps = np.random.default_rng(5).integers(0, 256, (8, height, width))
    received = []

    async def testbench(ctx):
        ctx.set(dut.enable, 1)
        stream = [*maps.ravel(), *[0] * (width + 1)]
        for step, pixel in enumerate(stream):
            leaving = step - (width + 1)
            ctx.set(dut.pixel_in, int(pixel))
            ctx.set(dut.direction, max(leaving, 0) // (height * width))
            if leaving >= 0:
                received.append(ctx.get(dut.pixel_out))
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    expected = np.stack([golden.shift_channel(maps[d], d) for d in Direction.moving()])
    assert np.array_equal(np.reshape(received, maps.shape), expected)
