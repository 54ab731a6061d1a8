# SPDX-License-Identifier: Apache-2.0
"""The picture of a tile is what co-simulation gives, byte for byte."""

import pytest

from cosim import simulators, tile_figure
from cosim.waveform import read_trace

VCD = """$timescale 1ps $end
$scope module $rootio $end
$var wire 1 ! clk $end
$upscope $end
$scope module a $end
$var wire 1 " x $end
$var wire 1 # $1 $end
$scope module b $end
$var wire 2 $ x $end
$upscope $end
$upscope $end
$enddefinitions $end
#0
1"
b10 $
#5
#10
0"
#15
"""


def test_a_signal_of_a_scope(tmp_path):
    file = tmp_path / "t.vcd"
    file.write_text(VCD)
    trace = read_trace(file, ["a.x", "b.x"], 10)
    assert trace == {"a.x": [1, 0], "b.x": [2, 2]}
    with pytest.raises(KeyError):
        read_trace(file, ["b.y"], 10)


def test_what_is_drawn_is_what_docs_say():
    acc = tile_figure.SCENARIO.sums().tolist()
    assert acc == [26, 5]
    assert tile_figure.PARAMS.columns_per_adc * tile_figure.PARAMS.act_bits == 6


def test_the_same_trace_gives_the_same_bytes(tmp_path):
    rows = {"activations": [None, 3], "sample": [0, 1], "codes": [None, 0x21], "outputs": [None, 0]}
    files = [tmp_path / name for name in ("a.svg", "b.svg")]
    for file in files:
        tile_figure.draw(file, rows)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b">1 2<" in files[0].read_bytes()


@pytest.mark.slow  # builds a simulation with waves
def test_the_picture_is_current(tmp_path):
    reason = simulators.missing("verilator")
    if reason is not None:
        pytest.skip(reason)
    assert tile_figure.main(["--out", str(tmp_path / "tile.svg")]) == 0
    assert (tmp_path / "tile.svg").read_bytes() == tile_figure.PICTURE.read_bytes()
