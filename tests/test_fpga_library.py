# SPDX-License-Identifier: Apache-2.0
"""Yosys's library made quick: the rows of block RAMs, and whole netlists, come out the same."""

import json
import random

import pytest

from fpga import library, yosys
from fpga.boards import BOARDS
from fpga.designs import TOP, sources
from fpga.toolchain import ToolchainError, find

ROWS = (0, 1, 63, 127)


def rows(folder, contents):
    """Evaluate both functions of the definitions that Yosys finds from a folder."""
    wires = "".join(
        f"wire [255:0] d{row} = slice_init({row}); wire [255:0] p{row} = slice_initp({row // 8});\n"
        for row in ROWS
    )
    # Beside nothing of this name: Yosys takes the working folder's, or else its own.
    (folder / "rows.v").write_text(
        f"module rows; localparam [36863:0] INIT = 36864'h{contents:x};\n"
        f'`include "brams_defs.vh"\n{wires}endmodule\n'
    )
    yosys.run(["read_verilog rows.v", "hierarchy -top rows", "write_json rows.json"], folder)
    nets = json.loads((folder / "rows.json").read_text())["modules"]["rows"]
    source = {name: net["bits"] for name, net in nets["netnames"].items()}
    return {
        name: int("".join(reversed(bits)), 2) for name, bits in source.items() if len(bits) == 256
    }


def test_rows_of_a_block_ram_are_cut_as_its_words_lie(tmp_path):
    contents = random.Random(1).getrandbits(36864)
    library.write(tmp_path)
    words = [contents >> 9 * number & 0x1FF for number in range(4096)]
    found = rows(tmp_path, contents)
    for row in ROWS:
        data = words[32 * row : 32 * row + 32]
        assert found[f"d{row}"] == sum((word & 255) << 8 * at for at, word in enumerate(data))
        parity = words[256 * (row // 8) : 256 * (row // 8) + 256]
        assert found[f"p{row}"] == sum((word >> 8) << at for at, word in enumerate(parity))


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "must hold a module BUFGCE"), ("module BUFGCE(I);", "must hold a module BUFGCE")],
)
def test_another_release_of_yosys_is_noticed(text, told):
    with pytest.raises(yosys.YosysError, match=told):
        library._module(text, "BUFGCE")
    with pytest.raises(yosys.YosysError, match="must hold one function slice_init, not 0"):
        library._without_loop(text, "slice_init", range(8))


@pytest.mark.slow
@pytest.mark.parametrize("board", ["arty_a7_35t", "ac701"])
def test_a_boards_netlist_is_the_same_with_yosyss_own_library(board, tmp_path):
    try:
        database = find().database
    except ToolchainError as error:
        pytest.skip(f"no tools: {error}")
    text = sources("shift", BOARDS[board], None, database)["top.v"]
    found = []
    for quick in (False, True):
        folder = tmp_path / str(quick)
        folder.mkdir()
        (folder / "top.v").write_text(text)
        if quick:
            library.write(folder)
        begin = library.commands(TOP) if quick else []
        mapping = yosys.synthesis(TOP, pads=True, begun=quick)
        yosys.run(["read_verilog top.v", *begin, *mapping, "write_json netlist.json"], folder)
        cells = json.loads((folder / "netlist.json").read_text())["modules"][TOP]["cells"]
        wanted = ("type", "parameters", "connections")
        found.append(sorted(json.dumps([cell[key] for key in wanted]) for cell in cells.values()))
    assert len(found[0]) > 1000
    assert found[0] == found[1]
