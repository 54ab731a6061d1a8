# SPDX-License-Identifier: Apache-2.0
"""The mutation check tells a fault that nobody can see from one that a test must catch."""

import json

import pytest

from cosim import fast
from cosim.design import emit_block
from cosim.small_accelerator import small_accelerator
from hw.params import ShiftParams
from hw.sequencer import entry_layout
from hw.shift import ShiftModule
from scripts import mutate, mutate_accelerator, mutate_invisible, mutate_networks, mutate_shift
from scripts.rtl_faults import Fault, list_faults
from scripts.tables import VERIFICATION
from scripts.verdicts import Verdict

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
    Verdict("d", "b", "f", "caught", "maps"),
    Verdict("d", "b", "g", "caught", "cycles"),
    Verdict("d", "b", "h", "missed", ""),
    Verdict("d", "c", "i", "invisible", "SAT, any state"),
]


def test_a_table_of_verdicts():
    assert mutate.table(VERDICTS).splitlines()[2:] == [
        "| d | b | 3 | maps 1, cycles 1 | 0 | 1 |",
        "| d | c | 1 |  | 1 | 0 |",
    ]
    assert mutate.listing(VERDICTS).splitlines()[4:] == [
        "| d | b | `h` | missed |  |",
        "| d | c | `i` | invisible | SAT, any state |",
    ]


def test_a_fault_for_people():
    command = (
        r"mutate -mode cnot1 -module m -cell $flatten\tile.$add$sound.v:42$50 -port A -portbit 22"
    )
    fault = Fault("tile", f"{command} -ctrlbit 34")
    assert fault.cell == r"$flatten\tile.$add$sound.v:42$50"
    assert fault.text == "cnot1 by bit 34, A[22] of tile.$add$50"
    assert Fault("tile", command.replace("cnot1", "inv")).text == ("inv, A[22] of tile.$add$50")


@pytest.mark.parametrize(("verdicts", "code"), [(VERDICTS, 1), (VERDICTS[:2], 0)])
def test_a_missed_fault_fails(monkeypatch, capsys, verdicts, code):
    monkeypatch.setattr(mutate_shift, "check", lambda **_: verdicts)
    assert mutate.main(["--design", "shift", "--json"]) == code
    assert [each["fault"] for each in json.loads(capsys.readouterr().out)] == [
        verdict.fault for verdict in verdicts
    ]


def test_an_update_keeps_what_is_stored_of_other_designs(monkeypatch, tmp_path):
    document, results = tmp_path / "d.md", tmp_path / "r.json"
    marks = [f"<!-- {name} -->\n<!-- /{name} -->\n" for name in ("mutants", "faults")]
    document.write_text("".join(marks))
    monkeypatch.setattr(mutate, "VERIFICATION", document)
    monkeypatch.setattr(mutate, "RESULTS", results)
    other = Verdict("e", "b", "f", "caught", "maps")
    mutate.update([*VERDICTS[:2], other])
    mutate.update(VERDICTS[2:])
    assert mutate.stored() == [*VERDICTS[2:], other]
    assert mutate.table([*VERDICTS[2:], other]) in document.read_text()
    stored = results.read_bytes()
    mutate.update([other])
    assert results.read_bytes() == stored


def test_docs_say_what_is_stored():
    verdicts = mutate.stored()
    text = VERIFICATION.read_text(encoding="utf-8")
    assert f"<!-- mutants -->\n{mutate.table(verdicts)}\n<!-- /mutants -->" in text
    assert f"<!-- faults -->\n{mutate.listing(verdicts)}\n<!-- /faults -->" in text
    caught = [v for v in verdicts if v.outcome == "caught"]
    blocks = {"tile", "requant", "sequencer", "fetch"}  # the readers are in fetch
    assert blocks <= {verdict.block for verdict in caught}
    assert len([verdict for verdict in caught if verdict.block in blocks]) >= 30


NETLIST = r"""
module \mutated
  wire width 4 input 1 \a
  wire width 4 output 2 \y
  wire \low
  wire \sequencer.entry
  cell $lt \compare
    parameter \A_SIGNED 1
    parameter \B_SIGNED 1
    parameter \A_WIDTH 4
    parameter \B_WIDTH 4
    parameter \Y_WIDTH 1
    connect \A \a
    connect \B 4'1100
    connect \Y \low
  end
  cell $mux \choose
    parameter \WIDTH 4
    connect \A \a
    connect \B 4'1100
    connect \S \low
    connect \Y \y
  end
end
"""


def test_a_bit_below_the_threshold_is_proven_invisible_and_one_of_the_threshold_is_not():
    # No a is below -4 by its two lowest bits alone.
    command = "mutate -mode const1 -module mutated -cell compare -port A -portbit"
    unseen, seen = (Fault("b", f"{command} {bit}") for bit in (1, 2))
    proven = mutate_invisible.prove(NETLIST, [unseen, seen])
    assert proven == {unseen: "SAT, any state"}


def test_what_a_fault_does_to_a_register_that_is_held_counts():
    params = small_accelerator(ShiftParams(height=2, width=2, bits=6))
    entry, group = entry_layout(params).size, params.group_bits
    netlist = rf"""
module \mutated
  wire input 1 \clk
  wire width {entry} \sequencer.entry
  wire width {group} \sequencer.group
  wire width {group} \next
  cell $not \count
    parameter \A_SIGNED 0
    parameter \A_WIDTH {group}
    parameter \Y_WIDTH {group}
    connect \A \sequencer.group
    connect \Y \next
  end
  cell $dff \register
    parameter \CLK_POLARITY 1
    parameter \WIDTH {group}
    connect \CLK \clk
    connect \D \next
    connect \Q \sequencer.group
  end
end
"""
    fault = Fault("b", "mutate -mode inv -module mutated -cell count -port Y -portbit 0")
    assert mutate_invisible.prove(netlist, [fault], params) == {}


def test_clocks_have_no_faults(tmp_path):
    text = "module m(input c, input d, output reg q); always @(posedge c) q <= d; endmodule"
    (tmp_path / "m.v").write_text(text)
    faults = list_faults(["read_verilog m.v", "proc"], tmp_path, 100, {"all": "m/c:*"})
    assert faults
    assert not [fault for fault in faults if "CLK" in fault.text]


@pytest.mark.slow  # builds an accelerator
def test_faults_of_the_accelerator_are_noticed_or_invisible_and_none_where_none_is():
    _, cases = next(iter(mutate_networks.DESIGNS.items()))
    networks = cases()
    params = networks[0].image.params
    made = mutate_accelerator.mutated(params, 1)
    assert [fault.block for fault in made.faults] == list(mutate_accelerator.BLOCKS)
    library = fast.build(made.block)
    assert mutate_accelerator.judge(library, networks, 0) == ""
    unnoticed = [
        fault
        for number, fault in enumerate(made.faults, 1)
        if fault.block in ("sequencer", "feed", "writer")
        and not mutate_accelerator.judge(library, networks, number)
    ]
    assert len(unnoticed) <= 1
    assert list(mutate_invisible.prove(made.sound, unnoticed, params)) == unnoticed


@pytest.mark.slow  # minutes: three accelerators, 168 faults
def test_the_accelerators_verdicts_are_those_stored():
    found = mutate_accelerator.check()
    assert len(found) == 168
    for name in mutate_networks.DESIGNS:
        assert [v for v in found if v.design == name] == [
            v for v in mutate.stored() if v.design == name
        ]


@pytest.mark.slow  # minutes: builds and runs 80 faulty modules
def test_the_shift_modules_verdicts_are_those_stored():
    found = mutate_shift.check()
    assert len(found) == 80
    assert found == [v for v in mutate.stored() if v.design == "shift module"]
