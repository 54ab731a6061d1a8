# SPDX-License-Identifier: Apache-2.0
"""Coverage of the RTL: what is counted, what needs a reason, and that less is met by less."""

import json

import pytest

from cosim import fast
from scripts import rtl_coverage
from scripts.mutate_networks import DESIGNS
from scripts.rtl_coverage import read, report, table

VERILOG = "module accelerator;\n  if (a) begin\n  if (\\$auto$x:dump_module$1 ) begin end\nend\n"


def record(page, name, count, line=1, module="accelerator"):
    fields = {"f": "dut.v", "l": line, "n": 1, "page": f"v_{page}/{module}", "o": name}
    text = "".join(f"\x01{key}\x02{value}" for key, value in fields.items())
    return f"C '{text}\x01h\x02dut.{module}' {count}\n"


def bit(name, rises, falls, module="accelerator"):
    edges = (("0->1", rises), ("1->0", falls))
    return "".join(record("toggle", f"{name}:{edge}", n, module=module) for edge, n in edges)


def test_a_bit_must_rise_and_fall():
    points = read(bit("a[0]", 3, 2) + bit("a[1]", 3, 0))
    result = report(points, VERILOG)
    assert result["blocks"] == {"accelerator": {"bits": 2, "moved": 1, "lines": 0, "run": 0}}
    assert result["not moved, by reason"] == {"": ["accelerator: a[1]"]}


def test_names_that_are_derived_are_not_counted_again():
    assert read(bit("b", 1, 1)) == read(
        bit("b", 1, 1) + bit("clk", 0, 0) + bit("b__02412", 0, 0) + bit("b__02efield", 0, 0)
    )


def test_lines_are_named_by_their_text_and_artefacts_left_out():
    points = read(record("line", "if", 0, line=2) + record("line", "if", 0, line=3))
    result = report(points, VERILOG)
    assert result["not moved, by reason"] == {"": ["accelerator: if (a) begin"]}


def test_what_has_a_reason_is_listed_under_it():
    points = read(bit("digest[7]", 0, 0) + bit("w_rdy", 0, 0, "accelerator.tile.queue"))
    result = report(points, VERILOG)
    assert result["not moved, by reason"] == {
        "a constant: the digest, what is left of a table of counts": ["accelerator: digest[7]"],
        "always ready or valid": ["tile.queue: w_rdy"],
    }


def test_no_points_are_an_error():
    with pytest.raises(ValueError, match="coverage must have a point at least, not none"):
        read("# SystemC::Coverage-3\n")


@pytest.mark.parametrize(("count", "code"), [(1, 0), (0, 1)])
def test_command_fails_if_a_bit_has_no_reason(monkeypatch, capsys, count, code):
    monkeypatch.setattr(rtl_coverage.fast, "build", lambda block, coverage: None)
    monkeypatch.setattr(rtl_coverage, "run", lambda *_: read(bit("c", count, count)))
    assert rtl_coverage.main(["--json"]) == code
    out, err = capsys.readouterr()
    assert json.loads(out)["blocks"]["accelerator"]["moved"] == count
    assert err == "" if count else "no reason is known: accelerator: c" in err


def test_the_stored_result_has_a_reason_for_all():
    result = json.loads(rtl_coverage.RESULT.read_text(encoding="utf-8"))
    assert "" not in result["not moved, by reason"]
    document = rtl_coverage.VERIFICATION.read_text(encoding="utf-8")
    assert table(result) in document


@pytest.mark.slow
def test_a_scenario_left_out_lowers_the_coverage():
    cases = DESIGNS[rtl_coverage.DESIGN]()
    block = rtl_coverage._block(cases[0])
    library = fast.build(block, coverage=True)
    # Without the largest weights and activations no column's sum has its highest bit.
    result = report(rtl_coverage.run(library, cases[:4]), block.text)
    assert "tile.crossbar_0: column_sum_0[8]" in result["not moved, by reason"][""]
