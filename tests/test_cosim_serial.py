# SPDX-License-Identifier: Apache-2.0
"""The simulated device on its line: bits, rates, resets; and hundreds of faults on the way."""

import dataclasses
import json
from fractions import Fraction

import numpy as np
import pytest

from cosim import device, serial, serial_faults, simulators
from cosim.faulty_port import KINDS, FaultyPort
from cosim.serial import BITS, CLOCKS_PER_BIT, Line, SimulatedPort, levels
from fpga import packet, shift_host
from fpga.protocol import Operation
from fpga.session import NoAnswerError, Session
from fpga.target import Target

SYNC = packet.request(7, Operation.SYNC)
SYNCED = packet.frame(b"\x07\x00\x00")
SILENCE = 2000


@pytest.fixture(scope="module")
def library():
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    return serial.build(serial_faults.device())


@pytest.fixture
def line(library):
    with Line(library) as opened:
        yield opened


def test_levels_of_a_byte():
    assert levels(b"\x01\x80").tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 1] + [0] * 8 + [1, 1]


def test_bytes_come_out_bit_by_bit(line):
    line.send(levels(SYNC))
    assert line.run(silence=SILENCE) == SYNCED
    duration = (len(SYNC) + len(SYNCED)) * BITS * CLOCKS_PER_BIT
    assert duration < line.cycles < duration + 200


def test_a_shift_in_every_direction(line):
    target = Target(Session(SimulatedPort(line)))
    assert shift_host.selftest(target, seed=1) == []
    assert target.session.retries == target.session.restarts == 0


# A bit may be off by less than half when the ninth of them is sampled, and what the receiver's own
# clock adds: the device must bear 2 %, and cannot 12 %.
@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_a_rate_that_is_nearly_right(line, factor):
    line.send(levels(SYNC), clocks_per_bit=factor * CLOCKS_PER_BIT)
    assert line.run(silence=SILENCE) == SYNCED


@pytest.mark.parametrize("factor", [0.5, 0.88, 1.12, 2])
def test_a_wrong_rate_is_no_request(line, factor):
    line.send(levels(SYNC), clocks_per_bit=factor * CLOCKS_PER_BIT)
    assert line.run(silence=SILENCE) == b""


def test_every_flipped_bit_of_a_request_is_noticed(line):
    for bit in range(BITS, len(levels(SYNC))):
        damaged = levels(SYNC)
        damaged[bit] ^= 1
        line.send(damaged)
        found = line.run(silence=SILENCE)
        # A stop bit taken for another start bit may leave the frame whole.
        assert found == b"" or (bit >= len(damaged) - 1 and found == SYNCED)
        line.send(levels(SYNC))
        assert line.run(silence=SILENCE) == SYNCED


def test_a_reset_is_forgotten_and_noticed(line):
    session = Session(SimulatedPort(line))
    target = Target(session)
    line.reset()
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    shift_host.shift(target, pixels, shift_host.Direction.UP)
    assert session.restarts == 1


def test_a_host_with_another_rate_gets_no_answer(library):
    message = "asked 2 times to begin$"
    slow = Line(library, clocks_per_bit=2 * CLOCKS_PER_BIT)
    with slow, pytest.raises(NoAnswerError, match=message):
        Session(SimulatedPort(slow), attempts=2)


def test_hundreds_of_faults_and_no_wrong_answer(line):
    outcome = serial_faults.run(line, faults=400, seed=1)
    assert outcome.wrong == []
    assert all(outcome.faults[kind] > 0 for kind in KINDS)
    assert sum(outcome.faults.values()) >= 400
    assert outcome.results > 100
    assert outcome.restarts > 0
    assert outcome.unplugged > 0


def test_the_same_seed_gives_the_same_outcome(library):
    outcomes = []
    for _ in range(2):
        with Line(library) as opened:
            outcomes.append(serial_faults.run(opened, faults=60, seed=5))
    assert outcomes[0] == outcomes[1]


def test_no_fault_without_a_rate(line):
    port = FaultyPort(line, np.random.default_rng(1), rate=0)
    assert shift_host.selftest(Target(Session(port)), seed=1) == []
    assert port.counts.total() == 0


def test_faults_show_when_the_host_checks_no_crc(line, monkeypatch):
    monkeypatch.setattr(packet, "unframe", lambda received: _unchecked(received))
    assert serial_faults.run(line, faults=600, seed=1).wrong


def _unchecked(received):
    try:
        return bytes(packet.cobs.decode(received))[:-4]
    except packet.cobs.DecodeError:
        raise packet.PacketError("no COBS") from None


def test_faults_show_when_the_host_takes_answers_of_any_sequence(line, monkeypatch):
    request, answer, asked = packet.request, packet.answer, []

    def remembered(sequence, *rest):
        asked[:] = [sequence]
        return request(sequence, *rest)

    monkeypatch.setattr(packet, "request", remembered)
    monkeypatch.setattr(
        packet, "answer", lambda got: dataclasses.replace(answer(got), sequence=asked[0])
    )
    assert serial_faults.run(line, faults=400, seed=1).wrong


def test_faults_show_when_the_device_checks_no_crc():
    faulty = serial_faults.device().with_fault("unchecked", "== 32'd3736805603", ">= 32'd0")
    with Line(serial.build(faulty)) as opened:
        assert serial_faults.run(opened, faults=600, seed=1).wrong


def test_the_command(library, monkeypatch, capsys):
    monkeypatch.setattr(serial, "build", lambda block, **_: library)
    assert serial_faults.main(["--faults", "50", "--seed", "3"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert sum(outcome["faults"].values()) >= 50
    assert outcome["wrong"] == []
    assert Fraction(outcome["retries"], outcome["requests"]) < 1
    with pytest.raises(SystemExit, match="2"):
        serial_faults.main(["--faults", "0"])
    wanted = "argument --faults: faults must be an integer from 1 to 1000000000, not 0"
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--net", "psp_64_4"], "--net must come with --design accelerator, not shift"),
        *(
            (["--design", "accelerator", f"--{name}", "4"],
             f"--{name} must come with --design shift, not accelerator")
            for name in ("height", "width", "bits")
        ),
    ],
)  # fmt: skip
def test_options_of_another_design_are_refused(arguments, told, capsys):
    with pytest.raises(SystemExit, match="^2$"):
        device.main(arguments)
    assert capsys.readouterr().err == f"python -m cosim.device: error: {told}\n"
