# SPDX-License-Identifier: Apache-2.0
"""Coverage of the RTL: what is counted, what needs a reason, and that less is met by less."""

import dataclasses
import json
import re

import pytest

from cosim.design import Block
from scripts import rtl_coverage, rtl_coverage_designs
from scripts.rtl_constants import constants
from scripts.rtl_coverage import measure, read, report, table
from scripts.rtl_coverage_designs import DESIGNS, Measured

VERILOG = "module dut;\n  if (a) begin\n  if (\\$auto$x:dump_module$1 ) begin end\nend\n"


def record(page, name, count, line=1, module="dut"):
    fields = {"f": "dut.v", "l": line, "n": 1, "page": f"v_{page}/{module}", "o": name}
    text = "".join(f"\x01{key}\x02{value}" for key, value in fields.items())
    return f"C '{text}\x01h\x02bench.{module}' {count}\n"


def bit(name, rises, falls, module="dut"):
    edges = (("0->1", rises), ("1->0", falls))
    return "".join(record("toggle", f"{name}:{edge}", n, module=module) for edge, n in edges)


def reported(text, constant=(), reasons=()):
    return report(read(text, "dut"), "dut", VERILOG, constant, reasons)


def counts(constant, bits, moved, lines, run):
    return {"constant": constant, "bits": bits, "moved": moved, "lines": lines, "run": run}


def test_a_bit_must_rise_and_fall():
    result = reported(bit("a[0]", 3, 2) + bit("a[1]", 3, 0))
    assert result["blocks"] == {"dut": counts(0, 2, 1, 0, 0)}
    assert result["not moved, by reason"] == {"": ["dut: a[1]"]}


def test_of_a_constant_nothing_is_expected():
    result = reported(bit("a[1]", 0, 0) + bit("a[1]", 1, 0, "dut.m"), {"a[1]"})
    assert result["blocks"] == {"dut": counts(1, 0, 0, 0, 0), "m": counts(0, 1, 0, 0, 0)}
    assert result["not moved, by reason"] == {"": ["m: a[1]"]}


def test_names_that_are_derived_are_not_counted_again():
    assert read(bit("b", 1, 1), "dut") == read(
        bit("b", 1, 1) + bit("clk", 0, 0) + bit("b__02412", 0, 0) + bit("b__02efield", 0, 0), "dut"
    )


def test_what_lies_around_a_design_is_not_counted():
    assert read(bit("b", 1, 1) + bit("b", 0, 0, "other"), "dut") == read(bit("b", 1, 1), "dut")


def test_lines_are_named_by_their_text_and_artefacts_left_out():
    result = reported(record("line", "if", 0, line=2) + record("line", "if", 0, line=3))
    assert result["not moved, by reason"] == {"": ["dut: if (a) begin"]}


def test_what_has_a_reason_is_listed_under_it():
    text = bit("digest[7]", 0, 0) + bit("w_rdy", 0, 0, "dut.tile.queue")
    reasons = (("never full", r"tile\.queue: w_rdy"),)
    assert reported(text, reasons=reasons)["not moved, by reason"] == {
        "": ["dut: digest[7]"],
        "never full": ["tile.queue: w_rdy"],
    }


def test_a_reason_that_nothing_needs_is_refused():
    with pytest.raises(ValueError, match="a reason must be needed, as is not: never full"):
        reported(bit("w_rdy", 1, 1), reasons=(("never full", "dut: w_rdy"),))


def test_no_points_are_an_error():
    with pytest.raises(ValueError, match="coverage must have a point at least, not none"):
        read("# SystemC::Coverage-3\n", "dut")


def test_constants_are_those_that_yosys_folds_and_no_others():
    text = """
    module inner(input clk, a, output q);
      reg never = 0, held = 0;  // one is only cleared
      wire [2:0] unused = {a & ~a, a, 1'b1};
      assign q = held ^ never;
      always @(posedge clk) begin if (a) never <= 0; held <= held | a; end
    endmodule
    module dut(input clk, a, output q, output [1:0] two);
      inner inner(.clk(clk), .a(a), .q(q));
      assign two = {a, 1'b1};
    endmodule
    """
    found = {name for name in constants(Block("dut", text, ())) if "$" not in name}
    assert found == {"inner.never", "inner.unused[0]", "inner.unused[2]", "two[0]"}


@pytest.fixture
def one_design(monkeypatch):
    def replaced(count):
        design = Measured(
            lambda: Block("dut", "module dut(input c); endmodule", ()),
            lambda _: [bit("c", count, count)],
        )
        monkeypatch.setattr(rtl_coverage, "DESIGNS", {"one": design})

    return replaced


@pytest.mark.parametrize(("count", "code"), [(1, 0), (0, 1)])
def test_command_fails_if_a_bit_has_no_reason(one_design, capsys, count, code):
    one_design(count)
    assert rtl_coverage.main(["--json"]) == code
    out, err = capsys.readouterr()
    assert json.loads(out)["one"]["blocks"]["dut"]["moved"] == count
    assert err == "" if count else "no reason is known: one, dut: c" in err


def test_one_design_alone_is_not_stored(one_design, capsys):
    one_design(1)
    with pytest.raises(SystemExit) as stop:
        rtl_coverage.main(["--design", "one", "--update"])
    assert stop.value.code == 2
    assert "--update must be of all designs, not of one" in capsys.readouterr().err


def test_the_stored_result_has_a_reason_for_all():
    results = json.loads(rtl_coverage.RESULT.read_text(encoding="utf-8"))
    assert list(results) == list(DESIGNS)
    for name, result in results.items():
        still = result["not moved, by reason"]
        assert sorted(still) == sorted({why for why, _ in DESIGNS[name].reasons})
        for why, pattern in DESIGNS[name].reasons:
            assert any(re.fullmatch(pattern, point) for point in still[why])
    document = rtl_coverage.VERIFICATION.read_text(encoding="utf-8")
    assert table(results) in document


@pytest.mark.slow
def test_the_shift_module_moves_wholly():
    result = measure(DESIGNS["shift module"])
    assert result == json.loads(rtl_coverage.RESULT.read_text(encoding="utf-8"))["shift module"]
    (walk, module) = (result["blocks"][name] for name in ("walk", "shift_module"))
    assert module["bits"] == module["moved"] > 40
    assert walk["lines"] == walk["run"] > 40


@pytest.mark.slow  # minutes: an accelerator, its constants, its networks
def test_a_network_left_out_lowers_the_coverage():
    design = DESIGNS["SP, in place"]
    cases = rtl_coverage_designs.cases_of("SP, in place")
    assert len(cases) == 6
    # Without the largest weights and activations no column's sum has its highest bit.
    fewer = dataclasses.replace(
        design,
        run=lambda block: rtl_coverage_designs.run_networks(block, [*cases[:4], cases[5]]),
    )
    still = measure(fewer)["not moved, by reason"]
    assert "tile.crossbar_0: column_sum_0[8]" in still[""]
