# SPDX-License-Identifier: Apache-2.0
"""FASM: what a text sets, and what is no FASM."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpga import fasm
from fpga.fasm import FasmError, parse

RULE = (
    "a line must be a feature, FEATURE[HIGH:LOW] = VALUE, an annotation or a comment "
    "of at most 4096 characters"
)


def triples(text):
    return [(feature.name, feature.low, feature.value) for feature in parse(text)]


@pytest.mark.parametrize(
    ("line", "name", "low", "value"),
    [
        ("A_X0Y0.B.C", "A_X0Y0.B.C", 0, 1),
        ("A.0LUT.1", "A.0LUT.1", 0, 1),
        ("A.B[7]", "A.B", 7, 1),
        ("A.B[7] = 1", "A.B", 7, 1),
        ("A.B[7]=0", "A.B", 7, 0),
        ("A.B = 1", "A.B", 0, 1),
        ("A.B[3:0] = 4'b1010", "A.B", 0, 10),
        ("A.B[7:4] = 4'hA", "A.B", 4, 10),
        ("A.B[7:4] = 'hf", "A.B", 4, 15),
        ("A.B[7:0] = 8'd200", "A.B", 0, 200),
        ("A.B[7:0] = 8'o17", "A.B", 0, 15),
        ("A.B[7:0] = 200", "A.B", 0, 200),
        ("A.B[7:0] = 8'b1100_0011", "A.B", 0, 0xC3),
        ("A.B[1:0] = 64'h3", "A.B", 0, 3),
        ("A.B[1023:1020] = 15", "A.B", 1020, 15),
        ("  A.B [ 3 : 0 ]  =  5  # five\r", "A.B", 0, 5),
        ('A.B { .net = "a # } \\" b", x = "" } # note', "A.B", 0, 1),
    ],
)
def test_a_line_sets(line, name, low, value):
    assert triples(line) == [(name, low, value)]


@pytest.mark.parametrize("text", ["", "\n \n\t\r\n", "# A.B\n  # C", '{ a = "b" }', "{ }"])
def test_nothing_is_set(text):
    assert parse(text) == []


def test_features_know_their_lines():
    features = parse("# head\nA.B\n\n  C.D[1]\n", "top.fasm")
    assert [feature.where for feature in features] == ["top.fasm line 2", "top.fasm line 4"]


@pytest.mark.parametrize(
    "line",
    [
        "1A.B", "A..B", "A.B.", ".A", "A.B C.D", "A.B = ", "A.B == 1", "A.B[", "A.B[]", "A.B[x]",
        "A.B[-1]", "A.B[1:]", "A.B[1:2:3]", "A.B = -1", "A.B = 1 1", "A.B {", 'A.B { a = "b }',
        "A.B { a = b }", "= 1", "[1]", "A.B[9999999999]", "Ä.B", "A.B[١]", "A.B\0",
    ],
)  # fmt: skip
def test_what_is_no_line(line):
    with pytest.raises(FasmError) as error:
        parse(f"A.B\n{line}")
    assert str(error.value) == f"FASM line 2: {RULE}, not {line!r}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("A.B[0:3] = 1", "an index must be [HIGH:LOW] with 1024 > HIGH >= LOW, not [0:3]"),
        ("A.B[1024]", "an index must be [HIGH:LOW] with 1024 > HIGH >= LOW, not [1024:1024]"),
        ("A.B[3:0]", "a range of bits must have a value: [3:0]"),
        ("A.B = 2", "a value for [0:0] must fit into 1 bits"),
        ("A.B[3:0] = 16", "a value for [3:0] must fit into 4 bits"),
        ("A.B[3:0] = 2'b100", "a value must fit into its own 2 bits"),
        ("A.B[3:0] = 'b12", "a value must be N, 'bN, 'oN, 'dN or 'hN, not \"'b12\""),
        ("A.B[3:0] = 4'xFF", "a value must be N, 'bN, 'oN, 'dN or 'hN, not \"4'xFF\""),
        ("A.B[3:0] = 'h", "a value must be N, 'bN, 'oN, 'dN or 'hN, not \"'h\""),
        ("A.B[3:0] = F", "a value must be N, 'bN, 'oN, 'dN or 'hN, not 'F'"),
        ("A.B[3:0] = _", "a value must be N, 'bN, 'oN, 'dN or 'hN, not '_'"),
    ],
)
def test_what_is_no_value(line, message):
    with pytest.raises(FasmError) as error:
        parse(line, "top.fasm")
    assert str(error.value) == f"top.fasm line 1: {message}"


def test_lines_are_bounded():
    line = f"A.B # {'x' * 4090}"
    assert triples(line) == [("A.B", 0, 1)]
    with pytest.raises(FasmError) as error:
        parse(line + "x")
    assert str(error.value) == f"FASM line 1: {RULE}, not {line[:60] + '…'!r}"


def test_runs_of_spaces_take_no_time():
    gap = " " * 300
    line = gap.join(["", "A.B", "[", "3", ":", "0", "]", "=", "1", "{", "a", "=", '"b"', "}", "?"])
    start = time.process_time()
    for end in ("A.B", "A.B[3:0]", "A.B[3:0]=1", line):
        with pytest.raises(FasmError, match="^FASM line 1: a line must be a feature"):
            parse(f"{gap}{end}{gap}\0"[:4096])
    assert time.process_time() - start < 1


def test_files_are_bounded_and_utf_8(tmp_path, monkeypatch):
    file = tmp_path / "top.fasm"
    file.write_text("A.B # µ")
    assert fasm.read(file) == "A.B # µ"
    monkeypatch.setattr(fasm, "MAX_BYTES", 7)
    with pytest.raises(FasmError) as error:
        fasm.read(file)
    assert str(error.value) == f"{file} must have at most 7 bytes"
    file.write_bytes(b"A\nB\n\xff")
    with pytest.raises(FasmError) as error:
        fasm.read(file)
    assert str(error.value) == f"{file} line 3: FASM must be UTF-8"
    with pytest.raises(FasmError) as error:
        fasm.read(tmp_path / "none")
    assert (
        str(error.value)
        == f"{tmp_path / 'none'} must be a readable file: No such file or directory"
    )


PARTS = st.text("aZ_09", min_size=1, max_size=4)


@st.composite
def lines(draw):
    """Draw a line and what it sets."""
    name = ".".join(["T" + draw(PARTS), *draw(st.lists(PARTS, max_size=3))])
    low = draw(st.integers(0, 1000))
    width = draw(st.integers(1, 1024 - low))
    value = draw(st.integers(0, 2**width - 1))
    base = draw(st.sampled_from("bodh"))
    digits = format(value, {"h": "X"}.get(base, base))
    written = draw(st.sampled_from([f"{width}'{base}{digits}", f"'{base}{digits}", str(value)]))
    gap = draw(st.sampled_from(["", " ", "\t "]))
    index = f"[{low + width - 1}:{low}]" if width > 1 else f"[{low}]"
    note = draw(st.sampled_from(["", " # note", '{ a = "b" }']))
    return f"{gap}{name}{gap}{index}{gap}={gap}{written}{note}", (name, low, value)


@given(st.lists(lines(), max_size=5))
def test_random_features_come_back(drawn):
    assert triples("\n".join(line for line, _ in drawn)) == [what for _, what in drawn]


HOSTILE = st.one_of(
    st.text(max_size=20),
    st.text("aB0.[]:='bodh_{}\"\\# \t\r\n", max_size=60),
    st.text('{}"\\=a, .', max_size=100),
)


@given(HOSTILE)
def test_any_text_is_features_or_one_line_of_error(text):
    try:
        features, message = parse(text), ""
    except FasmError as error:
        features, message = [], str(error)
    assert len(message.splitlines()) <= 1
    assert len(features) <= text.count("\n") + 1
