# SPDX-License-Identifier: Apache-2.0
"""Bytes over a line of bits: what arrives, what noise and a wrong stop bit do."""

import gc
import random

import pytest
from amaranth.sim import Simulator

from fpga.uart import UartReceiver, UartTransmitter
from hw.params import ParameterError

BYTES = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0xFE, 0x7F]


def bits_of(byte, stop=1):
    return [0, *(byte >> number & 1 for number in range(8)), stop]


def received(levels, clocks_per_bit, dut=None):
    """Drive levels, one a cycle, after which the line rests; return bytes, None for an error."""
    dut = dut or UartReceiver(clocks_per_bit)
    got = []

    async def bench(ctx):
        for level in [*levels, *[1] * 3 * clocks_per_bit]:
            ctx.set(dut.rx, level)
            await ctx.tick()
            assert not (ctx.get(dut.valid) and ctx.get(dut.error))
            if ctx.get(dut.valid):
                got.append(ctx.get(dut.data))
            if ctx.get(dut.error):
                got.append(None)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return got


def levels_of(bits, clocks_per_bit):
    """Spread bits over cycles; a bit's length need not be whole."""
    edges = [round(clocks_per_bit * number) for number in range(len(bits) + 1)]
    return [bit for n, bit in enumerate(bits) for _ in range(edges[n + 1] - edges[n])]


@pytest.mark.parametrize("clocks_per_bit", [4, 5, 8, 17])
def test_bytes_back_to_back(clocks_per_bit):
    bits = [bit for byte in BYTES for bit in bits_of(byte)]
    assert received(levels_of(bits, clocks_per_bit), clocks_per_bit) == BYTES


@pytest.mark.parametrize("rate", [0.97, 1.03])
def test_a_sender_of_another_clock(rate):
    bits = [bit for byte in BYTES for bit in bits_of(byte)]
    assert received(levels_of(bits, 16 * rate), 16) == BYTES


def test_a_sender_far_too_slow_is_noticed():
    bits = [bit for byte in BYTES for bit in bits_of(byte)]
    assert received(levels_of(bits, 16 * 1.2), 16) != BYTES


def test_wrong_stop_bit_is_an_error_and_the_next_byte_is_whole():
    bits = [*bits_of(0x12, stop=0), 1, *bits_of(0x34)]
    assert received(levels_of(bits, 8), 8) == [None, 0x34]


def test_break_is_one_error():
    bits = [0] * 50 + [1] + bits_of(0x34)
    assert received(levels_of(bits, 8), 8) == [None, 0x34]


def test_a_spike_is_no_start_bit():
    levels = [0, 0, 0, 1, 1, 1, *levels_of(bits_of(0xA5), 8)]
    assert received(levels, 8) == [0xA5]


def test_nothing_follows_from_a_quiet_line():
    assert received([1] * 200, 8) == []


def sent(data, clocks_per_bit):
    """Return the levels of ``tx``, one a cycle, while bytes are offered without a pause."""
    dut = UartTransmitter(clocks_per_bit)
    levels = []

    async def bench(ctx):
        left = list(data)
        for _ in range((len(data) * 10 + 3) * (clocks_per_bit + 1)):
            levels.append(ctx.get(dut.tx))
            ctx.set(dut.bytes.valid, bool(left))
            ctx.set(dut.bytes.payload, left[0] if left else 0)
            if left and ctx.get(dut.bytes.ready):
                left.pop(0)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return levels


@pytest.mark.parametrize("clocks_per_bit", [4, 7])
def test_every_bit_lasts_as_long_as_told(clocks_per_bit):
    levels = sent([0x35], clocks_per_bit)
    first = levels.index(0)
    levels = levels[first:]
    assert levels[: 10 * clocks_per_bit] == levels_of(bits_of(0x35), clocks_per_bit)
    assert set(levels[10 * clocks_per_bit :]) == {1}


@pytest.mark.parametrize("clocks_per_bit", [4, 8])
def test_transmitter_to_receiver(clocks_per_bit):
    data = random.Random(1).randbytes(24)
    assert received(sent(data, clocks_per_bit), clocks_per_bit) == list(data)


def test_a_receiver_of_another_rate_fails():
    bits = [bit for byte in BYTES for bit in bits_of(byte)]
    assert received(levels_of(bits, 8), 8, UartReceiver(10)) != BYTES


@pytest.mark.filterwarnings("ignore:.*created but never used")
def test_clocks_per_bit_are_checked():
    with pytest.raises(ParameterError) as error:
        UartReceiver(3)
    assert str(error.value) == "clocks_per_bit must be an integer from 4 to 65535, not 3"
    with pytest.raises(ParameterError) as error:
        UartTransmitter(1)
    assert str(error.value) == "clocks_per_bit must be an integer from 2 to 65535, not 1"
    del error  # and with it the component that was not made
    gc.collect()
