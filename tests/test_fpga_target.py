# SPDX-License-Identifier: Apache-2.0
"""What a device says of itself, its runs, and the shift design as the host drives it."""

import json
import re

import numpy as np
import pytest
from fake_device import SHIFT, FakeDevice, info, shift_device

from fpga import shift_host
from fpga.protocol import Region
from fpga.session import LinkError, Session
from fpga.target import DeviceError, Info, Target
from hw import timing
from hw.params import Direction, ParameterError
from model import golden

RUN = timing.shift_cycles(SHIFT)


def target(**changes):
    device, memory = shift_device(**changes)
    return Target(Session(device)), device, memory


def test_what_a_device_is():
    found = target()[0].info
    assert (found.design, found.clock_hz) == ("shift", 100_000_000)
    assert found.parameters == {"height": 3, "width": 5, "bits": 6}
    assert found.regions["map"] == Region("map", 2, 21, 1, "rw")
    assert found.registers == ("busy", "cycles", "runs", "loaded")


RULE = "info must be as fpga/protocol.md says: "
GOOD = json.loads(info("shift", [("map", 2, 21, 1, "rw")], {"registers": ["layer"]})[4:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": 2}, "the device must speak protocol 1, not 2"),
        ({"protocol": None}, "the device must speak protocol 1, not None"),
        ({"design": 3}, RULE + "names must be text of at most 100 printable characters"),
        ({"design": "\x1b[31m"}, RULE + "names must be text of at most 100 printable characters"),
        ({"design": "x" * 101}, RULE + "names must be text of at most 100 printable characters"),
        (
            {"regions": [{"name": "a\n", "number": 2, "bytes": 1, "word_bytes": 1, "access": "r"}]},
            RULE + "names must be text of at most 100 printable characters",
        ),
        (
            {"regions": [{"x" * 999: 1}]},
            RULE + f"Region.__init__() got an unexpected keyword argument '{'x' * 146}",
        ),
        (
            {"clock_hz": "fast"},
            RULE + "clock_hz must be an integer from 1 to 1099511627776, not 'fast'",
        ),
        (
            {"regions": [{"name": "map", "number": 2, "bytes": 0, "word_bytes": 1, "access": "r"}]},
            RULE + "bytes must be an integer from 1 to 4294967296, not 0",
        ),
        (
            {"regions": [{"name": "map", "number": 2, "bytes": 1, "word_bytes": 1, "access": "x"}]},
            RULE + "access must be r, w or rw, not 'x'",
        ),
        (
            {"parameters": {"registers": [1]}},
            RULE + "names must be text of at most 100 printable characters",
        ),
    ],
)
def test_info_is_checked(change, message):
    assert Info.parse(json.dumps(GOOD).encode()).registers[-1] == "layer"
    with pytest.raises(DeviceError, match=f"^{re.escape(message)}$"):
        Info.parse(json.dumps(GOOD | change).encode())


@pytest.mark.parametrize("key", ["design", "clock_hz", "regions", "parameters"])
def test_info_must_be_whole(key):
    value = {name: each for name, each in GOOD.items() if name != key}
    with pytest.raises(DeviceError, match=f"^info must be as .*: '{key}' is missing$"):
        Info.parse(json.dumps(value).encode())


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"[1]", b"7", b"[" * 50_000, b'{"protocol": 1, "regions": 3}']
)
def test_info_may_be_anything(text):
    with pytest.raises(DeviceError):
        Info.parse(text)


@pytest.mark.parametrize("size", [0, 1 << 17])
def test_the_length_of_info_is_bounded(size):
    device = FakeDevice(size.to_bytes(4, "little"), read=None, write=None, run=None)
    with pytest.raises(DeviceError, match=f"^info must have 1 to 65536 bytes, not {size}$"):
        Target(Session(device))


def test_a_region_that_the_device_has_not():
    message = "the device must have a region maps, not only info, registers, map"
    with pytest.raises(DeviceError, match=f"^{message}$"):
        target()[0].read("maps", 0, 1)


@pytest.mark.parametrize("direction", Direction.moving(), ids=lambda d: d.name)
def test_a_shift(direction):
    talk, _, _ = target()
    pixels = shift_host.random_map(SHIFT, np.random.default_rng(1))
    assert pixels.max() > 1 << (SHIFT.bits - 1)
    found, cycles = shift_host.shift(talk, pixels, direction)
    assert np.array_equal(found, golden.shift_channel(pixels, direction))
    assert cycles == RUN


def test_a_device_that_forgets_between_write_and_run_gets_the_map_again():
    talk, device, memory = target()
    run, forgotten = device._run, []

    def forgetful(argument):
        if not forgotten:
            forgotten.append(argument)
            device.forget()
            memory[:] = bytes(len(memory))
        return run(argument)

    device._run = forgetful
    pixels = shift_host.random_map(SHIFT, np.random.default_rng(2))
    found, _ = shift_host.shift(talk, pixels, Direction.UP)
    assert np.array_equal(found, golden.shift_channel(pixels, Direction.UP))
    assert (forgotten, talk.session.restarts) == ([Direction.UP], 1)


def test_selftest_passes_and_says_what_differs():
    talk, device, memory = target()
    done = []
    assert shift_host.selftest(talk, seed=3, advance=lambda: done.append(1)) == []
    assert len(done) == 8
    run = device._run

    def wrong(argument):
        run(argument)
        if argument == Direction.LEFT_DOWN:
            memory[9] ^= 1  # row 1, column 1
        return RUN + (argument == Direction.UP)

    device._run = wrong
    cycles, pixel = shift_host.selftest(talk, seed=3)
    assert cycles == f"UP: cycles must be {RUN} as in hw.timing, not {RUN + 1}"
    assert re.fullmatch(
        r"LEFT_DOWN: 1 pixels differ from the golden shift; row 1, column 1 must be \d+, not \d+",
        pixel,
    )


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((5, 3), np.uint8), "a map must be uint8 [3, 5], not uint8 [5, 3]"),
        (np.zeros((3, 5), np.int64), "a map must be uint8 [3, 5], not int64 [3, 5]"),
        (np.full((3, 5), 64, np.uint8), "a pixel must be below 64, not 64"),
    ],
)
def test_a_map_must_fit(pixels, message):
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        shift_host.shift(target()[0], pixels, Direction.LEFT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bits": 9}, "a pixel must have at most 8 bits to be a byte, not 9"),
        (
            {"height": 1},
            "height must be an integer from 2 to 256, not 1",
        ),
    ],
)
def test_a_shape_must_be_possible(changes, message):
    with pytest.raises(DeviceError, match=f"{re.escape(message)}$"):
        shift_host.shift_params(target(**changes)[0])


def test_a_run_is_waited_for_and_bounded():
    talk, device, _ = target()
    counts = iter([3, 9, 15, 21])

    class Busy(dict):
        def values(self):
            self["cycles"] = next(counts, self["cycles"])
            return super().values()

    def begin(argument):
        device.registers = Busy(device.registers, busy=1)
        return 0

    device._run = begin
    with pytest.raises(DeviceError, match="^a run must end within 20 cycles, not go on after 21$"):
        talk.run(0, limit=20)
    message = "a run must go on or end, not stand still at cycle 0"
    with pytest.raises(DeviceError, match=f"^{message}$"):
        talk.run(0, limit=100)


def test_one_run_must_have_been_begun():
    talk, device, _ = target()
    run = device._run

    def twice(argument):
        device.registers["runs"] += 1
        return run(argument)

    device._run = twice
    with pytest.raises(LinkError, match="^one run must have been begun, not 2$"):
        talk.run(0, limit=RUN)
    device._run = run
    device.registers["runs"] = (1 << 32) - 1
    wraps = device._run

    def wrapped(argument):
        device.registers["runs"] = -1  # the fake adds 1
        return wraps(argument)

    device._run = wrapped
    assert talk.run(0, limit=RUN) == RUN
