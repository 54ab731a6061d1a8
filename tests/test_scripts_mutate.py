# SPDX-License-Identifier: Apache-2.0
"""The mutation check tells a fault that nobody can see from one that a test must catch."""

import pytest

from cosim.design import emit_block
from hw.params import ShiftParams
from hw.shift import ShiftModule
from scripts import mutate_shift

PARAMS = ShiftParams(height=6, width=4, bits=2)


def mutant(old="", new=""):
    text = emit_block(ShiftModule(params=PARAMS), "mutant").text
    assert old in text
    return mutate_shift.Mutant("mutant", PARAMS, "by hand", text.replace(old, new, 1))


def test_the_sound_module_is_equivalent_to_itself():
    assert mutate_shift.equivalent(mutant())


def test_a_change_that_cannot_be_seen_is_equivalent():
    # After the last pixel the walk is loaded again, so stepping then as well changes nothing.
    assert mutate_shift.equivalent(mutant(".step(mem_we)", ".step(mem_we & ~done)"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("assign stop = ready &", "assign stop = done &"),
        ("assign last = ", "assign last = column_end; wire unused = "),
        ("boundary ? 2'h0 : mem_rdata", "mem_rdata"),
    ],
)
def test_a_visible_change_is_not_equivalent(old, new):
    assert not mutate_shift.equivalent(mutant(old, new))


def test_yosys_lists_the_same_faults_each_time():
    first, second = (mutate_shift.mutants(PARAMS, 3) for _ in range(2))
    assert first == second
    assert len({each.fault for each in first}) == 3


@pytest.mark.slow  # a minute: builds and runs 42 faulty modules
def test_every_visible_fault_is_caught():
    verdicts = mutate_shift.check(count=21)
    assert len(verdicts) == 42
    assert [v for v in verdicts if v.outcome == "missed"] == []
    assert sum(v.outcome == "caught" for v in verdicts) >= 20
