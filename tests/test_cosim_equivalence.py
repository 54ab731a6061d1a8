# SPDX-License-Identifier: Apache-2.0
"""The netlist equals the RTL, and a single wrong LUT bit is noticed."""

import json
from pathlib import Path

import pytest

from cosim import equivalence, equivalence_start
from fpga import yosys
from hw.params import ShiftParams

PARAMS = ShiftParams(height=16, width=16, bits=8)
RESULTS = Path(__file__).parent.parent / "docs/results/equivalence.json"


def test_netlist_equals_rtl():
    found = equivalence.prove(PARAMS)
    assert found.holds
    assert found.pairs == 23  # 13 flip-flops, ready, done, 8 data outputs


def test_a_flipped_bit_is_noticed():
    found = equivalence.prove(PARAMS, fault="mem_wdata[3]")
    assert not found.holds
    assert found.proven == found.pairs - 1


def test_flip_changes_one_bit_of_the_named_lut():
    text = "LUT2 #(\n .INIT(4'h8)\n) a (\n .O(x)\n);\nLUT1 #(.INIT(2'd1)) b (.O(y));"
    assert equivalence.flip(text, "x") == text.replace("4'h8", "4'h9")
    assert equivalence.flip(text, "y") == text.replace("2'd1", "2'h0")
    with pytest.raises(ValueError, match="not enough values"):
        equivalence.flip(text, "z")


BLOCK = {block.name: block for block in equivalence_start.BLOCKS}
NAMES = "; ".join([*(f"shift module, {shape.name}" for shape in equivalence.SHAPES), *BLOCK])


@pytest.mark.parametrize(
    "name",
    [
        "drivers, 3 rows",
        pytest.param("requantisation, table of 4 bits", marks=pytest.mark.slow),
    ],
)
def test_blocks_whose_flip_flops_have_no_pairs_are_proven_equal(name):
    found = equivalence_start.prove(BLOCK[name])
    assert found.proven
    assert found.registers > 50
    assert not equivalence_start.prove(BLOCK[name], broken=True).proven


@pytest.mark.slow  # minutes: all blocks, and each with its fault
def test_the_command_finds_what_is_stored(tmp_path):
    file = tmp_path / "equivalence.json"
    assert equivalence.main(["--json", str(file)]) == 0
    assert json.loads(file.read_text()) == json.loads(RESULTS.read_text())


@pytest.fixture
def proven(monkeypatch):
    """Names of what the command proves; each holds at once, unless it is faulty."""
    names = []

    def shape(params, *, fault=None):
        names.append(params.name)
        return equivalence.Equivalence(2, 1 if fault else 2)

    def block(each, *, broken=False):
        names.append(each.name)
        return equivalence_start.Equality(2, proven=not broken)

    monkeypatch.setattr(equivalence, "prove", shape)
    monkeypatch.setattr(equivalence_start, "prove", block)
    return names


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ([], [*(shape.name for shape in equivalence.SHAPES), *BLOCK]),
        (["--only", "shift module, 7*"], ["7x14x8"]),
        (["--only", "tile*"], [name for name in BLOCK if name.startswith("tile")]),
        (["--only", "*16*"], ["16x16x8", "drivers, 16 rows, 8 bits"]),
    ],
)
def test_only_what_is_chosen_is_proven_each_with_its_fault(proven, capsys, only, names):
    assert equivalence.main(only) == 0
    assert proven == [name for name in names for _ in range(2)]
    assert capsys.readouterr().out.count("netlist = RTL") == len(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "tiles"], f"--only must match one of {NAMES}: not 'tiles' (see --help)"),
        (["--json", "README.md/x.json"], "README.md/x.json must be writable: Not a directory"),
        (["--json", "docs"], "docs must be writable: Is a directory"),
        (["--only", "tile*", "--json", "x.json"],
         "--json must come without --only: what it writes is of all netlists (see --help)"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_2(proven, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(Path(__file__).parent.parent)
    with pytest.raises(SystemExit, match="^2$"):
        equivalence.main(arguments)
    assert capsys.readouterr().err == f"{equivalence.PROGRAM}: error: {message}\n"
    assert not proven


COUNTER = """
module design(input clk, rst, step, output hit);
  reg [3:0] count = {first};
  always @(posedge clk) if (rst) count <= 0; else if (step && !(hit && {stays})) count <= count + 1;
  assign hit = {hit};
endmodule
"""
GRAY = """
module design(input clk, rst, step, output hit);
  reg [3:0] count = 0, gray = 0;
  wire [3:0] next = count + 1;
  always @(posedge clk)
    if (rst) {count, gray} <= 0;
    else if (step) begin count <= next; gray <= next ^ next >> 1; end
  assign hit = gray == 4'b1010;  // 12
endmodule
"""


def counter(hit="count == 12", first="0", stays="0"):
    return COUNTER.format(hit=hit, first=first, stays=stays)


def compared(tmp_path, rtl, netlist):
    (tmp_path / "rtl.v").write_text(rtl)
    (tmp_path / "netlist.v").write_text(netlist)
    return equivalence_start.compare(tmp_path, equivalence.CELLS)


def test_other_registers_may_hold_the_same(tmp_path):
    assert compared(tmp_path, counter(), GRAY) == equivalence_start.Equality(12, proven=True)


@pytest.mark.parametrize(
    "other",
    [
        counter(hit="0"),  # differs after 12 cycles, first
        counter(stays="1"),
        counter(first="15"),  # the initial value, until reset
        counter(hit="count == 12 || rst"),
    ],
)
def test_a_difference_that_comes_late_or_once_is_none_that_is_proven_away(tmp_path, other):
    assert not compared(tmp_path, counter(), other).proven


def test_memories_are_compared_word_by_word(tmp_path):
    text = """
    module design(input clk, write, input [1:0] at, input [2:0] data, output reg [2:0] read);
      reg [2:0] words [0:3];
      initial begin words[0] = 0; words[1] = 1; words[2] = 2; words[3] = 3; end
      always @(posedge clk) begin read <= words[at]; if (write) words[at] <= data; end
    endmodule
    """
    assert compared(tmp_path, text, text).proven
    assert not compared(tmp_path, text, text.replace("words[3] = 3", "words[3] = 2")).proven


def test_a_miter_has_one_output():
    message = "a miter must have one output, not b'aig 2 2 0 2 0'"
    with pytest.raises(yosys.YosysError, match=message):
        equivalence_start._output(b"aig 2 2 0 2 0\n2\n4\n")
    assert equivalence_start._output(b"aig 3 2 1 1 0\n2\n4\n") == b"4"


def test_what_is_stored_is_proven_and_noticed():
    stored = json.loads(RESULTS.read_text())
    assert [each["block"] for each in stored["from the start"]] == list(BLOCK)
    assert all(each["proven"] and not each["control"] for each in stored["from the start"])
    assert all(each["control"] < each["proven"] == each["pairs"] for each in stored["paired"])
