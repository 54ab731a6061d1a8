# SPDX-License-Identifier: Apache-2.0
"""The mutation check tells a fault that nobody can see from one that a test must catch."""

import json

import pytest

from cosim import fast
from cosim.design import emit_block
from hw.params import ShiftParams
from hw.shift import ShiftModule
from scripts import mutate, mutate_accelerator, mutate_shift

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


VERDICTS = [
    mutate.Verdict("d", "b", "f", "caught", "maps"),
    mutate.Verdict("d", "b", "g", "caught", "cycles"),
    mutate.Verdict("d", "b", "h", "missed", ""),
    mutate.Verdict("d", "c", "i", "equivalent", ""),
    mutate.Verdict("d", "c", "j", "open", ""),
]


def test_a_table_of_verdicts():
    assert mutate.table(VERDICTS).splitlines()[2:] == [
        "| d | b | 3 | maps 1, cycles 1 | 0 | 0 | 1 |",
        "| d | c | 2 |  | 1 | 1 | 0 |",
    ]


@pytest.mark.parametrize(("verdicts", "code"), [(VERDICTS, 1), (VERDICTS[:2], 0)])
def test_a_missed_fault_fails(monkeypatch, capsys, verdicts, code):
    monkeypatch.setattr(mutate_shift, "check", lambda **_: verdicts)
    assert mutate.main(["--design", "shift", "--json"]) == code
    assert [each["fault"] for each in json.loads(capsys.readouterr().out)] == [
        verdict.fault for verdict in verdicts
    ]


@pytest.mark.slow  # builds an accelerator
def test_faults_of_the_accelerator_are_noticed_and_none_where_none_is():
    _, cases = next(iter(mutate_accelerator.DESIGNS.items()))
    networks = cases()
    block, faults = mutate_accelerator.mutated(networks[0].image.params, 1)
    assert [name for name, _ in faults] == list(mutate_accelerator.BLOCKS)
    library = fast.build(block)
    assert mutate_accelerator.judge(library, networks[:1], 0) == ""
    caught = [
        mutate_accelerator.judge(library, networks[:1], 1 + number)
        for number, (name, _) in enumerate(faults)
        if name in ("sequencer", "feed", "writer")
    ]
    assert all(caught)


@pytest.mark.slow  # minutes: two accelerators, 126 faults
def test_the_accelerators_faults():
    verdicts = mutate_accelerator.check()
    assert len(verdicts) == 126
    assert sum(verdict.outcome == "caught" for verdict in verdicts) >= 109


@pytest.mark.slow  # a minute: builds and runs 42 faulty modules
def test_every_visible_fault_is_caught():
    verdicts = mutate_shift.check(count=21)
    assert len(verdicts) == 42
    assert [v for v in verdicts if v.outcome == "missed"] == []
    assert sum(v.outcome == "caught" for v in verdicts) >= 20
