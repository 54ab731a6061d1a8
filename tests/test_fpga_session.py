# SPDX-License-Identifier: Apache-2.0
"""Stop and wait: what is asked again, what is dropped, when a piece of work begins anew."""

import re

import pytest
from fake_device import FakeDevice, ScriptedPort, answer, requests
from hypothesis import given, settings
from hypothesis import strategies as st

from fpga.packet import MAX_FRAME
from fpga.protocol import Operation, Status
from fpga.session import (
    ATTEMPTS,
    CutError,
    ForgottenError,
    LinkError,
    NoAnswerError,
    RefusedError,
    Session,
)


def session(*script, **options):
    port = ScriptedPort(answer, *script)
    return Session(port, sequence=6, **options), port


def sent(port):
    """Sequence and operation of what was sent after the first SYNC."""
    return [requests(each)[0][:2] for each in port.sent[1:]]


def test_it_begins_with_sync_and_its_sequence_may_be_given():
    _, port = session()
    assert [requests(each)[0] for each in port.sent] == [(7, Operation.SYNC, b"")]


def test_without_one_the_first_sequence_is_random():
    ports = [ScriptedPort(answer) for _ in range(8)]
    for port in ports:
        Session(port)
    assert len({requests(port.sent[0])[0][0] for port in ports}) > 1


def test_a_lost_answer_is_asked_for_again_with_the_same_sequence():
    talk, port = session(b"", b"", lambda s: answer(s, data=b"ab"))
    assert talk.read(2, 0, 2) == b"ab"
    assert sent(port) == [(8, Operation.READ)] * 3
    assert (talk.requests, talk.retries, talk.restarts) == (2, 2, 0)


def test_the_sequence_wraps():
    port = ScriptedPort(answer, answer, answer)
    talk = Session(port, sequence=0xFFFD)
    talk.run(0)
    talk.run(0)
    assert [requests(each)[0][0] for each in port.sent] == [0xFFFE, 0xFFFF, 0]


@pytest.mark.parametrize(
    "before",
    [
        lambda s: answer(s - 1, data=b"xy"),
        lambda s: answer(s + 1, data=b"xy"),
        lambda s: answer(s, data=b"x"),
        lambda s: answer(s, data=b"xyz"),
        lambda s: answer(s, Status.BUSY, b"xy"),
        lambda s: answer(s, Status.SEQUENCE, b""),
        lambda s: answer(s, data=b"xy")[:-2] + b"\0",
        lambda s: b"\xff" * (MAX_FRAME + 1) + b"\0",
        lambda s: bytes(300),
    ],
)
def test_what_is_no_answer_to_the_request_is_dropped(before):
    talk, port = session(lambda s: before(s) + answer(s, data=b"ab"))
    assert talk.read(2, 0, 2) == b"ab"
    assert talk.retries == 0
    talk, port = session(before, lambda s: answer(s, data=b"ab"))
    assert talk.read(2, 0, 2) == b"ab"
    assert sent(port) == [(8, Operation.READ)] * 2


def test_what_has_begun_before_a_silence_is_dropped():
    whole = lambda s: answer(s, data=b"ab")  # noqa: E731
    talk, _ = session(lambda s: whole(s)[:5], whole)
    assert talk.read(2, 0, 2) == b"ab"
    assert talk.retries == 1


def test_it_gives_up():
    talk, port = session()
    with pytest.raises(NoAnswerError) as caught:
        talk.read(2, 5, 3)
    assert str(caught.value) == (
        f"the device does not answer: asked {ATTEMPTS} times to read 3 bytes at 5 of region 2"
    )
    assert len(sent(port)) == ATTEMPTS


class Noisy(ScriptedPort):
    """Never silent."""

    @property
    def in_waiting(self):
        return 1 << 20

    def read(self, size=1):
        return super().read(size) or b"\x55" * min(size, 50)


def test_noise_without_an_end_is_given_up():
    port = Noisy(answer)
    talk = Session(port, attempts=2)
    with pytest.raises(NoAnswerError, match="asked 2 times to run with argument 3$"):
        talk.run(3)


def test_a_port_that_is_gone_is_said():
    def gone(sequence):
        raise OSError(5, "Input/output error")

    talk, port = session(gone)
    with pytest.raises(CutError, match=r"^the line is cut: \[Errno 5\] Input/output error$"):
        talk.run(0)
    assert len(sent(port)) == 1


@pytest.mark.parametrize("status", [Status.OPERATION, Status.RANGE, Status.BUSY])
def test_a_refusal_says_what_was_refused(status):
    talk, _ = session(lambda s: answer(s, status))
    with pytest.raises(RefusedError) as caught:
        talk.write(2, 16, b"abc")
    assert str(caught.value) == (
        f"the device refuses to write 3 bytes at 16 of region 2: {status.name}"
    )
    assert caught.value.status is status


def test_what_the_device_has_forgotten_is_done_again_from_the_start():
    forgotten = lambda s: answer(s, Status.SEQUENCE, b"\1\0")  # noqa: E731
    talk, port = session(answer, forgotten, answer, answer, answer)
    steps = []

    def piece():
        for step in ("write", "run"):
            steps.append(step)
            talk.write(2, 0, b"a") if step == "write" else talk.run(1)
        return len(steps)

    assert talk.work(piece) == 4
    assert steps == ["write", "run"] * 2
    # SYNC goes on, so that no sequence is used twice.
    assert sent(port) == [
        (8, Operation.WRITE), (9, Operation.RUN), (10, Operation.SYNC), (11, Operation.WRITE),
        (12, Operation.RUN),
    ]  # fmt: skip
    assert talk.restarts == 1


def test_a_device_that_forgets_every_time_is_given_up():
    def forgets(sequence):
        [(_, operation, _)] = requests(port.sent[-1])
        return answer(sequence) if operation == Operation.SYNC else answer(
            sequence, Status.SEQUENCE, b"\1\0"
        )  # fmt: skip

    port = ScriptedPort(*[forgets] * 20)
    talk = Session(port, repeats=3)
    message = "the device forgets again and again: given up after 3 times"
    with pytest.raises(LinkError, match=f"^{re.escape(message)}$"):
        talk.work(lambda: talk.run(0))
    with pytest.raises(ForgottenError, match="^the device must know the requests before this one$"):
        talk.run(0)


def test_looking_on_goes_on_from_the_session_before():
    expects = lambda s: answer(s, Status.SEQUENCE, b"\x2a\1")  # noqa: E731
    one = lambda s: answer(s, data=b"x")  # noqa: E731
    port = ScriptedPort(expects, one, one)
    talk = Session(port, sequence=6, look=True)
    assert talk.read(1, 0, 1) == b"x"
    asked = [requests(each)[0][:2] for each in port.sent]
    assert asked == [(7, Operation.READ), (0x12A, Operation.READ), (0x12B, Operation.READ)]


def test_looking_on_begins_with_sync_after_a_reset():
    expects = lambda s: answer(s, Status.SEQUENCE, b"\0\0")  # noqa: E731
    port = ScriptedPort(expects, expects, answer)
    Session(port, sequence=6, look=True)
    asked = [requests(each)[0][:2] for each in port.sent]
    assert asked == [(7, Operation.READ), (0, Operation.READ), (7, Operation.SYNC)]


@pytest.mark.parametrize(
    ("word_bytes", "sizes"), [(1, [256, 256, 88]), (8, [256, 256, 88]), (20, [240, 240, 120])]
)
def test_long_accesses_go_in_pieces_of_whole_words(word_bytes, sizes):
    memory = bytes(range(200)) * 3
    written = []
    device = FakeDevice(
        b"",
        read=lambda region, address, count: memory[address : address + count],
        write=lambda *access: written.append(access),
        run=None,
    )
    talk = Session(device)
    assert talk.read(3, 0, 600, word_bytes=word_bytes) == memory
    assert talk.requests == 1 + len(sizes)
    progress = []
    talk.write(4, 1200, memory, word_bytes=word_bytes, advance=progress.append)
    assert progress == sizes
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    assert written == [
        (4, 1200 + first, memory[first : first + size])
        for first, size in zip(starts, sizes, strict=True)
    ]
    with pytest.raises(LinkError, match="^a word of a region must have 1 to 256 bytes, not 257$"):
        talk.read(3, 0, 257, word_bytes=257)


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=400),
            st.tuples(st.sampled_from(Status), st.integers(-2, 2), st.binary(max_size=3)),
        ),
        max_size=12,
    )
)
def test_no_script_makes_it_take_a_wrong_answer(script):
    def reply(entry):
        if isinstance(entry, bytes):
            return entry
        status, ahead, data = entry
        return lambda s: answer(s + ahead, status, data)

    right = [each for each in script if isinstance(each, tuple) and each[:2] == (Status.OK, 0)]
    talk, _ = session(*map(reply, script))
    try:
        found = talk.read(2, 0, 2)
    except LinkError:
        return
    assert found in [data for _, _, data in right]
