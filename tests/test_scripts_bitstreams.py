# SPDX-License-Identifier: Apache-2.0
"""The table of bitstreams: what it compares, and that the documents show what is stored."""

import json

import pytest

from scripts import bitstreams

FOUND = {
    "board": "arty_a7_35t",
    "part": "xc7a35tcsg324-1",
    "placed": {"luts": 1234, "ffs": 56, "ramb36": 2, "ramb18": 1, "pads": 33},
    "limits": {"luts": 20800, "ffs": 41600, "block_rams": 50},
    "clock_mhz": 100.0,
    "fmax_estimate_mhz": 104.46,
    "seconds": {"synthesis": 1.25, "route": 2.5},
    "bits_sha256": "ab",
}


def test_a_row_of_the_table():
    found = {"a board": FOUND | {"cycles_an_image": 500_000}, "module": FOUND.copy()}
    del found["module"]["bits_sha256"]
    use = "1,234 of 20,800 | 56 of 41,600 | 2.5 of 50 | 104 MHz | 100 MHz"
    assert bitstreams.table(found).splitlines()[2:] == [
        f"| a board | {use} | 200 | 3.8 s |",
        f"| module | {use} |  | – |",
    ]


def test_the_module_beside_the_papers():
    assert "| `shift_module` | **1234** | **56** | **33** |" in bitstreams.module_table(FOUND)


def test_seconds_may_differ_and_nothing_else():
    assert bitstreams.compare(FOUND | {"seconds": {}}, FOUND) == []
    assert bitstreams.compare(FOUND | {"bits_sha256": "ac"}, FOUND) == [
        "bits_sha256 must be 'ab' as stored, not 'ac'"
    ]
    assert bitstreams.compare({}, {"board": "x"}) == ["board must be 'x' as stored, not None"]


@pytest.mark.parametrize("document", ["docs/fpga.md", "README.md"])
def test_the_documents_show_what_is_stored(document):
    builds = json.loads(bitstreams.STORED.read_text("utf-8"))["builds"]
    assert list(builds) == list(bitstreams.BUILDS)
    tables = {
        "docs/fpga.md": bitstreams.table(builds),
        "README.md": bitstreams.module_table(builds["ac701 module"]),
    }
    assert tables[document] in (bitstreams.ROOT / document).read_text("utf-8")


def test_a_build_that_fails_is_told_in_a_line(monkeypatch, capsys):
    def fail(*_):
        raise bitstreams.BuildError("it must build")

    monkeypatch.setattr(bitstreams, "measure", fail)
    assert bitstreams.main([]) == 1
    assert capsys.readouterr().err == "python -m scripts.bitstreams: error: it must build\n"
