# SPDX-License-Identifier: Apache-2.0
"""Faults seeded into the link: each breaks a test of the protocol that is named here."""

import importlib.util
import inspect
from importlib.abc import SourceLoader

import pytest
import test_fpga_link as tests
import test_fpga_link_damage as damage

import fpga.cobs
import fpga.crc
import fpga.device
import fpga.link
import fpga.link_receive
import fpga.registers

# What is replaced, where it is used, the fault, the test that must fail.
FAULTS = [
    (fpga.crc.SerialCrc, fpga.link_receive, ("(rest == _RESIDUE)", "(1)"),
     damage.test_a_frame_with_one_wrong_bit_is_dropped),
    (fpga.cobs.CobsDecoder, fpga.link_receive, ("spoilt.eq(1)", "spoilt.eq(0)"),
     damage.test_a_wrong_stop_bit_spoils_the_frame),
    (fpga.link_receive.RequestReceiver, fpga.link, ("_SHORTEST = 3", "_SHORTEST = 0"),
     damage.test_short_packets_are_dropped),
    (fpga.link_receive.RequestReceiver, fpga.link, ("too_long.eq(1)", "too_long.eq(0)"),
     lambda: damage.test_long_packets_are_dropped(257)),
    (fpga.link_receive.RequestReceiver, fpga.link, ("late.eq(1)", "late.eq(0)"),
     damage.test_a_frame_that_comes_too_early_is_dropped_whole),
    (fpga.link.Link, fpga.device, ("& new))", "))"), tests.test_repeated_requests_do_nothing_twice),
    (fpga.link.Link, fpga.device, ("& new):", "):"), tests.test_repeated_requests_do_nothing_twice),
    (fpga.link.Link, fpga.device, ("is_run & new)", "is_run)"),
     tests.test_repeated_requests_do_nothing_twice),
    (fpga.link.Link, fpga.device, ("Mux(is_read, found, kept)", "found"),
     tests.test_a_run_is_counted_and_keeps_others_out),
    (fpga.link.Link, fpga.device, ("synced = Signal()", "synced = Signal(init=1)"),
     tests.test_after_a_reset_all_but_sync_is_refused),
    (fpga.link.Link, fpga.device, ("synced & (request.sequence == following)", "synced"),
     tests.test_only_the_next_or_the_last_sequence_is_taken),
    (fpga.link.Link, fpga.device, ("request.region <= REGISTERS", "request.region <= 15"),
     tests.test_a_run_is_counted_and_keeps_others_out),
    (fpga.link.Link, fpga.device, ("(end > limit)", "(end > limit + 1)"), tests.test_out_of_range),
    (fpga.link.Link, fpga.device, ("| beyond", ""), tests.test_out_of_range),
    (fpga.link.Link, fpga.device, ("| wrong_count", ""), tests.test_out_of_range),
    (fpga.link.Link, fpga.device, ("is_write & writable", "is_write"),
     tests.test_not_what_the_region_allows),
    (fpga.link.Link, fpga.device, ("| misaligned", ""), tests.test_parts_of_words),
    (fpga.link.Link, fpga.device, ("phase == more_bytes, 0", "phase == more_bytes, 1"),
     tests.test_whole_words_and_whole_beats),
    (fpga.link.Link, fpga.device, ("request.region < self._arguments", "1"),
     tests.test_no_operation_and_wrong_lengths),
    (fpga.registers.Registers, fpga.device, ("% REGISTER_BYTES == 0", "% REGISTER_BYTES == 1"),
     tests.test_a_run_is_counted_and_keeps_others_out),
]  # fmt: skip


class _Edited(SourceLoader):
    """Loads a module with one piece of its text replaced."""

    def __init__(self, module, old, new):
        text = inspect.getsource(module)
        assert old in text
        self._text = text.replace(old, new)

    def get_filename(self, fullname):
        return f"{fullname} with a fault"

    def get_data(self, path):
        return self._text.encode()


def with_fault(cls, fault):
    """Return a class as it is defined in its module with the fault."""
    loader = _Edited(inspect.getmodule(cls), *fault)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("faulty", loader))
    loader.exec_module(module)
    return getattr(module, cls.__name__)


@pytest.mark.parametrize(
    ("cls", "user", "fault", "test"), FAULTS, ids=[f"{f[0].__name__}: {f[2][0]}" for f in FAULTS]
)
def test_the_fault_is_caught(monkeypatch, cls, user, fault, test):
    monkeypatch.setattr(user, cls.__name__, with_fault(cls, fault))
    with pytest.raises(AssertionError):
        test()
